"""A peer from outside: started, listened to, its processor time and memory taken from /proc, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bench.peers import Peer, Task
from bench.processes import cpu_s, descendants, pss_mb

END_S = 5.0


class PeerError(Exception):
    """A peer ended or kept silent; the words say which and what it said last."""


@dataclass(frozen=True)
class Picture:
    """One analysed picture.

    Attributes:
        camera: number of its address.
        at_s: monotonic time when it was analysed.
        objects: found, of all classes.
        people: of them.
    """

    camera: int
    at_s: float
    objects: int
    people: int


@dataclass(frozen=True)
class Stretch:
    """What a peer did in a stretch of time.

    Attributes:
        seconds: its length.
        cpu_s: processor time of the process and its children.
        pss_mb: at its end.
        analysed: pictures, by camera.
    """

    seconds: float
    cpu_s: float
    pss_mb: float
    analysed: dict[int, int]

    def percent_per_camera(self, cameras: int) -> float:
        """Per cent of a core for each camera."""
        return 100 * self.cpu_s / self.seconds / cameras


@dataclass
class Heard:
    """What a program has said so far; written by the thread that listens.

    ``cpu_s``, once it is done, is the operating system's account of the work between ``ready`` and ``done``, ended
    children included.
    """

    ready_s: float | None = None
    done: bool = False
    cpu_s: float = 0.0
    pictures: list[Picture] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """One line; what is none of ours is a library's chatter."""
        try:
            said: Any = json.loads(line)
            event, at_s = said["event"], float(said["at"])
            if event == "ready":
                self.ready_s, self.cpu_s = at_s, self.cpu_s - float(said.get("cpu_s", 0.0))
            elif event == "picture":
                self.pictures.append(Picture(int(said["camera"]), at_s, int(said["objects"]), int(said["people"])))
            elif event == "trouble":
                self.trouble.append(str(said.get("words", "")))
            elif event == "done":
                self.done, self.cpu_s = True, self.cpu_s + float(said.get("cpu_s", 0.0))
        except (ValueError, KeyError, TypeError):
            return


class Running:
    """A started program.

    Attributes:
        heard: what it said.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], errors: Any, started_s: float) -> None:
        self.name, self.heard = name, Heard()
        self._process, self._errors, self._started_s = process, errors, started_s
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.heard.take(line)

    def close(self) -> None:
        """Stop listening, once the program is gone."""
        self._listener.join(END_S)
        if not self._listener.is_alive() and self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def pids(self) -> set[int]:
        """The process and all below it."""
        return descendants([self._process.pid])

    @property
    def start_s(self) -> float:
        """From the start of the process to the first analysed picture."""
        return self.heard.pictures[0].at_s - self._started_s

    def wait_analysed(self, cameras: set[int], timeout_s: float) -> None:
        """Until each of the cameras was analysed.

        Raises:
            PeerError: it ended before, or the time is over.
        """
        end_s = time.monotonic() + timeout_s
        while not cameras <= {picture.camera for picture in self.heard.pictures}:
            if self._process.poll() is not None:
                raise PeerError(self._words("ended before it had analysed every camera"))
            if time.monotonic() > end_s:
                raise PeerError(self._words(f"had not analysed every camera after {timeout_s:g} s"))
            time.sleep(0.05)

    def wait_end(self, timeout_s: float) -> None:
        """Until it has done all of its task.

        Raises:
            PeerError: it ended with an error, or the time is over.
        """
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise PeerError(self._words(f"had not ended after {timeout_s:g} s")) from None
        self._listener.join(END_S)
        if self._process.returncode or not self.heard.done:
            raise PeerError(self._words("ended before its task did"))

    def measure(self, seconds: float) -> Stretch:
        """Let it run for a while.

        Raises:
            PeerError: it ended meanwhile.
        """
        used_s, begun_s = cpu_s(self.pids), time.monotonic()
        time.sleep(seconds)
        pids, ended_s = self.pids, time.monotonic()
        used_s = cpu_s(pids) - used_s
        memory_mb = pss_mb(pids)
        if self._process.poll() is not None:
            raise PeerError(self._words("ended while it was measured"))
        seen = Counter(p.camera for p in list(self.heard.pictures) if begun_s <= p.at_s < ended_s)
        return Stretch(ended_s - begun_s, used_s, memory_mb, dict(seen))

    def first_after(self, camera: int, from_s: float, timeout_s: float) -> float:
        """Monotonic time of the camera's next analysed picture.

        Raises:
            PeerError: there was none.
        """
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            for picture in list(self.heard.pictures):
                if picture.camera == camera and picture.at_s >= from_s:
                    return picture.at_s
            time.sleep(0.05)
        raise PeerError(self._words(f"had not analysed camera {camera} again after {timeout_s:g} s"))

    def _words(self, what: str) -> str:
        self._errors.seek(0)
        said = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        last = (self.heard.trouble or said or [""])[-1]
        code = self._process.poll()
        return (
            f"{self.name} {what}" + ("" if code is None else f" (exit status {code})") + (f": {last}" if last else "")
        )


@contextmanager
def started(peer: Peer, task: Task) -> Iterator[Running]:
    """A peer at work.

    Raises:
        PeerError: it is not installed.
    """
    if peer.missing():
        raise PeerError(f"{peer.name}: {peer.missing()}")
    with program(peer.name, peer.command(task), peer.packages()) as running:
        yield running


@contextmanager
def program(name: str, command: Sequence[str], packages: str = "") -> Iterator[Running]:
    """Any program that prints such lines; it and its children are gone afterwards."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if packages:
        environment["PYTHONPATH"] = packages
    with tempfile.TemporaryFile() as errors:
        started_s = time.monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True, start_new_session=True
        )
        running = Running(name, process, errors, started_s)
        try:
            yield running
        finally:
            _end(process)
            running.close()


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    # The group outlives its leader where that one left children behind.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
