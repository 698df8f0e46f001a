"""When pictures were taken, whatever happens to the clock on the wall."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.contracts.test_schemas import BATCH
from tests.outbox.samples import alert
from vedette.contracts.alert import Alert
from vedette.contracts.tracks import TrackBatch
from vedette.pipeline.pictures import KNOWN, PictureTimes
from vedette.ports.outbox import OutboxRow


class Device:
    """Two clocks; the one on the wall can be set."""

    def __init__(self) -> None:
        self.now_s = 500.0
        self.offset_s = 1.7e9
        self.pictures = PictureTimes(monotonic=lambda: self.now_s, wall_s=lambda: self.now_s + self.offset_s)

    def picture(self, at_s: float, number: int = 1) -> tuple[Alert, TrackBatch]:
        """An alert about a picture, and its batch, as they are made when it is taken."""
        wall_s = at_s + self.offset_s
        one = alert(number).model_copy(update={"time": datetime.fromtimestamp(wall_s, UTC)})
        return one, replace(BATCH, frame=replace(BATCH.frame, t_s=at_s, wall_s=wall_s))


def row(one: Alert) -> OutboxRow:
    return OutboxRow(1, "app/x", one.alert_id, "app/gate", one.model_dump_json().encode())


@pytest.mark.parametrize("step_s", [-7200.0, -0.15, 0.0, 0.15, 7200.0, -1.7e9])
def test_a_step_of_the_clock_after_the_picture_changes_nothing(step_s: float) -> None:
    device = Device()
    one, batch = device.picture(at_s=501.0)
    device.now_s = 501.2
    device.offset_s += step_s
    device.pictures.note(one, batch)
    device.now_s = 501.3
    assert device.pictures.taken_s(row(one)) == pytest.approx(501.0, abs=1e-5)


def test_an_earlier_picture_than_that_of_the_batch() -> None:
    device = Device()
    one, _ = device.picture(at_s=501.0)
    _, batch = device.picture(at_s=501.5)
    device.now_s = 501.7
    device.pictures.note(one, batch)
    assert device.pictures.taken_s(row(one)) == pytest.approx(501.0, abs=1e-5)


def test_what_was_committed_before_this_process_began_is_dated_by_the_clock_as_it_stands() -> None:
    device = Device()
    one, _ = device.picture(at_s=499.0)
    assert device.pictures.taken_s(row(one)) == pytest.approx(499.0, abs=1e-5)
    device.offset_s += 3600.0
    taken_s = device.pictures.taken_s(row(one))
    assert taken_s == pytest.approx(499.0 - 3600.0, abs=1e-5), "set ahead: it looks older, never newer"


def test_a_picture_of_the_future_is_not_believed() -> None:
    device = Device()
    one, _ = device.picture(at_s=499.0)
    device.offset_s -= 3600.0
    assert device.pictures.taken_s(row(one)) is None


def test_a_batch_of_another_boot_is_not_believed() -> None:
    device = Device()
    for t_s in (9_000.0, 20.0):
        one, batch = device.picture(at_s=499.0)
        device.pictures.note(one, replace(batch, frame=replace(batch.frame, t_s=t_s)))
        assert device.pictures.taken_s(row(one)) == pytest.approx(499.0, abs=1e-5)


def test_several_receivers_may_ask_and_memory_is_bounded() -> None:
    device = Device()
    for number in range(KNOWN + 100):
        device.pictures.note(*device.picture(at_s=500.0, number=number))
    assert len(device.pictures._known) == KNOWN
    one, _ = device.picture(at_s=500.0, number=KNOWN + 99)
    assert [device.pictures.taken_s(row(one)) for _ in range(2)] == pytest.approx([500.0, 500.0], abs=1e-5)
