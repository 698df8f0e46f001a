"""R16: models that mean harm, at the gate and behind it.

A model escapes where

* it has to be refused (NaN answers, crashes, other files, other shapes ...) and the gate lets it through;
* the gate lets it through, and what leaves for the journal is not finite, not inside the picture, not a confidence from
  0 to 1, or more objects than a picture may have;
* its own process takes more memory than the gate allows it, or a picture is not ended by the watchdog;
* the process that supervises dies, keeps a process or a descriptor, or grows by more than ``GROWTH_BYTES``.

Mutants need not be refused: what is still a model is judged by what it answers. A model that answers wrongly, but with
boxes (weights gone, colours swapped), is no escape here; it is what versions are compared for.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import REPOSITORY
from tests.faults import scorecard
from tests.faults.hostile_models import bomb_when_bright
from tests.faults.scorecard import Control, Row, upper95
from tests.inference.test_compiled_model import bring
from tests.inference.test_inference_service import RECTANGLE, WHITE, Device, started
from vedette.testing import models

#: What the supervising process may grow by, over everything that it tries.
GROWTH_BYTES: Final = 64 << 20
FALL_BACK_S: Final = 5.0
PICTURES: Final = 4
PARTS: Final = 2


def programs(*orders: tuple[object, ...]) -> list[dict[str, Any]]:
    """Run programs beside each other; what they said. One that died said nothing, which is found out here."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.faults.model_program", *map(str, order)],
            cwd=scorecard.REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for order in orders
    ]
    answers = []
    for program in started:
        said, _ = program.communicate(timeout=900)
        answers.append(json.loads(said) if program.returncode == 0 else {"died": program.returncode})
    return answers


def escapes(answer: dict[str, Any]) -> list[str]:
    """What one program saw escape, itself included."""
    if "died" in answer:
        return [f"the process that supervises ended with {answer['died']}"]
    found = list(answer["escapes"])
    if answer["growth"] > GROWTH_BYTES:
        found.append(f"the process that supervises grew by {answer['growth'] >> 20} MB")
    if answer["files"] > 0 or answer["children"]:
        found.append(f"{answer['files']} descriptors and {answer['children']} processes were left")
    return found


def summed(answers: list[dict[str, Any]], name: str) -> dict[str, int]:
    total: dict[str, int] = {}
    for answer in answers:
        for key, value in answer.get(name, {}).items():
            total[key] = total.get(key, 0) + value
    return dict(sorted(total.items()))


@pytest.mark.timeout(1_200)
def test_r16_hostile_models() -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    fresh, count = scorecard.size(quick=0, full=1), scorecard.size(quick=60, full=5_000)
    made = programs(*(("corpus", fresh, part, PARTS, PICTURES) for part in range(PARTS)))
    share = count // PARTS
    changed = programs(*(("mutants", seed, part * share, share, PICTURES) for part in range(PARTS)))
    believed = programs(*(("naive", part, PARTS) for part in range(PARTS)))
    answers = made + changed
    found = [each for answer in answers for each in escapes(answer)]
    control = sum(len(answer.get("seen", ())) for answer in believed)
    tried = [sum(answer.get("n", 0) for answer in half) for half in (made, changed)]
    through = [sum(answer.get("through", 0) for answer in half) for half in (made, changed)]
    ended = {name: how for answer in answers for name, how in answer.get("ended", {}).items()}
    row = Row(
        "R16",
        "hostile models that escape",
        len(found),
        "models",
        sum(tried),
        "0",
        passed=not found and sum(tried) >= 60 + count and control >= 20,
        upper95=upper95(min(len(found), sum(tried)), sum(tried)),
        control=Control("the library alone, no trial, its answers believed: escapes", control, control >= 20),
        seed=seed,
        notes=f"{tried[0]} made by hand, {through[0]} of them let through; {tried[1]} mutants of two small models, "
        f"{through[1]} let through. Verdicts: {summed(answers, 'codes')}. Canaries are copies of a process that has "
        f"imported everything{', but for those of the hand-made ones' if fresh else ''}. A process of a model ended "
        f"behind the gate: {ended or 'none'}. Most memory of one: "
        f"{max(answer.get('peak', 0) for answer in answers) >> 20} MB. Models that answer wrongly with proper boxes are "
        f"let through. {'; '.join(found[:5])}",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row


class Swapped:
    """A device whose model gets new versions, and a camera that goes on."""

    def __init__(self, device: Device) -> None:
        self.device, self.camera, self._version = device, device.camera(), 0
        self.bring(models.bright_rectangle())
        device.plan(device.model("m", None).model_copy(update={"file": "tiny"}))
        device.until_state("m", "RUNNING", 60)
        self.shoot(5)

    def bring(self, data: bytes) -> None:
        """In the store under the same name; the number in it (``producer_version``) makes it another file each time."""
        self._version += 1
        number = f"1.0.{self._version}"
        bring(self.device.layout.models, data + b"\x1a" + bytes([len(number)]) + number.encode(), version=number)

    def state(self) -> str:
        return str(self.device.state("m").get("state"))

    def shoot(self, batches: int, pixels: Any = RECTANGLE) -> None:
        before = len(self.device.batches())
        self.device.shoot_until([self.camera], [pixels], lambda: len(self.device.batches()) >= before + batches, 60)

    def until(self, state: str, pixels: Any = RECTANGLE) -> None:
        self.device.shoot_until([self.camera], [pixels], lambda: self.state() == state, 60)

    def longest_s(self, since: int) -> float:
        """Longest time between two pictures that came to something."""
        times = [batch.frame.t_s for batch in self.device.batches()[since:]]
        return max(later - earlier for earlier, later in pairwise(times))

    def refused(self, data: bytes) -> float:
        """A version that the trial refuses: the one that runs goes on."""
        since = len(self.device.batches()) - 1
        self.bring(data)
        self.until("DEGRADED")
        self.shoot(5)
        back_s = self.longest_s(since)
        self.good()
        return back_s

    def later(self, fault: Any) -> float:
        """A version that passes, then gives nothing usable: from its last good picture to the first one after it."""
        self.bring(models.bright_rectangle(fault=fault))
        loads = self._loads()
        self.device.shoot_until([self.camera], [RECTANGLE], lambda: self._loads() > loads, 60)
        self.until("RUNNING")
        self.shoot(5)
        since = len(self.device.batches()) - 1
        self.until("DEGRADED", WHITE)
        self.shoot(5, WHITE)
        back_s = self.longest_s(since)
        self.good()
        return back_s

    def good(self) -> None:
        """A version that is well again."""
        self.bring(models.bright_rectangle())
        self.until("RUNNING")
        self.shoot(3)

    def struck(self, how: signal.Signals) -> float:
        """The model's process ends in native code, or stands still."""
        since = len(self.device.batches()) - 1
        pid = self.device.service.pids()["m"]
        os.kill(pid, how)
        self.device.shoot_until([self.camera], [RECTANGLE], lambda: self.device.service.pids().get("m", pid) != pid, 60)
        self.shoot(5)
        return self.longest_s(since)

    def _loads(self) -> int:
        said = [message["state"] for topic, message in self.device.bus.history if topic.endswith("/m")]
        return said.count("LOADING")


def without_another(device: Device) -> float:
    """The control: a file that has no version before it. Seconds without a result, six at most."""
    device.plan(device.model("alone", models.bright_rectangle(fault=models.nan_when_bright)))
    device.until_state("alone", "RUNNING", 60)
    camera, begun_s = device.camera(), time.monotonic()
    device.shoot_until([camera], [WHITE], lambda: bool(device.batches()) or time.monotonic() - begun_s > 6.0, 60)
    return time.monotonic() - begun_s


@pytest.mark.timeout(1_200)
def test_r16_fall_back(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun_s = time.monotonic()
    monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY / 'src'}:{REPOSITORY / 'components'}")
    found: dict[str, list[float]] = {}
    good = models.bright_rectangle()
    with started(Device(short_tmp / "s")) as device:
        swapped = Swapped(device)
        acts: dict[str, Callable[[], float]] = {
            "cut file": lambda: swapped.refused(good[: len(good) // 2]),
            "no numbers at the trial": lambda: swapped.refused(models.bright_rectangle(fault=models.nan_always)),
            "never ends at the trial": lambda: swapped.refused(models.bright_rectangle(fault=models.hang_always)),
            "4 GiB at the trial": lambda: swapped.refused(models.bright_rectangle(fault=models.four_gibibytes)),
            "no numbers later": lambda: swapped.later(models.nan_when_bright),
            "12 GiB later": lambda: swapped.later(bomb_when_bright),
            "SIGSEGV": lambda: swapped.struck(signal.SIGSEGV),
            "SIGSTOP": lambda: swapped.struck(signal.SIGSTOP),
        }
        for _ in range(scorecard.size(quick=1, full=4)):
            for name, act in acts.items():
                found.setdefault(name, []).append(act())
    with started(Device(short_tmp / "c")) as device:
        control_s = without_another(device)
    worst_s, n = max(max(times) for times in found.values()), sum(map(len, found.values()))
    row = Row(
        "R16-back",
        "a model goes bad: longest time without a result",
        round(worst_s, 2),
        "s",
        n,
        "<= 5 s",
        passed=worst_s <= FALL_BACK_S < control_s,
        control=Control(
            "no version before it: seconds without a result, six at most", control_s, control_s > FALL_BACK_S
        ),
        notes=f"Worst of each: {', '.join(f'{name} {max(times):.2f} s' for name, times in found.items())}. A version that "
        "is refused at its trial is tried beside the one that runs; one that gives nothing usable for a second later on "
        "gives way to the one before. One that hangs or crashes later is replaced by itself, and by no other version.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
