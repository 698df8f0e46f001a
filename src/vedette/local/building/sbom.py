"""A bill of materials as CycloneDX 1.6: which software is in what was built, by name, version, digest and licence.

Pure: values become a document, and equal values the same bytes; nothing in it tells when or where it was made.

Source of the format: the CycloneDX specification 1.6 (ECMA-424), https://cyclonedx.org/docs/1.6/json/. Names of
packages are package URLs, https://github.com/package-url/purl-spec.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, Final

SPECIFICATION: Final = "1.6"
#: The package's own wheel: it is made by the build and comes from no registry.
OWN_PACKAGE: Final = "vedette"
#: Longer ones are the licence's text, in the field that is for its name.
_LONGEST_NAME: Final = 100
_CLASSIFIER: Final = "License :: "
#: Says of classifiers only who approved of the licence, or nothing.
_EMPTY_CLASSIFIERS: Final = frozenset({"OSI Approved", "Other/Proprietary License"})


@dataclass(frozen=True, slots=True)
class Package:
    """One wheel.

    Attributes:
        name: of the distribution, normalised.
        version: of the distribution.
        file: name of the wheel.
        sha256: of the wheel, hexadecimal.
        licences: as the documents have them, see ``licences``.
        needs: names of the distributions that it asks for, among those beside it.
    """

    name: str
    version: str
    file: str
    sha256: str
    licences: tuple[Mapping[str, Any], ...] = ()
    needs: frozenset[str] = frozenset()

    @property
    def reference(self) -> str:
        """Names this very file in one document."""
        return f"{self.file}#{self.sha256[:12]}"

    @property
    def purl(self) -> str:
        """Its package URL."""
        kind = "generic" if self.name == OWN_PACKAGE else "pypi"
        return f"pkg:{kind}/{self.name}@{self.version.replace('+', '%2B')}"


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a device, or the functions of the account.

    Attributes:
        name: of the component.
        version: of the component.
        packages: the wheels in it, each name once within ``packages`` of one installation.
        facts: what it was built for, name → text.
        files: its artefacts, name → SHA-256.
        complete: whether the wheels are all that it runs on, besides Python and the system.
    """

    name: str
    version: str
    packages: tuple[Package, ...]
    facts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True

    @property
    def reference(self) -> str:
        """Names it in one document."""
        return f"{self.name}@{self.version}"


def licences(metadata: Message) -> tuple[Mapping[str, Any], ...]:
    """What a distribution says of its licence.

    An SPDX expression where it has one (core metadata 2.4); else its classifiers; else a short text. Nothing
    is guessed, and nothing is said where it says nothing.
    """
    if expression := str(metadata.get("License-Expression") or "").strip():
        return ({"expression": expression, "acknowledgement": "declared"},)
    names = [str(text).removeprefix(_CLASSIFIER) for text in metadata.get_all("Classifier") or [] if _about(text)]
    names = [name.removeprefix("OSI Approved :: ") for name in names if name not in _EMPTY_CLASSIFIERS]
    text = str(metadata.get("License") or "").strip()
    if not names and text and len(text) <= _LONGEST_NAME and "\n" not in text:
        names = [text]
    return tuple({"license": {"name": name, "acknowledgement": "declared"}} for name in sorted(set(names)))


def bill_of_materials(name: str, version: str, parts: Sequence[Part]) -> bytes:
    """The document.

    Args:
        name: of the whole: what the parts make together.
        version: of the whole.
        parts: in any order.

    Returns:
        JSON in UTF-8; the same for the same values.
    """
    ordered = sorted(parts, key=lambda part: part.reference)
    packages = {package.reference: package for part in ordered for package in part.packages}
    whole = f"{name}@{version}"
    document: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": OWN_PACKAGE, "version": version}]},
            "component": {"type": "application", "bom-ref": whole, "name": name, "version": version},
        },
        "components": [
            *(_part(part) for part in ordered),
            *(_package(packages[reference]) for reference in sorted(packages)),
        ],
        "dependencies": _dependencies(whole, ordered),
        "compositions": _compositions(ordered),
    }
    content = json.dumps(document, sort_keys=True, ensure_ascii=False)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _about(classifier: str) -> bool:
    return str(classifier).startswith(_CLASSIFIER)


def _part(part: Part) -> dict[str, Any]:
    facts = {**part.facts, **{f"sha256:{name}": digest for name, digest in part.files.items()}}
    return {
        "type": "application",
        "bom-ref": part.reference,
        "name": part.name,
        "version": part.version,
        "properties": [{"name": f"vedette:{name}", "value": facts[name]} for name in sorted(facts)],
    }


def _package(package: Package) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.reference,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
        "properties": [{"name": "vedette:file", "value": package.file}],
    }
    if package.licences:
        found["licenses"] = [dict(one) for one in package.licences]
    return found


def _dependencies(whole: str, parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Who needs whom; what a wheel needs is looked for beside it, in the same part."""
    reached: dict[str, set[str]] = {whole: {part.reference for part in parts}}
    for part in parts:
        reached.setdefault(part.reference, set()).update(package.reference for package in part.packages)
        for package in part.packages:
            beside = {other.reference for other in part.packages if other.name in package.needs}
            reached.setdefault(package.reference, set()).update(beside)
    return [{"ref": reference, "dependsOn": sorted(reached[reference])} for reference in sorted(reached)]


def _compositions(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Which parts' libraries are all named here, and of which they are the device's own affair."""
    made = []
    for aggregate, complete in (("complete", True), ("incomplete", False)):
        if references := sorted({part.reference for part in parts if part.complete is complete}):
            made.append({"aggregate": aggregate, "dependencies": references})
    return made
