"""An application's program in confinement, as its host sees it: started, watched, asked to end, ended."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from pydantic import ValidationError

from vedette.adapters.hooks.broker import Broker
from vedette.adapters.hooks.reactor import Reactor, Stopped
from vedette.adapters.panorama.child import packets
from vedette.adapters.panorama.console import Console
from vedette.adapters.panorama.outfit import PanoramaSettings, order
from vedette.adapters.panorama.proxy import Proxy
from vedette.adapters.panorama.routes import Routes
from vedette.adapters.supervision.child import describe_exit
from vedette.contracts.errors import HookError
from vedette.contracts.hook_messages import WallsReport

log = logging.getLogger(__name__)

#: Time for the launcher to be up and the walls to stand; a cold disk may take its time.
START_LIMIT_S: Final = 20.0
#: Between being asked to end and being ended.
GRACE_S: Final = 3.0
_GONE_S: Final = 2.0
_STEP_S: Final = 0.25
_CHUNK: Final = 1 << 16
#: Connections into the program's network that are being made.
_MOST_CONNECTING: Final = 64
#: After the interpreter: no user's packages, no current directory, no byte code, nothing held back in buffers.
PROGRAM: Final = ("-s", "-P", "-B", "-u", "-m", "vedette.adapters.panorama.child.main")
_ADVICE: Final = (
    "Use a kernel that gives namespaces to this user, or set `trustCode: true` for vedette.AppHost (`--trust-code`)."
)


class PanoramaProcess:
    """One program, from its start to its end. It lives in a thread of its own, whose end would be its own.

    Args:
        settings: how it is run.
        console: where what it prints goes.
        make_broker: makes its way to the network.
    """

    def __init__(
        self, settings: PanoramaSettings, console: Console, make_broker: Callable[[Reactor], Broker] | None = None
    ) -> None:
        self._settings = settings
        self._console = console
        self._make_broker = make_broker
        self._reactor = Reactor()
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._problem: HookError | None = None
        self._exit = ""
        self._connecting: dict[int, Callable[[socket.socket | None], None]] = {}
        self._numbers = itertools.count(1)
        self._control: socket.socket | None = None
        self._proxy: Proxy | None = None
        self.pid = 0
        self.walls = WallsReport(standing={}, missing={}, sufficient=False)
        #: Host port → why nobody is listened to there.
        self.route_problems: dict[int, str] = {}
        self._thread = threading.Thread(target=self._run, name="panorama-program", daemon=True)

    def start(self) -> None:
        """Start it, and wait until its walls stand.

        Raises:
            HookError: V801, interpreter or code are not there; V805, it cannot be confined; V808, it does not start.
        """
        self._thread.start()
        if not self._ready.wait(START_LIMIT_S + _GONE_S) and self._problem is None:
            self._problem = self._error("V808", "its launcher does not answer")
        if self._problem is not None:
            self.close()
            raise self._problem

    def alive(self) -> bool:
        """Whether it runs."""
        return not self._ended.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; whether it has come."""
        return self._ended.wait(timeout_s)

    def exit_reason(self) -> str:
        """How it ended, in words; empty while it runs."""
        return self._exit if self._ended.is_set() else ""

    def terminate(self) -> None:
        """Ask it to end."""
        self._reactor.post(lambda: self._signal(signal.SIGTERM))

    def close(self) -> None:
        """Ask it to end, give it a moment, end it and everything that it has started; idempotent."""
        if self._thread.is_alive():
            self.terminate()
            self._ended.wait(GRACE_S)
            self._reactor.stop()
            self._thread.join(GRACE_S + _GONE_S)

    # -- in its thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._serve()
        except HookError as error:
            self._problem = error
        except Stopped:
            pass
        except Exception as error:  # a thread's outermost frame: without it nobody would know
            log.exception("application %s: the watch over its program failed", self._settings.application)
            self._problem = self._error("V808", f"the watch over it failed ({type(error).__name__})")
        finally:
            self._exit = self._exit or "it was ended"
            self._ended.set()
            self._ready.set()
            self._reactor.close()

    def _serve(self) -> None:
        spec = order(self._settings)
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output, out = os.pipe2(os.O_CLOEXEC)
        launcher = subprocess.Popen(
            [sys.executable, *PROGRAM, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=(theirs.fileno(),),
            env=_launcher_environment(),
            cwd="/",
            start_new_session=True,
        )
        theirs.close()
        os.close(out)
        self.pid = launcher.pid
        self._control = control
        control.setblocking(False)
        os.set_blocking(output, False)
        routes: Routes | None = None
        try:
            self._reactor.watch(output, lambda _events: self._take(output))
            self._reactor.watch(control, lambda _events: self._hear())
            if self._make_broker is not None:
                self._proxy = Proxy(self._make_broker(self._reactor), self._reactor)
            self._say(spec)
            self._await_walls(launcher)
            routes = Routes(self._settings.application, self._settings.routes, self._reactor, self._connect)
            self.route_problems = routes.problems
            self._ready.set()
            while not self._exit and launcher.poll() is None:
                self._reactor.run_once(_STEP_S)
            while not self._exit and select.select([control], [], [], 0)[0]:
                self._hear()  # its last word, where it was gone before that was read
        finally:
            self._clear_up(launcher, routes, output)

    def _await_walls(self, launcher: subprocess.Popen[bytes]) -> None:
        """Raises HookError where they do not stand."""
        done = self._reactor.run_until(
            lambda: bool(self.walls.standing or self._exit) or launcher.poll() is not None,
            time.monotonic() + START_LIMIT_S,
            lambda: None,
        )
        if not self.walls.standing:
            said = self._console.last_lines()
            how = self._exit or ("it ended" if done else "it does not answer")
            raise self._error("V808", f"it was not started: {how}" + (f"\n{said}" if said else ""))
        if not self.walls.sufficient and not self._settings.trust:
            missing = "; ".join(f"{wall}: {why}" for wall, why in sorted(self.walls.missing.items()))
            raise HookError(
                f"application {self._settings.application}: this kernel cannot confine its code ({missing}).",
                hint=_ADVICE,
                code="V805",
            )

    def _clear_up(self, launcher: subprocess.Popen[bytes], routes: Routes | None, output: int) -> None:
        if self._control is not None:  # the keeper ends with the line to it, and with it all that the program started
            self._reactor.forget(self._control)
            self._control.close()
        try:
            launcher.wait(_GONE_S)
        except subprocess.TimeoutExpired:
            launcher.kill()
            launcher.wait()
        if routes is not None:
            routes.close()
        if self._proxy is not None:
            self._proxy.close()
        for answer in self._connecting.values():
            answer(None)
        self._connecting.clear()
        deadline_s = time.monotonic() + _GONE_S
        while time.monotonic() < deadline_s and select.select([output], [], [], 0)[0] and self._read(output):
            pass
        self._console.flush()
        self._reactor.forget(output)
        os.close(output)

    def _take(self, output: int) -> None:
        self._read(output)

    def _signal(self, number: signal.Signals) -> None:
        self._say({"signal": int(number)})

    def _read(self, output: int) -> bool:
        """Take what was printed; whether there may be more."""
        try:
            chunk = os.read(output, _CHUNK)
        except BlockingIOError:
            return False
        if chunk:
            self._console.feed(chunk)
        else:
            self._reactor.forget(output)
        return bool(chunk)

    def _hear(self) -> None:
        """What the keeper says; the program was never able to speak here."""
        assert self._control is not None
        try:
            message, descriptors = packets.receive(self._control)
        except BlockingIOError:
            return
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        if message is None:
            self._reactor.forget(self._control)
            self._exit = self._exit or "its keeper ended"
        elif "walls" in message:
            with contextlib.suppress(ValidationError):
                self.walls = WallsReport(**message["walls"], sufficient=message["sufficient"])
        elif "exit" in message:
            self._exit = describe_exit(int(message["exit"]))
        elif "connected" in message:
            answer = self._connecting.pop(int(message["connected"]), None)
            if answer is not None:
                answer(sockets.pop() if sockets else None)
        elif "proxied" in message and sockets and self._proxy is not None:
            self._proxy.serve(sockets.pop())
        for one in sockets:
            one.close()

    def _connect(self, port: int, answer: Callable[[socket.socket | None], None]) -> None:
        number = next(self._numbers)
        if len(self._connecting) >= _MOST_CONNECTING or not self._say({"connect": port, "id": number}):
            answer(None)
            return
        self._connecting[number] = answer

    def _say(self, message: dict[str, Any]) -> bool:
        if self._control is None:
            return False
        try:
            packets.send(self._control, message)
        except OSError:
            return False
        return True

    def _error(self, code: str, what: str) -> HookError:
        return HookError(f"application {self._settings.application}: {what}.", code=code)


def _launcher_environment() -> dict[str, str]:
    """What the launcher itself needs: where packages lie."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2"}
