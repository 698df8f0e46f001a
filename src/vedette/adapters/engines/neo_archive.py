"""What Neo made, as one file: recognised, looked through, unpacked where nobody else writes."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vedette.contracts.errors import CloudError, ModelError
from vedette.contracts.model_card import CARD_NAME, ModelCard
from vedette.core.fleet.model_yaml import parse_model_card
from vedette.core.yaml_reader import MAX_BYTES

_GZIP: Final = b"\x1f\x8b"
MAX_FILES: Final = 64
MAX_UNPACKED_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class NeoArchive:
    """An archive that was unpacked.

    Attributes:
        directory: with the files in it, none of them below another directory.
        card: the model's description; None where it was compiled elsewhere.
    """

    directory: Path
    card: ModelCard | None


def is_neo_archive(data: bytes) -> bool:
    """Whether a model file is an archive as Neo makes them; an ONNX file never begins so."""
    return data.startswith(_GZIP)


def unpack_neo(data: bytes, name: str, target: Path) -> NeoArchive:
    """Unpack into an empty directory.

    Args:
        data: the whole archive.
        name: what to call it in messages.
        target: the directory.

    Raises:
        ModelError: V302, it is no such archive, or holds what no compiled model does.
    """
    card: ModelCard | None = None
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            for number, member in enumerate(archive):
                total += member.size
                if number >= MAX_FILES or total > MAX_UNPACKED_BYTES:
                    raise _refused(name, f"holds more than {MAX_FILES} files or {MAX_UNPACKED_BYTES >> 30} GB")
                if member.isdir():
                    continue
                if not member.isreg():
                    raise _refused(name, f"holds {member.name!r}, which is no plain file")
                source = archive.extractfile(member)
                assert source is not None
                file_name = Path(member.name).name
                if file_name == CARD_NAME:
                    card = parse_model_card(source.read(MAX_BYTES), CARD_NAME)
                    continue
                with (target / file_name).open("xb") as file:
                    while chunk := source.read(1 << 20):
                        file.write(chunk)
    except CloudError as error:
        raise _refused(name, f"holds a {CARD_NAME} with mistakes: {error.message}") from error
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise _refused(name, f"cannot be unpacked: {error}") from error
    if not any(file.suffix in (".so", ".params", ".ro") for file in target.iterdir()):
        raise _refused(name, "holds no compiled model")
    return NeoArchive(target, card)


def _refused(name: str, what: str) -> ModelError:
    return ModelError(f"{name} {what}.", hint="Compile it again: vedette model compile", code="V302")
