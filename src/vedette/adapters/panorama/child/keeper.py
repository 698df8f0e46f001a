"""The first process of a program's own numbering: looks after the program, and is its way in and out of its network."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
from typing import Any, Final

from vedette.adapters.confinement import libc, privileges
from vedette.adapters.panorama.child import packets

#: A port of the program that does not answer at once does not answer.
_CONNECT_S: Final = 2.0


class Keeper:
    """Serves its host until the program ends or the host hangs up.

    Args:
        control: to the host.
        proxy: where connections of the program to the network come in; None where it has none.
        program: its process number.
        user: what this process becomes where it is root.
    """

    def __init__(self, control: socket.socket, proxy: socket.socket | None, program: int, user: int) -> None:
        self._control = control
        self._proxy = proxy
        self._program = program
        self._user = user
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        if os.geteuid() == 0:
            privileges.become(self._user)
        with contextlib.suppress(OSError):
            libc.drop_capabilities()
            privileges.gain_nothing()
        privileges.die_with_parent()  # the change of user undid it
        selector = selectors.DefaultSelector()
        selector.register(self._read, selectors.EVENT_READ, self._reap)
        selector.register(self._control, selectors.EVENT_READ, self._obey)
        if self._proxy is not None:
            selector.register(self._proxy, selectors.EVENT_READ, self._hand_over)
        while not self._reap():
            for key, _ in selector.select():
                if key.data():
                    return

    def _reap(self) -> bool:
        """Whether the program has ended, which is said to the host."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if process == 0:
                return False
            if process == self._program:
                with contextlib.suppress(OSError):
                    packets.send(self._control, {"exit": os.waitstatus_to_exitcode(status)})
                return True

    def _obey(self) -> bool:
        """What the host asks for; whether it has hung up."""
        message, descriptors = packets.receive(self._control)
        for descriptor in descriptors:
            os.close(descriptor)
        if message is None:
            return True
        if "signal" in message:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._program, int(message["signal"]))
        elif "connect" in message:
            self._connect(message)
        return False

    def _connect(self, message: dict[str, Any]) -> None:
        answer = {"connected": message["id"]}
        try:
            with socket.create_connection(("127.0.0.1", int(message["connect"])), _CONNECT_S) as connection:
                packets.send(self._control, answer, [connection.fileno()])
        except OSError as error:
            with contextlib.suppress(OSError):
                packets.send(self._control, answer | {"error": error.strerror or str(error)})

    def _hand_over(self) -> bool:
        assert self._proxy is not None
        try:
            connection, _ = self._proxy.accept()
        except OSError:
            return False
        with connection, contextlib.suppress(OSError):
            packets.send(self._control, {"proxied": True}, [connection.fileno()])
        return False
