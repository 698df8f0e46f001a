"""Where LocalCore keeps things below its root, and what a component's scripts and environment become."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from vedette.local.recipe import Phase, Recipe
from vedette.local.settings import Settings, pointer
from vedette.local.supervisor import INSTALL_TIMEOUT_S, Job, Script
from vedette.local.variables import Variables

#: What the components are told they run under.
NUCLEUS_VERSION: Final = "2.6.0"
_PASSED_ON: Final = ("HOME", "USER", "LOGNAME", "TZ", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders below one root."""

    root: Path

    def work(self, name: str) -> Path:
        """A component's own folder, its working directory."""
        return self.root / "work" / name

    def log(self, name: str) -> Path:
        """A component's log file."""
        return self.root / "logs" / f"{name}.log"

    def settings(self, name: str) -> Path:
        """A component's kept configuration."""
        return self.root / "config" / f"{name}.json"

    def artifacts(self, recipe: Recipe) -> Path:
        """``{artifacts:path}``."""
        return self.root / "packages" / "artifacts" / recipe.name / recipe.version

    def decompressed(self, recipe: Recipe) -> Path:
        """``{artifacts:decompressedPath}``."""
        return self.root / "packages" / "artifacts-unarchived" / recipe.name / recipe.version

    def make(self) -> None:
        """Makes the folders that must be there, closed to other users where they hold something of value."""
        self.root.mkdir(parents=True, exist_ok=True)
        for name, mode in (("work", 0o755), ("logs", 0o755), ("config", 0o700), ("packages", 0o755)):
            (self.root / name).mkdir(mode=mode, exist_ok=True)


def component_environment(*, socket: Path, token: str, thing_name: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment a component starts with; of this process's own only what every program needs.

    ``python3`` is the interpreter that runs LocalCore, so that a laptop needs no second installation.
    """
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    search = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    environment.update(
        {
            "PATH": f"{Path(sys.executable).parent}:{search}",
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(socket),
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH": str(socket),
            "SVCUID": token,
            "AWS_IOT_THING_NAME": thing_name,
            "GGC_VERSION": NUCLEUS_VERSION,
            "PYTHONUNBUFFERED": "1",
        }
    )
    environment.update(extra)
    return environment


def _looker(settings: Settings) -> Callable[[str], JsonValue]:
    return lambda text: settings.get(pointer(text))


def make_job(
    recipe: Recipe,
    layout: Layout,
    settings: Settings,
    environment: Mapping[str, str],
    *,
    thing_name: str,
    lite: bool,
) -> Job:
    """The scripts of a component with every variable replaced.

    Raises:
        CoreError: a variable is unknown or has no value.
    """
    variables = Variables(
        artifacts=layout.artifacts(recipe),
        decompressed=layout.decompressed(recipe),
        work=layout.work(recipe.name),
        root=layout.root,
        thing_name=thing_name,
        configuration=_looker(settings),
        lite=lite,
    )
    lifecycle = recipe.manifest().lifecycle

    def script(name: str, phase: Phase | None, timeout_s: float | None) -> Script | None:
        if phase is None:
            return None
        where = f"{recipe.name}: {name}"
        given = {**lifecycle.setenv, **phase.setenv}
        values = {key: variables.setting(value, where=f"{where}.Setenv.{key}") for key, value in given.items()}
        text = variables.script(phase.script, where=f"{where}.Script")
        return Script(text, {**environment, **values}, phase.timeout_s or timeout_s)

    return Job(
        install=script("install", lifecycle.install, INSTALL_TIMEOUT_S),
        run=script("run", lifecycle.run, None),
        folder=layout.work(recipe.name),
        log=layout.log(recipe.name),
    )
