"""A camera that is far away answers late, each time: opening takes as many round trips as it has questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.capture.rig import Rig
from tests.capture.slow_proxy import SlowProxy
from vedette.adapters.capture.opening import OPEN_LIMIT_MAX_S, OPEN_LIMIT_S, opening_limit_s
from vedette.adapters.capture.probe import probe_stream
from vedette.contracts.camera import Transport
from vedette.core.url_policy import camera_policy, check_url
from vedette.testing.camera import CameraSimulator, CameraSource, Credentials

#: As over a satellite.
ROUND_TRIP_S = 0.6


@pytest.fixture
def far(clip: Path) -> Iterator[str]:
    """Address of a camera behind a long way, which asks for a password."""
    source = CameraSource(clip, name="cam")
    with CameraSimulator([source], "127.0.0.1", port=0, credentials=Credentials("viewer", "word")) as simulator:
        port = int(simulator.url("cam").rpartition("/")[0].rpartition(":")[2])
        with SlowProxy("127.0.0.1", port, ROUND_TRIP_S) as proxy:
            yield f"rtsp://127.0.0.1:{proxy.port}/cam"


@pytest.mark.processes
def test_a_far_camera_is_opened_once_and_stays(make_rig: Callable[..., Rig], far: str) -> None:
    rig = make_rig(far, camera={"transport": "tcp"}, username="viewer", password="word")
    rig.until(lambda: len(rig.frames) > 20, 20)
    assert (rig.status.reconnects, rig.exits) == (0, [])
    assert {status.state for _, status in rig.statuses} <= {"CONNECTING", "STREAMING"}, (
        "it never was called unreachable"
    )


def test_a_far_camera_is_measured(far: str) -> None:
    address = check_url(far.replace("//", "//viewer:word@"), camera_policy(), lambda _name: ())
    assert probe_stream(address, Transport.TCP, seconds=1.0).codec == "H.264"


@pytest.mark.parametrize(
    ("answer_s", "limit_s"), [(0.0, OPEN_LIMIT_S), (0.2, OPEN_LIMIT_S), (0.6, 4.8), (3.0, OPEN_LIMIT_MAX_S)]
)
def test_opening_may_take_longer_only_where_answers_do(answer_s: float, limit_s: float) -> None:
    assert opening_limit_s(answer_s) == pytest.approx(limit_s)
