"""``vedette evidence``: what is kept of alerts on this machine, and a page to look at it."""

from __future__ import annotations

import contextlib
import json
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.egress.s3 import S3Store, bucket_from_environment
from vedette.adapters.evidence.store import EvidenceStore
from vedette.adapters.state.layout import StateLayout
from vedette.cli.evidence_server import evidence_server, verified
from vedette.cli.status import find_state_directory
from vedette.cli.tables import key_value_table, plain_table
from vedette.contracts.errors import EvidenceError
from vedette.contracts.evidence import EvidenceRecord, EvidenceState

#: Evidence that is still being made is waited for.
WAIT_S: Final = 20.0
#: Links to copies are good for so long.
LINK_S: Final = 900
_LOOK_S: Final = 0.25
_DIGITS: Final = 12
_STYLES: Final = {"critical": "red", "warning": "yellow", "info": "dim"}

StateOption = Annotated[
    Path | None, typer.Option("--state", help="State directory; default /var/lib/vedette, else the newest run.")
]
AlertArgument = Annotated[
    str, typer.Argument(help="The alert's id, or its first six digits or more.", metavar="ALERT_ID")
]


def list_(
    state: StateOption = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object a line: the records.")] = False,
) -> None:
    """What is kept of alerts on this machine, oldest first.

    Examples:
        vedette evidence list

        vedette evidence list --json
    """
    store = _store(state)
    records = []
    damaged = 0
    for folder in store.folders():
        try:
            records.append((folder, store.read(folder)))
        except EvidenceError:
            damaged += 1
    if json_:
        for folder, record in records:
            print(json.dumps({**record.model_dump(mode="json", exclude_none=True), "folder": str(folder)}))
        return
    console = Console(highlight=False)
    if records:
        table = plain_table("time", "alert", "severity", "of", "camera", "kept")
        for _, record in records:
            alert = record.alert
            table.add_row(
                f"{alert.time.astimezone():%Y-%m-%d %H:%M:%S}",
                alert.alert_id[:_DIGITS],
                f"[{_STYLES[alert.severity.value]}]{alert.severity.value}[/]",
                escape(f"{alert.application}/{alert.rule}"),
                escape(record.camera),
                escape(in_words(record)),
            )
        console.print(table)
    else:
        console.print(f"no evidence is kept in {escape(str(store.directory))}", soft_wrap=True)
    if damaged:
        console.print(f"[red]{damaged} folders cannot be read[/red]")


def show(
    alert_id: AlertArgument,
    state: StateOption = None,
    json_: Annotated[bool, typer.Option("--json", help="The record as one JSON object.")] = False,
) -> None:
    """What is kept of one alert, where its files lie, and what is missing and why.

    Examples:
        vedette evidence show 5f3c21

        vedette evidence show 5f3c21 --json
    """
    folder, record = _store(state).find(alert_id)
    if json_:
        print(json.dumps({**record.model_dump(mode="json", exclude_none=True), "folder": str(folder)}))
        return
    table = key_value_table()
    for name, text in facts(record):
        table.add_row(name, escape(text))
    for part in (record.snapshot, record.clip):
        if part is not None:
            path = folder / part.file
            table.add_row("file", escape(f"{path}, {part.bytes} bytes, {verified(path, part.sha256)}"))
    Console(highlight=False).print(table, soft_wrap=True)


def open_(
    alert_id: AlertArgument,
    state: StateOption = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser; --no-browser prints its address.")] = True,
    link: Annotated[
        bool, typer.Option("--link", help="Print links to the copies in the owner's bucket, good for 15 minutes.")
    ] = False,
) -> None:
    """Look at an alert's picture and clip in a browser on this machine.

    A page is served on 127.0.0.1 until Ctrl-C, to the first browser that opens the printed address and to no other:
    the token in it is used up then. Nothing listens before and after.

    Examples:
        vedette evidence open 5f3c21

        vedette evidence open 5f3c21 --no-browser

        vedette evidence open 5f3c21 --link
    """
    store = _store(state)
    folder, record = store.find(alert_id)
    if link:
        _print_links(record)
        return
    console = Console(highlight=False)
    record = _made(store, folder, record, console)
    for part in (record.snapshot, record.clip):
        if part is not None and (said := verified(folder / part.file, part.sha256)) != "intact":
            raise EvidenceError(f"{folder / part.file} is {said}.", code="V905")
    with contextlib.suppress(KeyboardInterrupt), evidence_server(folder, record, facts(record)) as server:
        console.print(f"alert {record.alert.alert_id}: {escape(in_words(record))}", soft_wrap=True)
        console.print(f"open once: {server.url}", soft_wrap=True)
        console.print("Ctrl-C ends it", style="dim")
        if browser and not webbrowser.open(server.url):
            console.print("no browser was found here: open the address in one on this machine", style="dim")
        server.serve()


def _print_links(record: EvidenceRecord) -> None:
    """Links to the copies; whoever has one can get the file until it expires.

    Raises:
        EvidenceError: V905, there is no copy.
        DeliveryError: V503, there are no credentials to sign with.
    """
    if not record.uploads:
        raise EvidenceError(
            f"no copy of alert {record.alert.alert_id} is in a bucket.",
            hint="Its application must ask for it (`evidence: {upload: …}`), and the upload must have succeeded.",
            code="V905",
        )
    for copy in record.uploads:
        print(S3Store(bucket_from_environment(copy.bucket, copy.region)).link(copy.key, LINK_S))


def facts(record: EvidenceRecord) -> Sequence[tuple[str, str]]:
    """Name and value of what is worth knowing about an alert and its evidence."""
    alert = record.alert
    found = [
        ("alert", alert.alert_id),
        ("time", f"{alert.time.astimezone():%Y-%m-%d %H:%M:%S.%f %Z}"),
        ("message", alert.message),
        ("application", alert.application),
        ("rule", f"{alert.rule} ({alert.severity.value})"),
        ("camera", alert.camera if alert.camera == record.camera else f"{alert.camera} (here: {record.camera})"),
        ("object", alert.label if alert.confidence is None else f"{alert.label} {alert.confidence:.0%}"),
        ("device", alert.device),
        ("privacy", record.privacy.value),
        ("kept", in_words(record)),
    ]
    if record.clip is not None:
        clip = record.clip
        how = "encoded anew, people covered" if clip.reencoded else "the camera's own video, not encoded anew"
        found.append(("clip", f"{clip.duration_s:.1f} s, the alert at {clip.alert_s:.2f} s; {clip.codec}, {how}"))
    found += [("copy", f"s3://{copy.bucket}/{copy.key}") for copy in record.uploads]
    found += [("missing", _why(each.what, each.why, each.code)) for each in record.shortfalls]
    return [(name, text) for name, text in found if text]


def in_words(record: EvidenceRecord) -> str:
    """What there is, in a few words."""
    if record.state is EvidenceState.PENDING:
        return "being made"
    parts = ["snapshot"] if record.snapshot is not None else []
    parts += [f"clip of {record.clip.duration_s:.1f} s"] if record.clip is not None else []
    there = ", ".join(parts) or "no picture"
    why = f"; {record.shortfalls[0].why}" if record.shortfalls and not parts else ""
    return there + why


def _why(what: str, why: str, code: str) -> str:
    return f"{f'{what}: ' if what else ''}{why}{f' ({code})' if code else ''}"


def _made(store: EvidenceStore, folder: Path, record: EvidenceRecord, console: Console) -> EvidenceRecord:
    """The record once it is finished; as it is where that takes too long."""
    until_s = time.monotonic() + WAIT_S
    if record.state is EvidenceState.PENDING:
        console.print("it is still being made …", style="dim")
    while record.state is EvidenceState.PENDING and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
        record = store.read(folder)
    return record


def _store(state: Path | None) -> EvidenceStore:
    return EvidenceStore(StateLayout(state or find_state_directory()).evidence)
