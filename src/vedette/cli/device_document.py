"""``vedette device log-level`` and ``vedette device diagnose``: look closer at one device of the fleet."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account, aws_errors
from vedette.adapters.aws.shadows import Documents
from vedette.cli.device_answer import DEFAULT_TIMEOUT_S, NOT_YET, Json, Stage, Timeout, Wait, known, settle
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.device_document import DiagnosticsReport
from vedette.contracts.errors import CloudError

_EVERY: Final = "*"
#: A bundle is made and sent in seconds; a device that is back after an outage has more to do.
_BUNDLE_S: Final = 180.0
_LOOK_S: Final = 2.0
Thing = Annotated[str, typer.Argument(metavar="THING", help="The device's name or serial number.")]


class Level(StrEnum):
    """What is logged; ``default`` is what the deployment says."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    DEFAULT = "default"


def log_level(
    thing: Thing,
    level: Annotated[Level, typer.Argument(case_sensitive=False, help="From this on; default: as deployed.")],
    component: Annotated[str, typer.Option(help="Such as vedette.Alerting; all where absent.")] = _EVERY,
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    stage: Stage = DEFAULT_STAGE,
    json_: Json = False,
) -> None:
    """Change what a device's components log, while they run.

    Examples:
        vedette device log-level SN-2041 debug --component vedette.Alerting --wait

        vedette device log-level SN-2041 default
    """
    account = Account(stage)
    target, documents = known(account, thing), Documents(account)

    def edit(desired: dict[str, Any]) -> None:
        levels = desired.setdefault("log_level", {})
        if level is Level.DEFAULT:
            levels.pop(component, None)
        else:
            levels[component] = level.value

    written = documents.change(target.thing, edit)
    of = "all components" if component == _EVERY else component
    done = f"log level {level.value} of {of}"
    settle(documents, target, written, f"log_level/{component}", wait=wait, timeout_s=timeout, json_=json_, done=done)


def diagnose(
    thing: Thing,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is there, then load it down.")] = False,
    out: Annotated[Path | None, typer.Option(help="With --wait: file or directory; here where absent.")] = None,
    timeout: Timeout = _BUNDLE_S,
    stage: Stage = DEFAULT_STAGE,
    json_: Json = False,
) -> None:
    """Ask a device how it is: states, plan, figures and last log lines in one file. No pictures, no credentials.

    It goes into the account's bucket of evidence, below the device's name. Without uplink it stays on the device.

    Examples:
        vedette device diagnose SN-2041 --wait

        vedette device diagnose SN-2041 --wait --out ./sn-2041.tar.gz
    """
    account = Account(stage)
    target, documents = known(account, thing), Documents(account)
    now = datetime.now(UTC).replace(microsecond=0)
    name = f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"
    bucket = account.made("evidence-bucket")
    request = {"id": name, "asked_at": now.isoformat(), "bucket": bucket, "region": account.region}

    def edit(desired: dict[str, Any]) -> None:
        desired["diagnostics"] = request

    written = documents.change(target.thing, edit)
    if not wait or target.offline:
        settle(
            documents, target, written, "diagnostics", wait=wait, timeout_s=timeout, json_=json_,
            done=f"diagnostics {name}", more={"request": name},
        )  # fmt: skip
        return
    console = Console(stderr=True, highlight=False)

    def answer() -> DiagnosticsReport | None:
        with console.status(f"waiting for {escape(target.thing)} …"):
            found = documents.follow(target.thing, timeout, lambda one: _answer(one.report, name) is not None, _LOOK_S)
        return _answer(found.report, name)

    report = answer()
    if report is None:
        _say(json_, target.thing, name, "WAITING", reason=f"not there within {timeout:g} s ({target.seen})")
        raise typer.Exit(NOT_YET)
    if report.state != "UPLOADED":
        _say(json_, target.thing, name, report.state, where=report.where, reason=report.reason)
        raise typer.Exit(1)
    path = _load(account, report.where, out, name, target.thing)
    _say(json_, target.thing, name, "UPLOADED", where=report.where, file=str(path))


def _answer(report: Any, name: str) -> DiagnosticsReport | None:
    found: DiagnosticsReport | None = None if report is None else report.diagnostics
    return found if found is not None and found.id == name else None


def _load(account: Account, where: str, out: Path | None, name: str, thing: str) -> Path:
    bucket, _, key = where.removeprefix("s3://").partition("/")
    if key != f"{thing}/diagnostics/{name}.tar.gz":
        raise CloudError(f"{thing} says that its diagnostics are at {where!r}, which is not its place.")
    path = out or Path()
    if path.is_dir():
        path = path / f"{thing}-{name}.tar.gz"
    with aws_errors(f"the diagnostics of {thing}"):
        body = account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    path.write_bytes(body)
    return path


def _say(json_: bool, thing: str, name: str, state: str, **more: str) -> None:
    if json_:
        print(json.dumps({"device": thing, "request": name, "state": state, **more}))
        return
    words = {"UPLOADED": "loaded down to", "KEPT": "kept on the device at", "FAILED": "could not be made"}
    place = more.get("file") or more.get("where", "")
    why = f" ({more['reason']})" if more.get("reason") else ""
    print(f"{thing}: diagnostics {name}: {words.get(state, 'not there yet')} {place}{why}".rstrip())
