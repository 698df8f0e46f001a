"""``vedette app attach``: the process of an application's component, alive as long as the application is attached."""

from __future__ import annotations

import logging
import re
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from pydantic import ValidationError

from vedette.adapters.manifest import attached_application, load_manifest
from vedette.adapters.state.client import StateClient, detach_candidate
from vedette.adapters.state.client import detach as detach_from_owner
from vedette.contracts.base import IDENTIFIER_PATTERN
from vedette.contracts.config import ApplicationConfig
from vedette.contracts.errors import ConfigurationError, StorageError, UsageError, VedetteError
from vedette.contracts.manifest import Manifest, ParameterValue
from vedette.contracts.state import AttachRequest, DetachRequest, StateAnswer
from vedette.core.parameters import with_parameters
from vedette.ports.bus import Bus

logger = logging.getLogger("vedette.app")

_Config = TypeVar("_Config", bound=ApplicationConfig)

#: Between two tries to reach the owner of the state directory. Constant: the owner is back within a second.
RETRY_S: Final = 0.1
#: Between two lines in the log about an owner that is not there.
_REMIND_S: Final = 30.0

State = Annotated[Path | None, typer.Option("--state", help="State directory; else from Greengrass.")]


def attach(
    directory: Annotated[Path, typer.Argument(help="The application's directory, with vedette.yaml in it.")],
    state: State = None,
    bind: Annotated[
        list[str] | None, typer.Option(help="CAMERA=DEVICE_CAMERA[,…]: what the application's camera is here.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: a parameter's value, as a deployment would give it.")
    ] = None,
    code_python: Annotated[
        Path | None, typer.Option(help="Interpreter that was installed for the application's Panorama code.")
    ] = None,
) -> None:
    """Attach an application to this device, stay while it is attached, detach at SIGTERM.

    A component's run script calls it; configuration (state directory, bindings, parameters) comes over Greengrass IPC
    then. With --state it works without Greengrass.
    """
    from vedette.compose.processes import leave_no_core

    leave_no_core()
    logging.getLogger().setLevel(logging.INFO)
    manifest = load_manifest(directory)
    with wake_ups() as (waker, wake):
        # Not resolved: an environment is known by the path of its interpreter.
        python = str(code_python.absolute()) if code_python is not None and code_python.exists() else ""
        attacher = Attacher(directory, manifest, waker, python)
        if state is not None:
            config = ApplicationConfig(
                stateDirectory=str(state), bindings=bindings(bind or []), parameters=assignments(set_ or [])
            )
            attacher.run(lambda: config, lambda: None)
            return
        if bind or set_:
            raise UsageError("--bind and --set are for use with --state; under Greengrass they are configuration.")
        bus = connect()
        try:
            bus.on_configuration_change(wake)
            attacher.run(lambda: configuration(bus, ApplicationConfig), bus.report_running)
        finally:
            bus.close()


def detach(
    name: Annotated[str, typer.Argument(help="The application's name.")],
    state: Annotated[Path, typer.Option("--state", help="State directory.")] = Path("/var/lib/vedette"),
    candidate: Annotated[
        bool, typer.Option("--candidate", help="The version that is compared with it, and not the application.")
    ] = False,
) -> None:
    """Take an application away from this device; needed only where its component could not do so itself."""
    done = detach_candidate(state, name) if candidate else detach_from_owner(state, name)
    if not done:
        what = "candidate" if candidate else "application"
        raise UsageError(f"no {what} is attached as {name!r}.", hint=f"See: vedette status --state {state}")
    print(f"{name} detached")


def connect() -> Bus:
    """To the nucleus.

    Raises:
        CoreError: V603, there is none.
    """
    from vedette.adapters.bus.greengrass import GreengrassBus

    return GreengrassBus()


def configuration(bus: Bus, kind: type[_Config]) -> _Config:
    """The configuration of this component, of one kind.

    Raises:
        ConfigurationError: V103, it is none.
        CoreError: V603, the nucleus does not answer.
    """
    try:
        return kind.model_validate(bus.configuration())
    except (ValidationError, ValueError) as error:
        first = error.errors(include_input=False)[0] if isinstance(error, ValidationError) else None
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise ConfigurationError(f"configuration of this component: {text}.", code="V103") from error


def bindings(arguments: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``CAMERA=DEVICE_CAMERA[,…]`` each.

    Raises:
        UsageError: V701, not of that form.
    """
    found: dict[str, tuple[str, ...]] = {}
    for argument in arguments:
        name, separator, devices = argument.partition("=")
        if not separator:
            raise UsageError(f"--bind {argument!r} is not of the form CAMERA=DEVICE_CAMERA.")
        found[name] = tuple(filter(None, devices.split(",")))
    return found


def assignments(arguments: Sequence[str], option: str = "--set") -> dict[str, ParameterValue | None]:
    """``NAME=VALUE`` each; what the values mean is for the manifest to say.

    Raises:
        UsageError: V701, not of that form, or a name twice.
    """
    found: dict[str, ParameterValue | None] = {}
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if not separator or not re.fullmatch(IDENTIFIER_PATTERN, name):
            raise UsageError(f"{option} {argument!r} is not of the form NAME=VALUE, such as patience_s=30.".lstrip())
        if name in found:
            raise UsageError(f"{option} {name} is given twice.".lstrip())
        found[name] = value
    return found


class Stopped:
    """Whether the process was told to end, and the descriptor that becomes readable when it is, or on a change."""

    def __init__(self, readable: socket.socket) -> None:
        self.readable = readable
        self._told = threading.Event()

    def tell(self) -> None:
        """End."""
        self._told.set()

    def is_told(self) -> bool:
        """Whether to end."""
        return self._told.is_set()

    def drain(self) -> None:
        """Forget the wake-ups so far."""
        with suppress(BlockingIOError):
            while self.readable.recv(64):
                pass


@contextmanager
def wake_ups() -> Iterator[tuple[Stopped, Callable[[], None]]]:
    """SIGTERM and SIGINT set ``Stopped``; they and the function given wake who waits."""
    readable, writable = socket.socketpair()
    readable.setblocking(False)
    writable.setblocking(False)
    stopped = Stopped(readable)

    def wake() -> None:
        with suppress(OSError):  # full means that a wake-up is waiting already
            writable.send(b"x")

    def stop(_number: int, _frame: object) -> None:
        stopped.tell()
        wake()

    previous: Mapping[int, object] = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped, wake
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        readable.close()
        writable.close()


class Attacher:
    """Keeps one application attached.

    Args:
        directory: the application's.
        manifest: of the application.
        stopped: when to end.
        python: interpreter of its Panorama code; empty where none was installed for it.
    """

    def __init__(self, directory: Path, manifest: Manifest, stopped: Stopped, python: str = "") -> None:
        self._directory = directory
        self._manifest = manifest
        self._stopped = stopped
        self._python = python
        self._problems: tuple[str, ...] | None = None
        self._reminded_s = -_REMIND_S

    def run(self, configuration: Callable[[], ApplicationConfig], report_running: Callable[[], None]) -> None:
        """Until told to end; then detach.

        A configuration that is wrong ends it, at the start and later: so Greengrass sees that the deployment failed
        and takes it back. What was attached before stays attached meanwhile, as it was.

        Raises:
            VedetteError: the owner refuses the application, or the configuration is wrong.
        """
        reported = False
        while not self._stopped.is_told():
            config = configuration()
            with_parameters(self._manifest, config.parameters)  # before anyone is asked for anything
            state = Path(config.stateDirectory)
            try:
                with StateClient(state) as client:
                    self._say(client.request(self._request(config)))
                    if not reported:
                        report_running()
                        reported = True
                    if self._wait(client) and self._stopped.is_told():
                        client.request(DetachRequest(name=self._manifest.name))
                        logger.info("application %s detached", self._manifest.name)
            except StorageError as error:
                self._remind(error)
                self._sleep()

    def _request(self, config: ApplicationConfig) -> AttachRequest:
        return AttachRequest(
            application=attached_application(
                self._directory,
                config.bindings,
                manifest=self._manifest,
                parameters=config.parameters,
                python=self._python,
            )
        )

    def _wait(self, client: StateClient) -> bool:
        """Until the owner hangs up (False), or we are told to end or to look at the configuration again (True)."""
        poll = select.poll()
        poll.register(client.fileno(), select.POLLIN | select.POLLHUP)
        poll.register(self._stopped.readable.fileno(), select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll()}
        self._stopped.drain()
        if client.fileno() in ready and not self._stopped.is_told():
            logger.warning("the owner of the state directory has gone; attaching again")
            return False
        return True

    def _sleep(self) -> None:
        select.select([self._stopped.readable], [], [], RETRY_S)
        self._stopped.drain()

    def _say(self, answer: StateAnswer) -> None:
        own = tuple(problem for problem in answer.problems if repr(self._manifest.name) in problem)
        if own != self._problems:
            self._problems = own
            logger.info("application %s attached, plan %d", self._manifest.name, answer.revision)
            for problem in own:
                logger.warning("%s", problem)

    def _remind(self, error: VedetteError) -> None:
        if time.monotonic() - self._reminded_s >= _REMIND_S:
            self._reminded_s = time.monotonic()
            logger.warning("waiting for the owner of the state directory: %s", error)
