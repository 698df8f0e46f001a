"""``vedette app try``: the process of a candidate's component, and the same by hand beside a run on this machine."""

from __future__ import annotations

import logging
import os
import select
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.manifest import load_manifest
from vedette.cli.app_attach import Stopped, assignments, bindings, configuration, connect, wake_ups
from vedette.cli.tables import plain_table
from vedette.compose.candidate import Candidate, Surroundings
from vedette.contracts import topics
from vedette.contracts.comparison import Agreement, ComparisonPolicy, ComparisonReport, ComparisonTask
from vedette.contracts.config import CandidateConfig
from vedette.contracts.errors import UsageError

#: Between two looks at the journal.
STEP_S: Final = 0.5
#: Behind what the device is there for: what is late in the journal is read later.
_NICE: Final = 10
_BY_HAND: Final = "by-hand-00"


def try_(
    directory: Annotated[Path, typer.Argument(help="The new version's directory, with vedette.yaml in it.")],
    state: Annotated[
        Path | None, typer.Option("--state", help="State directory of a run on this machine; else from Greengrass.")
    ] = None,
    bind: Annotated[
        list[str] | None, typer.Option(help="CAMERA=DEVICE_CAMERA[,…]: what the application's camera is here.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE: a parameter's value.")] = None,
    frames: Annotated[
        int | None, typer.Option(help="Pictures to compare.", min=50, max=100_000, show_default="2000")
    ] = None,
    timeout_s: Annotated[
        int | None, typer.Option("--timeout", help="Seconds.", min=60, max=604_800, show_default="3600")
    ] = None,
    code_python: Annotated[
        Path | None, typer.Option(help="Interpreter that was installed for the application's Panorama code.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="The report as one JSON object on standard output.")] = False,
) -> None:
    """Compare a new version of an application with the one that runs: same pictures, alerts from the running one alone.

    A candidate's component calls it: configuration comes over Greengrass then, reports go to the account, and the
    process stays until it is told to end. With --state it compares on this machine and prints what it found.

    Examples:
        vedette app try ../new-version --state ~/.local/state/vedette/gate/state --frames 500

        vedette app try . --set threshold=0.4 --state /var/lib/vedette --json
    """
    manifest = load_manifest(directory)
    tests = [sys.executable, "-s", "-P", "-m", "vedette", "app", "test", str(directory.resolve()), "--json"]
    if code_python is not None and code_python.exists():
        tests += ["--app-python", str(code_python.absolute())]

    def surroundings(device: str, work: Path, publish: Callable[[bytes], None]) -> Surroundings:
        return Surroundings(directory, manifest, device, work, publish, tuple(tests))

    if state is None:
        if bind or set_ or frames is not None or timeout_s is not None or json_:
            raise UsageError(
                "--bind, --set, --frames, --timeout and --json are for use with --state; "
                "under Greengrass they are configuration."
            )
        _component(surroundings)
        return
    given = {"frames": frames, "timeout_s": timeout_s}
    config = CandidateConfig(
        stateDirectory=str(state),
        bindings=bindings(bind or []),
        parameters=assignments(set_ or []),
        task=ComparisonTask(
            rollout_id=_BY_HAND,
            policy=ComparisonPolicy.model_validate({key: value for key, value in given.items() if value is not None}),
        ),
    )
    report = _by_hand(surroundings, config, quiet=json_)
    if json_:
        print(report.model_dump_json())
    else:
        _print(report)


def _component(surroundings: Callable[[str, Path, Callable[[bytes], None]], Surroundings]) -> None:
    """Under Greengrass, whose working directory is the component's own."""
    from vedette.compose.processes import configure_logging, device_name

    configure_logging()
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    device = device_name()
    topic = topics.cloud_comparison(device)
    with wake_ups() as (stopped, wake):
        bus = connect()
        try:
            bus.on_configuration_change(wake)
            around = surroundings(device, Path.cwd(), lambda payload: bus.publish_cloud(topic, payload))
            config = configuration(bus, CandidateConfig)
            candidate = Candidate(around, config)
            bus.report_running()
            try:
                while not stopped.is_told():
                    candidate.step()
                    if _woken(stopped) and not stopped.is_told():
                        fresh = configuration(bus, CandidateConfig)
                        if fresh != config:
                            candidate.close()
                            config, candidate = fresh, Candidate(around, fresh)
            finally:
                candidate.close()
        finally:
            bus.close()


def _by_hand(
    surroundings: Callable[[str, Path, Callable[[bytes], None]], Surroundings], config: CandidateConfig, *, quiet: bool
) -> ComparisonReport:
    """Until it is done or interrupted; what came of it."""
    logging.getLogger().setLevel(logging.WARNING)
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="vedette-try-") as work, wake_ups() as (stopped, _):
        candidate = Candidate(surroundings("here", Path(work), lambda _: None), config)
        try:
            with console.status("") as line:
                while not candidate.done and not stopped.is_told():
                    candidate.step()
                    if not quiet:
                        line.update(_progress(candidate, config.task.policy))
                    _woken(stopped)
            return candidate.report()
        finally:
            candidate.close()


def _woken(stopped: Stopped) -> bool:
    """Wait for the next step; whether there was a reason before."""
    readable, _, _ = select.select([stopped.readable], [], [], STEP_S)
    stopped.drain()
    return bool(readable)


def _progress(candidate: Candidate, policy: ComparisonPolicy) -> str:
    report = candidate.report()
    golden = "" if report.golden is not None else "; its tests run"
    return escape(report.problem or f"{report.frames} of {policy.frames} pictures{golden}")


def _print(report: ComparisonReport) -> None:
    console = Console(highlight=False)
    against = report.against or "no running version"
    over = "" if report.done else " (interrupted)"
    console.print(f"{escape(report.application)} {report.version} against {against}: {report.frames} pictures{over}")
    if report.labels:
        table = plain_table("label", "running follows", "new sees of it", "new follows", "running sees of it")
        for label, counted in report.labels.items():
            table.add_row(escape(label), *_columns(counted))
        console.print(table)
    elif report.frames:
        console.print("nothing was followed by either version")
    if (golden := report.golden) is not None and golden.total:
        lacking = f", {golden.lacking} without their recording" if golden.lacking else ""
        console.print(f"tests: {golden.total - golden.failed - golden.lacking} passed, {golden.failed} failed{lacking}")
        for failure in golden.failures:
            console.print(f"  {escape(failure)}", soft_wrap=True)
    for note in report.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True)
    if report.problem:
        console.print(f"[yellow]problem:[/yellow] {escape(report.problem)}", soft_wrap=True)


def _columns(counted: Agreement) -> tuple[str, str, str, str]:
    return (
        str(counted.running_objects),
        _share(counted.running_seen, counted.running_objects),
        str(counted.new_objects),
        _share(counted.new_seen, counted.new_objects),
    )


def _share(part: float, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""
