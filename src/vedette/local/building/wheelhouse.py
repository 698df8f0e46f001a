"""What a component's wheelhouse holds: the libraries it needs, what these need, for one target."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vedette.contracts.errors import UsageError
from vedette.core.fleet.build_target import BuildPlan, Runtime
from vedette.local.building.archive import Member
from vedette.local.building.environment import TargetPython
from vedette.local.building.libraries import ONNX_RUNTIME
from vedette.local.building.lock import Lock, Pin, read_lock
from vedette.local.building.package_wheel import build_package_wheel
from vedette.local.building.runtime_wheel import GivenWheel, check_runtime_wheel
from vedette.local.building.wheels import Progress, Wheel, WheelCache
from vedette.local.data import data_directory

_INSTALLER: Final = "pip"


@dataclass(frozen=True, slots=True)
class _Library:
    """A wheel and what it needs, for the target."""

    wheel: Wheel
    needs: tuple[Requirement, ...]


class Wheelhouses:
    """Makes the wheelhouses of one build; what several components need is looked up once.

    Args:
        plan: what is built for.
        given: ONNX Runtime as a file, where the plan takes one.
        cache: of wheels.
        folder: for the wheel of the package itself.

    Raises:
        UsageError: V709 or V710, see ``check_runtime_wheel`` and ``read_lock``.
    """

    def __init__(self, plan: BuildPlan, given: GivenWheel | None, cache: WheelCache, folder: Path) -> None:
        self.plan = plan
        self._target = TargetPython.of(plan)
        self._markers = self._target.markers()
        self._cache = cache
        self._known: dict[str, _Library] = {}
        self._runtime = check_runtime_wheel(given, plan) if given is not None else None
        folder_of_locks = data_directory("requirements")
        names = ("edge", "gpu", "installer")
        self._lock: Lock = read_lock(*(folder_of_locks / f"{name}.txt" for name in names), environment=self._markers)
        self.package = build_package_wheel(folder)

    def members(self, libraries: Iterable[str]) -> list[Member]:
        """The part of an artefact that ``install.sh`` works with.

        Args:
            libraries: top-level ones, by the names of the lock.

        Raises:
            UsageError: V710, a library cannot be had, or the lock does not have what it needs.
        """
        wheels = self.closure(libraries)
        house = sorted([self.package, *wheels], key=lambda wheel: wheel.name)
        (installer,) = self._cache.wheels([self._lock.pin(_INSTALLER, "the installation")], self._target)
        return [
            Member("requirements.txt", self._requirements(house).encode()),
            Member("target", self._facts().encode()),
            Member(f"installer/{installer.path.name}", installer.path, "libraries"),
            *(
                Member(f"wheelhouse/{wheel.path.name}", wheel.path, "code" if wheel is self.package else "libraries")
                for wheel in house
            ),
        ]

    def closure(self, libraries: Iterable[str]) -> list[Wheel]:
        """Wheels of libraries and of all that they need, by name."""
        asked = {self._placed(name): "the component" for name in libraries}
        reached: dict[str, Wheel] = {}
        while asked:
            self._look_up(asked)
            following: dict[str, str] = {}
            for name in asked:
                reached[name] = self._known[name].wheel
                for need in self._known[name].needs:
                    following[self._placed(need.name)] = name
            asked = {name: by for name, by in following.items() if name not in reached}
        return [reached[name] for name in sorted(reached)]

    def _placed(self, name: str) -> str:
        """Normalised; for a GPU another package than ONNX Runtime's plain one."""
        name = str(canonicalize_name(name))
        if name == ONNX_RUNTIME and self.plan.runtime is not Runtime.LOCKED:
            return self._runtime.name if self._runtime is not None else Runtime.LOCKED_GPU.value
        return name

    def _look_up(self, asked: Mapping[str, str]) -> None:
        unknown = {name: by for name, by in asked.items() if name not in self._known}
        if self._runtime is not None and self._runtime.name in unknown:
            del unknown[self._runtime.name]
            self._known[self._runtime.name] = _Library(self._runtime, self._runtime_needs(self._runtime))
        pins = [self._lock.pin(name, by) for name, by in sorted(unknown.items())]
        for wheel in self._cache.wheels(pins, self._target):
            self._known[wheel.name] = _Library(wheel, tuple(self._needs(wheel)))

    def _needs(self, wheel: Wheel) -> list[Requirement]:
        found = []
        for need in wheel.requirements():
            if need.marker is not None and not need.marker.evaluate(dict(self._markers)):
                continue
            self._check_version(wheel, need)
            found.append(need)
        return found

    def _runtime_needs(self, runtime: Wheel) -> tuple[Requirement, ...]:
        """Of what a given wheel names, what the lock has: its tools want more than running a model does."""
        wanted = [need for need in runtime.requirements() if need.marker is None or need.marker.evaluate(self._markers)]
        kept = tuple(need for need in wanted if canonicalize_name(need.name) in self._lock.pins)
        for need in kept:
            self._check_version(runtime, need)
        return kept

    def _check_version(self, wheel: Wheel, need: Requirement) -> None:
        pin: Pin = self._lock.pin(self._placed(need.name), wheel.name)
        if not need.specifier.contains(pin.version, prereleases=True):
            raise UsageError(
                f"{wheel.path.name} needs {need.name} {need.specifier}; the lock has {pin.version}.",
                hint="Take a version of it that goes with the lock.",
                code="V710",
            )

    def _requirements(self, house: Iterable[Wheel]) -> str:
        plan = self.plan
        head = f"# {plan.platform.value}, {plan.accelerator.value}, Python {plan.python}\n"
        return head + "".join(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in house)

    def _facts(self) -> str:
        plan = self.plan
        return f"python={plan.python}\nmachine={plan.platform.machine}\naccelerator={plan.accelerator.value}\n"


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for what a build makes on its way."""
    return tempfile.TemporaryDirectory(prefix="vedette-build-")


__all__ = ["Progress", "Wheelhouses", "scratch"]
