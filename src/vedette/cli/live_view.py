"""What ``vedette run`` shows: a row per camera, and alerts as they come."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vedette.cli.hook_view import hook_table
from vedette.cli.insight_lines import insight_table
from vedette.cli.panorama_view import panorama_table
from vedette.contracts.alert import Alert, Severity
from vedette.contracts.camera import CameraState, CameraStatus
from vedette.contracts.insight import InsightReport

SHOWN_ALERTS: Final = 10
_STATE_STYLE: Final = {CameraState.STREAMING: "green", CameraState.CONNECTING: "yellow", CameraState.ENDED: "cyan"}
_SEVERITY_STYLE: Final = {Severity.INFO: "cyan", Severity.WARNING: "yellow", Severity.CRITICAL: "bold red"}


@dataclass(frozen=True, slots=True)
class AnalysisFigures:
    """What inference says of one camera over the last second or so.

    Attributes:
        fps: pictures analysed a second.
        inference_ms: median time of one analysis.
        analysed: pictures analysed since the start.
        spared: pictures among them in which nothing had moved, so that no model was run.
        dropped: pictures offered but not analysed since the start.
        error: why nothing is analysed, for people.
    """

    fps: float = 0.0
    inference_ms: float = 0.0
    analysed: int = 0
    spared: int = 0
    dropped: int = 0
    error: str = ""


@dataclass(slots=True)
class LiveView:
    """The latest of everything; rendering is pure.

    Attributes:
        title: first line.
        cameras: camera name → its last status.
        analysis: camera name → figures of inference.
        several: whether alerts are of more than one application, so that its name is shown.
        devices: (application, its camera) → the device's camera; the same name where absent.
        counts: (application, camera, rule) → alerts since the start.
        problems: components that are broken and the like.
        insights: the newest report of each stream.
        remarks: what whoever runs this has to say.
        hooks: ``<application>/<hook>`` → how it is.
        codes: application → how its Panorama code is.
    """

    title: str
    cameras: dict[str, CameraStatus] = field(default_factory=dict)
    analysis: dict[str, AnalysisFigures] = field(default_factory=dict)
    several: bool = False
    devices: Mapping[tuple[str, str], str] = field(default_factory=dict)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    problems: tuple[str, ...] = ()
    insights: tuple[InsightReport, ...] = ()
    remarks: tuple[str, ...] = ()
    hooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _recent: deque[Alert] = field(default_factory=lambda: deque(maxlen=SHOWN_ALERTS))

    def add(self, alert: Alert) -> None:
        """Count an alert and show it among the latest."""
        self.counts[alert.application, alert.camera, alert.rule] += 1
        self._recent.appendleft(alert)

    def render(self) -> RenderableType:
        """The whole view."""
        parts: list[RenderableType] = [self._camera_table(), *self._reasons()]
        parts += [Text(problem, style="bold red") for problem in self.problems]
        if self.hooks:
            parts.append(hook_table(self.hooks))
        if self.codes:
            parts.append(panorama_table(self.codes))
        if self.insights:
            parts.append(insight_table(self.insights))
        parts += [Text(remark, style="dim") for remark in self.remarks]
        parts.append(self._alert_table())
        return Panel(Group(*parts), title=self.title, subtitle="Ctrl-C ends", border_style="blue")

    def _camera_table(self) -> Table:
        table = Table(expand=True, box=None, header_style="bold")
        for heading in ("camera", "state", "picture"):
            table.add_column(heading, no_wrap=True)
        sparing = any(figures.spared for figures in self.analysis.values())
        for heading in ("fps in", "analysed", *(("spared",) if sparing else ()), "ms", "dropped", "alerts"):
            table.add_column(heading, justify="right")
        alerts: Counter[str] = Counter()
        for (application, camera, _), n in self.counts.items():
            alerts[self.devices.get((application, camera), camera)] += n
        for name in sorted(self.cameras):
            status = self.cameras[name]
            figures = self.analysis.get(name, AnalysisFigures())
            health = status.health.state.value
            table.add_row(
                name,
                Text(status.state.value, style=_STATE_STYLE.get(status.state, "red")),
                f"{status.codec} {status.width}×{status.height}" + ("" if health == "good" else f" {health}"),
                f"{status.stream_fps:.1f}",
                f"{figures.fps:.1f}",
                *((f"{100 * figures.spared / max(figures.analysed, 1):.0f} %",) if sparing else ()),
                f"{figures.inference_ms:.0f}",
                str(figures.dropped),
                str(alerts[name]),
            )
        return table

    def _reasons(self) -> list[RenderableType]:
        """What is wrong with which camera; below the table, where there is room for a sentence."""
        lines: list[RenderableType] = []
        for name, status in sorted(self.cameras.items()):
            words = " ".join(part for part in (status.reason, self.analysis.get(name, AnalysisFigures()).error) if part)
            if words:
                lines.append(Text.assemble((f"{name}: ", "bold"), words))
        return lines

    def _alert_table(self) -> Table:
        table = Table(expand=True, box=None, header_style="bold")
        application = ("application",) if self.several else ()
        for heading in ("time", *application, "camera", "rule", "severity"):
            table.add_column(heading, no_wrap=True)
        table.add_column("what happened", ratio=1)
        for alert in self._recent:
            table.add_row(
                alert.time.astimezone().strftime("%H:%M:%S.%f")[:-5],
                *((alert.application,) if self.several else ()),
                alert.camera,
                alert.rule,
                Text(alert.severity.value, style=_SEVERITY_STYLE[alert.severity]),
                alert.message,
            )
        if not self._recent:
            table.add_row(*[""] * (len(table.columns) - 1), Text("no alert yet", style="dim"))
        return table


def alert_line(alert: Alert, *, now_s: float | None = None, several: bool = False) -> str:
    """One alert as one line of plain text, for ``--headless``.

    Args:
        alert: what happened.
        now_s: Unix time, for the delay since the picture.
        several: whether the application's name is to be said.
    """
    delay = "" if now_s is None else f" (+{max(0.0, now_s - alert.time.timestamp()):.2f} s)"
    stamp = alert.time.astimezone(UTC) if now_s is None else alert.time.astimezone()
    where = f"{alert.application} {alert.camera}" if several else alert.camera
    return f"{_clock(stamp)} {where} {alert.rule} {alert.severity.value}: {alert.message}{delay}"


def _clock(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S.%f")[:-4]
