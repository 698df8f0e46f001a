"""Puts what arrived where nobody changes it: model, description and, for Neo, the archive it takes."""

from __future__ import annotations

import gzip
import hashlib
import mmap
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lambdas.common.objects import fetch_object, read_object, store_file
from lambdas.common.runtime import client
from lambdas.model_intake.arrival import Arrival
from vedette.contracts.errors import CloudError
from vedette.contracts.model_card import CARD_NAME, MAX_CARD_MODEL_BYTES, ModelCard
from vedette.contracts.model_record import JOBS, incoming_key
from vedette.core.fleet.model_check import check_model_file
from vedette.core.fleet.model_pack import card_text
from vedette.core.fleet.model_yaml import parse_model_card
from vedette.core.yaml_reader import MAX_BYTES


@dataclass(frozen=True, slots=True)
class Staged:
    """A version of a model, as it is worked on from here.

    Attributes:
        card: with digest and operator set.
        sha256: of the model file.
        source: digest of description and file together: the same content has the same.
        prefix: where in the bucket both are.
        neo_key: of the archive for Neo.
    """

    card: ModelCard
    sha256: str
    source: str
    prefix: str
    neo_key: str


def stage(bucket: str, found: Arrival) -> Staged:
    """Check and stage an upload.

    Raises:
        CloudError: V005 or V006, see ``parse_model_card`` and ``check_model_file``; the file is missing or too large.
        botocore.exceptions.ClientError: refused.
    """
    card = parse_model_card(read_object(bucket, f"{found.prefix}{CARD_NAME}", MAX_BYTES), CARD_NAME)
    if (card.name, card.version) != (found.model, found.version):
        raise CloudError(
            f"{CARD_NAME} is of {card.name} {card.version}, but was put below {found.prefix}.",
            hint=f"Put it below {incoming_key(card.name, card.version, '')}",
            code="V005",
        )
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / card.file
        sha256 = fetch_object(bucket, f"{found.prefix}{card.file}", file, MAX_CARD_MODEL_BYTES)
        with file.open("rb") as content, mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            view = memoryview(mapped)
            try:
                card = check_model_file(card, view, sha256)
            finally:
                view.release()
        text = card_text(card)
        source = hashlib.sha256(text).hexdigest()
        prefix = f"{JOBS}{card.name}/{card.version}/{source[:16]}/"
        store_file(bucket, f"{prefix}{card.file}", file)
        client("s3").put_object(Bucket=bucket, Key=f"{prefix}{CARD_NAME}", Body=text)
        neo_key = _archive_for_neo(bucket, prefix, card, file)
    return Staged(card, sha256, source, prefix, neo_key)


def _archive_for_neo(bucket: str, prefix: str, card: ModelCard, file: Path) -> str:
    if file.name.endswith(".tar.gz"):
        return f"{prefix}{card.file}"
    packed = file.with_name("model.tar.gz")
    with (
        packed.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
        file.open("rb") as content,
    ):
        archive.addfile(_member(file), content)
    store_file(bucket, f"{prefix}neo/model.tar.gz", packed)
    return f"{prefix}neo/model.tar.gz"


def _member(file: Path) -> tarfile.TarInfo:
    info = tarfile.TarInfo(file.name)
    info.size, info.mode = file.stat().st_size, 0o644
    return info


def unpack_training(bucket: str, archive_key: str) -> None:
    """Put what a training job made where uploads go; its ``model.yaml`` comes last and starts everything else.

    Raises:
        CloudError: V005 or V006, the output holds no model, or its description has mistakes.
        botocore.exceptions.ClientError: refused.
    """
    with tempfile.TemporaryDirectory() as work:
        packed = Path(work) / "output.tar.gz"
        fetch_object(bucket, archive_key, packed, MAX_CARD_MODEL_BYTES)
        text = _one_file(packed, CARD_NAME, Path(work) / "card", MAX_BYTES).read_bytes()
        card = parse_model_card(text, CARD_NAME)
        model = _one_file(packed, card.file, Path(work) / "model", MAX_CARD_MODEL_BYTES)
        store_file(bucket, incoming_key(card.name, card.version, card.file), model)
        client("s3").put_object(Bucket=bucket, Key=incoming_key(card.name, card.version, CARD_NAME), Body=text)


def _one_file(archive: Path, name: str, target: Path, limit: int) -> Path:
    """One member of an archive, whatever its path there says."""
    try:
        with tarfile.open(archive, "r:gz") as packed:
            for member in packed:
                if not member.isreg() or member.name.removeprefix("./") != name:
                    continue
                if member.size > limit:
                    raise CloudError(f"{name} in the training's output is larger than {limit >> 20} MiB.", code="V006")
                source = packed.extractfile(member)
                assert source is not None
                with source, target.open("wb") as file:
                    while chunk := source.read(1 << 20):
                        file.write(chunk)
                return target
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CloudError(f"the training's output cannot be read: {error}.", code="V006") from None
    raise CloudError(
        f"the training's output holds no {name}.",
        hint="train.py writes the model and model.yaml into SM_MODEL_DIR; see docs/models.md.",
        code="V006",
    )
