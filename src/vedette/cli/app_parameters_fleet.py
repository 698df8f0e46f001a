"""``vedette app set`` and ``vedette app get`` with ``--device``: parameters of one device of the fleet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.shadows import Documents
from vedette.cli.device_answer import known, settle
from vedette.cli.tables import plain_table
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import ParameterValue
from vedette.core.manifest_checks.kinds import shown


def set_on_device(
    app: str,
    wanted: Mapping[str, ParameterValue | None],
    device: str,
    *,
    wait: bool,
    timeout_s: float,
    stage: str,
    json_: bool,
) -> None:
    """Change an application's parameters on one device; None takes back what was set for it.

    Raises:
        CloudError: V013, V020, V001 to V003.
        typer.Exit: 1 the device refused, 3 it has not answered.
    """
    account = Account(stage)
    target, documents = known(account, device), Documents(account)

    def edit(desired: dict[str, Any]) -> None:
        values = desired.setdefault("parameters", {}).setdefault(app, {})
        for name, value in wanted.items():
            if value is None:
                values.pop(name, None)
            else:
                values[name] = list(value) if isinstance(value, tuple) else value
        if not values:
            del desired["parameters"][app]

    written = documents.change(target.thing, edit)
    listed = ", ".join(
        f"{name} {'as deployed' if value is None else f'= {_plain(value)}'}" for name, value in wanted.items()
    )
    entry = f"parameters/{app}"
    if len(wanted) == 1 and wait:
        entry += f"/{next(iter(wanted))}"
    settle(documents, target, written, entry, wait=wait, timeout_s=timeout_s, json_=json_, done=f"{app}: {listed}")


def get_from_device(app: str, name: str | None, device: str, *, stage: str, json_: bool) -> None:
    """Show what was set for an application on one device. Ends with 1 where the device refuses some of it.

    Raises:
        UsageError: V701, nothing of the kind was set.
        CloudError: V020, V001 to V003.
    """
    account = Account(stage)
    target = known(account, device)
    document = Documents(account).read(target.thing)
    values = document.desired.get("parameters", {}).get(app, {})
    if name is not None and name not in values:
        there = ", ".join(sorted(values)) or "nothing"
        raise UsageError(f"{target.thing}: {name!r} of {app} was not set for this device; {there} was.")
    answered = document.report is not None and document.report.revision >= int(document.desired.get("revision") or 0)
    rows = {}
    for key in sorted(values) if name is None else [name]:
        reasons = document.refusals(f"parameters/{app}/{key}")
        state = "refused" if reasons else "in force" if answered else "waiting"
        rows[key] = {"value": values[key], "on_device": state, "reason": "; ".join(reasons)}
    if json_:
        print(json.dumps({"device": target.thing, "application": app, "parameters": rows}))
    elif not rows:
        print(f"{target.thing}: nothing of {app} was set for this device; what is deployed holds")
    else:
        table = plain_table("parameter", "value", "on the device")
        for key, row in rows.items():
            said = row["on_device"] + (f": {row['reason']}" if row["reason"] else "")
            table.add_row(escape(key), escape(_plain(row["value"])), escape(said))
        Console(highlight=False).print(table)
    if any(row["on_device"] == "refused" for row in rows.values()):
        raise typer.Exit(1)


def _plain(value: Any) -> str:
    """As it was typed: which kind of value a parameter takes, the device knows."""
    return value if isinstance(value, str) else shown(tuple(value) if isinstance(value, list) else value)
