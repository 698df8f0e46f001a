"""``vedette device show``: everything that is known of one device."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.devices import DeviceDetails, Devices
from vedette.cli.tables import key_value_table, plain_table
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.errors import CloudError, UsageError
from vedette.core.fleet.bundle import console_page, scanned_thing
from vedette.core.fleet.device_item import Item, health_of, retired_s, seconds, text
from vedette.core.fleet.device_summary import ago, summary

#: An execution of a job as AWS names it → its shown time.
_JOB_TIMES = ("lastUpdatedAt", "startedAt", "queuedAt")


def show(
    name: Annotated[str | None, typer.Argument(help="Its name or serial number.")] = None,
    scan: Annotated[Path | None, typer.Option(help="A photograph of its label instead.")] = None,
    stage: Annotated[str, typer.Option(help="Of the stacks.")] = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show a device: registration, certificates, health, cameras, models, components, deployments, jobs.

    Examples:
        vedette device show SN-2041

        vedette device show --scan label.jpg --json
    """
    if (name is None) == (scan is None):
        raise UsageError("one of NAME and --scan is needed.", hint="Such as: vedette device show SN-2041")
    wanted = name if name is not None else scanned(scan) if scan is not None else ""
    account = Account(stage)
    details, now_s = Devices(account).details(wanted), time.time()
    document = device_document(details, account.region, now_s)
    if json_:
        print(json.dumps(document, default=str))
    else:
        _print(document, now_s)


def scanned(picture: Path) -> str:
    """The device whose label is in a picture.

    Raises:
        CloudError: V020, no label of ours is in it, or several are.
        UsageError: V701 it is no picture, V702 a library is missing.
    """
    from vedette.adapters.label import read_codes

    codes = read_codes(picture)
    things = sorted({thing for code in codes if (thing := scanned_thing(code)) is not None})
    if len(things) != 1:
        found = f"labels of {', '.join(things)}" if things else f"{len(codes)} codes and no label of a device"
        raise CloudError(
            f"{picture} shows {found}.", hint="Photograph one whole label, straight and sharp.", code="V020"
        )
    return things[0]


def device_document(details: DeviceDetails, region: str, now_s: float) -> dict[str, Any]:
    """Everything about a device, as JSON."""
    item = details.item
    one = summary(item, now_s, str(details.core.get("status", "")))
    health = health_of(item)
    retired = retired_s(item)
    return {
        **one.document(),
        "fleet": text(item, "fleet") or text(item, "retired_fleet"),
        "console": console_page(region, one.thing),
        "retired_at": _iso(retired),
        "connected": item.get("connected", {}).get("BOOL"),
        "registration": _registration(details.registration, now_s),
        "groups": list(details.groups),
        "certificates": [
            {"id": c.certificate_id, "status": c.status, "created": c.created, "expires": c.expires}
            for c in details.certificates
        ],
        "health": health.model_dump(mode="json", exclude_none=True) if health is not None else None,
        "health_at": _iso(seconds(item, "health_ms")),
        "nucleus": {
            key: details.core[key] for key in ("coreVersion", "platform", "architecture") if key in details.core
        },
        "components": [
            {
                "name": c["componentName"],
                "version": c["componentVersion"],
                "state": c.get("lifecycleState", ""),
                "reason": c.get("lifecycleStateDetails", ""),
            }
            for c in details.components
        ],
        "deployments": [
            {
                "id": d["deploymentId"],
                "target": str(d["targetArn"]).rpartition(":")[2],
                "status": d["coreDeviceExecutionStatus"],
                "reason": d.get("reason", ""),
                "at": d.get("modifiedTimestamp"),
            }
            for d in details.deployments
        ],
        "jobs": [_job(one) for one in details.jobs],
    }


def _job(execution: dict[str, Any]) -> dict[str, Any]:
    about = execution.get("jobExecutionSummary", {})
    at = next((about[name] for name in _JOB_TIMES if name in about), None)
    return {"id": execution.get("jobId", ""), "status": about.get("status", ""), "at": at}


def _registration(registration: Item | None, now_s: float) -> dict[str, Any]:
    if registration is None:
        return {"state": "ended"}
    claimed = registration.get("claimed_at", {}).get("N")
    expires_s = float(registration["expires_at"]["N"])
    if claimed is not None:
        return {"state": "used", "at": _iso(float(claimed))}
    return {"state": "waiting" if now_s < expires_s else "expired", "at": _iso(expires_s)}


def _iso(at_s: float | None) -> str | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")


def _print(document: dict[str, Any], now_s: float) -> None:
    console = Console(highlight=False)
    seen = document["last_seen_s"]
    told = "never" if seen is None else f"{ago(now_s - seen)} ago"
    registration = document["registration"]
    nucleus = document["nucleus"]
    head = {
        "device": document["thing"],
        "serial number": document["serial"],
        "fleet · ring · site": " · ".join((document["fleet"], document["ring"], document["site"])),
        "retired": document["retired_at"] or "no",
        "registration": f"{registration['state']} {registration.get('at', '')}".strip(),
        "last seen": told,
        "connected": {True: "yes", False: "no", None: "not known"}[document["connected"]],
        "what is wrong": ", ".join(document["conditions"]).replace("_", " ") or "nothing known",
        "components": document["version"] or "not told yet",
        "nucleus": " ".join(str(value) for value in nucleus.values()) or "not seen by Greengrass yet",
        "console": document["console"],
    }
    table = key_value_table()
    for key, value in head.items():
        table.add_row(key, escape(str(value)))
    console.print(table)
    health = document["health"] or {}
    _section(console, "certificates", ("id", "status", "created", "expires"), document["certificates"])
    _section(
        console, "cameras", ("name", "state"), [{"name": k, "state": v} for k, v in health.get("cameras", {}).items()]
    )
    models = [{"name": name, **model} for name, model in health.get("models", {}).items()]
    _section(console, "models", ("name", "state", "code", "age_p99_ms"), models)
    _section(console, "installed", ("name", "version", "state", "reason"), document["components"])
    _section(console, "deployments", ("id", "target", "status", "at", "reason"), document["deployments"])
    _section(console, "jobs", ("id", "status", "at"), document["jobs"])
    for problem in health.get("problems", ()):
        console.print(f"problem: {escape(problem)}", style="yellow", soft_wrap=True)


def _section(console: Console, title: str, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    rows = list(rows)
    if not rows:
        return
    console.print(f"\n{title}", style="bold")
    table = plain_table(*columns)
    for row in rows:
        table.add_row(*(escape("" if row.get(name) is None else str(row[name])) for name in columns))
    console.print(table)
