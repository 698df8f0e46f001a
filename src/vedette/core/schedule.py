"""When a rule is armed: local days and times of a time zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from vedette.contracts.manifest import Schedule, Weekday

_DAYS = tuple(Weekday)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def armed(schedule: Schedule | None, wall_s: float) -> bool:
    """Whether a rule with this schedule may alert.

    The wall clock of the time zone decides, start included, end excluded. A span that ends before it starts, or when
    it starts, runs over midnight and belongs to the day on which it starts. Where clocks are put forward, what falls
    into the hour that does not exist is left out; where they are put back, the hour that comes twice is armed twice.

    Args:
        schedule: None is always armed.
        wall_s: Unix time.
    """
    if schedule is None:
        return True
    local = datetime.fromtimestamp(wall_s, _zone(schedule.timezone))
    now = local.time()
    start, end = schedule.start.replace(tzinfo=None), schedule.end.replace(tzinfo=None)
    today = _DAYS[local.weekday()] in schedule.days
    if start < end:
        return today and start <= now < end
    yesterday = _DAYS[(local.date() - timedelta(days=1)).weekday()] in schedule.days
    return (today and now >= start) or (yesterday and now < end)
