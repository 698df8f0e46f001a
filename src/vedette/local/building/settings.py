"""What a build is asked for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vedette.cache_home import cache_home
from vedette.contracts.errors import UsageError
from vedette.contracts.model_card import Target
from vedette.core.fleet.build_target import PYTHONS, Accelerator, BuildPlan, Platform, plan_build
from vedette.local.building.runtime_wheel import GivenWheel
from vedette.local.building.tree import BuildTarget
from vedette.local.building.wheels import Progress
from vedette.local.recipe import machine_architecture


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """One build.

    Attributes:
        plan: what for.
        runtime_wheel: ONNX Runtime as a file, where the plan takes one.
        libraries: whether the artefacts hold them; without, the device's own Python must have them.
        cache: of wheels.
        progress: told what goes on.
    """

    plan: BuildPlan
    cache: Path
    runtime_wheel: GivenWheel | None = None
    libraries: bool = True
    progress: Progress = lambda _text: None

    @classmethod
    def choose(
        cls,
        platform: Platform | None = None,
        accelerator: Accelerator = Accelerator.CPU,
        device: Target | None = None,
        python: str | None = None,
        *,
        runtime_wheel: GivenWheel | None = None,
        libraries: bool = True,
        progress: Progress = lambda _text: None,
    ) -> Self:
        """Settings for what was asked, this machine's where nothing was.

        Raises:
            UsageError: V709, no such device can run it.
        """
        plan = plan_build(
            platform, accelerator, device, python, wheel_given=runtime_wheel is not None, host=_host(platform, device)
        )
        return cls(plan, wheel_cache(), runtime_wheel, libraries, progress)

    def target(self) -> BuildTarget:
        """As the tree's list says it."""
        return BuildTarget(
            platform=self.plan.platform,
            accelerator=self.plan.accelerator.value,
            python=self.plan.python if self.libraries else "",
            device=self.plan.device.value if self.plan.device is not None else "",
        )


def wheel_cache() -> Path:
    """Where wheels are kept: ``vedette/wheels`` in the XDG cache directory."""
    return cache_home() / "wheels"


def _host(platform: Platform | None, device: Target | None) -> tuple[Platform, str]:
    found = next((each for each in Platform if each.architecture == machine_architecture()), None)
    if found is None and platform is None and device is None:
        raise UsageError(
            f"nothing can be built for this machine ({machine_architecture()}).",
            hint=f"Name what for: --platform {Platform.ARM64.value} or {Platform.AMD64.value}.",
            code="V709",
        )
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return found or platform or Platform.ARM64, version if version in PYTHONS else PYTHONS[0]
