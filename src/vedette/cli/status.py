"""``vedette status``: what this device does, from its state directory; or what the account says of a fleet."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.state.client import status as ask_owner
from vedette.adapters.state.files import read_component_status
from vedette.adapters.state.latest import read_latest_insights
from vedette.adapters.state.layout import StateLayout
from vedette.adapters.state.plan_file import PlanFile
from vedette.cli.hook_view import BROKEN, hook_notes, hook_table
from vedette.cli.insight_lines import insight_table
from vedette.cli.panorama_view import panorama_notes, panorama_table
from vedette.cli.tables import plain_table
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.errors import StorageError, UsageError
from vedette.contracts.insight import InsightReport
from vedette.contracts.plan import Plan
from vedette.contracts.state import StateAnswer

DEFAULT_STATE: Final = Path("/var/lib/vedette")
#: A component that has written nothing for this long is said to be silent.
_SILENT_S: Final = 10.0
_STYLES: Final = {"STREAMING": "green", "DISABLED": "dim", "CONNECTING": "yellow", "RUNNING": "green"}


def status(
    state: Annotated[
        Path | None, typer.Option("--state", help="State directory; default /var/lib/vedette, else the run going on.")
    ] = None,
    fleet: Annotated[str | None, typer.Option(help="In the account: a fleet's rings and rollouts.")] = None,
    device: Annotated[str | None, typer.Option(help="In the account: one device, by name or serial number.")] = None,
    rollout: Annotated[
        str | None, typer.Option(help="In the account: one rollout, with its rings and reasons.")
    ] = None,
    stage: Annotated[str, typer.Option(help="In the account: of the stacks.")] = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """What this device does: cameras, applications, models, problems. Ends with 1 where something is wrong.

    With --fleet, --device or --rollout it is the account that is asked.

    Examples:
        vedette status

        vedette status --fleet main

        vedette status --rollout r-5f0c2a9d1e7b4c36 --json
    """
    if fleet is not None or device is not None or rollout is not None:
        if state is not None:
            raise UsageError("--state is of this machine; --fleet, --device and --rollout are of the account.")
        from vedette.cli.fleet_status import account_status

        raise typer.Exit(0 if account_status(fleet, device, rollout, stage, as_json=json_) else 1)
    directory = state or find_state_directory()
    layout = StateLayout(directory)
    try:
        answer: StateAnswer | None = ask_owner(directory)
        trouble = ""
    except StorageError as error:
        answer, trouble = None, error.message
        if not layout.plan.exists():
            raise
    plan = PlanFile(layout.plan).read() or Plan()
    components = read_component_status(directory)
    insights = read_latest_insights(directory)
    problems = list(answer.problems if answer is not None else plan.problems)
    said = answer.status.get("problems", []) if answer is not None else []
    problems += [problem for problem in said if isinstance(problem, str) and problem not in problems]
    document = {
        "state_directory": str(directory),
        "owner": "running" if answer is not None else trouble,
        "revision": plan.revision,
        "applications": [app.model_dump(mode="json") for app in answer.applications] if answer is not None else [],
        "candidates": [app.model_dump(mode="json") for app in answer.candidates] if answer is not None else [],
        "plan": plan.model_dump(mode="json"),
        "problems": problems,
        "status": answer.status if answer is not None else {},
        "components": components,
        "insights": [report.model_dump(mode="json", exclude_none=True) for report in insights],
    }
    if json_:
        print(json.dumps(document))
    else:
        _print(document, plan, insights)
    cameras_well = all(camera.get("state") in ("STREAMING", "DISABLED", "ENDED") for camera in _cameras(document))
    own_code = [*_own_code(document, "hooks").values(), *_own_code(document, "panorama").values()]
    code_well = all(code.get("state") not in BROKEN for code in own_code)
    raise typer.Exit(0 if answer is not None and not problems and cameras_well and code_well else 1)


def find_state_directory() -> Path:
    """The device's state directory, or that of the newest ``vedette run`` of this user.

    Raises:
        StorageError: V401, there is neither.
    """
    if StateLayout(DEFAULT_STATE).plan.exists() or StateLayout(DEFAULT_STATE).socket.exists():
        return DEFAULT_STATE
    home = Path(os.environ.get("HOME") or Path.home())
    runs = (home / ".local" / "state" / "vedette").glob("*/state/plan.json")
    newest = max(runs, key=lambda plan: plan.stat().st_mtime, default=None)
    if newest is None:
        raise StorageError(
            f"nothing runs here: there is no {DEFAULT_STATE} and no `vedette run` of this user.",
            hint="Name the state directory with --state.",
        )
    return newest.parent


def _cameras(document: dict[str, Any]) -> list[dict[str, Any]]:
    found = document["status"].get("cameras", [])
    return [camera for camera in found if isinstance(camera, dict)] if isinstance(found, list) else []


def _own_code(document: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """``hooks``: ``<application>/<hook>`` → how it is; ``panorama``: application → how its code is."""
    found = document["components"].get("vedette.AppHost", {}).get(kind, {})
    return {key: code for key, code in found.items() if isinstance(code, dict)} if isinstance(found, dict) else {}


def _print(document: dict[str, Any], plan: Plan, insights: tuple[InsightReport, ...]) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{escape(document['state_directory'])}[/bold], plan {document['revision']}")
    if document["owner"] != "running":
        console.print(f"[red]not running:[/red] {escape(document['owner'])}")
    if cameras := _cameras(document):
        table = plain_table("camera", "state", "picture", "fps", "reconnects", "reason")
        for camera in cameras:
            shown = str(camera.get("state", "?"))
            size = f"{camera.get('codec', '')} {camera.get('width', 0)}×{camera.get('height', 0)}"
            table.add_row(
                escape(str(camera.get("camera", "?"))),
                f"[{_STYLES.get(shown, 'red')}]{escape(shown)}[/]",
                escape(size) if camera.get("width") else "",
                f"{float(camera.get('published_fps') or 0):.1f}",
                str(camera.get("reconnects", 0)),
                escape(str(camera.get("reason", ""))),
            )
        console.print(table)
    table = plain_table("application", "version", "rules", "models")
    for app in document["applications"]:
        rules = {rule.name for rule in plan.rules if rule.application == app["name"]}
        table.add_row(escape(app["name"]), app.get("version", ""), str(len(rules)), _models(plan, app["name"]))
    for app in document["candidates"]:
        models = _models(plan, app["name"], candidate=True)
        table.add_row(escape(app["name"]), f"{app.get('version', '')} (candidate)", "", models)
    console.print(table if document["applications"] or document["candidates"] else "no application is attached")
    if insights:
        console.print(insight_table(insights))
    hooks, codes = _own_code(document, "hooks"), _own_code(document, "panorama")
    if hooks:
        console.print(hook_table(hooks))
    if codes:
        console.print(panorama_table(codes))
    for note in (*hook_notes(hooks), *panorama_notes(codes)):
        console.print(f"[yellow]{escape(note)}[/yellow]", soft_wrap=True)
    for name, entry in document["components"].items():
        _print_component(name, entry, console)
    for problem in document["problems"]:
        console.print(f"[yellow]problem:[/yellow] {escape(problem)}")


def _models(plan: Plan, application: str, *, candidate: bool = False) -> str:
    """The sessions that an application, or its candidate, is served by."""
    found = [
        session.key
        for session in plan.models
        if any((p.application, p.candidate) == (application, candidate) for p in session.pipelines)
    ]
    return escape(", ".join(found))


def _print_component(name: str, entry: dict[str, Any], console: Console) -> None:
    age_s = max(0.0, time.time() - float(entry.get("wall_s", 0.0)))
    figures = ", ".join(
        f"{key} {value}"
        for key, value in entry.items()
        if isinstance(value, int | float | str) and key not in ("wall_s", "pid")
    )
    silent = f"[red]silent for {age_s:.0f} s[/red] " if age_s > _SILENT_S else ""
    console.print(f"{escape(name)}: {silent}{escape(figures or ('' if silent else 'running'))}")
    models = entry.get("models")
    for key, model in models.items() if isinstance(models, dict) else ():
        if isinstance(model, dict):
            state = str(model.get("state", "?"))
            trouble = f" {model.get('code', '')} {model.get('error', '')}".rstrip()
            spared = _spared(model)
            console.print(
                f"  model {escape(key)} [{_STYLES.get(state, 'yellow')}]{escape(state)}[/]{escape(trouble)}{spared}"
            )


def _spared(model: dict[str, Any]) -> str:
    """How much work was saved because nothing had moved."""
    cameras = model.get("cameras")
    figures = [entry for entry in cameras.values() if isinstance(entry, dict)] if isinstance(cameras, dict) else []
    spared, analysed = (sum(int(entry.get(name) or 0) for entry in figures) for name in ("spared", "analysed"))
    return f", {spared} of {analysed} pictures spared: nothing had moved" if spared else ""
