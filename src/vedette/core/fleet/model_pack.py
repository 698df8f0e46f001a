"""What a model component is made of: an archive that is the same wherever it is made, and its Greengrass recipe."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

import yaml

from vedette.contracts.model_card import CARD_NAME, ModelCard, Target
from vedette.contracts.model_record import model_component
from vedette.core.fleet.targets import TARGETS
from vedette.core.yaml_reader import plain_value

#: Greengrass refuses larger recipes.
MAX_RECIPE_BYTES: Final = 16_000
#: Where the device's models are, unless a deployment says otherwise.
MODEL_DIRECTORY: Final = "/var/lib/vedette/models"
#: What Neo made, as a file of the archive.
COMPILED_NAME: Final = "compiled.tar.gz"
ENTRY_NAME: Final = "entry.json"
ARCHIVE_NAME: Final = "model.zip"
#: Archives hold no time of day, so that the same content gives the same bytes.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)

_INSTALL: Final = """#!/bin/sh
# Puts the model where vedette.Inference looks for models: install.sh MODEL_DIRECTORY NAME SHA256 FILE
# A reader finds the old model or the new one, never half of one.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
place="$1/components/$2"
mkdir -p "$place/$3"
cp "$here/$4" "$place/$3/.$4.new"
mv "$place/$3/.$4.new" "$place/$3/$4"
cp "$here/entry.json" "$place/.entry.json.new"
mv "$place/.entry.json.new" "$place/entry.json"
find "$place" -mindepth 1 -maxdepth 1 -type d ! -name "$3" -exec rm -rf {} +
touch "$1"
"""


class _Quoting(yaml.SafeDumper):
    """What is text to a writer of YAML 1.1 may be a number to a reader of YAML 1.2, so that gets quotes; lists of plain
    values take one line.
    """


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain_value(text) == text else '"')


def _list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.SequenceNode:
    flat = not any(isinstance(value, dict | list) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flat)


_Quoting.add_representer(str, _text)
_Quoting.add_representer(list, _list)


def card_text(card: ModelCard) -> bytes:
    """The description as a file, all that is known in it."""
    document = card.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    document["inputs"] = card.model_dump(mode="json")["inputs"]
    return yaml.dump(document, Dumper=_Quoting, sort_keys=False, allow_unicode=True, width=120).encode()


def pack_component(target: IO[bytes], card: ModelCard, file_name: str, file: Path, sha256: str) -> None:
    """Write the component's archive.

    Args:
        target: where to.
        card: of the model.
        file_name: of the model in the archive: the card's own, or ``COMPILED_NAME``.
        file: its content.
        sha256: of that content.
    """
    entry = {
        "name": card.name,
        "version": card.version,
        "file": file_name,
        "sha256": sha256,
        "size": file.stat().st_size,
        "licence": card.licence,
        "title": card.title,
    }
    small: Mapping[str, bytes] = {
        "install.sh": _INSTALL.encode(),
        ENTRY_NAME: json.dumps(entry, indent=1, sort_keys=True).encode(),
        CARD_NAME: card_text(card),
        "LICENCE.txt": f"The model {card.name} {card.version} is under the licence: {card.licence}\n".encode(),
    }
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in small.items():
            archive.writestr(_info(name), content)
        # Weights do not get smaller, and time is money in a function.
        with file.open("rb") as source, archive.open(_info(file_name), "w", force_zip64=False) as packed:
            while chunk := source.read(1 << 20):
                packed.write(chunk)


def recipe(card: ModelCard, target: Target, *, file_name: str, sha256: str, source: str, uri: str) -> dict[str, Any]:
    """The recipe of a model's component for one kind of device.

    Args:
        card: of the model.
        target: kind of device.
        file_name: of the model in the archive.
        sha256: of that file.
        source: digest of everything the component was made from; tells a repeat from other content.
        uri: of the archive, ``s3://…``.
    """
    where = "{artifacts:decompressedPath}/model/install.sh"
    script = f'exec sh {where} "{{configuration:/modelDirectory}}" {card.name} {sha256} {file_name}'
    return {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": model_component(card.name, target),
        "ComponentVersion": card.version,
        "ComponentDescription": f"The model {card.name} for {target.value}.",
        "ComponentPublisher": "Made by Vedette in this account",
        "ComponentDependencies": {
            "vedette.Inference": {"VersionRequirement": ">=0.1.0 <1.0.0", "DependencyType": "SOFT"}
        },
        "ComponentConfiguration": {"DefaultConfiguration": {"modelDirectory": MODEL_DIRECTORY, "source": source}},
        "Manifests": [
            {
                "Platform": {"os": "linux", "architecture": TARGETS[target].architecture},
                "Artifacts": [{"Uri": uri, "Unarchive": "ZIP"}],
                "Lifecycle": {"install": {"Script": script, "Timeout": 120}},
            }
        ],
    }


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = 0o644 << 16
    return info
