"""The newest figures of insights in a terminal: one line for each."""

from __future__ import annotations

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from vedette.cli.tables import plain_table
from vedette.contracts.insight import InsightReport
from vedette.core.insights.words import in_words


def insight_table(reports: Iterable[InsightReport]) -> Table:
    """A row for each insight of each report, its interval in local time."""
    table = plain_table("insight", "camera", "interval", "figures")
    for report in sorted(reports, key=lambda report: (report.application, report.device_camera, report.pipeline)):
        for name, values in report.values.items():
            table.add_row(escape(name), escape(report.camera), interval(report), escape(in_words(values)))
    return table


def insight_line(report: InsightReport) -> str:
    """One report as one line of plain text, for ``--headless``."""
    figures = "; ".join(f"{name}: {in_words(values)}" for name, values in report.values.items())
    return f"{report.camera} {interval(report)}: {figures}"


def interval(report: InsightReport) -> str:
    """When, in local time; seconds only where the interval does not begin or end with a minute."""
    start, end = report.start.astimezone(), report.end.astimezone()
    form = "%H:%M:%S" if start.second or end.second else "%H:%M"
    return f"{start:{form}} to {end:{form}}"
