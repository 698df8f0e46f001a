"""Plans, starts, aborts and shows rollouts. A refusal is an answer, not an exception: the caller gets its code."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from botocore.exceptions import ClientError
from pydantic import TypeAdapter, ValidationError

from lambdas.common.fleet_view import device_count
from lambdas.common.rollout_store import Store
from lambdas.common.runtime import client, logger, settings
from vedette.contracts.base import mistakes
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import RolloutApiSettings, fleets_of
from vedette.contracts.rollout import (
    MAX_CHECKS,
    MAX_ROLLOUT_S,
    ApplicationChange,
    Change,
    GatePolicy,
    Rollout,
    RolloutStatus,
)
from vedette.contracts.rollout_api import (
    AbortRequest,
    Answer,
    ListRequest,
    Plan,
    PlannedRing,
    PlanRequest,
    Refusal,
    Request,
    RolloutList,
    StartRequest,
    StatusRequest,
)
from vedette.contracts.versions import APPLICATION_PREFIX
from vedette.core.fleet import rollout as progress
from vedette.core.fleet.desired import holds, undoing

_REQUEST: Final[TypeAdapter[Any]] = TypeAdapter(Request)
_NOT_NOW: Final = frozenset(
    {"ThrottlingException", "TooManyRequestsException", "ProvisionedThroughputExceededException"}
)


def handle(event: Any, _context: Any) -> dict[str, Any]:
    """Answer one request."""
    log = logger("rollout_api")
    try:
        answer = _answer(_REQUEST.validate_python(event))
    except ValidationError as error:
        wrong = "; ".join(mistakes(error)[:5])
        answer = Answer(refused=Refusal(code="V009", message=f"the request is not usable: {wrong}."))
    except CloudError as error:
        answer = Answer(
            refused=Refusal(code=error.code, message=error.message, hint=error.hint, retryable=error.retryable)
        )
    except ClientError as error:
        said = error.response["Error"]
        retryable = said["Code"] in _NOT_NOW
        message = f"{error.operation_name}: {said['Code']}: {said['Message']}"
        answer = Answer(refused=Refusal(code="V003", message=message, retryable=retryable))
    if answer.refused is not None:
        log.warning("refused", extra={"code": answer.refused.code, "reason": answer.refused.message})
    # A null inside is a value: an application that is taken out.
    return {name: said for name, said in answer.model_dump(mode="json").items() if said is not None}


def _answer(request: Any) -> Answer:
    chosen = settings(RolloutApiSettings)
    store = Store(chosen)
    match request:
        case PlanRequest():
            return Answer(plan=_plan(request, chosen, store))
        case StartRequest():
            return Answer(rollout=_start(request, chosen, store))
        case AbortRequest():
            why = f"aborted by {request.by}" + (f": {request.reason}" if request.reason else "")
            return Answer(rollout=store.ask_to_abort(request.rollout_id, why).rollout)
        case StatusRequest():
            return Answer(rollout=store.load(request.rollout_id).rollout)
        case ListRequest():
            _rings(chosen, request.fleet, ())
            return Answer(list=RolloutList(rollouts=tuple(store.of_fleet(request.fleet, request.limit))))
    raise AssertionError(request)


def _plan(request: PlanRequest, chosen: RolloutApiSettings, store: Store) -> Plan:
    _there(chosen, request.change)
    planned = []
    for ring in _rings(chosen, request.fleet, request.rings):
        state = store.newest(request.fleet, ring)
        planned.append(
            PlannedRing(
                ring=ring,
                devices=device_count(chosen, request.fleet, ring),
                version=state.version,
                now=undoing(state, request.change),
                nothing_to_do=state.version > 0 and holds(state, request.change),
            )
        )
    return Plan(
        fleet=request.fleet,
        change=request.change,
        rings=tuple(planned),
        running=store.holder(request.fleet, request.change),
    )


def _start(request: StartRequest, chosen: RolloutApiSettings, store: Store) -> Rollout:
    rings = _rings(chosen, request.fleet, request.rings)
    _few_enough_checks(request.policy, len(rings))
    rollout = progress.planned(
        rollout_id=request.rollout_id,
        fleet=request.fleet,
        rings=rings,
        change=request.change,
        policy=request.policy,
        by=request.by,
        now_s=int(time.time()),
    )
    known = _known(store, rollout)
    if known is None:
        _there(chosen, request.change)
        _as_planned(request, store)
        store.create(rollout)
    elif known.status is not RolloutStatus.RUNNING:
        return known
    _run(chosen, store, known or rollout)
    return known or rollout


def _known(store: Store, rollout: Rollout) -> Rollout | None:
    """The rollout of this id, if this is the same request once more.

    Raises:
        CloudError: V009, the id is another rollout's.
    """
    try:
        found = store.load(rollout.rollout_id).rollout
    except CloudError as error:
        if error.code != "V009":
            raise
        return None
    if (found.fleet, found.change) != (rollout.fleet, rollout.change):
        raise CloudError(f"rollout {rollout.rollout_id!r} is of something else.", code="V009")
    return found


def _run(chosen: RolloutApiSettings, store: Store, rollout: Rollout) -> None:
    """Start the state machine, under the rollout's own name so that it runs once."""
    machine = client("stepfunctions")
    given = {"rollout_id": rollout.rollout_id, "wait_s": rollout.policy.check_every_s}
    try:
        machine.start_execution(
            stateMachineArn=chosen.state_machine_arn, name=rollout.rollout_id, input=json.dumps(given)
        )
    except machine.exceptions.ExecutionAlreadyExists:
        return
    except ClientError as error:
        kept = store.load(rollout.rollout_id)
        reason = f"could not be started: {error.response['Error']['Code']}"
        ended = progress.ended(kept.rollout, RolloutStatus.ROLLED_BACK, now_s=int(time.time()), reason=reason)
        store.save(ended, kept.revision)
        store.release(ended)
        raise


def _rings(chosen: RolloutApiSettings, fleet: str, asked: tuple[str, ...]) -> tuple[str, ...]:
    fleets = fleets_of(chosen.fleets)
    if fleet not in fleets:
        raise CloudError(f"there is no fleet {fleet!r}; there are: {', '.join(sorted(fleets))}.", code="V009")
    unknown = [ring for ring in asked if ring not in fleets[fleet]]
    if unknown:
        raise CloudError(
            f"fleet {fleet!r} has no ring {unknown[0]!r}; it has: {', '.join(fleets[fleet])}.", code="V009"
        )
    return tuple(ring for ring in fleets[fleet] if not asked or ring in asked)


def _there(chosen: RolloutApiSettings, change: Change) -> None:
    """Refuse a version of ours that the account does not have; AWS's own components are AWS's to know."""
    wanted = {APPLICATION_PREFIX + change.name: change.to} if isinstance(change, ApplicationChange) else dict(change.to)
    greengrass = client("greengrassv2")
    for name, choice in wanted.items():
        if choice is None or not name.startswith("vedette."):
            continue
        try:
            found = greengrass.describe_component(arn=f"{chosen.components_arn}{name}:versions:{choice.version}")
        except greengrass.exceptions.ResourceNotFoundException:
            raise CloudError(f"component {name} {choice.version} is not in the account.", code="V009") from None
        state = found["status"]["componentState"]
        if state != "DEPLOYABLE":
            said = found["status"].get("message", "")
            raise CloudError(f"component {name} {choice.version} cannot be deployed: {state} {said}.", code="V009")


def _as_planned(request: StartRequest, store: Store) -> None:
    for ring, expected in request.planned_on.items():
        if undoing(store.newest(request.fleet, ring), request.change) != expected:
            raise CloudError(
                f"ring {ring!r} runs something else than when this was planned.", hint="Plan again.", code="V009"
            )


def _few_enough_checks(policy: GatePolicy, rings: int) -> None:
    longest = rings * policy.timeout_s
    if longest > MAX_ROLLOUT_S:
        raise CloudError(
            f"policy: {rings} rings of {policy.timeout_s} s are {longest} s; {MAX_ROLLOUT_S} are allowed.",
            hint="Give each ring less time.",
            code="V009",
        )
    checks = longest // policy.check_every_s
    if checks > MAX_CHECKS:
        raise CloudError(
            f"policy: {rings} rings of {policy.timeout_s} s, checked every {policy.check_every_s} s, are {checks} "
            f"checks; {MAX_CHECKS} are allowed.",
            hint="Check less often, or give each ring less time.",
            code="V009",
        )
