"""A built component, installed as a nucleus does it: unpacked, its recipe's scripts run in its working directory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from vedette.local.artifacts import unpack
from vedette.local.component_tree import Built
from vedette.local.recipe import Phase, load_recipe

_WHERE = "{artifacts:decompressedPath}"
#: What is wrong with these on purpose has no say.
_MISLEADING = {"PYTHONPATH": "/none", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_CONSTRAINT": "/none"}


@dataclass(frozen=True)
class Installed:
    """One installed component.

    Attributes:
        unpacked: what ``{artifacts:decompressedPath}`` is.
        work: its working directory.
        install_script: of the recipe, as it is there.
        run_script: of the recipe, as it is there.
        path: search path of programs.
    """

    unpacked: Path
    work: Path
    install_script: str
    run_script: str
    path: str

    @classmethod
    def of(cls, built: Built, folder: Path, path: str = "") -> Installed:
        """Unpack a component's artefacts; nothing is run."""
        for artifact in built.artifacts:
            unpack(artifact.path, folder / "unpacked" / artifact.path.stem, where="test")
        (folder / "work").mkdir()
        lifecycle = load_recipe(built.recipe).manifest().lifecycle
        search = path or f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        scripts = [_text(phase, folder / "unpacked") for phase in (lifecycle.install, lifecycle.run)]
        return cls(folder / "unpacked", folder / "work", scripts[0], scripts[1], search)

    @property
    def artefact(self) -> Path:
        """The one with the scripts."""
        return next(each for each in sorted(self.unpacked.iterdir()) if (each / "run.sh").exists())

    @property
    def environment(self) -> Path:
        """Made by the installation."""
        (found,) = self.work.glob("venv-*")
        return found

    def install(self) -> subprocess.CompletedProcess[str]:
        """Run the install script."""
        return self.script(self.install_script.replace("{configuration:/stateDirectory}", str(self.work / "state")))

    def start(self, *arguments: str, verified: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the run script.

        Args:
            arguments: of Python, in the place of the recipe's.
            verified: without, only what it calls in the end runs, with no word of comparing.
        """
        before, call, _ = self.run_script.rpartition("exec sh ")
        script, option, folder = self.run_script.removeprefix(before + call).split(" ")[:3]
        told = f"{before}{call}{script} {option} {folder}" if verified else f"{call}{script}"
        return self.script(f'{told} "$@"', *arguments)

    def script(self, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script as a nucleus does."""
        environment = {"PATH": self.path, **_MISLEADING}
        command = ["sh", "-c", text, "sh", *arguments]
        return subprocess.run(command, cwd=self.work, env=environment, capture_output=True, text=True, timeout=120)


def _text(phase: Phase | None, unpacked: Path) -> str:
    assert phase is not None
    return phase.script.replace(_WHERE, str(unpacked))
