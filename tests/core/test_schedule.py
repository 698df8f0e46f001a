"""When a rule is armed."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from vedette.contracts.manifest import Schedule
from vedette.core.schedule import armed


def at(text: str, zone: str = "Europe/Berlin", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def schedule(**fields: object) -> Schedule:
    return Schedule.model_validate({"timezone": "Europe/Berlin", **fields})


def test_no_schedule_is_always() -> None:
    assert armed(None, 0.0)
    assert armed(schedule(), at("2025-06-11T00:00"))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [("07:59:59", False), ("08:00", True), ("17:59:59", True), ("18:00", False)],
)
def test_start_is_in_and_end_is_out(moment: str, expected: bool) -> None:
    assert armed(schedule(start="08:00", end="18:00"), at(f"2025-06-11T{moment}")) is expected


def test_the_time_zone_decides() -> None:
    assert armed(schedule(start="08:00", end="09:00"), at("2025-06-11T06:30", "UTC"))
    assert not armed(schedule(start="08:00", end="09:00"), at("2025-06-11T08:30", "UTC"))


def test_days() -> None:
    weekdays = schedule(days=["mon", "tue", "wed", "thu", "fri"])
    assert armed(weekdays, at("2025-06-13T23:59"))
    assert not armed(weekdays, at("2025-06-14T00:00"))
    assert not armed(weekdays, at("2025-06-15T23:59"))


def test_over_midnight_belongs_to_the_day_it_starts() -> None:
    friday_night = schedule(days=["fri"], start="22:00", end="06:00")
    assert armed(friday_night, at("2025-06-13T22:00"))
    assert armed(friday_night, at("2025-06-14T05:59"))
    assert not armed(friday_night, at("2025-06-14T06:00"))
    assert not armed(friday_night, at("2025-06-13T05:00"))
    assert not armed(friday_night, at("2025-06-14T23:00"))


def test_until_midnight() -> None:
    evening = schedule(days=["fri"], start="20:00", end="00:00")
    assert armed(evening, at("2025-06-13T23:59:59"))
    assert not armed(evening, at("2025-06-14T00:00"))


def test_the_hour_that_does_not_exist_and_the_one_that_comes_twice() -> None:
    night = schedule(start="02:30", end="03:30")
    # 30 March 2025: 02:00 becomes 03:00. 26 October 2025: 03:00 becomes 02:00.
    assert not armed(night, at("2025-03-30T01:59:59"))
    assert armed(night, at("2025-03-30T03:10"))
    assert armed(night, at("2025-10-26T02:45", fold=0))
    assert not armed(night, at("2025-10-26T02:15", fold=1))
    assert armed(night, at("2025-10-26T02:45", fold=1))
