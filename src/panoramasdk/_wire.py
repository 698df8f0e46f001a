"""Talks to the application's host: JSON in packets of a Unix socket, pictures and tensors in shared memory.

A connection that is lost means that the host is gone. The process ends then: applications catch every exception and go
on in their loops, so nothing else would end them.
"""

from __future__ import annotations

import array
import contextlib
import json
import mmap
import os
import socket
import sys
import threading
import weakref
from collections import deque
from typing import Any, Deque, Dict, List, NoReturn, Optional, Sequence, Tuple

#: Where the host listens.
SOCKET_VARIABLE = "VEDETTE_PANORAMA_SOCKET"
#: Largest packet in either direction, bytes.
PACKET_BYTES = 64 << 10
#: Descriptors that one packet may carry: one for each new camera.
_DESCRIPTORS = 64
#: Idle connections kept for the next request.
_KEPT = 4
#: A longer wait than this is as good as for ever, seconds.
_LONGEST_WAIT_S = 1e6
#: Shortest wait: a socket takes 0 for "do not wait for anything", seconds.
_SHORTEST_WAIT_S = 1e-3
#: What is still to be printed may take so long when the host is gone, seconds.
_LAST_WORDS_S = 1.0
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
#: What an answer of the host may raise.
ANSWERED = (KeyError, ValueError, RuntimeError, TimeoutException)


class Connection:
    """One conversation: a question, its answer, the next question. Used by one thread at a time.

    Attributes:
        clean: whether every question has had its answer. Otherwise the next answer would be to the wrong question.
    """

    def __init__(self, path: str) -> None:
        self.clean = True
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._room: Optional[mmap.mmap] = None
        try:
            self._socket.connect(path)
        except (ConnectionError, FileNotFoundError):
            _end()
        except BaseException:
            self._socket.close()
            raise

    def ask(self, question: Message, timeout_s: Optional[float] = None) -> Tuple[Message, List[int]]:
        """Send a question and wait for the answer, with the descriptors that came with it.

        Raises:
            TimeoutException: there was none in time, or the host says so.
            KeyError, ValueError, RuntimeError: the host's own answer.
        """
        packet = json.dumps(question, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        self._socket.settimeout(_wait(timeout_s))
        self.clean = False
        try:
            self._socket.send(packet)
            packet, descriptors = self._receive()
        except socket.timeout:
            raise TimeoutException("no answer within {:g} s".format(timeout_s or 0.0)) from None
        except ConnectionError:
            _end()
        if not packet:
            _end()
        answer = json.loads(packet.decode())
        self.clean = True
        error = answer.get("error")
        if error is not None:
            raise _ERRORS.get(error["kind"], RuntimeError)(error["text"])
        return answer, descriptors

    def room(self, size: int, timeout_s: Optional[float] = None) -> mmap.mmap:
        """Memory shared with the host, at least ``size`` bytes, for the next question and its answer."""
        if self._room is None or len(self._room) < size:
            answer, descriptors = self.ask({"do": "room", "bytes": size}, timeout_s)
            return self.take_room(answer, descriptors)
        return self._room

    def take_room(self, answer: Message, descriptors: List[int]) -> mmap.mmap:
        """The shared memory after an answer, which may have brought a larger one."""
        if descriptors:
            self.clean = False  # until both sides have the same memory
            self._room = map_shared(descriptors[0], answer["room"])
            self.clean = True
        assert self._room is not None
        return self._room

    def close(self) -> None:
        """End the conversation."""
        self._socket.close()

    def _receive(self) -> Tuple[bytes, List[int]]:
        size = array.array("i").itemsize
        room = socket.CMSG_LEN(_DESCRIPTORS * size)
        packet, extra, _, _ = self._socket.recvmsg(PACKET_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        descriptors = array.array("i")
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) - len(data) % size])
        return packet, list(descriptors)


class Client:
    """This process at its host: its connections, and what is given back with the next question.

    Attributes:
        number: by which the host knows whose a picture's memory is.
        interface: ports, as the host has told.
        pictures_wanted: whether the host looks at pictures that are put.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._all: "weakref.WeakSet[Connection]" = weakref.WeakSet()
        self._begin()
        with self._lock:
            self._say_hello()

    def take(self) -> Connection:
        """A connection for one question; brought back with ``give``."""
        with self._lock:
            if self._first is None:
                self._say_hello()
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def give(self, connection: Connection) -> None:
        """Keep a connection for the next question."""
        with self._lock:
            if connection.clean and len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.close()

    def ask(self, question: Message) -> Tuple[Message, List[int]]:
        """One question on any connection. See ``Connection.ask``."""
        connection = self.take()
        try:
            return connection.ask(question)
        finally:
            self.give(connection)

    def release(self, token: int) -> None:
        """Note that a picture's memory is not used any more. May be called while memory is being freed."""
        self._released.append(token)

    def released(self) -> Sequence[int]:
        """What has been noted since the last question."""
        tokens: List[int] = []
        while self._released and len(tokens) < 256:
            tokens.append(self._released.popleft())
        return tokens

    def begin_anew(self) -> None:
        """In the child after a fork: the connections, and the memory of pictures, are the parent's."""
        connections = list(self._all)
        self._begin()
        for connection in connections:
            connection.close()

    def _begin(self) -> None:
        self.number = int.from_bytes(os.urandom(7), "big")
        self.pictures_wanted = False
        self._lock = threading.Lock()
        self._idle: List[Connection] = []
        self._released: Deque[int] = deque()
        self._first: Optional[Connection] = None

    def _say_hello(self) -> None:
        """Open the connection whose end tells the host that this process has ended."""
        first = self._connect()
        self.interface, _ = first.ask({"do": "hello", "sdk": 1, "client": self.number})
        self._first = first

    def _connect(self) -> Connection:
        connection = Connection(self._path)
        self._all.add(connection)
        return connection


def connect() -> Client:
    """The host of this process.

    Raises:
        RuntimeError: there is none.
    """
    path = os.environ.get(SOCKET_VARIABLE)
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


def _wait(timeout_s: Optional[float]) -> Optional[float]:
    if timeout_s is None or timeout_s > _LONGEST_WAIT_S:
        return None
    return max(timeout_s, _SHORTEST_WAIT_S)


def _end() -> NoReturn:
    # In a thread: nobody may read any more what is printed, and then the flush would wait for ever.
    speaker = threading.Thread(target=_say_last_words, daemon=True)
    with contextlib.suppress(RuntimeError):  # no more threads can be had
        speaker.start()
        speaker.join(_LAST_WORDS_S)
    os._exit(_HOST_GONE)


def _say_last_words() -> None:
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    with contextlib.suppress(Exception):
        sys.stderr.write("panoramasdk: the application's host has ended, so this process ends.\n")
        sys.stderr.flush()
