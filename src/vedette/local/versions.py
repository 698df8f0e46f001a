"""Component versions and the version ranges that every Greengrass nucleus understands.

Only comparators are accepted (``>=1.0.0 <2.0.0``): nucleus lite fails on npm ranges such as ``^1.0.0``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import Final

from vedette.contracts.errors import CoreError

_VERSION: Final = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]{1,64}))?(?:\+[0-9A-Za-z.-]{1,64})?")
_COMPARATOR: Final = re.compile(r"(>=|<=|>|<|=)\s*(\S+)")


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version; a pre-release sorts before its release (semver.org, rule 11)."""

    major: int
    minor: int
    patch: int
    pre_release: str = ""

    @classmethod
    def parse(cls, text: str, *, where: str = "version") -> Version:
        """Reads ``major.minor.patch`` with an optional pre-release.

        Raises:
            CoreError: the text is something else.
        """
        match = _VERSION.fullmatch(text)
        if not match:
            raise CoreError(f"{where}: {text!r} is no version; write three numbers such as 1.0.0.")
        major, minor, patch, pre_release = match.groups()
        return cls(int(major), int(minor), int(patch), pre_release or "")

    def _key(self) -> tuple[int, int, int, bool, list[tuple[bool, int, str]]]:
        parts = [
            (not part.isdigit(), int(part) if part.isdigit() else 0, part)
            for part in self.pre_release.split(".")
            if self.pre_release
        ]
        return (self.major, self.minor, self.patch, not self.pre_release, parts)

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}" + (f"-{self.pre_release}" if self.pre_release else "")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A conjunction of comparators.

    Attributes:
        text: as written.
        comparators: pairs of operator and version; empty allows everything.
    """

    text: str = ""
    comparators: tuple[tuple[str, Version], ...] = ()

    @classmethod
    def parse(cls, text: str, *, where: str = "VersionRequirement") -> Requirement:
        """Reads ``>= > < <= =`` comparators separated by blanks.

        Raises:
            CoreError: anything else, npm ranges included.
        """
        rest = text.strip()
        comparators: list[tuple[str, Version]] = []
        while rest:
            match = _COMPARATOR.match(rest)
            if not match:
                raise CoreError(
                    f"{where}: {text!r} is not made of '>=', '>', '<', '<=' or '=' and a version.",
                    hint="Nucleus lite knows no npm ranges: write '>=1.0.0 <2.0.0' instead of '^1.0.0'.",
                )
            comparators.append((match.group(1), Version.parse(match.group(2), where=where)))
            rest = rest[match.end() :].lstrip()
        if not comparators:
            raise CoreError(f"{where} is empty; write a comparator such as '>=1.0.0 <2.0.0'.")
        return cls(text, tuple(comparators))

    def allows(self, version: Version) -> bool:
        """Whether every comparator holds."""
        checks = {
            ">=": lambda bound: version >= bound,
            ">": lambda bound: version > bound,
            "<": lambda bound: version < bound,
            "<=": lambda bound: version <= bound,
            "=": lambda bound: version == bound,
        }
        return all(checks[operator](bound) for operator, bound in self.comparators)
