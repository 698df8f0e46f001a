"""Rollouts on the terminal: the plan before, the rings while one goes on, everything about one afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from vedette.adapters.aws.rollouts import Rollouts
from vedette.cli.fleet_options import EXIT_INTERRUPTED
from vedette.cli.tables import key_value_table, plain_table
from vedette.contracts.comparison import OTHER_LABELS
from vedette.contracts.errors import CloudError
from vedette.contracts.rollout import (
    ApplicationChange,
    Change,
    RingStatus,
    RingStep,
    Rollout,
    RolloutStatus,
    device_of,
)
from vedette.contracts.rollout_api import Plan
from vedette.core.fleet.choice import changes, runs
from vedette.core.fleet.device_summary import ago

_COLOURS: Final = {
    RingStatus.PASSED: "green",
    RingStatus.RESTORED: "red",
    RingStatus.DEPLOYING: "yellow",
    RingStatus.COMPARING: "yellow",
}
_ENDS: Final = {RolloutStatus.SUCCEEDED: "green", RolloutStatus.ROLLED_BACK: "red", RolloutStatus.RUNNING: "yellow"}


def ring_text(ring: str) -> str:
    """A ring for people; a device has one of its own."""
    return device_of(ring) or ring


def subject_text(change: Change) -> str:
    """What a change is about."""
    if isinstance(change, ApplicationChange):
        return f"application {change.name}"
    return f"components {', '.join(sorted(change.to))}"


def plan_table(plan: Plan) -> Table:
    """Each ring: devices, what runs, what would, and what changes."""
    table = plain_table("ring", "devices", "runs now", "will run", "what changes")
    for ring in plan.rings:
        to = ring.to or plan.change
        lines = changes(ring.now, to) or (("nothing",) if ring.nothing_to_do else ("first deployment",))
        table.add_row(
            escape(ring_text(ring.ring)),
            str(ring.devices),
            escape(runs(ring.now)),
            escape(runs(to)),
            "\n".join(escape(line) for line in lines),
            style="dim" if ring.nothing_to_do else "",
        )
    return table


def plan_document(plan: Plan) -> dict[str, Any]:
    """As JSON."""
    document = plan.model_dump(mode="json")
    for ring, said in zip(plan.rings, document["rings"], strict=True):
        said["changes"] = list(changes(ring.now, ring.to or plan.change))
    return document


def stage_text(step: RingStep, rollout: Rollout) -> str:
    """How far a ring is, with the time that the gate waits for."""
    if step.status is RingStatus.DEPLOYING and step.settled_at is not None:
        passed, whole = rollout.updated_at - step.settled_at, rollout.policy.soak_s
        return f"soak, {ago(min(passed, whole))} of {ago(whole)}"
    return {RingStatus.RESTORED: "taken back"}.get(step.status, step.status.value)


def rings_table(rollout: Rollout) -> Table:
    """Each ring: stage, devices, and what the gate said last; kinds of trouble that no ring has are left out."""
    counted = [step.counts for step in rollout.rings if step.counts is not None]
    trouble = [
        (title, field)
        for title, field in (("failed", "failed"), ("offline", "offline"), ("newly unwell", "newly_unwell"))
        if any(getattr(counts, field) for counts in counted)
    ]
    table = plain_table("ring", "stage", "devices", "run it", *(title for title, _ in trouble), "what the gate says")
    for step in rollout.rings:
        shown = ("devices", "succeeded", *(field for _, field in trouble))
        figures = ["" if step.counts is None else str(getattr(step.counts, field)) for field in shown]
        stage = stage_text(step, rollout)
        colour = _COLOURS.get(step.status)
        table.add_row(
            escape(ring_text(step.ring)), f"[{colour}]{stage}[/]" if colour else stage, *figures, escape(step.reason)
        )
    return table


def follow(rollouts: Rollouts, rollout_id: str, console: Console) -> Rollout:
    """Show a rollout until it is over: a table that changes in a terminal, else a line for each change.

    Returns:
        How it ended, also where it was taken back.

    Raises:
        CloudError: V009, V001 to V003.
        typer.Exit: 130, the operator stopped looking; the rollout goes on.
    """
    seen: Rollout | None = None
    said: dict[str, str] = {}
    try:
        with ExitStack() as stack:
            live = stack.enter_context(Live(console=console, auto_refresh=False)) if console.is_terminal else None
            for seen in rollouts.follow(rollout_id):
                if live is not None:
                    live.update(rings_table(seen), refresh=True)
                else:
                    _tell(seen, said, lambda line: console.print(line, soft_wrap=True))
    except CloudError as error:
        if error.code != "V010" or seen is None:
            raise
    except KeyboardInterrupt:
        console.print(f"\nThe rollout goes on. To see it: vedette status --rollout {rollout_id}", soft_wrap=True)
        console.print(f"To stop it and take it back: vedette abort {rollout_id}", soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    assert seen is not None
    return seen


def _tell(rollout: Rollout, said: dict[str, str], tell: Callable[[str], None]) -> None:
    """A line for each ring of which there is something new."""
    for step in rollout.rings:
        if step.status is RingStatus.WAITING:
            continue
        line = f"{ring_text(step.ring)}: {stage_text(step, rollout)}"
        # What is taken back runs on none of them soon; the reason says how many it was about.
        if step.counts is not None and step.status is not RingStatus.RESTORED:
            does = "have it beside the old one" if step.status is RingStatus.COMPARING else "run it"
            line += f", {step.counts.succeeded} of {step.counts.devices} devices {does}"
        if step.reason:
            line += f" ({step.reason})"
        if said.get(step.ring) != line:
            said[step.ring] = line
            tell(escape(line))


def print_end(rollout: Rollout, console: Console) -> None:
    """How it ended, in a sentence."""
    subject = subject_text(rollout.change)
    rings = ", ".join(ring_text(step.ring) for step in rollout.rings)
    if rollout.status is RolloutStatus.SUCCEEDED:
        console.print(f"[green]Succeeded:[/] {escape(subject)} on {escape(rings)}.", soft_wrap=True)
    elif rollout.status is RolloutStatus.ROLLED_BACK:
        console.print(f"[red]Taken back:[/] {escape(subject)}: {escape(rollout.reason)}.", soft_wrap=True)


def print_rollout(rollout: Rollout, console: Console) -> None:
    """Everything about one rollout."""
    about = key_value_table()
    about.add_row("rollout", rollout.rollout_id)
    about.add_row("fleet", escape(rollout.fleet))
    about.add_row("what", escape(f"{subject_text(rollout.change)}, {_wanted(rollout.change)}"))
    about.add_row("by", escape(rollout.by))
    about.add_row("began", f"{_moment(rollout.created_at)}, last news {_moment(rollout.updated_at)}")
    comparison = rollout.policy.comparison
    compared = f"{comparison.frames:,} pictures on each device" if comparison is not None else "no"
    about.add_row("compared first", compared)
    if rollout.takes_back is not None:
        about.add_row("takes back", rollout.takes_back)
    for override in rollout.overrides:
        about.add_row("passed over", escape(f"{override.check}: {override.reason}"))
    colour = _ENDS[rollout.status]
    reason = f": {escape(rollout.reason)}" if rollout.reason else ""
    about.add_row("state", f"[{colour}]{rollout.status.value}[/]{reason}")
    console.print(about)
    console.print(rings_table(rollout))
    for step in rollout.rings:
        if step.compared is not None:
            _print_compared(step, console)
        for thing, conditions in sorted(step.unwell_before.items())[:_SHOWN]:
            told = ", ".join(one.value for one in conditions)
            console.print(f"unwell before it began: {escape(thing)} ({escape(told)})", soft_wrap=True)


_SHOWN: Final = 10


def _print_compared(step: RingStep, console: Console) -> None:
    """What both versions saw, by label."""
    compared = step.compared
    assert compared is not None
    console.print(
        f"compared on {compared.finished} of {compared.devices} devices of {escape(ring_text(step.ring))}: "
        f"{compared.verdict.value}, {escape(compared.reason)}",
        soft_wrap=True,
    )
    table = plain_table("label", "old follows", "new sees", "new follows", "old sees")
    for label, one in (("all", compared.overall), *sorted(compared.labels.items())):
        table.add_row(
            escape("others" if label == OTHER_LABELS else label),
            str(one.running_objects),
            _share(one.running_seen, one.running_objects),
            str(one.new_objects),
            _share(one.new_seen, one.new_objects),
        )
    console.print(table)
    for note in compared.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True)


def _share(seen: float, objects: int) -> str:
    return f"{100 * seen / objects:.0f} %" if objects else ""


def rollout_rows(rollouts: tuple[Rollout, ...], now_s: float | None = None) -> Table:
    """The newest rollouts, a line each."""
    now = time.time() if now_s is None else now_s
    table = plain_table("rollout", "what", "to", "state", "ago", "reason")
    table.columns[0].no_wrap = True  # it is copied
    for one in rollouts:
        state = f"[{_ENDS[one.status]}]{one.status.value}[/]"
        where = next((f"{ring_text(s.ring)}: {s.reason}" for s in one.rings if s.reason and s.verdict != "pass"), "")
        reason = one.reason or (where if one.status is RolloutStatus.RUNNING else "")
        table.add_row(
            one.rollout_id,
            escape(_short(one.change)),
            escape(runs(one.change)),
            state,
            ago(max(0, int(now - one.updated_at))),
            escape(reason),
        )
    return table


def _short(change: Change) -> str:
    """What a change is about, in a table."""
    if isinstance(change, ApplicationChange):
        return change.name
    return "components" if len(change.to) > 1 else ", ".join(change.to)


def _wanted(change: Change) -> str:
    if isinstance(change, ApplicationChange):
        return "taken out" if change.to is None else f"version {change.to.version}"
    return ", ".join(f"{name} {one.version if one is not None else 'taken out'}" for name, one in change.to.items())


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%SZ}"
