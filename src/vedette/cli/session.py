"""One ``vedette run`` from its start to its summary."""

from __future__ import annotations

import math
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from vedette.adapters.state.latest import read_latest_insights
from vedette.adapters.state.layout import StateLayout
from vedette.cli.hook_view import hook_notes
from vedette.cli.insight_lines import insight_line
from vedette.cli.live_view import AnalysisFigures, LiveView, alert_line
from vedette.cli.local_values import LocalValues
from vedette.cli.panorama_view import panorama_notes
from vedette.cli.viewer import Viewer
from vedette.contracts import topics
from vedette.contracts.alert import Alert
from vedette.contracts.camera import CameraState, CameraStatus
from vedette.contracts.insight import InsightReport
from vedette.local.core import ComponentState, LocalMessage
from vedette.local.edge import Edge, EdgeSettings

REFRESH_S: Final = 0.25
#: After the last picture of the last recording: time for its analysis, its judging and its delivery.
AFTER_THE_END_S: Final = 3.0
#: Below this, journal and outbox may be refused any moment.
LOW_DISK_BYTES: Final = 8 << 20
_MODEL_PROBLEMS: Final = frozenset({"FAILED", "DEGRADED", "RESTARTING"})


class Session:
    """The edge side, a view of it, a summary at the end.

    Args:
        settings: what to run.
        viewer: makes the terminal; given what to call when its reader has gone.
        keep: whether the files of the run are there afterwards.
        remarks: lines for the live view from whoever runs this, asked for each time it is drawn.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        viewer: Callable[[Callable[[], None]], Viewer] = Viewer,
        *,
        keep: bool = True,
        remarks: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._settings = settings
        self._keep = keep
        self._remarks = remarks
        self._done = threading.Event()
        self._viewer = viewer(self._done.set)
        manifests = [app.manifest for app in settings.applications]
        titles = " + ".join(manifest.title or manifest.name for manifest in manifests)
        self._view = LiveView(f"{titles} · {settings.root}", several=len(manifests) > 1, devices=_devices(settings))
        self._plain = False
        self._alerts = AlertFollower(settings.alerts_file)
        self._insights = InsightFollower(settings.state_directory)
        self._models: dict[str, tuple[str, str]] = {}
        self._analysed: Counter[str] = Counter()
        self._alerting: tuple[str, ...] = ()
        self._broken = False
        self._ended_s = math.inf

    def run(self, limit_s: float | None, *, headless: bool) -> bool:
        """Until Ctrl-C, SIGTERM, SIGHUP, the time is over or every recording is at its end; prints the summary.

        Returns:
            Whether everything that was to run did so in the end: no model had failed, no component was broken.

        Raises:
            BrokenPipeError: whoever read the output went away; everything was ended in order.
        """
        started_s = time.monotonic()
        self._plain = headless
        with _until_signalled(self._done), Edge(self._settings) as edge:
            edge.core.subscribe_local("vedette/#", self._on_message)
            with nullcontext() if headless else self._viewer.live(self._view.render()):
                reason = self._follow(edge, started_s, limit_s)
            self._viewer.note(f"{reason}ending …", "dim")
        self._take_alerts()
        self._summary(time.monotonic() - started_s)
        if self._viewer.gone:
            raise BrokenPipeError
        return self._well

    @property
    def _well(self) -> bool:
        return not self._broken and all(state != "FAILED" for state, _ in self._models.values())

    def _follow(self, edge: Edge, started_s: float, limit_s: float | None) -> str:
        names = [app.manifest.name for app in self._settings.applications if app.manifest.parameters]
        local = LocalValues(self._settings.state_directory, names, lambda text: self._viewer.note(text, "yellow"))
        while not self._done.is_set():
            local.look()
            self._take_alerts()
            self._take_insights()
            self._show_problems((*self._component_problems(edge), *self._other_problems()))
            self._view.remarks = tuple(self._remarks())
            self._viewer.draw(self._view.render())
            now_s = time.monotonic()
            if self._is_over(now_s):
                self._done.set()
                return "every recording is at its end; "
            left_s = REFRESH_S if limit_s is None else min(REFRESH_S, started_s + limit_s - now_s)
            if left_s <= 0:
                self._done.set()
                break
            self._done.wait(left_s)
        return ""

    def _is_over(self, now_s: float) -> bool:
        """Whether every camera is a recording that has ended, and what it led to has had its time."""
        states = [self._view.cameras.get(camera.name) for camera in self._settings.cameras]
        if not all(status is not None and status.state is CameraState.ENDED for status in states):
            self._ended_s = math.inf
            return False
        self._ended_s = min(self._ended_s, now_s)
        return now_s - self._ended_s >= AFTER_THE_END_S

    def _component_problems(self, edge: Edge) -> Iterator[str]:
        states = edge.core.states()
        self._broken = any(component.state is ComponentState.BROKEN for component in states.values())
        for name, component in states.items():
            if component.state is ComponentState.BROKEN:
                yield f"{name} is BROKEN (V604): it failed three times; see {edge.core.log_path(name)}"
            elif component.state is ComponentState.ERRORED:
                yield f"{name} failed ({component.reason}); it is started again"

    def _other_problems(self) -> Iterator[str]:
        for key, (state, error) in list(self._models.items()):
            if state in _MODEL_PROBLEMS and error:
                yield f"model {key} is {state}: {error}"
        yield from self._alerting
        yield from hook_notes(dict(self._view.hooks))
        yield from panorama_notes(dict(self._view.codes))
        try:
            free = shutil.disk_usage(self._settings.root).free
        except OSError as error:
            yield f"{self._settings.root}: {error.strerror}; nothing can be kept there"
            return
        if free < LOW_DISK_BYTES:
            yield (
                f"the disk of {self._settings.root} is full: alerts wait in memory until there is room, "
                "and are lost if this run ends before (V404)"
            )

    def _show_problems(self, problems: tuple[str, ...]) -> None:
        for problem in problems:
            if self._plain and problem not in self._view.problems:
                self._viewer.note(problem, "red")
        self._view.problems = problems

    def _take_alerts(self) -> None:
        for alert in self._alerts.new():
            self._view.add(alert)
            if self._plain:
                self._viewer.alert(alert_line(alert, now_s=time.time(), several=self._view.several))

    def _take_insights(self) -> None:
        fresh = self._insights.new()
        self._view.insights = self._insights.latest
        if self._plain:
            for report in fresh:
                self._viewer.note(insight_line(report))

    def _on_message(self, received: LocalMessage) -> None:
        """Called by LocalCore for every local message; keeps only the latest of each sender."""
        if self._done.is_set():
            return  # what stops now stops because it was told to
        try:
            message = received.json()
        except ValueError:
            return
        if received.topic.endswith("/status"):
            self._take_status(message)
        elif received.topic.startswith("vedette/inference/"):
            self._take_model(message)
        elif received.topic.startswith("vedette/hooks/"):
            self._take_hooks(message)
        elif received.topic == topics.local_alerting():
            self._alerting = tuple(str(problem) for problem in message.get("problems", ()))

    def _take_status(self, message: Any) -> None:
        try:
            status = CameraStatus.model_validate(message)
        except ValidationError:
            return
        before = self._view.cameras.get(status.camera)
        self._view.cameras[status.camera] = status
        if self._plain and (before is None or before.state is not status.state or before.reason != status.reason):
            reason = f": {status.reason}" if status.reason else ""
            self._viewer.note(f"{status.camera} {status.state.value}{reason}")

    def _take_model(self, message: dict[str, Any]) -> None:
        key, state, error = (str(message.get(name, "")) for name in ("model", "state", "error"))
        before, self._models[key] = self._models.get(key, ("", "")), (state, error)
        if self._plain and state != before[0] and state not in _MODEL_PROBLEMS:
            self._viewer.note(f"model {key} {state}{': ' if error else ''}{error}")
        for name, figures in message.get("cameras", {}).items():
            self._analysed[name] = max(self._analysed[name], int(figures.get("analysed", 0)))
            self._view.analysis[name] = AnalysisFigures(
                fps=float(figures.get("fps", 0.0)),
                inference_ms=float(figures.get("inference_p50_ms", 0.0)),
                analysed=int(figures.get("analysed", 0)),
                spared=int(figures.get("spared", 0)),
                dropped=int(figures.get("dropped", 0)),
                error=str(figures.get("error", "")),
            )

    def _take_hooks(self, message: dict[str, Any]) -> None:
        application, hooks = str(message.get("application", "")), message.get("hooks", {})
        for name, status in hooks.items():
            key, state = f"{application}/{name}", str(status.get("state", ""))
            before, self._view.hooks[key] = self._view.hooks.get(key, {}).get("state"), status
            if self._plain and state != before:
                self._viewer.note(f"hook {key} {state}")
        code = message.get("panorama")
        if isinstance(code, dict):
            for name, count in dict(code.get("given") or {}).items():
                self._analysed[name] = max(self._analysed[name], int(count))
            before, self._view.codes[application] = self._view.codes.get(application, {}).get("state"), code
            if self._plain and code.get("state") != before:
                self._viewer.note(f"Panorama code of {application} {code.get('state')}")

    def _summary(self, elapsed_s: float) -> None:
        total: Counter[str] = Counter()
        for (application, name, rule), n in self._view.counts.items():
            total[f"{f'{application}: ' if self._view.several else ''}{name} {rule}"] += n
        alerts = sum(total.values())
        where = f"; all in {self._settings.alerts_file}" if self._keep and alerts else ""
        self._viewer.note(f"{alerts} {'alert' if alerts == 1 else 'alerts'} in {elapsed_s:.0f} s{where}")
        for name, n in sorted(total.items()):
            self._viewer.note(f"  {n:4d} {name}")
        models_fail = any(state in _MODEL_PROBLEMS for state, _ in self._models.values())
        for camera in self._settings.cameras:
            if not self._analysed[camera.name]:
                why = ": see its model above" if models_fail else _why(self._view.cameras.get(camera.name))
                self._viewer.note(f"no picture of {camera.name} was analysed{why}", "yellow")


def _devices(settings: EdgeSettings) -> dict[tuple[str, str], str]:
    """(application, its camera) → the device's camera, the first where several are bound."""
    return {
        (app.manifest.name, camera): bound[0]
        for app in settings.applications
        for camera, bound in app.bindings.items()
        if bound
    }


def _why(status: CameraStatus | None) -> str:
    if status is None or status.state is CameraState.STREAMING:
        return ": the run ended before its model was ready"
    if status.state is CameraState.ENDED:
        return ": it was over before its model was ready; `vedette backtest` takes recordings from their first picture"
    return f": {status.state.value}{', ' if status.reason else ''}{status.reason}"


class AlertFollower:
    """Reads what is appended to a file of JSON lines; a line that is not finished yet waits.

    Args:
        path: the file; what is in it now is not read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0

    def new(self) -> Iterator[Alert]:
        """Alerts appended since the last call; lines that are none are passed over."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._position:  # put aside or emptied: a new file
                    self._position = 0
                file.seek(self._position)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._position += len(line)
                    try:
                        alert = Alert.model_validate_json(line)
                    except ValidationError:
                        continue
                    yield alert
        except OSError:  # not there yet, or not any more
            return


class InsightFollower:
    """Reads the newest reports of insights whenever they change.

    Args:
        directory: the state directory; what an earlier run left in it is not read.

    Attributes:
        latest: the newest report of each stream.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = StateLayout(directory).latest_insights
        self._seen = self._mark()
        self.latest: tuple[InsightReport, ...] = ()

    def new(self) -> list[InsightReport]:
        """Reports that were not there at the last call."""
        mark = self._mark()
        if mark in (None, self._seen):
            return []
        self._seen = mark
        known = {report.report_id for report in self.latest}
        self.latest = read_latest_insights(self._directory)
        return [report for report in self.latest if report.report_id not in known]

    def _mark(self) -> tuple[int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


@contextmanager
def _until_signalled(done: threading.Event) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP end the run in order; a second one ends it at once."""
    asked = False

    def handle(number: int, _frame: object) -> None:
        nonlocal asked
        if asked:
            sys.exit(128 + number)
        asked = True
        done.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
