"""R15: damaged NAL units end no process, and no alert comes of a damaged picture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tests.faults.nal_damage import STREAMS
from tests.faults.scorecard import REPOSITORY, Anchor, Control, Row, record, seed, size, upper95

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(900)]

WANTED: Final = 1_000_000
#: A stream of some hundred pictures takes a second; a process that says nothing for so long hangs.
HANG_S: Final = 60.0


@dataclass
class Outcome:
    """What the processes of one clip told.

    Attributes:
        sums: figures of ``Tally``, added up.
        wrong: pictures handed on that are plainly others than were encoded, by the kind of damage.
        differ: those that are not bit for bit what was encoded, likewise.
        crashes: how each process that did not end by itself ended.
    """

    sums: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    differ: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run(name: str, seconds: float, **asked: Any) -> Outcome:
    """Streams of one clip for a time; a process that crashes is counted and another goes on behind its last stream."""
    outcome, begun_s, number = Outcome(), time.monotonic(), 0
    damaged = asked.pop("damaged", WANTED)
    while (left_s := seconds - (time.monotonic() - begun_s)) > 0 and outcome.sums["damaged"] < damaged:
        first = 1_000_000 * seed() + number
        words = {"name": name, "seed": first, "damaged": damaged - outcome.sums["damaged"], "seconds": left_s, **asked}
        begun = number
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                [sys.executable, "-m", "tests.faults.damaged_stream_program", json.dumps(words)],
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            for tally in _told(process):
                number += 1
                mode = tally.pop("mode")
                outcome.wrong[mode] += tally["plainly"]
                outcome.differ[mode] += tally["wrong"]
                outcome.sums.update(tally)
            if process.wait() != 0:
                errors.seek(0)
                what = f"{process.returncode}: {errors.read()[-200:]}"
                outcome.crashes.append(f"stream {first + number - begun} of {name}: {what}")
                number += 1
    outcome.seconds = time.monotonic() - begun_s
    return outcome


def _told(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    while True:
        watchdog = threading.Timer(HANG_S, process.kill)
        watchdog.start()
        line = process.stdout.readline()
        watchdog.cancel()
        if not line:
            return
        yield json.loads(line)


def all_clips(seconds: float, **asked: Any) -> dict[str, Outcome]:
    """Every clip, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(STREAMS, pool.map(lambda name: run(name, seconds, **asked), STREAMS), strict=True))


@dataclass
class Measured:
    judged: dict[str, Outcome]
    alone: dict[str, Outcome]
    fast: dict[str, Outcome]

    @property
    def crashes(self) -> list[str]:
        return [c for runs in (self.judged, self.fast) for outcome in runs.values() for c in outcome.crashes]


@pytest.fixture(scope="module")
def measured() -> Measured:
    judged = all_clips(size(quick=12.0, full=40.0))
    alone = all_clips(size(quick=8.0, full=15.0), gate=False)
    fast = all_clips(size(quick=12.0, full=300.0), judged=False, share=0.5, damaged=WANTED // len(STREAMS))
    return Measured(judged, alone, fast)


def test_damaged_nal_units_end_no_process(measured: Measured) -> None:
    outcomes = [*measured.judged.values(), *measured.fast.values()]
    damaged = sum(outcome.sums["damaged"] for outcome in outcomes)
    row = Row(
        id="R15",
        name="Ends of a camera's process, and hangs, by damaged NAL units",
        value=len(measured.crashes),
        unit=f"in {damaged:,} damaged NAL units",
        n=damaged,
        goal="0 in 1,000,000",
        passed=not measured.crashes and damaged >= size(quick=1, full=WANTED),
        upper95=upper95(min(len(measured.crashes), damaged), damaged),
        control=Control("a process that is killed by a signal", *_meter_sees_a_crash()),
        anchors=(Anchor("PyAV by itself", "ends with an error of the decoder", "measured"),),
        seed=seed(),
        notes="H.264 (CABAC with slices, B pictures, CAVLC) and H.265 of 128 x 96 pixels through FFmpeg's RTP reader and decoder "
        "and the product's source; bits flipped (2 % and 30 % of NAL units), cut short, left out, swapped, twice, headers, "
        "noise, parameter sets, fragments, RTP packets lost and changed. " + " ".join(measured.crashes[:3]),
    )
    record(row, sum(outcome.seconds for outcome in outcomes) / 2)
    assert row.passed, measured.crashes


def _meter_sees_a_crash() -> tuple[float, bool]:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        told = list(_told(process))
        ended = process.wait() != 0 and not told
    return float(ended), ended


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_no_alert_comes_of_a_damaged_picture(measured: Measured, codec: str) -> None:
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    wrong: Counter[str] = Counter()
    differ: Counter[str] = Counter()
    seconds = 0.0
    for runs, kind in ((measured.judged, "gated"), (measured.alone, "alone")):
        for name, outcome in runs.items():
            if name.startswith(codec):
                sums[kind].update(outcome.sums)
                seconds += outcome.seconds / 2
                if kind == "gated":
                    wrong.update(outcome.wrong)
                    differ.update(outcome.differ)
    gated, alone = sums["gated"], sums["alone"]
    share = gated["plainly"] / max(1, gated["pictures"])
    alone_share = alone["plainly"] / max(1, alone["pictures"])
    right = ", ".join(sorted(mode for mode, count in differ.items() if not count)) or "none"
    row = Row(
        id=f"R15-{codec}",
        name=f"Alerts from damaged pictures, {codec[0].upper()}.{codec[1:]}",
        value=gated["alerts"],
        unit="alerts",
        n=gated["damaged"],
        goal="0",
        passed=gated["alerts"] == 0 and alone_share > 0.1,
        control=Control(
            "share of wrong pictures from the decoder without the product's gate",
            round(alone_share, 3),
            alone_share > 0.1 and alone["wrong"] > 0,
        ),
        seed=seed(),
        notes=f"{gated['pictures']:,} pictures handed to analysis, {gated['wrong']:,} of them not bit for bit what was "
        f"encoded, {gated['plainly']:,} ({100 * share:.2g} %) by more than the noise of coding: "
        + ", ".join(f"{mode} {count}" for mode, count in wrong.most_common() if count)
        + f". Damage after which every picture was right, bit for bit: {right}. The decoder alone: {alone['pictures']:,}, {100 * alone_share:.2g} % wrong, {alone['alerts']} alerts. "
        "Every picture is analysed, with a model that finds what is bright and rules for the half in which nothing ever is. "
        "H.265, CABAC code and sets of parameters have no check of their own: flipped bits and cut ends decode to something, "
        "and cameras may change their sets. "
        "TCP and UDP carry checksums; packets that are lost are noticed.",
    )
    record(row, seconds)
    assert wrong["packets lost"] == 0, "what a network does"
    assert row.passed, (dict(gated), wrong)
