"""What Neo made, as one file: recognised, looked through, unpacked where nobody else writes."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from vedette.contracts.errors import CloudError, ModelError
from vedette.contracts.model_card import CARD_NAME, ModelCard
from vedette.core.fleet.model_yaml import parse_model_card
from vedette.core.tar_reader import TarReader
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
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            archive = TarReader(stream)
            for number, member in enumerate(archive):
                total += member.size
                if number >= MAX_FILES or total > MAX_UNPACKED_BYTES:
                    raise _refused(name, f"holds more than {MAX_FILES} files or {MAX_UNPACKED_BYTES >> 30} GB")
                if member.folder:
                    continue
                file_name = PurePosixPath(member.name).name
                if file_name == CARD_NAME:
                    if member.size > MAX_BYTES:
                        raise _refused(name, f"holds a {CARD_NAME} of {member.size} bytes")
                    card = parse_model_card(b"".join(archive.content()), CARD_NAME)
                    continue
                with (target / file_name).open("xb") as file:
                    for chunk in archive.content():
                        file.write(chunk)
    except CloudError as error:
        raise _refused(name, f"holds a {CARD_NAME} with mistakes: {error.message}") from error
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise _refused(name, f"cannot be unpacked: {error}") from error
    if not any(file.suffix in (".so", ".params", ".ro") for file in target.iterdir()):
        raise _refused(name, "holds no compiled model")
    return NeoArchive(target, card)


def _refused(name: str, what: str) -> ModelError:
    return ModelError(f"{name} {what}.", hint="Compile it again: vedette model compile", code="V302")
