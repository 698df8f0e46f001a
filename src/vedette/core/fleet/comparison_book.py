"""The reports of one comparison, in one item of a table. Pure."""

from __future__ import annotations

from typing import Final

from vedette.contracts.comparison import MAX_DEVICES, OTHER_LABELS, Comparison, ComparisonReport
from vedette.core.fleet.comparison import added_up

#: DynamoDB takes items of 400 KB; the rest is for keys and other attributes.
MAX_BYTES: Final = 350_000
#: Letters of a problem in a report that had to be made short.
_SHORT: Final = 100


def noted(kept: Comparison, report: ComparisonReport) -> Comparison | None:
    """The reports with one more; None where it changes nothing or there is no room.

    Of each device the newest counts, in whatever order they come. A report that would not fit is kept with its labels
    added up, which decides the same over all labels; one that does not fit even so is left out, as is a device more
    than are kept.

    Args:
        kept: what is there.
        report: of a device.
    """
    before = kept.reports.get(report.device)
    if before is not None and before.time >= report.time:
        return None
    if before is None and len(kept.reports) >= MAX_DEVICES:
        return None
    for one in (report, _short(report)):
        after = kept.model_copy(update={"reports": {**kept.reports, report.device: one}})
        if size(after) <= MAX_BYTES:
            return after
    return None


def size(comparison: Comparison) -> int:
    """Bytes of it, as it is kept."""
    return len(text(comparison).encode())


def text(comparison: Comparison) -> str:
    """As it is kept."""
    return comparison.model_dump_json(exclude_defaults=True)


def _short(report: ComparisonReport) -> ComparisonReport:
    golden = report.golden.model_copy(update={"failures": ()}) if report.golden is not None else None
    labels = {OTHER_LABELS: added_up(report.labels.values())} if report.labels else {}
    return report.model_copy(
        update={"labels": labels, "golden": golden, "problem": report.problem[:_SHORT], "notes": ()}
    )
