"""``vedette app set`` and ``vedette app get``: parameters of an application while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.state.client import parameters as ask_parameters
from vedette.adapters.state.client import set_parameters
from vedette.cli.app_attach import assignments
from vedette.cli.status import find_state_directory
from vedette.cli.tables import plain_table
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import ParameterValue
from vedette.contracts.state import ParameterState
from vedette.core.manifest_checks.finding import near_miss
from vedette.core.manifest_checks.kinds import shown

Name = Annotated[str, typer.Argument(help="The application's name.", metavar="APP")]
State = Annotated[
    Path | None, typer.Option("--state", help="State directory; default /var/lib/vedette, else the run going on.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
FleetDevice = Annotated[
    str | None, typer.Option("--device", help="A device of the fleet, by its name or serial number.", metavar="THING")
]
Wait = Annotated[bool, typer.Option("--wait", help="With --device: until it says that it holds, or why not.")]
Timeout = Annotated[float, typer.Option(min=1, max=86_400, help="With --wait: seconds, at most.")]
Stage = Annotated[str, typer.Option(help="Of the stacks, with --device.")]
DEFAULT_TIMEOUT_S: Final = 60.0

_SOURCES: Final[Mapping[str, str]] = {"manifest": "the manifest", "deployment": "the deployment"}


def set_(
    app: Name,
    values: Annotated[
        list[str] | None, typer.Argument(help="NAME=VALUE, one or more; all or none.", metavar="NAME=VALUE")
    ] = None,
    reset: Annotated[
        list[str] | None, typer.Option(help="NAME: take back what was set here; the deployment's value holds again.")
    ] = None,
    state: State = None,
    device: FleetDevice = None,
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    stage: Stage = DEFAULT_STAGE,
    json_: Json = False,
) -> None:
    """Change parameters of a running application: from the next picture on, without a restart.

    What is set on this machine lasts until another version or other parameters of the application are deployed. With
    --device it is set for one device of the fleet, from anywhere, and lasts until it is reset.

    Examples:
        vedette app set people_flow patience_s=30

        vedette app set people_flow patience_s=30 urgency=critical --state /var/lib/vedette

        vedette app set people_flow --reset patience_s

        vedette app set people_flow patience_s=30 --device SN-2041 --wait
    """
    wanted: dict[str, ParameterValue | None] = assignments(values or [], "")
    for name in reset or []:
        if name in wanted:
            raise UsageError(f"{name} is both set and reset.")
        wanted[name] = None
    if not wanted:
        raise UsageError("nothing to set.", hint=f"Write NAME=VALUE or --reset NAME; see: vedette app get {app}")
    if device is not None:
        if state is not None:
            raise UsageError("--state and --device are for different places; give one of them.")
        from vedette.cli.app_parameters_fleet import set_on_device

        set_on_device(app, wanted, device, wait=wait, timeout_s=timeout, stage=stage, json_=json_)
        return
    answer = set_parameters(state or find_state_directory(), app, wanted)
    _print(app, (entry for entry in answer.parameters if entry.name in wanted), as_json=json_)


def get(
    app: Name,
    name: Annotated[str | None, typer.Argument(help="One parameter; all where absent.", metavar="NAME")] = None,
    state: State = None,
    device: FleetDevice = None,
    stage: Stage = DEFAULT_STAGE,
    json_: Json = False,
) -> None:
    """Parameters of a running application: values in force, who set them, what is allowed.

    With --device: what was set for one device of the fleet, and what it says of that.

    Examples:
        vedette app get people_flow

        vedette app get people_flow patience_s --json

        vedette app get people_flow --device SN-2041
    """
    if device is not None:
        if state is not None:
            raise UsageError("--state and --device are for different places; give one of them.")
        from vedette.cli.app_parameters_fleet import get_from_device

        get_from_device(app, name, device, stage=stage, json_=json_)
        return
    found = ask_parameters(state or find_state_directory(), app).parameters
    if name is not None:
        known = [entry.name for entry in found]
        if name not in known:
            near = near_miss(name, known)
            listed = f"there is {', '.join(known)}" if known else "its manifest has none"
            meant = f"; meant {near}?" if near else ""
            raise UsageError(f"application {app} has no parameter {name!r}; {listed}{meant}.")
        found = tuple(entry for entry in found if entry.name == name)
    _print(app, found, as_json=json_)


def _print(app: str, entries: Iterable[ParameterState], *, as_json: bool) -> None:
    entries = list(entries)
    if as_json:
        document: dict[str, Any] = {
            "application": app,
            "parameters": {entry.name: entry.model_dump(mode="json", exclude={"name"}) for entry in entries},
        }
        print(json.dumps(document))
        return
    console = Console(highlight=False)
    if not entries:
        console.print(f"application {escape(app)} has no parameters")
        return
    table = plain_table("parameter", "value", "set by", "default", "deployed", "allowed", "what it is")
    for entry in entries:
        table.add_row(
            entry.name,
            f"[bold]{escape(shown(entry.value))}[/bold]",
            escape(_by(entry)),
            escape(shown(entry.default)),
            "" if entry.deployed is None else escape(shown(entry.deployed)),
            escape(entry.allowed),
            escape(entry.title or ", ".join(entry.places)),
        )
    console.print(table)


def _by(entry: ParameterState) -> str:
    if entry.source != "local":
        return _SOURCES[entry.source]
    if entry.at_wall_s is None:
        return entry.by
    return f"{entry.by} {datetime.fromtimestamp(entry.at_wall_s, UTC).astimezone():%Y-%m-%d %H:%M}"
