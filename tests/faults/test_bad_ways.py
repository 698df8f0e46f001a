"""C6: a way to a camera that loses packets, is slow, or is long: pictures go on, young enough, without a restart loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.capture.rig import Rig
from tests.edge.faults_support import percentile
from tests.faults.camera_wire import BUSY, FPS, GROUP_S, Ages, at_its_ends
from tests.faults.scorecard import Control, Row, record, size
from tests.faults.test_cable import longest_gap_s
from tests.faults.wire import Wire, wire
from vedette.contracts.camera import CameraState

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(600)]

LOSS: Final = 0.2
KBIT: Final = 200
ROUND_TRIP_S: Final = 0.6
#: More connections lost and processes replaced a minute than this are a restart loop.
BREAKS_A_MINUTE: Final = 3.0
#: A stream goes on that has a picture per group of pictures on average, and never none for longer than three groups.
LEAST_FPS: Final = 1.0 / GROUP_S
GAP_GROUPS: Final = 3
FIRST_S: Final = 60.0
_WELL: Final = (CameraState.CONNECTING, CameraState.STREAMING, CameraState.NO_KEYFRAME)


@dataclass(frozen=True)
class Seen:
    """Of one camera over one way, after its first picture.

    Attributes:
        ages_s: of each picture when it was had.
        breaks: connections that were lost and processes that were replaced.
        reason: what the state says in the end.
    """

    what: str
    lasted_s: float
    ages_s: tuple[float, ...]
    gap_s: float
    breaks: int
    reason: str = ""

    @property
    def p99_s(self) -> float:
        """Age of pictures."""
        return percentile(list(self.ages_s), 0.99)

    @property
    def fps(self) -> float:
        """Pictures had a second."""
        return len(self.ages_s) / self.lasted_s

    def holds(self, limit_s: float) -> bool:
        """Whether pictures go on, young enough, without a restart loop."""
        goes_on = self.fps >= LEAST_FPS and self.gap_s <= GAP_GROUPS * GROUP_S
        return self.p99_s <= limit_s and goes_on and self.breaks * 60 <= BREAKS_A_MINUTE * self.lasted_s

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.fps:.1f} of {FPS} pictures a second, longest gap {self.gap_s:.1f} s, age p50 "
            f"{percentile(list(self.ages_s), 0.5):.2f} s, p99 {self.p99_s:.2f} s, {self.breaks} breaks in {self.lasted_s:.0f} s"
        )


def watch(what: str, cable: Wire, folder: Path, transport: str, lasts_s: float, **options: Any) -> Seen:
    """Look at a camera for so long from its first picture on."""
    ages = Ages()
    with at_its_ends(cable, folder, look=ages.look, camera={"transport": transport}, **options) as (simulator, rig):
        begun_s = time.monotonic()
        try:
            rig.until(lambda: rig.frames, FIRST_S)
        except AssertionError:  # none at all counts as one as old as the wait for it, here and below
            return Seen(what, FIRST_S, (FIRST_S,), FIRST_S, _breaks(rig, begun_s))
        from_s = time.monotonic()
        time.sleep(lasts_s)
        found = ages.since(from_s, simulator.camera().loops()) or [lasts_s]
        gap_s = longest_gap_s([from_s, *(t for t, _ in rig.frames if t >= from_s), time.monotonic()])
        return Seen(what, lasts_s, tuple(found), gap_s, _breaks(rig, from_s), rig.status.reason)


def _breaks(rig: Rig, from_s: float) -> int:
    """How often the camera stopped being well since a moment, and processes that were replaced."""
    states = [status.state for t, status in rig.statuses if t >= from_s]
    before = [CameraState.STREAMING, *states]
    return len(rig.exits) + sum(a in _WELL and b not in _WELL for a, b in zip(before, states, strict=False))


def row_of(part: str, name: str, seen: Sequence[Seen], limit_s: float, control: Control, more: str = "") -> Row:
    """The row of a kind of way."""
    value = max(each.p99_s for each in seen)
    return Row(
        id=f"C6-{part}",
        name=f"{name}: age of pictures, p99",
        value=round(value, 2),
        unit="s",
        n=sum(len(each.ages_s) for each in seen),
        goal=f"≤ {limit_s:.1f} s (1.5 round trips and a group of pictures); ≤ {BREAKS_A_MINUTE:g} breaks a minute; a picture per group of "
        f"pictures ({GROUP_S:g} s) on average, none for {GAP_GROUPS} groups at most",
        passed=all(each.holds(limit_s) for each in seen) and control.seen,
        control=control,
        notes="; ".join(str(each) for each in seen)
        + f". A break is a connection lost or a process replaced. A veth pair between two network namespaces. {more}".rstrip(),
    )


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_c6_a_fifth_of_all_packets_lost(short_tmp: Path, transport: str) -> None:
    begun_s, lasts_s = time.monotonic(), size(quick=15.0, full=60.0)
    over = f"over {transport.upper()}"
    with wire() as cable:
        cable.lose(LOSS)
        seen = watch(over, cable, short_tmp, transport, lasts_s)
        lost = cable.lost()
    control = Control("packets thrown away, by the kernel's count, %", round(100 * lost, 1), lost > LOSS / 2)
    more = "Each packet is lost or not by the kernel's random numbers, either way, those of the opening too."
    if transport == "udp":
        more += " Nearly every group of pictures misses something; nothing of a damaged group is analysed: choose TCP."
    row = row_of(f"loss-{transport}", f"20 % of packets lost, {over}", [seen], GROUP_S, control, more)
    record(row, time.monotonic() - begun_s)
    assert row.passed, seen


def test_c6_a_slow_link(short_tmp: Path) -> None:
    begun_s, lasts_s = time.monotonic(), size(quick=15.0, full=40.0)
    with wire() as cable:
        well = watch("fast", cable, short_tmp, "tcp", size(quick=5.0, full=10.0))
        cable.slow(KBIT)
        seen = [watch(f"over {each.upper()}", cable, short_tmp, each, lasts_s) for each in ("tcp", "udp")]
        middle_s = time.monotonic()
        over = watch("over TCP", cable, short_tmp, "tcp", size(quick=15.0, full=30.0), busy=BUSY)
    slower_s = min(each.p99_s for each in seen) - well.p99_s
    control = Control("later than over a fast link, p99, s", round(slower_s, 2), slower_s > 0.1)
    fits = row_of("slow", f"{KBIT} kbit/s for a stream of about 175", seen, GROUP_S, control)
    record(fits, middle_s - begun_s)
    more = (
        "What does not fit waits in the camera, over TCP: this one keeps megabytes, one that leaves out packets instead "
        f"keeps its pictures younger. The state says: {over.reason or 'nothing'}."
    )
    later_s = over.p99_s - fits.value
    control = Control("later than what fits, p99, s", round(later_s, 1), later_s > 1.0)
    too_much = row_of("over", f"{KBIT} kbit/s for a stream of about 450", [over], GROUP_S, control, more)
    record(too_much, time.monotonic() - middle_s)
    assert fits.passed, seen
    assert "late" in over.reason, over
    assert too_much.passed, over


def test_c6_a_long_way(short_tmp: Path) -> None:
    begun_s, limit_s = time.monotonic(), 1.5 * ROUND_TRIP_S + GROUP_S
    with wire() as cable:
        lasts_s = size(quick=15.0, full=60.0)
        seen = watch("over TCP", cable, short_tmp, "tcp", lasts_s, round_trip_s=ROUND_TRIP_S)
    median_s = percentile(list(seen.ages_s), 0.5)
    control = Control("the way there, seen in the age of pictures (median, s)", round(median_s, 2), median_s >= 0.3)
    more = "Delayed by a proxy: all but the handshake of TCP itself."
    row = row_of("far", f"{1000 * ROUND_TRIP_S:g} ms there and back", [seen], limit_s, control, more)
    record(row, time.monotonic() - begun_s)
    assert row.passed, seen
