"""The confined process as its warden sees it: started, called, watched, ended."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from vedette.adapters.confinement import privileges
from vedette.adapters.confinement.walls import Wall
from vedette.adapters.hooks import framing
from vedette.adapters.hooks.broker import Broker
from vedette.adapters.hooks.directory import DataDirectory
from vedette.adapters.hooks.output import Output, printable
from vedette.adapters.hooks.reactor import Reactor
from vedette.adapters.hooks.room import Finding, Room
from vedette.adapters.supervision.child import describe_exit
from vedette.contracts.errors import HookError
from vedette.contracts.hook_messages import HookAnswer, HookReply, WallsReport

#: Time for the interpreter to be up and the walls to stand; a cold disk may take its time.
START_LIMIT_S: Final = 20.0
#: A killed process that does not go is given up after this.
GONE_LIMIT_S: Final = 2.0
#: Address space for files, libraries and pictures that are mapped, besides the memory it may use.
MAPPED_BYTES: Final = 2 << 30
#: Between the end of a connection and that of the process that had it.
_LAST_WORDS_S: Final = 0.5
_CHUNK: Final = 1 << 16
_GONE: Final = "it ended"
_MEMORY_HINT: Final = "Lower what the code keeps in memory, or raise `memory_mb` in the manifest."
#: After the interpreter: no user's packages, no current directory, no byte code, nothing held back in buffers.
PROGRAM: Final = ("-s", "-P", "-B", "-u", "-m", "vedette.adapters.hooks.child.main")


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """How a process is confined.

    Attributes:
        name: ``<application>/<hook>``.
        code: the application's directory.
        user: number of the user it becomes where this process is root's.
        memory_bytes: that it may use.
        trust: whether it runs where files and system calls cannot be closed off.
        forgo: walls not to build; for tests.
    """

    name: str
    code: Path
    user: int
    memory_bytes: int
    trust: bool = False
    forgo: frozenset[Wall] = field(default_factory=frozenset)


class ConfinedProcess:
    """One process, from its start to its end. For the reactor's thread.

    Args:
        settings: how it is confined.
        directory: its own.
        reactor: where its descriptors are watched.
        output: where its lines go.
        broker: called with each request for a connection and where to answer.
    """

    def __init__(
        self, settings: ProcessSettings, directory: DataDirectory, reactor: Reactor, output: Output, broker: Broker
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._reactor = reactor
        self._output = output
        self._broker = broker
        self._decoder = framing.Decoder()
        self._messages: list[dict[str, Any]] = []
        self._broken = ""
        self._ended = False
        self._calls = 0
        self._pidfd = -1
        self.pid = 0
        self.walls = WallsReport(standing={}, missing={}, sufficient=False)
        self._room = Room(directory)
        privileges.adopt_orphans()
        self._control, theirs = socket.socketpair()
        request, their_broker = socket.socketpair()
        self._pipe, out = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._pipe, False)
        self._launcher = subprocess.Popen(
            [sys.executable, *PROGRAM, str(theirs.fileno()), str(their_broker.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=(theirs.fileno(), their_broker.fileno()),
            env=_environment(directory.path),
            cwd="/",
            start_new_session=True,
        )
        theirs.close()
        their_broker.close()
        os.close(out)
        self._control.setblocking(False)
        reactor.watch(self._control, self._on_control)
        reactor.watch(self._pipe, self._on_output)
        self._requests = broker.serve(request)

    def start(self) -> None:
        """Wait until its walls stand.

        Raises:
            HookError: V805, the kernel cannot confine it; V808, it ended or does not answer.
        """
        deadline_s = time.monotonic() + START_LIMIT_S
        self._send({"allowance": self._allowance()})
        first = self._next(deadline_s, "start")
        self.pid = int(first.get("pid", 0))
        if self.pid <= 0:
            raise self._fail("V808", "its launcher did not say what it started")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._launcher.wait(GONE_LIMIT_S)
        self._pidfd = os.pidfd_open(self.pid)
        self._reactor.watch(self._pidfd, self._on_end)
        self._send({"go": True})
        try:
            self.walls = WallsReport.model_validate(self._next(deadline_s, "start").get("ready"))
        except ValidationError as error:
            raise self._fail("V808", "it does not say which walls stand") from error
        if not self.walls.sufficient and not self._settings.trust:
            missing = "; ".join(f"{wall}: {why}" for wall, why in sorted(self.walls.missing.items()))
            raise self._fail(
                "V805",
                f"this kernel cannot confine it ({missing})",
                "Use a kernel with Landlock (5.13) and seccomp, or set `trustCode: true` for vedette.AppHost.",
            )

    def call(self, message: Mapping[str, Any], timeout_s: float) -> HookReply:
        """Call one of its functions and wait for the answer.

        Raises:
            HookError: V802 or V804, the function raised (the process lives); V803, V804, V808 or V809, it was ended.
        """
        self._calls += 1
        number = self._calls
        self._send({"n": number, **message})
        answer = self._answer(number, time.monotonic() + timeout_s, timeout_s)
        if answer.failed is not None:
            text = "\n".join(printable(line) for line in answer.failed.text.splitlines() if line.strip())
            said = f"hook {self._settings.name} raised {printable(answer.failed.kind)}:\n{text}"
            if answer.failed.kind == "MemoryError":  # what filled the memory is still there
                self._end()
                raise HookError(said, hint=_MEMORY_HINT, code="V804")
            raise HookError(said, code="V802")
        assert answer.ok is not None
        return answer.ok

    def hand_over(self, message: Mapping[str, Any], descriptor: int) -> None:
        """Send a message with a descriptor; nothing is answered.

        Raises:
            HookError: V808, it does not read.
        """
        self._write(framing.encode(dict(message)), [descriptor])

    def watch(self) -> None:
        """Look after it between calls.

        Raises:
            HookError: V808 or V809, it ended, or was ended.
        """
        self._look()
        if self._messages:
            raise self._fail("V808", "it speaks without being asked")

    def alive(self) -> bool:
        """Whether it runs."""
        return not self._ended

    def close(self) -> None:
        """End it, now; idempotent."""
        self._end()

    # -- inside -----------------------------------------------------------------------------------------------------

    def _allowance(self) -> dict[str, Any]:
        return {
            "code": str(self._settings.code),
            "data": str(self._directory.path),
            "full": self._room.full_at_start,
            "user": self._settings.user,
            "memory_bytes": self._settings.memory_bytes,
            "mapped_bytes": MAPPED_BYTES,
            "file_bytes": self._directory.limit_bytes,
            "forgo": sorted(wall.value for wall in self._settings.forgo),
        }

    def _answer(self, number: int, deadline_s: float, timeout_s: float) -> HookAnswer:
        message = self._next(deadline_s, f"call, within {timeout_s:g} s", code="V803")
        try:
            answer = HookAnswer.model_validate(message)
        except ValidationError as error:
            place = ".".join(map(str, error.errors(include_input=False)[0]["loc"]))
            raise self._fail("V808", f"its answer is none ({printable(place)[:100]})") from error
        if answer.n != number:
            raise self._fail("V808", f"it answered call {answer.n}, which was not made")
        return answer

    def _next(self, deadline_s: float, what: str, code: str = "V808") -> dict[str, Any]:
        """The next message.

        Raises:
            HookError: there is none; the process is gone or was ended.
        """
        done = self._reactor.run_until(
            lambda: bool(self._messages or self._broken or self._ended), deadline_s, self._look
        )
        if self._messages:
            return self._messages.pop(0)
        if not done:
            raise self._fail(code, f"it did not end its {what}")
        raise self._fail("V808", self._broken or _GONE)

    def _look(self) -> None:
        if self._broken:
            raise self._fail("V808", self._broken)
        if self._ended:
            raise self._fail("V808", _GONE)
        found = self._room.look()
        if found is Finding.FULL:
            raise self._fail(
                "V809",
                f"its directory {self._directory.path} holds more than {self._directory.limit_bytes >> 20} MB",
                "Raise `disk_mb` in the manifest, or have the code remove what it does not need.",
            )
        if found is Finding.SUSPECT:
            raise self._suspected()

    def _suspected(self) -> HookError:
        """End the process, and see whether the disk has more room then."""
        lost = self._room.lost_bytes()
        self._end()
        back = self._room.came_back(lost)
        if back > self._directory.limit_bytes:
            return HookError(
                f"hook {self._settings.name}: it held {back >> 20} MB of the disk in files that it had removed; "
                f"{self._directory.limit_bytes >> 20} MB are allowed.",
                hint="Have the code close, and unmap, files that it removes.",
                code="V809",
            )
        return HookError(
            f"hook {self._settings.name}: it was started anew to see whether it holds some of the {lost >> 20} MB that "
            "this disk lost meanwhile; it did not.",
            hint="Look after what fills the disk.",
            code="V808",
        )

    def _send(self, message: Mapping[str, Any]) -> None:
        self._write(framing.encode(dict(message)), [])

    def _write(self, data: bytes, descriptors: list[int]) -> None:
        """Write all of it; a process that reads nothing for seconds hangs."""
        deadline_s = time.monotonic() + GONE_LIMIT_S
        while data:
            try:
                sent = socket.send_fds(self._control, [data], descriptors) if descriptors else self._control.send(data)
            except BlockingIOError:
                self._reactor.watch(self._control, self._on_control, selectors.EVENT_READ | selectors.EVENT_WRITE)
                self._reactor.run_once(max(0.0, min(0.25, deadline_s - time.monotonic())))
                self._reactor.watch(self._control, self._on_control)
                if time.monotonic() >= deadline_s or self._broken or self._ended:
                    raise self._fail("V808", self._broken or "it does not read what is sent to it") from None
                continue
            except OSError as error:
                raise self._fail("V808", _GONE) from error
            data, descriptors = data[sent:], []

    def _on_control(self, events: int) -> None:
        if not events & selectors.EVENT_READ:
            return
        try:
            chunk = self._control.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._reactor.forget(self._control)
            self._broken = self._broken or _GONE
            return
        try:
            self._messages.extend(self._decoder.feed(chunk))
        except framing.FramingError as error:
            self._broken = f"it does not follow the protocol: {error}"
        if len(self._messages) > 1:
            self._broken = "it does not follow the protocol: it answered more than it was asked"

    def _on_output(self, _events: int) -> None:
        try:
            chunk = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return
        if chunk:
            self._output.feed(chunk)
        else:
            self._reactor.forget(self._pipe)

    def _on_end(self, _events: int) -> None:
        self._ended = True
        self._reactor.forget(self._pidfd)

    def _fail(self, code: str, what: str, hint: str = "") -> HookError:
        """End the process; the error says why it was, or how it ended by itself."""
        by_itself = what == _GONE
        if by_itself and self._pidfd >= 0 and not select.select([self._pidfd], [], [], _LAST_WORDS_S)[0]:
            what, by_itself = "it let go of its connection", False
        how = self._end()
        if by_itself:
            what = how or what
            if how.endswith("SIGKILL"):  # nobody here sent it: the kernel, short of memory
                code, hint = "V804", _MEMORY_HINT
        return HookError(f"hook {self._settings.name}: {what}.", hint=hint, code=code)

    def _end(self) -> str:
        """Kill what still runs and close everything; how it ended."""
        how = ""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            how = self._reap()
            self._reactor.forget(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._launcher.poll() is None:
            self._launcher.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._launcher.wait(GONE_LIMIT_S)
        elif self._launcher.returncode:
            how = how or describe_exit(self._launcher.returncode)
        self._ended = True
        self._close_descriptors()
        return how

    def _reap(self) -> str:
        select.select([self._pidfd], [], [], GONE_LIMIT_S)
        try:
            found = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return ""
        if found is None:
            return "it does not disappear after being killed"
        return describe_exit(found.si_status if found.si_code == os.CLD_EXITED else -found.si_status)

    def _close_descriptors(self) -> None:
        self._reactor.forget(self._control)
        self._control.close()
        if self._pipe >= 0:
            with contextlib.suppress(OSError):
                while chunk := os.read(self._pipe, _CHUNK):
                    self._output.feed(chunk)
            self._output.flush()
            self._reactor.forget(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
        self._requests.close()


def _environment(data: Path) -> dict[str, str]:
    """What the code gets to know: no tokens, no home; and the order of sets is the same in every process."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TZ") if name in os.environ}
    return {
        **kept,
        "LANG": "C.UTF-8",
        "HOME": str(data),
        "TMPDIR": str(data),
        "PYTHONHASHSEED": "0",
        "MALLOC_ARENA_MAX": "2",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
