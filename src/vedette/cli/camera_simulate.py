"""``vedette camera simulate``: video files as RTSP cameras that loop for ever and misbehave on request."""

from __future__ import annotations

import contextlib
import json
import queue
import select
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vedette.contracts.errors import UsageError

if TYPE_CHECKING:
    from vedette.testing.camera import CameraSimulator, CameraSource, Credentials, LoopStart

_LINES_WAITING: Final = 1_000
"""Loop lines kept for a reader of our output that is slow; older ones are dropped, the control socket keeps them."""

_EXAMPLES = """
Serve two files:

    vedette camera simulate hall.mp4 dock.mp4 --port 8554

With a password, and with a socket for commands:

    vedette camera simulate hall.mp4 --user viewer --password-file password.txt --control /tmp/cameras.sock

Let the camera fall silent for five seconds, from another terminal:

    vedette camera simulate --control /tmp/cameras.sock --send '{"op": "fault", "camera": "hall", "kind": "silent", "seconds": 5}'
"""  # noqa: E501 a command to copy stays on one line


def read_password(path: Path) -> str:
    """Return the first line of a password file.

    Raises:
        UsageError: V701 where it cannot be read or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"--password-file {path}: cannot be read ({reason}).") from None
    if not lines or not lines[0]:
        raise UsageError(f"--password-file {path}: the first line is empty; it has to hold the password.")
    return lines[0]


def simulate(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=]FILE…", help="Video files, one camera each.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 for any free one.")] = 8554,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    user: Annotated[str | None, typer.Option(help="Ask for this user by Digest authentication.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File whose first line is the password of --user.")] = None,
    separate_ports: Annotated[
        bool, typer.Option("--separate-ports", help="A port for each camera, from --port on.")
    ] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Print cameras and loop starts as lines of JSON.")] = False,
    control: Annotated[
        Path | None, typer.Option(help="Unix socket for commands (see docs/camera-simulator.md).")
    ] = None,
    send: Annotated[
        str | None, typer.Option(help="Send one command (JSON) to the simulator at --control, print the answer, end.")
    ] = None,
) -> None:
    """Serve video files as looping RTSP cameras, and let them misbehave.

    Each file is a camera at rtsp://HOST:PORT/NAME, NAME being the file's name without extension unless given as
    NAME=FILE, and also at /cam1, /cam2 and so on. H.264 and H.265 go out as they are; other codings are encoded
    once when loading.
    """
    if send is not None:
        _send(send, control)
        return
    if not files:
        raise UsageError("no FILE given; the camera simulator serves one camera per video file.")
    if (user is None) != (password_file is None):
        raise UsageError("--user and --password-file go together; one of them is missing.")
    from vedette.testing.camera import CameraSimulator, Credentials

    credentials: Credentials | None = None
    if user is not None and password_file is not None:
        credentials = Credentials(user, read_password(password_file))
    lines: queue.Queue[LoopStart | None] = queue.Queue(_LINES_WAITING)

    def loop_started(start: LoopStart) -> None:
        with contextlib.suppress(queue.Full):  # never wait for a reader on the cameras' thread
            lines.put_nowait(start)

    simulator = CameraSimulator(
        [_source(argument) for argument in files],
        host,
        port,
        credentials,
        separate_ports=separate_ports,
        control=control,
        on_loop=loop_started,
    )
    _serve(simulator, lines, json_lines=json_lines)


simulate.__doc__ = f"{simulate.__doc__}\n\b{_EXAMPLES}"


def _source(argument: str) -> CameraSource:
    """``FILE``, or ``NAME=FILE`` where no file is called just that."""
    from vedette.testing.camera import CameraSource

    name, separator, file = argument.partition("=")
    if separator and not Path(argument).exists():
        return CameraSource(Path(file), name=name)
    return CameraSource(Path(argument))


def _serve(simulator: CameraSimulator, lines: queue.Queue[LoopStart | None], *, json_lines: bool) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP, or until nobody reads our output any more."""
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    previous = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with simulator:
            _print_cameras(simulator, json_lines=json_lines)
            while not ended.is_set():
                try:
                    start = lines.get(timeout=0.25)
                except queue.Empty:
                    if json_lines and _nobody_reads():
                        break  # whoever started us was killed
                    continue
                if json_lines and start is not None:
                    from vedette.testing.camera.control import loop_line

                    print(loop_line(start), flush=True)
    except BrokenPipeError:
        sys.stderr.close()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _nobody_reads() -> bool:
    """Whether the other end of standard output is closed."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _print_cameras(simulator: CameraSimulator, *, json_lines: bool) -> None:
    for name in simulator.names:
        url = simulator.url(name)
        print(json.dumps({"event": "camera", "camera": name, "url": url}) if json_lines else url, flush=True)


def _send(command: str, control: Path | None) -> None:
    if control is None:
        raise UsageError("--send needs --control: the socket of the running simulator.")
    try:
        request: Any = json.loads(command)
    except ValueError as error:
        raise UsageError(f"--send: not JSON ({error}).") from None
    if not isinstance(request, dict) or not isinstance(request.get("op"), str):
        raise UsageError('--send: a command is an object with "op", such as {"op": "list"}.')
    from vedette.testing.camera import ControlClient

    with ControlClient(control) as client:
        print(json.dumps(client.call(request.pop("op"), **request)))
