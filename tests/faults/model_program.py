"""Tries hostile models, one after the other, the way a model's process does; prints one JSON object.

What supervises is this process. The gate is the product's own, and so is the program of its canary, with its limits,
its deadline and its check of what the canary says; only, each canary is a copy of a process that has imported
everything instead of one that imports it anew, which takes a hundredth of the time. What the gate lets through goes
through detector, tracker and journal row, in a copy as well, as in a model's process.
"""

from __future__ import annotations

import gc
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from tests.engines.pictures import picture
from tests.engines.test_gate import YOLOX
from tests.faults.hostile_models import Hostile, corpus
from tests.faults.picture_path import PicturePath
from vedette.adapters.engines import canary, gate, trial
from vedette.adapters.engines.confine import bound_memory
from vedette.contracts.errors import ModelError
from vedette.core.pixels import Pixels
from vedette.testing import models

assert trial  # imported before copies are made, as the canary imports it

#: A picture may take so long: what the product's watchdog gives it; and loading, as the gate's trial.
LIVE_LIMIT_S: Final = 2.0
LOAD_LIMIT_S: Final = 10.0
#: Pictures of two sizes; some dark, some bright, one that nothing in the trial was like.
PICTURES: Final[tuple[Callable[[], Pixels], ...]] = (
    lambda: picture(64, 64),
    lambda: picture(64, 64, (0, 0, 64, 64)),
    lambda: picture(320, 180, (0, 0, 320, 180)),
    lambda: picture(320, 180, (100, 20, 300, 160)),
)
#: What a model's process may take at most: what the gate gives a trial, and itself.
LIVE_BYTES: Final = (2 << 30) + (256 << 20)


class Copy:
    """Stands in for ``subprocess.Popen`` of a canary."""

    def __init__(self, _argv: Any, *, stdin: int, stdout: int, **_: Any) -> None:
        self.pid = _copy(lambda: _canary(stdin, stdout))
        self.peak_bytes = 0
        self._code: int | None = None
        self._descriptor = os.pidfd_open(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        """Its return code; raises ``subprocess.TimeoutExpired``."""
        if self._code is None:
            if not select.select([self._descriptor], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("canary", timeout or 0.0)
            _, status, used = os.wait4(self.pid, 0)
            self._code = os.waitstatus_to_exitcode(status)
            self.peak_bytes = used.ru_maxrss << 10
            os.close(self._descriptor)
        return self._code

    def poll(self) -> int | None:
        """Its return code; None while it runs."""
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None


def _copy(act: Callable[[], None]) -> int:
    """A copy of this process that does something and ends."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        act()
        code = 0
    finally:
        os._exit(code)


def _canary(question: int, answer: int) -> None:
    os.dup2(question, 0)
    os.dup2(answer, 1)
    sys.stdin = os.fdopen(0)
    canary.main()


def gated(one: Hostile) -> str:
    """The code of its refusal; empty where the gate lets it through."""
    try:
        gate.check_model(one.data, one.model)
    except ModelError as error:
        return error.code
    return ""


def lived(one: Hostile, pictures: int) -> dict[str, Any]:
    """What came of a model that was let through: see ``_live``; and how its process ended."""
    answer = os.memfd_create("live")
    pid = _copy(lambda: _live(one, answer, pictures))
    descriptor, limit_s, said = os.pidfd_open(pid), LOAD_LIMIT_S, 0
    watchdog = False
    while not select.select([descriptor], [], [], limit_s)[0]:
        now = os.fstat(answer).st_size  # grows with each picture that is done
        if now == said:
            watchdog = True
            os.kill(pid, signal.SIGKILL)
        limit_s, said = LIVE_LIMIT_S, now
    _, status, used = os.wait4(pid, 0)
    lines = os.pread(answer, 1 << 20, 0).decode().splitlines()
    os.close(descriptor)
    os.close(answer)
    code = os.waitstatus_to_exitcode(status)
    bad = [line for line in lines if line not in ("", "loaded", "fine", "unusable")]
    return {
        "bad": bad,
        "unusable": lines.count("unusable"),
        "fine": lines.count("fine"),
        "ended": "by the watchdog" if watchdog else "" if code == 0 else f"by itself ({code})",
        "peak": used.ru_maxrss << 10,
    }


def _live(one: Hostile, answer: int, pictures: int) -> None:
    """A line for each picture: ``fine``, ``unusable``, or what left that must not."""
    path = PicturePath(one.data, one.model)
    bound_memory(gate.memory_bytes(one.data))
    os.write(answer, b"loaded\n")
    for make in PICTURES[:pictures]:
        pixels = make()
        try:
            row = path.see(pixels)
        except ModelError:
            said = "unusable"
        else:
            said = wrong(json.loads(row), pixels) or "fine"
        os.write(answer, f"{said}\n".encode())


def wrong(row: dict[str, Any], pixels: Pixels) -> str:
    """What in a journal's row is no object of the picture; empty where all is well."""
    edges = (pixels.width, pixels.height) * 2
    for box in row["boxes"]:
        if not all(
            math.isfinite(value) and -0.05 <= value <= edge + 0.05 for value, edge in zip(box, edges, strict=True)
        ):
            return f"box {box}"
        if box[0] > box[2] or box[1] > box[3]:
            return f"turned box {box}"
    for score in row["scores"]:
        if not (math.isfinite(score) and 0.0 <= score <= 1.0):
            return f"confidence {score}"
    return "" if len(row["boxes"]) <= 256 else f"{len(row['boxes'])} objects"


def mutants(seed: int, first: int, count: int) -> Iterator[Hostile]:
    """A good model with some bits, bytes or parts changed; each by its number, whoever makes it."""
    good = base_models()
    for number in range(first, first + count):
        chance = Random(f"{seed}/{number}")
        data = bytearray(good[number % len(good)])
        for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
            at, length = chance.randrange(len(data)), chance.choice((1, 2, 4, 8, 32, 200))
            match chance.randrange(8):
                case 0 | 1 | 2:
                    data[at] ^= 1 << chance.randrange(8)
                case 3:
                    data[at : at + length] = chance.randbytes(length)
                case 4:
                    number_ = chance.choice((0, 0x7F800000, 0x7FC00000, 0xFF800000, 0x7F7FFFFF, 1, 0xFFFFFFFF))
                    data[at : at + 4] = number_.to_bytes(4, "little")
                case 5:
                    del data[at : at + length]
                case 6:
                    elsewhere = chance.randrange(len(data))
                    data[at:at] = data[elsewhere : elsewhere + length]
                case _:
                    if chance.random() < 0.2:
                        del data[at:]
            if len(data) < 16:
                break
        yield Hostile(f"mutant {number}", bytes(data), YOLOX, harmless=True)


def base_models() -> tuple[bytes, ...]:
    """What mutants are made of: one that is nearly all structure, and one whose answer is nearly all of its bytes."""
    chance = np.random.default_rng(5)
    answer = chance.normal(0.0, 1.0, (1, 84, 7)).astype(np.float32)
    answer[..., 4:] = chance.random((1, 84, 3))
    return models.bright_rectangle(), models.constant_yolox(answer)


def run(found: Iterator[Hostile], pictures: int) -> dict[str, Any]:
    """Try them all; what happened, and how this process is after it."""
    said: dict[str, Any] = {
        "n": 0,
        "codes": {},
        "escapes": [],
        "through": 0,
        "ended": {},
        "unusable": 0,
        "slowest_s": 0.0,
        "peak": 0,
    }
    before, files = _resident(), len(os.listdir("/proc/self/fd"))
    for one in found:
        begun_s = time.monotonic()
        code = gated(one)
        said["n"] += 1
        said["codes"][code or "let through"] = said["codes"].get(code or "let through", 0) + 1
        if not code:
            said["through"] += 1
            live = lived(one, pictures)
            said["unusable"] += live["unusable"] > 0
            if live["ended"]:
                said["ended"][one.name] = live["ended"]
            said["peak"] = max(said["peak"], live["peak"])
            if not one.harmless:
                said["escapes"].append(f"{one.name}: let through")
            if live["bad"]:
                said["escapes"].append(f"{one.name}: {live['bad'][0]}")
            if live["peak"] > LIVE_BYTES:
                said["escapes"].append(f"{one.name}: {live['peak'] >> 20} MB")
        took_s = time.monotonic() - begun_s
        if took_s > said["slowest_s"]:
            said["slowest_s"], said["slowest"] = round(took_s, 1), one.name
    gc.collect()
    said["growth"] = _resident() - before
    said["files"] = len(os.listdir("/proc/self/fd")) - files
    try:
        said["children"] = os.waitpid(-1, os.WNOHANG)[0]
    except ChildProcessError:
        said["children"] = 0
    return said


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def naive(one: Hostile) -> str:
    """The control: the library in the process that supervises, no trial, what it answers is believed."""
    answer = os.memfd_create("naive")
    pid = _copy(lambda: _naive(one, answer))
    descriptor = os.pidfd_open(pid)
    hung = not select.select([descriptor], [], [], LIVE_LIMIT_S)[0]
    if hung:
        os.kill(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    said = os.pread(answer, 1 << 16, 0).decode()
    os.close(descriptor)
    os.close(answer)
    if hung or os.waitstatus_to_exitcode(status) < 0:
        return "hung" if hung else "died"
    return "grew" if used.ru_maxrss << 10 > LIVE_BYTES else said


def _naive(one: Hostile, answer: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))  # for the machine's sake
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(one.data)
        for bright in (0.0, 255.0):
            feeds: dict[str, Any] = {"images": np.full((1, 3, 64, 64), bright, np.float32)}
            if len(session.get_inputs()) > 1:
                feeds["orig_target_sizes"] = np.array([[64, 64]])
            for output in session.run(None, feeds):
                if not (np.isfinite(output).all() and np.abs(output).max(initial=0.0) < 1e6):
                    os.write(answer, b"believed")
                    return
    except Exception:  # noqa: BLE001 - a refusal of the library's own
        return


def warm_popen() -> Any:
    """The gate's canaries are copies of this process from here on."""
    stand_in = SimpleNamespace(Popen=Copy, TimeoutExpired=subprocess.TimeoutExpired, DEVNULL=subprocess.DEVNULL)
    return patch.object(gate, "subprocess", stand_in)


def main() -> None:
    """``mutants SEED FIRST COUNT PICTURES``, ``corpus FRESH PART PARTS PICTURES``, or ``naive PART PARTS``."""
    what, *numbers = sys.argv[1], *map(int, sys.argv[2:])
    if what == "mutants":
        seed, first, count, pictures = numbers
        with warm_popen():
            said = run(mutants(seed, first, count), pictures)
    elif what == "naive":
        part, parts = numbers
        said = {"seen": {one.name: how for one in corpus()[part::parts] if (how := naive(one))}}
    else:
        fresh, part, parts, pictures = numbers
        found = iter(corpus()[part::parts])
        if fresh:
            said = run(found, pictures)
        else:
            with warm_popen():
                said = run(found, pictures)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
