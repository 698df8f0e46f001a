"""The Python of a device, as wheels and markers see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packaging.tags import Tag, compatible_tags, cpython_tags

from vedette.core.fleet.build_target import BuildPlan

#: manylinux1 of the year 2007, and the numbers that stand for its successors.
_OLDEST_GLIBC: Final = 5
#: Since then the name of CPython's binary interface has no letter.
_WITHOUT_LETTER: Final = (3, 8)
_OLD_NAMES: Final = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, slots=True)
class TargetPython:
    """CPython of a version on Linux with a C library, on one architecture."""

    python: str
    machine: str
    glibc: tuple[int, int]

    @classmethod
    def of(cls, plan: BuildPlan) -> TargetPython:
        """The one of a plan."""
        return cls(plan.python, plan.platform.machine, plan.glibc)

    @property
    def abi(self) -> str:
        """Such as ``cp311``; up to Python 3.7 with an ``m``, for the allocator that was a choice at the time.

        Facts: PEP 3149, and bpo-36707, which took the letter away in 3.8.
        """
        return f"{self.interpreter}m" if self._version < _WITHOUT_LETTER else self.interpreter

    @property
    def interpreter(self) -> str:
        """Such as ``cp311``."""
        return f"cp{self.python.replace('.', '')}"

    @property
    def _version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.python.split("."))

    def platforms(self) -> tuple[str, ...]:
        """Names of the systems whose wheels load there, the newest first."""
        oldest = 17 if self.machine == "aarch64" else _OLDEST_GLIBC
        return tuple(self._platforms(oldest))

    def _platforms(self, oldest: int) -> Iterator[str]:
        major, minor = self.glibc
        for number in range(minor, oldest - 1, -1):
            yield f"manylinux_{major}_{number}_{self.machine}"
            if number in _OLD_NAMES:
                yield f"{_OLD_NAMES[number]}_{self.machine}"

    def tags(self, *more: str) -> tuple[Tag, ...]:
        """Tags of the wheels that it takes, the best first.

        Args:
            more: systems besides, such as ``linux_aarch64`` of wheels built on the device itself.
        """
        platforms = [*self.platforms(), *more]
        return (
            *cpython_tags(self._version, [self.abi], platforms),
            *compatible_tags(self._version, self.interpreter, platforms),
        )

    def markers(self) -> dict[str, str]:
        """Values of the environment markers.

        The oldest patch release: a library that only it needs does no harm to a newer one.
        """
        full = f"{self.python}.0"
        return {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": full,
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }
