"""What commands that change a device's document have in common: who changes it, and what the device says of it."""

from __future__ import annotations

import getpass
import json
import time
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.devices import Devices
from vedette.adapters.aws.shadows import Document, Documents
from vedette.contracts.device_document import MAX_LITE_BYTES
from vedette.contracts.fleet_metrics import Condition
from vedette.core.fleet.device_item import Item, seconds, text, view
from vedette.core.fleet.device_state import standing
from vedette.core.fleet.device_summary import ago
from vedette.core.shadow import check_room, delta_bytes

Device = Annotated[str, typer.Option("--device", help="The device's name or serial number.", metavar="THING")]
Wait = Annotated[bool, typer.Option("--wait", help="Until the device says that it holds, or why not.")]
Timeout = Annotated[float, typer.Option(min=1, max=86_400, help="With --wait: seconds, at most.")]
Stage = Annotated[str, typer.Option(help="Of the stacks.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
DEFAULT_TIMEOUT_S: Final = 60.0
#: Exit codes: the device refused; it has not said anything yet.
REFUSED: Final = 1
NOT_YET: Final = 3


@dataclass(frozen=True, slots=True)
class Known:
    """A device that is registered.

    Attributes:
        thing: its name.
        item: of the table of devices.
    """

    thing: str
    item: Item

    @property
    def offline(self) -> bool:
        """Whether it was there once and is not now."""
        return Condition.OFFLINE in standing(view(self.item), time.time())

    @property
    def seen(self) -> str:
        """When it was last heard, for people."""
        last_s = seconds(self.item, "last_seen_ms")
        return "it was never heard" if last_s is None else f"last heard {ago(time.time() - last_s)} ago"


def known(account: Account, name: str) -> Known:
    """A device by its name or serial number.

    Raises:
        CloudError: V020, there is none; V001 to V003.
    """
    item = Devices(account).item(name)
    return Known(text(item, "thing"), item)


def operator() -> str:
    """Who types this, as this machine knows him."""
    try:
        return getpass.getuser()[:64]
    except (OSError, KeyError):
        return "somebody"


def settle(
    documents: Documents,
    device: Known,
    written: Document,
    entry: str,
    *,
    wait: bool,
    timeout_s: float,
    json_: bool,
    done: str,
    more: dict[str, Any] | None = None,
) -> Document:
    """Say what was asked for, and where that is wanted what the device says of it.

    Args:
        documents: of the account.
        device: whose.
        written: the document as it was written.
        entry: that was changed, such as ``cameras/hall``.
        wait: until the device has answered.
        timeout_s: at most so long.
        json_: one JSON object instead of words.
        done: what was asked for, for people.
        more: for the JSON object.

    Raises:
        typer.Exit: 1 the device refused it, 3 it has not answered.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    _warn(written, console)
    found, state, reason = written, "ASKED", ""
    if wait and device.offline:
        state, reason = "OFFLINE", f"{device.thing} is offline ({device.seen}): it will apply it when it is back"
    elif wait:
        with console.status(f"waiting for {escape(device.thing)} …"):
            found = documents.follow(device.thing, timeout_s, lambda one: one.answers(written.version))
        refusals = found.refusals(entry)
        if not found.answers(written.version):
            state = "WAITING"
            reason = (
                f"{device.thing} has not answered within {timeout_s:g} s ({device.seen}): it will when it hears of it"
            )
        elif refusals:
            state, reason = "REFUSED", "; ".join(refusals)
        else:
            state = "APPLIED"
    if json_:
        document = {"device": device.thing, "entry": entry, "version": written.version, "state": state}
        print(json.dumps({**document, "reason": reason, **(more or {})}))
    else:
        said = {"ASKED": "asked for", "APPLIED": "in force"}.get(state, state.lower())
        print(f"{device.thing}: {done}: {said}{f': {reason}' if reason else ''}")
    if state in ("REFUSED", "OFFLINE", "WAITING"):
        raise typer.Exit(REFUSED if state == "REFUSED" else NOT_YET)
    return found


def _warn(written: Document, console: Console) -> None:
    left, heard = check_room(written.desired), delta_bytes(written.desired)
    if left < 1_000:
        console.print(f"[yellow]the device's document has room for {left} bytes more[/yellow]")
    if heard > MAX_LITE_BYTES:
        console.print(
            f"[yellow]the message that tells the device takes about {heard:,} bytes; nucleus lite hears up to "
            f"{MAX_LITE_BYTES:,}[/yellow]"
        )
