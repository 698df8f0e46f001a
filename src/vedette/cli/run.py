"""``vedette run``: an application on this machine, with the processes, recipes and messages of a device."""

from __future__ import annotations

import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.live import Live

from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore, resolve_model
from vedette.cli.live_view import AnalysisFigures, LiveView, alert_line
from vedette.contracts.alert import Alert
from vedette.contracts.camera import CameraStatus
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Manifest
from vedette.local.camera_arguments import parse_camera_arguments
from vedette.local.core import BrokerIot, ComponentState, LocalMessage
from vedette.local.edge import Edge, EdgeSettings
from vedette.local.overrides import with_overrides

REFRESH_S: Final = 0.25
_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds of ``90``, ``60s``, ``2m`` or ``1.5h``.

    Raises:
        UsageError: V701, not of that form.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None:
        raise UsageError(f"duration {text!r} is not a number with s, m or h behind it, such as 60s or 2m.")
    return float(match[1]) * _UNITS[match[2]]


def with_resolved_models(manifest: Manifest, directory: Path, store: ModelStore) -> Manifest:
    """The manifest with every model file absolute.

    Raises:
        ModelError: V301, a model is neither beside the manifest nor in the store.
    """
    models = {
        name: model.model_copy(update={"file": str(resolve_model(model.file, directory, store))})
        for name, model in manifest.models.items()
    }
    return manifest.model_copy(update={"models": models})


def run(
    manifest: Annotated[Path, typer.Argument(help="The application's vedette.yaml.")],
    camera: Annotated[list[str] | None, typer.Option(help="NAME=URL or NAME=FILE; once per camera.")] = None,
    sub: Annotated[
        list[str] | None, typer.Option(help="NAME=URL: a camera's small stream; analysis uses it where it can.")
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", help="End after this time, such as 60s or 2m.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every alert to this file, one a line.")
    ] = None,
    headless: Annotated[bool, typer.Option(help="Plain lines instead of the live view.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="path=value: replace a value of the manifest.")
    ] = None,
    loop: Annotated[bool, typer.Option(help="Files used as cameras start again at their end.")] = False,
    state: Annotated[
        Path | None, typer.Option(help="Where journal, outbox and logs are kept; default ~/.local/state/vedette/NAME.")
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="HOST:PORT of an MQTT broker that stands for IoT Core (mutual TLS).")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="With --broker: certificate of its authority.")] = None,
    cert: Annotated[Path | None, typer.Option(help="With --broker: this device's certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="With --broker: this device's private key.")] = None,
    lite: Annotated[bool, typer.Option(help="Behave as nucleus lite does, quirks included.")] = False,
) -> None:
    """Run an application on this machine: real cameras in, alerts out, nothing in the cloud.

    Examples:
        vedette run examples/people_flow/vedette.yaml --camera hall=rtsp://user:password@10.0.0.7/stream

        vedette run vedette.yaml --camera gate=recording.mp4 --loop --for 60s --json alerts.jsonl --headless
    """
    limit_s = None if for_ is None else parse_duration(for_)
    application = with_overrides(load_manifest(manifest), set_ or [])
    application = with_resolved_models(application, manifest.resolve().parent, ModelStore.default())
    arguments = parse_camera_arguments(application, camera or [], sub_streams=sub or [], loop=loop)
    root = state or Path.home() / ".local" / "state" / "vedette" / application.name
    alerts_file = (json_file or root / "run-alerts.jsonl").resolve()
    settings = EdgeSettings(
        manifest=application,
        cameras=arguments.cameras,
        bindings=arguments.bindings,
        secrets=arguments.secrets,
        root=root.resolve(),
        alerts_file=alerts_file,
        iot=_broker(broker, ca, cert, key),
        thing_name=re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64] or "laptop",
        lite_quirks=lite,
    )
    Session(settings, Console(stderr=headless)).run(limit_s, headless=headless)


def _broker(broker: str | None, ca: Path | None, cert: Path | None, key: Path | None) -> BrokerIot | None:
    if broker is None:
        return None
    host, _, port = broker.rpartition(":")
    if not host or not port.isdigit() or ca is None or cert is None or key is None:
        raise UsageError("--broker HOST:PORT also needs --ca, --cert and --key: IoT Core speaks mutual TLS only.")
    return BrokerIot(host=host, port=int(port), ca_file=ca, cert_file=cert, key_file=key)


class Session:
    """One ``vedette run``: the edge side, a view of it, a summary at the end.

    Args:
        settings: what to run.
        console: where to show it.
        keep: whether the files of the run are there afterwards.
    """

    def __init__(self, settings: EdgeSettings, console: Console, *, keep: bool = True) -> None:
        self._settings = settings
        self._keep = keep
        self._console = console
        self._view = LiveView(f"{settings.manifest.title or settings.manifest.name} · {settings.root}")
        self._done = threading.Event()
        self._plain = False
        self._alerts = AlertFollower(settings.alerts_file)
        self._models: dict[str, str] = {}

    def run(self, limit_s: float | None, *, headless: bool) -> None:
        """Until Ctrl-C, SIGTERM or the time is over; prints the summary."""
        started_s = time.monotonic()
        self._plain = headless
        with _until_signalled(self._done), Edge(self._settings) as edge:
            edge.core.subscribe_local("vedette/#", self._on_message)
            if headless:
                self._follow(edge, started_s, limit_s, lambda: None)
            else:
                with Live(self._view.render(), console=self._console, refresh_per_second=8, screen=False) as live:
                    self._follow(edge, started_s, limit_s, lambda: live.update(self._view.render()))
            self._console.print("ending …", style="dim")
        self._take_alerts(headless)
        self._summary(time.monotonic() - started_s)

    def _follow(self, edge: Edge, started_s: float, limit_s: float | None, refresh: Callable[[], None]) -> None:
        headless = self._plain
        while not self._done.is_set():
            self._take_alerts(headless)
            broken = (
                f"{name} is BROKEN (V604): it failed three times; see {edge.core.log_path(name)}"
                for name, component in edge.core.states().items()
                if component.state is ComponentState.BROKEN
            )
            self._show_problems((*broken, *(problem for problem in list(self._models.values()) if problem)), headless)
            refresh()
            left_s = REFRESH_S if limit_s is None else min(REFRESH_S, started_s + limit_s - time.monotonic())
            if left_s <= 0:
                break
            self._done.wait(left_s)

    def _show_problems(self, problems: tuple[str, ...], headless: bool) -> None:
        for problem in problems:
            if headless and problem not in self._view.problems:
                self._console.print(problem, style="red", highlight=False, soft_wrap=True)
        self._view.problems = problems

    def _take_alerts(self, headless: bool) -> None:
        for alert in self._alerts.new():
            self._view.add(alert)
            if headless:
                self._console.print(alert_line(alert, now_s=time.time()), highlight=False, soft_wrap=True)

    def _on_message(self, received: LocalMessage) -> None:
        """Called by LocalCore for every local message; keeps only the latest of each camera."""
        topic, message = received.topic, received.json()
        if topic.endswith("/status"):
            try:
                status = CameraStatus.model_validate(message)
            except ValidationError:
                return
            before = self._view.cameras.get(status.camera)
            self._view.cameras[status.camera] = status
            if self._plain and (before is None or before.state is not status.state):
                reason = f": {status.reason}" if status.reason else ""
                self._console.print(f"{status.camera} {status.state.value}{reason}", highlight=False, soft_wrap=True)
        elif topic.startswith("vedette/inference/"):
            error = str(message.get("error", ""))
            self._models[topic] = (
                f"model {message.get('model', '?')} is {message.get('state', '?')}: {error}" if error else ""
            )
            for name, figures in message.get("cameras", {}).items():
                self._view.analysis[name] = AnalysisFigures(
                    fps=float(figures.get("fps", 0.0)),
                    inference_ms=float(figures.get("inference_p50_ms", 0.0)),
                    dropped=int(figures.get("dropped", 0)),
                    error=str(figures.get("error", "")),
                )

    def _summary(self, elapsed_s: float) -> None:
        total: Counter[str] = Counter()
        for (name, rule), n in self._view.counts.items():
            total[f"{name} {rule}"] += n
        where = f"; all in {self._settings.alerts_file}" if self._keep else ""
        self._console.print(f"{sum(total.values())} alerts in {elapsed_s:.0f} s{where}", soft_wrap=True)
        for name, n in sorted(total.items()):
            self._console.print(f"  {n:4d} {name}", highlight=False)


class AlertFollower:
    """Reads what is appended to a file of JSON lines; a line that is not finished yet waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0

    def new(self) -> Iterator[Alert]:
        """Alerts appended since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._position += len(line)
                    yield Alert.model_validate_json(line)
        except FileNotFoundError:
            return


@contextmanager
def _until_signalled(done: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM end the run in order; a second one ends it at once."""

    def handle(number: int, _frame: object) -> None:
        if done.is_set():
            sys.exit(128 + number)
        done.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
