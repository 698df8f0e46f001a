"""``vedette cloud cdk``: the CDK's command line that these stacks were tried with, on an account of your own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from vedette.contracts.errors import ConfigurationError
from vedette.local.cloud.cdk import app_root, cdk_command, cdk_environment

#: Commands that are about an app; the others take no context.
_OF_THE_APP: Final = frozenset({"synth", "deploy", "diff", "destroy", "list", "ls", "import", "rollback", "drift"})


def cdk(
    arguments: Annotated[list[str], typer.Argument(metavar="COMMAND [OPTIONS]", help="As the CDK takes them.")],
    settings: Annotated[
        Path | None, typer.Option(help="YAML or JSON file with the stacks' settings; else those of cdk.json.")
    ] = None,
) -> None:
    """Run the CDK on the account that AWS_PROFILE and AWS_REGION name. It is installed at the first call, its node too.

    What can be set, and which permissions it needs, is in docs/cloud.md.

    Examples:
        vedette cloud cdk bootstrap

        vedette cloud cdk --settings account.yaml diff

        vedette cloud cdk --settings account.yaml deploy --all
    """
    command = [*cdk_command(), *arguments, "--no-notices"]
    output = Path.cwd() / "cdk.out"
    if arguments[0] in _OF_THE_APP:
        command += ["--app", f"{sys.executable} -m infra.app", "--output", str(output)]
        if settings is not None:
            command += ["-c", f"vedette={json.dumps(_read(settings))}"]
    environment = cdk_environment(command, os.environ)
    raise typer.Exit(subprocess.run(command, cwd=app_root(), env=environment).returncode)


def _read(path: Path) -> Any:
    """The file's content; what is in it, the app checks.

    Raises:
        ConfigurationError: V103, it cannot be read.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ConfigurationError(f"{path}: the settings cannot be read: {said}.", code="V103") from None
    if not isinstance(found, dict):
        raise ConfigurationError(
            f"{path}: the settings are {type(found).__name__}, and must be fields and values.",
            hint="Every field is described in docs/cloud.md.",
            code="V103",
        )
    return found
