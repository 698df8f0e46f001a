"""What every process of a component does first: log without secrets, and run until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from vedette.adapters.log_output import LogOutput
from vedette.adapters.state.layout import StateLayout
from vedette.adapters.state.log_levels import follow_log_levels
from vedette.adapters.supervision import ChildLink
from vedette.contracts.errors import VedetteError
from vedette.core.redact import RedactingFilter
from vedette.ports.bus import Bus

#: Libraries that at DEBUG log every message, answers with passwords included, before anybody knows that they are some.
_TALKATIVE: Final = ("awsiot", "awscrt")
_NO_CORE: Final = 1
#: How often a child process that hosts an application's code reports life.
BEAT_S: Final = 0.25


class Service(Protocol):
    """A component's first process."""

    def run(self) -> None:
        """Serve until ``stop``."""
        ...

    def stop(self) -> None:
        """End ``run``, from another thread or a signal handler."""
        ...


def device_name() -> str:
    """The IoT thing's name, as the nucleus gives it to every component; the host's name where there is none."""
    return os.environ.get("AWS_IOT_THING_NAME") or os.uname().nodename


def configure_logging(level: str = "INFO") -> RedactingFilter:
    """Log to standard error; the filter learns this process' secrets. A level that is set later is followed.

    Nobody waits for the lines to be read: a pipe that is full must not stop cameras or alerts.
    """
    redaction = RedactingFilter()
    handler = LogOutput()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(redaction)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.INFO)
    follow_log_levels(level)
    return redaction


def leave_no_core() -> None:
    """Memory holds passwords: a crash of this process, or of a child, which inherits this, leaves none anywhere.

    The limit is one byte. No file is written then, as with none at all; and where cores go to a program instead
    (``|`` in ``core_pattern``), the kernel takes 1 for "not this process either", but 0 for nothing.
    """
    for most in (_NO_CORE, 0):
        with contextlib.suppress(ValueError, OSError):  # who started us may allow less
            resource.setrlimit(resource.RLIMIT_CORE, (most, most))
            return


def serve_child(serve: Callable[[ChildLink], None]) -> None:
    """Run a child process until its supervisor hangs up; does not return once it has served.

    Args:
        serve: serves until the link closes. Called when the run directory is there.
    """
    link = ChildLink()
    configure_logging(str(link.spec.get("log_level", "INFO")))
    link.beat(0)
    layout = StateLayout(Path(str(link.spec["state_directory"])))
    while not layout.run.is_dir():  # its owner, vedette.CameraIngest, has not made it yet
        link.beat(0)
        if link.closed.wait(BEAT_S):
            return
    serve(link)
    logging.shutdown()
    os._exit(0)  # threads that did not end in time have nothing to say any more


def run_component(make: Callable[[Bus, RedactingFilter], Service]) -> int:
    """Run a component's first process until SIGTERM; the exit status."""
    # Children log too and have no use for the bus.
    from vedette.adapters.bus.greengrass import GreengrassBus

    leave_no_core()
    redaction = configure_logging()
    try:
        bus = GreengrassBus()
        try:
            service = make(bus, redaction)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: service.stop())
            service.run()
        finally:
            bus.close()
    except VedetteError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    return 0
