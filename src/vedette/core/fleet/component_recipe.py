"""Recipes of component versions in the account: where their artefacts lie, and whether two mean the same. Pure.

Artefacts lie under the SHA-256 of their content and keep their file name, because Greengrass unpacks an archive into a
folder of that name and the recipe's scripts say it.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vedette.contracts.errors import CloudError

#: Quota of Greengrass is 16 KiB; the nuclei take less, and so do we.
MAX_RECIPE_BYTES: Final = 16_000
#: Quota of Greengrass: all artefacts of a component version.
MAX_ARTEFACT_BYTES: Final = 2 << 30
_KEY: Final = re.compile(r"(?:^|/)sha256/([0-9a-f]{64})/")
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_DECOMPRESSED: Final = "{artifacts:decompressedPath}/"
#: What Greengrass writes into a recipe where its author wrote nothing.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "ComponentType": "aws.greengrass.generic",
    "DependencyType": "HARD",
    "Permission": {"Read": "OWNER", "Execute": "NONE"},
    "RequiresPrivilege": "false",
    "Unarchive": "NONE",
}
#: Fields that hold what the service found, or are compared by content instead.
_FOUND: Final = frozenset({"Algorithm", "ComponentSource", "Digest", "Uri", "URI"})


def artefact_key(sha256: str, name: str) -> str:
    """Where an artefact lies in the bucket."""
    return f"sha256/{sha256}/{name}"


def published_recipe(document: Mapping[str, Any], places: Mapping[str, str]) -> bytes:
    """The recipe as the account gets it, JSON: nucleus lite makes text of every value of a YAML recipe.

    Args:
        document: as it was built.
        places: file name of each artefact → its URI.

    Raises:
        CloudError: V014, it is too long, or names an artefact without a place.
    """
    made = copy.deepcopy(dict(document))
    for artefact in _artefacts(made):
        name = _file_name(artefact)
        if name not in places:
            raise CloudError(f"{_title(made)}: its recipe names {name!r}, which the tree does not hold.", code="V014")
        artefact["Uri"] = places[name]
    raw = json.dumps(made, separators=(",", ":")).encode()
    if len(raw) > MAX_RECIPE_BYTES:
        raise CloudError(
            f"{_title(made)}: its recipe is {len(raw):,} bytes in the account; {MAX_RECIPE_BYTES:,} are allowed.",
            hint="Shorten the default configuration or the scripts; large data belongs in an artefact.",
            code="V014",
        )
    return raw


def recipe_differences(
    document: Mapping[str, Any], digests: Mapping[str, str], stored: Mapping[str, Any]
) -> tuple[str, ...]:
    """What a version that is in the account does otherwise than one that was built; nothing where they are the same.

    Artefacts are compared by content, wherever they lie. What Greengrass adds to a recipe is no difference.

    Args:
        document: as it was built.
        digests: file name of each artefact → SHA-256, hexadecimal.
        stored: the recipe in the account.
    """
    ours = [(_file_name(one), digests.get(_file_name(one), "")) for one in _artefacts(document)]
    theirs = [(_file_name(one), _stored_digest(one)) for one in _artefacts(stored)]
    found = []
    for (name, here), (_, there) in zip(ours, theirs, strict=False):
        if not there:
            found.append(f"the content of {name} in the account is not known")
        elif here != there:
            found.append(f"{name} has SHA-256 {here[:12]}… here and {there[:12]}… in the account")
    if len(ours) != len(theirs):
        found.append(f"{len(ours)} artefacts here, {len(theirs)} in the account")
    left = _plain(document, [name for name, _ in ours])
    right = _plain(stored, [name for name, _ in theirs])
    return (*found, *_unlike(left, right, ""))


def _title(document: Mapping[str, Any]) -> str:
    return f"{document.get('ComponentName')} {document.get('ComponentVersion')}"


def _artefacts(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for manifest in document.get("Manifests") or ():
        yield from manifest.get("Artifacts") or ()


def _file_name(artefact: Mapping[str, Any]) -> str:
    return str(artefact.get("Uri") or artefact.get("URI") or "").rpartition("/")[2]


def _stored_digest(artefact: Mapping[str, Any]) -> str:
    """SHA-256 as hexadecimal: as Greengrass found it (base64 or hexadecimal), else as the key says."""
    said = str(artefact.get("Digest") or "")
    if _HEX.fullmatch(said):
        return said
    try:
        raw = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) == 32:
        return raw.hex()
    found = _KEY.search(str(artefact.get("Uri") or artefact.get("URI") or ""))
    return found[1] if found else ""


def _plain(value: Any, names: list[str]) -> Any:
    """Without what is left open or found by the service; folders of artefacts by their place in the recipe."""
    if isinstance(value, Mapping):
        kept = {key: _plain(one, names) for key, one in value.items() if key not in _FOUND}
        return {key: one for key, one in kept.items() if one not in (None, {}, []) and _DEFAULTS.get(key) != one}
    if isinstance(value, list | tuple):
        return [_plain(one, names) for one in value]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        for number, name in enumerate(names):
            value = value.replace(f"{_DECOMPRESSED}{name.removesuffix('.zip')}/", f"{_DECOMPRESSED}{number}/")
    return value


def _unlike(left: Any, right: Any, place: str) -> Iterator[str]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            yield from _unlike(left.get(key), right.get(key), f"{place}.{key}" if place else key)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _unlike(one, other, f"{place}.{number}")
    elif left != right:
        yield f"{place} is {_shown(left)} here and {_shown(right)} in the account"


def _shown(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
