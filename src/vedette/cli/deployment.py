"""From what an operator wants to a rollout that is followed: shared by deploying applications and components."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.publishing import Publication, Publisher
from vedette.adapters.aws.rollouts import Rollouts
from vedette.cli.fleet_options import Target, agreed
from vedette.cli.publication import Published, publication_document, publication_table, publish_now
from vedette.cli.rollout_view import follow, plan_document, plan_table, print_end, subject_text
from vedette.contracts.base import mistakes
from vedette.contracts.errors import CloudError, UsageError
from vedette.contracts.rollout import ApplicationChange, Change, GatePolicy, Override, Rollout, RolloutStatus
from vedette.contracts.rollout_api import Plan


@dataclass(frozen=True, slots=True)
class Manner:
    """How a change is brought out.

    Attributes:
        dry_run: only shown.
        yes: not asked.
        wait: followed to the end.
        as_json: told in one object.
    """

    dry_run: bool = False
    yes: bool = False
    wait: bool = True
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change that is ready to be brought out.

    Attributes:
        target: whom it is about.
        change: it.
        now: what the rings run, as planned without the change.
        policy: of the gate.
        overrides: checks that are passed over.
        notes: for the operator, before being asked.
        publisher: of the account, with what has to be published first; None where everything is there.
        check: what has to pass before anything is published.
    """

    target: Target
    change: Change
    now: Plan
    policy: GatePolicy
    overrides: tuple[Override, ...] = ()
    notes: tuple[str, ...] = ()
    publisher: tuple[Publisher, Publication] | None = None
    check: Callable[[], None] | None = None
    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))


def gate_policy(**values: Any) -> GatePolicy:
    """A policy from options.

    Raises:
        UsageError: V701, the values do not fit each other.
    """
    try:
        return GatePolicy(**values)
    except ValidationError as error:
        raise UsageError(
            f"the gate cannot work so: {'; '.join(mistakes(error, 'together'))}.",
            hint="--soak must be shorter than --timeout; see docs/rollouts.md.",
        ) from None


def as_planned(now: Plan, change: Change) -> Plan:
    """The plan of a change, from what the rings run: for showing it before its version is in the account.

    A ring for which nothing was decided yet gets its first deployment with a change, but none for taking nothing out.
    """
    out = isinstance(change, ApplicationChange) and change.to is None
    rings = tuple(
        ring.model_copy(update={"nothing_to_do": (out or ring.version > 0) and ring.now == change})
        for ring in now.rings
    )
    return now.model_copy(update={"change": change, "rings": rings})


def bring_out(rollouts: Rollouts, wanted: Wanted, manner: Manner) -> None:
    """Check, publish, plan, ask, start and follow.

    Raises:
        CloudError: V009 refused, V014 not publishable; V001 to V003.
        UsageError: V701 nobody could be asked; what the check says.
        typer.Exit: 1 it was taken back or not agreed to, 130 the operator stopped looking.
    """
    console, plan = wanted.console, as_planned(wanted.now, wanted.change)
    document: dict[str, Any] = {"target": str(wanted.target), "overrides": _overrides(wanted)}
    refuse_if_running(plan)
    missing = [one for one in wanted.publisher[1].components if not one.there] if wanted.publisher else []
    if all(ring.nothing_to_do for ring in plan.rings):
        console.print(f"Nothing to do: {escape(subject_text(plan.change))} is so on {escape(str(wanted.target))}.")
        _answer(manner, {**document, "plan": plan_document(plan), "rollout": None})
        return
    if wanted.check is not None:
        wanted.check()
    if manner.dry_run:
        if wanted.publisher is not None and missing:
            console.print(publication_table(wanted.publisher[1]))
            document["published"] = publication_document(Published(wanted.publisher[1]), dry_run=True)
        show_plan(plan, wanted)
        console.print("Nothing was changed.")
        _answer(manner, {**document, "plan": plan_document(plan), "rollout": None})
        return
    if wanted.publisher is not None:
        document["published"] = publication_document(publish_now(*wanted.publisher, console))
    compare = wanted.policy.comparison is not None
    plan = rollouts.plan(wanted.target.fleet, wanted.change, rings=wanted.target.rings, compare=compare)
    refuse_if_running(plan)
    show_plan(plan, wanted)
    ask_and_start(rollouts, plan, wanted, manner, document)


def ask_and_start(rollouts: Rollouts, plan: Plan, wanted: Wanted, manner: Manner, document: dict[str, Any]) -> None:
    """Ask, start what was planned, and follow it.

    Raises:
        CloudError, UsageError, typer.Exit: as ``bring_out``.
    """
    console = wanted.console
    if not agreed(f"Roll it out to {wanted.target}?", yes=manner.yes):
        console.print("Nothing was deployed.")
        raise typer.Exit(1)
    started = rollouts.start(plan, policy=wanted.policy, overrides=wanted.overrides)
    _end(rollouts, started, manner, {**document, "plan": plan_document(plan)}, console)


def _end(rollouts: Rollouts, started: Rollout, manner: Manner, document: dict[str, Any], console: Console) -> None:
    if not manner.wait:
        console.print(
            f"Rollout {started.rollout_id} has begun. To see it: vedette status --rollout {started.rollout_id}",
            soft_wrap=True,
        )
        _answer(manner, {**document, "rollout": started.model_dump(mode="json")})
        if not manner.as_json:
            print(started.rollout_id)
        return
    console.print(f"Rollout {started.rollout_id} has begun.")
    ended = follow(rollouts, started.rollout_id, console)
    _answer(manner, {**document, "rollout": ended.model_dump(mode="json")})
    print_end(ended, console)
    if ended.status is RolloutStatus.ROLLED_BACK:
        console.print(f"More of it: vedette status --rollout {ended.rollout_id}", soft_wrap=True)
        raise typer.Exit(1)


def show_plan(plan: Plan, wanted: Wanted) -> None:
    """The plan and what is to be said of it."""
    console = wanted.console
    console.print(plan_table(plan))
    for note in wanted.notes:
        console.print(escape(note), soft_wrap=True)
    for override in wanted.overrides:
        console.print(f"[yellow]passed over:[/] {override.check}: {escape(override.reason)}", soft_wrap=True)


def refuse_if_running(plan: Plan) -> None:
    """Refuse where another rollout of the same is under way."""
    if plan.running is not None:
        raise CloudError(
            f"rollout {plan.running!r} of the same is under way in fleet {plan.fleet!r}.",
            hint=f"See it: vedette status --rollout {plan.running}. Stop it: vedette abort {plan.running}",
            code="V009",
        )


def _overrides(wanted: Wanted) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json") for one in wanted.overrides]


def _answer(manner: Manner, document: dict[str, Any]) -> None:
    if manner.as_json:
        print(json.dumps(document))
