"""Known models: name, public source, digest, licence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model whose origin was checked.

    Attributes:
        name: under which manifests refer to it.
        title: for people.
        family: how its output is read, see ``ModelFamily``.
        source: https address of the file at a fixed revision.
        sha256: of the file.
        size: bytes.
        licence: SPDX identifier.
        licence_note: whose work it is.
    """

    name: str
    title: str
    family: str
    source: str
    sha256: str
    size: int
    licence: str
    licence_note: str = ""


@cache
def known_models() -> dict[str, KnownModel]:
    """The catalogue that comes with this release, by name."""
    text = resources.files("vedette.adapters.models").joinpath("catalogue.yaml").read_text("utf-8")
    return {name: KnownModel(name=name, **entry) for name, entry in yaml.safe_load(text).items()}


def recognise(sha256: str) -> KnownModel | None:
    """The known model with this digest."""
    return next((model for model in known_models().values() if model.sha256 == sha256), None)
