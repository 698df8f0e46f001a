"""An example's own ``train.py`` as a process of this machine, told where things are as SageMaker tells it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from vedette.contracts.errors import CloudError

#: Lines of the program's output that an error repeats.
_LAST_LINES: Final = 15


def train_locally(
    directory: Path,
    data: Path | None,
    output: Path,
    parameters: Mapping[str, str],
    say: Callable[[str], None],
    interpreter: str = sys.executable,
) -> None:
    """Run it to its end.

    Args:
        directory: with ``train.py`` in it.
        data: what it finds at ``SM_CHANNEL_TRAINING``; None where it makes its own.
        output: what it finds at ``SM_MODEL_DIR``.
        parameters: given to it as ``--name value``.
        say: told every line that it prints.
        interpreter: Python that has what the program needs.

    Raises:
        CloudError: V008, there is no program, it cannot be started, or it ended with an error; its last lines.
    """
    program = directory / "train.py"
    if not program.is_file():
        raise CloudError(f"there is no train.py in {directory}.", hint="See docs/models.md, training.", code="V008")
    if data is not None and not data.exists():
        raise CloudError(f"there is no data at {data}.", code="V008")
    output.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "SM_MODEL_DIR": str(output.resolve()), "PYTHONUNBUFFERED": "1"}
    if data is not None:
        environment["SM_CHANNEL_TRAINING"] = str(data.resolve())
    arguments = [word for name, value in parameters.items() for word in (f"--{name}", value)]
    last: deque[str] = deque(maxlen=_LAST_LINES)
    code = _run([interpreter, str(program.resolve()), *arguments], directory, environment, last, say)
    if code:
        text = "\n".join(last)
        raise CloudError(
            f"{program} ended with exit code {code}; its last lines:\n{text}",
            hint="--python names an interpreter that has what the program needs.",
            code="V008",
        )


def _run(
    command: list[str], directory: Path, environment: Mapping[str, str], last: deque[str], say: Callable[[str], None]
) -> int:
    """The program's exit code; every line of it is told and remembered."""
    try:
        with subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                last.append(line.rstrip("\n"))
                say(last[-1])
    except OSError as error:
        raise CloudError(f"{command[0]} cannot be started: {error.strerror}.", code="V008") from error
    return process.returncode
