"""Hashed lock files: which version of a library, and which files of it are the right ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vedette.contracts.errors import UsageError

_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """One library of a lock.

    Attributes:
        name: normalised.
        version: the locked one.
        hashes: SHA-256 of each file that may be it.
        marker: environments that it is for; None for all.
    """

    name: str
    version: str
    hashes: frozenset[str]
    marker: Marker | None = None

    def requirement(self) -> str:
        """As a line of a lock; hashes in order."""
        return f"{self.name}=={self.version} " + " ".join(f"--hash=sha256:{one}" for one in sorted(self.hashes))


@dataclass(frozen=True, slots=True)
class Lock:
    """Everything that lock files pin, for one environment: name → pin."""

    pins: Mapping[str, Pin]

    def pin(self, name: str, needed_by: str) -> Pin:
        """The pin of a library.

        Raises:
            UsageError: V710, it is not in the lock.
        """
        found = self.pins.get(canonicalize_name(name))
        if found is None:
            raise UsageError(
                f"library {name}, which {needed_by} needs, is not in the lock of the edge libraries.",
                hint="`make lock` writes requirements/ anew from pyproject.toml.",
                code="V710",
            )
        return found


def read_lock(*files: Path, environment: Mapping[str, str]) -> Lock:
    """Lock files, as far as they are for an environment.

    Args:
        files: as ``make lock`` writes them.
        environment: what markers are compared with.

    Raises:
        UsageError: V710, a line cannot be read, or a library has no digest.
    """
    pins: dict[str, Pin] = {}
    for file in files:
        for text in file.read_text("utf-8").replace("\\\n", " ").splitlines():
            if text.strip() and not text.startswith("#"):
                pin = _pin(text, file)
                if pin.marker is None or pin.marker.evaluate(dict(environment)):
                    pins[pin.name] = pin
    return Lock(pins)


def _pin(text: str, file: Path) -> Pin:
    try:
        requirement = Requirement(text.split("--hash", 1)[0].strip())
        (specifier,) = requirement.specifier
    except (InvalidRequirement, ValueError):
        raise UsageError(f"{file}: {text[:60]!r} is not a pinned library.", code="V710") from None
    hashes = frozenset(_HASH.findall(text))
    if specifier.operator != "==" or not hashes:
        raise UsageError(f"{file}: {requirement.name} has no version or no digest.", code="V710")
    return Pin(canonicalize_name(requirement.name), specifier.version, hashes, requirement.marker)
