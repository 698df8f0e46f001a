"""``vedette logs``: lines of a device's components, from the account's CloudWatch Logs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.device_logs import DeviceLogs, LogGroup
from vedette.adapters.aws.devices import Devices
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.errors import CloudError
from vedette.contracts.logs import JOURNAL
from vedette.core.fleet.device_item import text
from vedette.core.fleet.log_lines import Line, Unseen, about, seconds_of

#: How often a look is taken while following, seconds.
_EVERY_S: Final = 5.0
#: How far back each look goes, for lines that come late, seconds: devices send what is new every few minutes.
LATE_S: Final = 900
_INTERRUPTED: Final = 130


def logs(
    device: Annotated[str, typer.Argument(help="Its name, or its serial number.", metavar="DEVICE")],
    component: Annotated[
        str | None, typer.Argument(help="One component, such as Alerting, an application's name, or system.")
    ] = None,
    since: Annotated[str, typer.Option(help="How far back: 90s, 10m, 2h, 7d.")] = "10m",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    grep: Annotated[str | None, typer.Option(help="Lines with this text in them only.")] = None,
    stage: Annotated[str, typer.Option(help="Of the stacks.")] = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show what a device's components logged, all of them in the order of time.

    The lines are those in the account: devices send what is new every minute with Greengrass's log manager, or every
    five with the system log forwarder, where a ring has one (docs/cloud.md). Passwords and keys were taken out on the
    device. While following, lines that come up to a quarter of an hour late are shown when they come.

    Examples:
        vedette logs cam-7

        vedette logs cam-7 Alerting --since 2h --grep V502

        vedette logs cam-7 ppe --follow

        vedette logs cam-7 system --since 1d --json
    """
    back_s = seconds_of(since)
    account = Account(stage)
    thing = text(Devices(account).item(device), "thing")
    found = DeviceLogs(account, thing)
    groups = found.groups(component)
    wanted = None if component is None else next((g.component for g in groups if g.component != JOURNAL), JOURNAL)

    def matching(lines: Iterator[Line]) -> Iterator[Line]:
        return (line for line in lines if about(line, wanted) and (grep is None or grep in line.text))

    shown = 0
    try:
        for line in _lines(found, groups, back_s=back_s, follow=follow, matching=matching):
            _show(line, thing, json_)
            shown += 1
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    if not shown and not json_:
        sys.stderr.write(
            f"No lines of {thing} in the last {since}. Devices send logs where their ring has a log manager or "
            "forwarder: docs/cloud.md, Logs of devices.\n"
        )


def _lines(
    found: DeviceLogs,
    groups: tuple[LogGroup, ...],
    *,
    back_s: int,
    follow: bool,
    matching: Callable[[Iterator[Line]], Iterator[Line]],
) -> Iterator[Line]:
    until_ms = int(time.time() * 1000)
    first_ms = until_ms - back_s * 1000
    if not follow:
        yield from matching(found.lines(groups, first_ms, until_ms))
        return
    yield from following(found, groups, first_ms=first_ms, matching=matching)


def following(
    found: DeviceLogs,
    groups: tuple[LogGroup, ...],
    *,
    first_ms: int,
    matching: Callable[[Iterator[Line]], Iterator[Line]],
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Line]:
    """Lines as they come, for ever, each once.

    Args:
        found: logs of the device.
        groups: to look in.
        first_ms: from when on, milliseconds since 1970.
        matching: lets lines through.
        now: clock, seconds since 1970.
        sleep: waits.
    """
    unseen, start_ms = Unseen(), first_ms
    while True:
        until_ms = int(now() * 1000)
        try:
            yield from matching(unseen.of(found.lines(groups, start_ms, until_ms)))
        except CloudError as error:
            if not error.retryable:
                raise
            sys.stderr.write(f"{error.message} Trying again.\n")
        else:
            start_ms = max(first_ms, until_ms - LATE_S * 1000)
            unseen.forget_before(start_ms)
        sleep(_EVERY_S)


def _show(line: Line, thing: str, json_: bool) -> None:
    at = datetime.fromtimestamp(line.at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if json_:
        document = {"time": at, "device": thing, "component": line.component, "message": line.text}
        print(json.dumps(document, ensure_ascii=False), flush=True)
    else:
        print(f"{at} {line.component.removeprefix('vedette.')} {_printable(line.text)}", flush=True)


def _printable(text_: str) -> str:
    """Without control characters: a log may hold what a terminal would obey."""
    return "".join(one if one.isprintable() or one == "\t" else "�" for one in text_)
