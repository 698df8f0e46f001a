"""Starting, finding and stopping the sandbox's server, which is a process of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from vedette.contracts.errors import CloudError, UsageError
from vedette.local.cloud import address

#: moto and its services are imported once, which takes seconds on a small machine.
_START_S: Final = 60.0
_STOP_S: Final = 15.0
_ANSWER_S: Final = 10.0
_LOOK_S: Final = 0.1
_FILE: Final = "sandbox.json"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that was started.

    Attributes:
        pid: its process.
        port: on loopback.
        region: of the account.
        stage: of the stacks deployed into it.
        started_at: ISO 8601.
    """

    pid: int
    port: int
    region: str
    stage: str
    started_at: str

    @property
    def endpoint(self) -> str:
        """Its address."""
        return address.endpoint(self.port)

    def environment(self) -> dict[str, str]:
        """Variables by which AWS's tools, and this one, find it."""
        return address.environment(self.port, self.region)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask one of the sandbox's own paths; with a body it is a POST.

        Raises:
            CloudError: V004, nobody answers there, or the sandbox refuses.
        """
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"})
        try:
            with _direct().open(request, timeout=_ANSWER_S) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except HTTPError as error:
            said = json.loads(error.read() or b"{}").get("message", error.reason)
            raise CloudError(f"the sandbox refused {path}: {said}", code="V004") from None
        except (URLError, OSError, ValueError) as error:
            raise CloudError(
                f"the sandbox at {self.endpoint} does not answer ({error}).", hint="vedette cloud up", code="V004"
            ) from None

    def alive(self) -> bool:
        """Whether this very server answers."""
        try:
            return bool(self.ask("/vedette/state")["pid"] == self.pid)
        except (CloudError, KeyError):
            return False


def _direct() -> Any:
    """Never by a proxy: the server is on this machine."""
    return build_opener(ProxyHandler({}))


def found(directory: Path) -> Running | None:
    """The server that runs in a directory; None where none does."""
    try:
        running = Running(**json.loads((directory / _FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return running if running.alive() else None


def start(directory: Path, *, port: int, region: str, stage: str) -> Running:
    """Start a server and wait until it answers.

    Raises:
        CloudError: V004, it did not start.
        UsageError: V702, moto is not installed.
    """
    if importlib.util.find_spec("moto") is None:
        raise UsageError("the sandbox needs moto.", hint='Type: pip install "vedette[cloud]"', code="V702")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        log = (directory / "server.log").open("wb")
    except OSError as error:
        raise CloudError(f"{directory}: {error.strerror}.", hint="Another one: --directory", code="V004") from None
    command = [sys.executable, "-m", "vedette.local.cloud", "--port", str(port), "--directory", str(directory)]
    with log:
        process = subprocess.Popen(
            [*command, "--region", region], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    at = datetime.now().astimezone().isoformat(timespec="seconds")
    running = Running(process.pid, port, region, stage, at)
    deadline = time.monotonic() + _START_S
    while not running.alive():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            said = (directory / "server.log").read_text(errors="replace").strip().splitlines()[-1:]
            raise CloudError(
                f"the sandbox's server did not start: {' '.join(said) or 'it said nothing'}",
                hint=f"Its log: {directory / 'server.log'}",
                code="V004",
            )
        time.sleep(_LOOK_S)
    process.returncode = 0  # it outlives this command, so nothing waits for it when this object goes
    (directory / _FILE).write_text(json.dumps(asdict(running), indent=2) + "\n")
    return running


def stop(directory: Path) -> Running | None:
    """Stop the server of a directory, and with it all of the account's state; None where none runs.

    Raises:
        CloudError: V004, it does not end.
    """
    running = found(directory)
    (directory / _FILE).unlink(missing_ok=True)
    if running is None:
        return None
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while _exists(running.pid):
        if time.monotonic() > deadline:
            raise CloudError(f"the sandbox's process {running.pid} does not end.", hint="End it yourself.", code="V004")
        time.sleep(_LOOK_S)
    return running


def _exists(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):  # not ours to wait for: another command started it
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
