"""What Neo made, with the model's description beside it: the device needs names and shapes to run it."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from vedette.contracts.model_card import CARD_NAME, ModelCard
from vedette.core.fleet.model_pack import card_text


def add_card(source: Path, target: Path, card: ModelCard) -> str:
    """Write the archive anew, with ``model.yaml`` in it; its SHA-256.

    Args:
        source: what Neo made.
        target: where to.
        card: of the model, for the one target that it was compiled for.

    Raises:
        tarfile.TarError: the archive cannot be read.
    """
    text = card_text(card)
    with (
        tarfile.open(source, "r:gz") as made,
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as packed,
    ):
        for member in made:
            if member.isreg() and Path(member.name).name != CARD_NAME:
                packed.addfile(member, made.extractfile(member))
        info = tarfile.TarInfo(CARD_NAME)
        info.size = len(text)
        packed.addfile(info, io.BytesIO(text))
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
