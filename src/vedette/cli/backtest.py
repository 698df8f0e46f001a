"""``vedette backtest``: a recording through an application, deterministically."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from vedette.adapters.manifest import load_manifest
from vedette.adapters.manifest.loading import manifest_path
from vedette.adapters.models.store import ModelStore
from vedette.cli.live_view import alert_line
from vedette.cli.run import with_resolved_models
from vedette.compose.backtest import Backtest
from vedette.contracts.alert import Alert
from vedette.contracts.errors import UsageError
from vedette.contracts.insight import InsightReport
from vedette.core.insights.size import report_json
from vedette.local.camera_arguments import parse_camera_arguments
from vedette.local.overrides import with_overrides


def backtest(
    manifest: Annotated[Path, typer.Argument(help="The application's vedette.yaml.")],
    camera: Annotated[list[str] | None, typer.Option(help="NAME=FILE; once per camera.")] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on standard output, one per alert.")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: a parameter; path=value: any value of the manifest.")
    ] = None,
    insights: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write reports of insights, one a line; - is standard output.")
    ] = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run the application's own code also where it cannot be confined.")
    ] = False,
    app_python: Annotated[
        Path | None, typer.Option(help="Interpreter of Panorama code; else the application's own, else this one.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="RFC 3339 time of the first picture; else the file's own, else 1970.")
    ] = None,
) -> None:
    """Put recordings through an application as fast as the machine can: the same alerts on every run.

    Examples:
        vedette backtest examples/people_flow/vedette.yaml --camera hall=recording.mp4

        vedette backtest vedette.yaml --camera hall=a.mp4 --set models.objects.min_confidence=0.5 --json > alerts.jsonl

        vedette backtest vedette.yaml --camera shop=shop.mp4 --insights - | jq .values
    """
    application = with_overrides(load_manifest(manifest), set_ or [])
    directory = manifest_path(manifest).resolve().parent
    application = with_resolved_models(application, directory, ModelStore.default())
    arguments = parse_camera_arguments(application, camera or [])
    for configured in arguments.cameras:
        if "://" in configured.url:
            raise UsageError(f"--camera {configured.name}: a backtest takes a file; use `vedette run` for a stream.")
    if insights is not None and not application.insights:
        raise UsageError("--insights: the manifest has no section `insights`, so there is nothing to report.")
    if insights == "-" and json_:
        raise UsageError("--insights - and --json both want standard output.", hint="Name a file for the reports.")
    test = Backtest(
        application,
        directory,
        arguments.cameras,
        dict(arguments.bindings),
        start=_parse_start(start),
        trust_code=trust_code,
        python=app_python,
    )
    reports = _Reports(insights)
    try:
        _print(test, Console(stderr=True), as_json=json_, silent=insights == "-", write=reports.write)
    finally:
        reports.close()


class _Reports:
    """Writes reports of insights as they come.

    Args:
        target: a file, ``-`` for standard output, or None for nowhere.

    Raises:
        UsageError: V701, the file cannot be written.
    """

    def __init__(self, target: str | None) -> None:
        self._target = target
        self._file: IO[bytes] | None = None
        if target not in (None, "-"):
            try:
                self._file = Path(str(target)).open("wb")  # noqa: SIM115 - closed by whoever made this
            except OSError as error:
                raise self._refused(error) from error

    def write(self, report: InsightReport) -> None:
        """One line."""
        if self._target == "-":
            typer.echo(report_json(report))
        elif self._file is not None:
            try:
                self._file.write(report_json(report) + b"\n")
                self._file.flush()
            except OSError as error:
                raise self._refused(error) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _refused(self, error: OSError) -> UsageError:
        return UsageError(f"--insights {self._target} cannot be written: {error.strerror or error}.")


def _parse_start(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--start {text!r} is not a time such as 2026-03-01T08:00:00+01:00.") from error
    if moment.tzinfo is None:
        raise UsageError(f"--start {text!r} has no time zone; write 2026-03-01T08:00:00+01:00 or …Z.")
    return moment


def _print(
    test: Backtest, console: Console, *, as_json: bool, silent: bool, write: Callable[[InsightReport], None]
) -> None:
    """Alerts to standard output as they come; progress and summary to standard error."""
    began_s = time.monotonic()
    counts: Counter[tuple[str, str]] = Counter()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[media]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("decoding", total=None, media="")

        def progress(name: str, media_s: float) -> None:
            bar.update(task, description=name, media=f"{media_s:.1f} s")

        for alert in _counted(test.alerts(progress, write), counts):
            if silent:  # standard output belongs to the reports
                continue
            typer.echo(alert.model_dump_json(exclude_none=True) if as_json else alert_line(alert))
    elapsed_s = time.monotonic() - began_s
    for problem in (*test.report.problems, *test.report.hook_problems):
        console.print(f"note: {problem}", style="yellow", highlight=False, soft_wrap=True, markup=False)
    for gap in test.report.not_analysed:
        console.print(f"not analysed: {gap.camera} {gap.seconds:.1f} s: {gap.reason}", highlight=False, soft_wrap=True)
    for name, media_s in test.report.media_s.items():
        console.print(f"{name}: {test.report.pictures[name]} pictures of {media_s:.1f} s analysed", highlight=False)
    for (name, rule), n in sorted(counts.items()):
        console.print(f"  {n:4d} {name} {rule}", highlight=False)
    speed = sum(test.report.media_s.values()) / max(elapsed_s, 1e-9)
    console.print(f"{sum(counts.values())} alerts in {elapsed_s:.1f} s, {speed:.1f} × real time", highlight=False)


def _counted(alerts: Iterable[Alert], counts: Counter[tuple[str, str]]) -> Iterable[Alert]:
    for alert in alerts:
        counts[alert.camera, alert.rule] += 1
        yield alert
