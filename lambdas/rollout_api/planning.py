"""What a change, or taking one back, would do to each ring; and what is refused before anything happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lambdas.common.fleet_view import device_count
from lambdas.common.own_devices import conflict, registered, room_for
from lambdas.common.rollout_store import Store
from lambdas.common.runtime import client
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import RolloutApiSettings, fleets_of
from vedette.contracts.rollout import (
    MAX_CHECKS,
    MAX_ROLLOUT_S,
    ApplicationChange,
    Change,
    ComponentChange,
    GatePolicy,
    Rollout,
    RolloutStatus,
    device_of,
)
from vedette.contracts.rollout_api import Plan, PlannedRing, PlanRequest, PlanRollbackRequest
from vedette.contracts.versions import APPLICATION_PREFIX, CANDIDATE_PREFIX
from vedette.core.fleet.desired import holds, subject, undoing
from vedette.core.fleet.rollout import longest_s, wanted

_PUBLISH: Final = "Publish the version again with this release, or pass the comparison over with a reason."


def plan(request: PlanRequest, chosen: RolloutApiSettings, store: Store) -> Plan:
    """What a change would do.

    Raises:
        CloudError: V009, it cannot be done.
    """
    names = rings(chosen, request.fleet, request.rings)
    may(chosen, store, request.fleet, dict.fromkeys(names, request.change), compare=request.compare)
    return Plan(
        fleet=request.fleet,
        change=request.change,
        rings=tuple(_planned(chosen, store, request.fleet, name, request.change) for name in names),
        running=store.holder(request.fleet, request.change),
    )


def plan_rollback(request: PlanRollbackRequest, chosen: RolloutApiSettings, store: Store) -> Plan:
    """What would give back what ran before.

    Raises:
        CloudError: V009, there is nothing to give back, or it cannot be.
    """
    asked = rings(chosen, request.fleet, request.rings) if request.rings else ()
    if not asked:
        rings(chosen, request.fleet, ())
    last = _last(store, request, asked)
    names = tuple(step.ring for step in last.rings if not asked or step.ring in asked)
    changes = given_back(last, names, request.fleet, store)
    may(chosen, store, request.fleet, changes, compare=False)
    change = next(iter(changes.values()))
    planned = [
        _planned(chosen, store, request.fleet, name, to).model_copy(update={"to": None if to == change else to})
        for name, to in changes.items()
    ]
    return Plan(
        fleet=request.fleet,
        change=change,
        rings=tuple(planned),
        running=store.holder(request.fleet, change),
        takes_back=last.rollout_id,
    )


def given_back(last: Rollout, names: tuple[str, ...], fleet: str, store: Store) -> dict[str, Change]:
    """Ring → what it ran before a rollout.

    Only the entry of the application is given back; whatever else was changed since stays. Where the entry itself is
    not as the rollout left it, nobody knows what is right.

    Raises:
        CloudError: V009, a ring is not of that rollout, or has been changed since.
    """
    steps = {step.ring: step for step in last.rings}
    changes: dict[str, Change] = {}
    for name in names:
        step = steps.get(name)
        if last.fleet != fleet or last.status is not RolloutStatus.SUCCEEDED or step is None:
            raise CloudError(f"rollout {last.rollout_id!r} has nothing to give back to ring {name!r}.", code="V009")
        if not holds(store.newest(fleet, name), wanted(last, step)):
            raise CloudError(
                f"ring {name!r} runs something else than rollout {last.rollout_id!r} brought.",
                hint="Deploy the version that you want.",
                code="V009",
            )
        assert step.undo is None or isinstance(step.undo, (ApplicationChange, ComponentChange))
        changes[name] = step.undo or wanted(last, step)
    return changes


def rings(chosen: RolloutApiSettings, fleet: str, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The rings that are meant, in their order; or the one device.

    Raises:
        CloudError: V009, there is no such fleet, ring or device.
    """
    fleets = fleets_of(chosen.fleets)
    if fleet not in fleets:
        raise CloudError(f"there is no fleet {fleet!r}; there are: {', '.join(sorted(fleets))}.", code="V009")
    things = [thing for ring in asked if (thing := device_of(ring)) is not None]
    if things:
        _one_device(chosen, fleet, asked, things[0])
        return asked
    unknown = [ring for ring in asked if ring not in fleets[fleet]]
    if unknown:
        raise CloudError(
            f"fleet {fleet!r} has no ring {unknown[0]!r}; it has: {', '.join(fleets[fleet])}.", code="V009"
        )
    return tuple(ring for ring in fleets[fleet] if not asked or ring in asked)


def may(chosen: RolloutApiSettings, store: Store, fleet: str, changes: Mapping[str, Change], *, compare: bool) -> None:
    """Refuse what cannot be done.

    Args:
        chosen: settings of the function.
        store: of desired states.
        fleet: of the rings.
        changes: ring → what it is to get.
        compare: whether versions are to be compared first.

    Raises:
        CloudError: V009, a version is not there, a device has the application twice, a device gets components.
    """
    for change in {change.model_dump_json(): change for change in changes.values()}.values():
        _there(chosen, change, compare=compare)
    for ring, change in changes.items():
        if (thing := device_of(ring)) is not None:
            _may_have_its_own(chosen, fleet, thing, change)
        why = conflict(chosen, store, fleet, ring, change)
        if why is not None:
            raise CloudError(
                f"{why}: AWS refuses two deployments to one device that name different versions of a component.",
                hint="Take the application from the one before the other gets it, or change it where it is.",
                code="V009",
            )


def few_enough_checks(policy: GatePolicy, count: int) -> None:
    """Refuse a policy by which so many rings take too long, or are looked at too often.

    Raises:
        CloudError: V009.
    """
    longest = longest_s(policy, count)
    compared = "" if policy.comparison is None else " with the comparison"
    if longest > MAX_ROLLOUT_S:
        raise CloudError(
            f"policy: {count} rings of {policy.timeout_s} s{compared} are {longest} s; {MAX_ROLLOUT_S} are allowed.",
            hint="Give each ring less time.",
            code="V009",
        )
    checks = longest // policy.check_every_s
    if checks > MAX_CHECKS:
        raise CloudError(
            f"policy: {count} rings of {policy.timeout_s} s{compared}, checked every {policy.check_every_s} s, are "
            f"{checks} checks; {MAX_CHECKS} are allowed.",
            hint="Check less often, or give each ring less time.",
            code="V009",
        )


def _planned(chosen: RolloutApiSettings, store: Store, fleet: str, ring: str, change: Change) -> PlannedRing:
    state = store.newest(fleet, ring)
    out = isinstance(change, ApplicationChange) and change.to is None
    return PlannedRing(
        ring=ring,
        devices=device_count(chosen, fleet, ring),
        version=state.version,
        now=undoing(state, change),
        nothing_to_do=(out or state.version > 0) and holds(state, change),
    )


def _last(store: Store, request: PlanRollbackRequest, asked: tuple[str, ...]) -> Rollout:
    """The newest rollout of the application that succeeded, of the rings that were asked for."""
    what = subject(ApplicationChange(name=request.application, to=None))
    for rollout in store.succeeded(request.fleet, what):
        names = {step.ring for step in rollout.rings}
        if names & set(asked) if asked else all(device_of(name) is None for name in names):
            return rollout
    where = f" on {', '.join(asked)}" if asked else ""
    raise CloudError(
        f"no rollout of application {request.application!r} has succeeded in fleet {request.fleet!r}{where}: "
        "there is nothing to give back.",
        hint="A rollout that is under way is stopped and taken back by aborting it.",
        code="V009",
    )


def _one_device(chosen: RolloutApiSettings, fleet: str, asked: tuple[str, ...], thing: str) -> None:
    if len(asked) > 1:
        raise CloudError("a rollout is for rings of a fleet, or for one device.", code="V009")
    if registered(chosen, fleet, thing) is None:
        raise CloudError(
            f"fleet {fleet!r} has no device {thing!r}.", hint="Those there are: vedette device list", code="V009"
        )


def _may_have_its_own(chosen: RolloutApiSettings, fleet: str, thing: str, change: Change) -> None:
    if isinstance(change, ComponentChange):
        raise CloudError(
            f"device {thing!r} gets the components below its applications with its ring.",
            hint="Roll components out to rings.",
            code="V009",
        )
    if change.to is not None:
        room_for(chosen, fleet, thing)


def _there(chosen: RolloutApiSettings, change: Change, *, compare: bool) -> None:
    """Refuse a version of ours that the account does not have; AWS's own components are AWS's to know."""
    if isinstance(change, ComponentChange):
        for name, choice in change.to.items():
            if choice is not None and name.startswith("vedette."):
                _deployable(chosen, name, choice.version)
    elif change.to is not None:
        _deployable(chosen, APPLICATION_PREFIX + change.name, change.to.version)
        if compare:
            _deployable(chosen, CANDIDATE_PREFIX + change.name, change.to.version, hint=_PUBLISH)


def _deployable(chosen: RolloutApiSettings, name: str, version: str, *, hint: str = "") -> None:
    greengrass = client("greengrassv2")
    try:
        found = greengrass.describe_component(arn=f"{chosen.components_arn}{name}:versions:{version}")
    except greengrass.exceptions.ResourceNotFoundException:
        raise CloudError(f"component {name} {version} is not in the account.", hint=hint, code="V009") from None
    state = found["status"]["componentState"]
    if state != "DEPLOYABLE":
        said = found["status"].get("message", "")
        raise CloudError(f"component {name} {version} cannot be deployed: {state} {said}.", code="V009")
