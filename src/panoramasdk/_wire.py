"""Talks to the application's host: JSON in packets of a Unix socket, pictures and tensors in shared memory.

A connection that is lost means that the host is gone. The process ends then: applications catch every exception and go
on in their loops, so nothing else would end them.
"""

from __future__ import annotations

import array
import json
import mmap
import os
import socket
import sys
import threading
from collections import deque
from typing import Any, Deque, Dict, List, NoReturn, Optional, Sequence, Tuple

#: Where the host listens.
SOCKET_VARIABLE = "VEDETTE_PANORAMA_SOCKET"
#: Largest packet in either direction, bytes.
PACKET_BYTES = 64 << 10
#: Descriptors that one packet may carry.
_DESCRIPTORS = 8
#: Idle connections kept for the next request.
_KEPT = 8
#: Exit status of a process whose host is gone: EX_UNAVAILABLE of sysexits.h.
_HOST_GONE = 69

Message = Dict[str, Any]


class TimeoutException(TimeoutError):  # noqa: N818 - the name that applications catch
    """Nothing came within the time that was given."""


_ERRORS = {
    "KeyError": KeyError,
    "ValueError": ValueError,
    "RuntimeError": RuntimeError,
    "TimeoutException": TimeoutException,
}


class Connection:
    """One conversation: a question, its answer, the next question. Used by one thread at a time."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._room: Optional[mmap.mmap] = None

    def ask(self, question: Message, timeout_s: Optional[float] = None) -> Tuple[Message, List[int]]:
        """Send a question and wait for the answer, with the descriptors that came with it.

        Raises:
            TimeoutException: there was none in time; the connection cannot be used any more.
            KeyError, ValueError, RuntimeError: the host's own answer.
        """
        self._socket.settimeout(timeout_s)
        try:
            self._socket.send(
                json.dumps(question, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
            )
            packet, descriptors = self._receive()
        except socket.timeout:
            self.close()
            raise TimeoutException("no answer within {:g} s".format(timeout_s or 0.0)) from None
        except OSError:
            _end()
        if not packet:
            _end()
        answer = json.loads(packet.decode())
        error = answer.get("error")
        if error is not None:
            for descriptor in descriptors:
                os.close(descriptor)
            raise _ERRORS.get(error["kind"], RuntimeError)(error["text"])
        return answer, descriptors

    def room(self, size: int) -> mmap.mmap:
        """Memory shared with the host, at least ``size`` bytes, for the next question and its answer."""
        if self._room is None or len(self._room) < size:
            answer, descriptors = self.ask({"do": "room", "bytes": size})
            self.take_room(answer, descriptors)
        assert self._room is not None
        return self._room

    def take_room(self, answer: Message, descriptors: List[int]) -> mmap.mmap:
        """The shared memory after an answer, which may have brought a larger one."""
        if descriptors:
            self._room = map_shared(descriptors[0], answer["room"])
        assert self._room is not None
        return self._room

    def close(self) -> None:
        """End the conversation."""
        self._socket.close()

    def _receive(self) -> Tuple[bytes, List[int]]:
        size = array.array("i").itemsize
        packet, extra, _, _ = self._socket.recvmsg(PACKET_BYTES, socket.CMSG_LEN(_DESCRIPTORS * size))
        descriptors = array.array("i")
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) - len(data) % size])
        return packet, list(descriptors)


class Client:
    """Connections of this process to the host, and what is given back with the next question."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._process = os.getpid()
        self._idle: Deque[Connection] = deque(maxlen=_KEPT)
        self._released: Deque[int] = deque()
        self._lock = threading.Lock()
        self.pictures_wanted = False

    def take(self) -> Connection:
        """A connection for one question; brought back with ``give``."""
        if os.getpid() != self._process:  # a fork: the connections are those of the parent
            self._process = os.getpid()
            self._lock = threading.Lock()
            self._idle.clear()
            self._released.clear()
        with self._lock:
            if self._idle:
                return self._idle.pop()
        try:
            return Connection(self._path)
        except OSError:
            _end()

    def give(self, connection: Connection) -> None:
        """Keep a connection for the next question."""
        with self._lock:
            if len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.close()

    def ask(self, question: Message, timeout_s: Optional[float] = None) -> Tuple[Message, List[int]]:
        """One question on any connection. See ``Connection.ask``."""
        connection = self.take()
        try:
            answer = connection.ask(question, timeout_s)
        except TimeoutException:
            if timeout_s is None:  # the host's answer: the connection is good
                self.give(connection)
            raise
        except (KeyError, ValueError, RuntimeError):
            self.give(connection)
            raise
        self.give(connection)
        return answer

    def release(self, token: int) -> None:
        """Note that a picture's memory is not used any more. May be called while memory is being freed."""
        self._released.append(token)

    def released(self) -> Sequence[int]:
        """What has been noted since the last question."""
        tokens: List[int] = []
        while self._released and len(tokens) < 256:
            tokens.append(self._released.popleft())
        return tokens


def connect() -> Client:
    """The host of this process.

    Raises:
        RuntimeError: there is none.
    """
    path = os.environ.get(SOCKET_VARIABLE, "")
    if not path:
        raise RuntimeError(
            "this program was not started by Vedette, so no node of a graph can be found for it. "
            "Import the application with `vedette import-panorama`, and start it with `vedette run`."
        )
    return Client(path)


def map_shared(descriptor: int, size: int) -> mmap.mmap:
    """Map memory of the host for reading and writing; the descriptor is closed."""
    try:
        return mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(descriptor)


def _end() -> NoReturn:
    sys.stdout.flush()
    sys.stderr.write("panoramasdk: the application's host has ended, so this process ends.\n")
    sys.stderr.flush()
    os._exit(_HOST_GONE)
