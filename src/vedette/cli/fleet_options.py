"""What the commands for a fleet have in common: whom they are about, times, and asking before something is done."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.devices import Devices
from vedette.adapters.aws.rollouts import Rollouts
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.errors import UsageError
from vedette.contracts.rollout import device_ring
from vedette.core.fleet.device_item import text

Fleet = Annotated[str | None, typer.Option("--fleet", help="All devices of a fleet, ring by ring.")]
Device = Annotated[str | None, typer.Option("--device", help="One device instead, by name or serial number.")]
Rings = Annotated[str | None, typer.Option("--rings", help="Of the fleet, separated by commas; all where absent.")]
Stage = Annotated[str, typer.Option("--stage", help="Of the stacks.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the rollout to its end.")]

STAGE: Final = DEFAULT_STAGE
#: Ended by Ctrl-C, as shells count it.
EXIT_INTERRUPTED: Final = 130
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?")
_UNITS: Final = {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a command is about.

    Attributes:
        fleet: the devices belong to.
        rings: of it; all where empty. One device is the ring ``thing/NAME``.
        device: its name, where it is one device.
    """

    fleet: str
    rings: tuple[str, ...] = ()
    device: str = ""

    @property
    def option(self) -> str:
        """As it is typed."""
        if self.device:
            return f"--device {self.device}"
        return f"--fleet {self.fleet}" + (f" --rings {','.join(self.rings)}" if self.rings else "")

    def __str__(self) -> str:
        return f"device {self.device}" if self.device else f"fleet {self.fleet}"


def target(account: Account, fleet: str | None, device: str | None, rings: str | None = None) -> Target:
    """Whom it is about: a fleet, or one device of it.

    Raises:
        UsageError: V701, neither or both were named.
        CloudError: V020, there is no such device; V001 to V003.
    """
    if (fleet is None) == (device is None):
        found = "both --fleet and --device were" if fleet else "neither --fleet nor --device was"
        raise UsageError(f"{found} given.", hint="Name one: --fleet NAME for all of its devices, or --device NAME.")
    if fleet is not None:
        return Target(fleet, tuple(filter(None, (one.strip() for one in (rings or "").split(",")))))
    if rings:
        raise UsageError("--rings is for a fleet; --device names one device, whatever its ring.")
    assert device is not None
    item = Devices(account).item(device)
    name = text(item, "thing")
    return Target(text(item, "fleet"), (device_ring(name),), name)


def rollouts(account: Account) -> Rollouts:
    """The account's rollouts."""
    return Rollouts(account)


def duration(given: str, option: str) -> int:
    """Seconds, from ``90``, ``90s``, ``10m`` or ``1h``.

    Raises:
        UsageError: V701, it is no duration.
    """
    found = _DURATION.fullmatch(given.strip().lower())
    if found is None:
        raise UsageError(f"{option} {given!r} is no duration.", hint="Write a number with s, m, h or d: 90s, 10m, 1h.")
    return round(float(found[1]) * _UNITS[found[2]])


def timing(soak: str, timeout: str, check_every: str) -> dict[str, int]:
    """Fields of the gate's policy that every command with a gate has.

    Raises:
        UsageError: V701, one is no duration.
    """
    return {
        "soak_s": duration(soak, "--soak"),
        "timeout_s": duration(timeout, "--timeout"),
        "check_every_s": duration(check_every, "--check-every"),
    }


def askable(*, yes: bool, dry_run: bool = False) -> None:
    """Refuse, before anything is built or published, where there is nobody to ask and no --yes.

    Raises:
        UsageError: V701.
    """
    if not (yes or dry_run or sys.stdin.isatty()):
        raise UsageError(
            "nothing was done: this is not a terminal, so nobody could be asked.",
            hint="To do it without being asked: --yes. To see the plan only: --dry-run.",
        )


def agreed(question: str, *, yes: bool) -> bool:
    """Whether the operator wants it; asked on standard error.

    Raises:
        UsageError: V701, there is nobody to ask and no --yes.
    """
    askable(yes=yes)
    return yes or typer.confirm(question, default=False, err=True)
