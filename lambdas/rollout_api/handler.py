"""Plans, starts, aborts and shows rollouts. A refusal is an answer, not an exception: the caller gets its code."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError
from pydantic import TypeAdapter, ValidationError

from lambdas.common.own_devices import own_applications
from lambdas.common.rollout_store import Store
from lambdas.common.runtime import client, logger, settings
from lambdas.rollout_api import planning
from vedette.contracts.base import mistakes
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import RolloutApiSettings
from vedette.contracts.rollout import Change, Rollout, RolloutStatus, device_ring
from vedette.contracts.rollout_api import (
    AbortRequest,
    Answer,
    DesiredList,
    DesiredRequest,
    ListRequest,
    PlanRequest,
    PlanRollbackRequest,
    Refusal,
    Request,
    RolloutList,
    StartRequest,
    StatusRequest,
)
from vedette.core.fleet import rollout as progress
from vedette.core.fleet.desired import subject, undoing

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
            return Answer(plan=planning.plan(request, chosen, store))
        case PlanRollbackRequest():
            return Answer(plan=planning.plan_rollback(request, chosen, store))
        case StartRequest():
            return Answer(rollout=_start(request, chosen, store))
        case AbortRequest():
            why = f"aborted by {request.by}" + (f": {request.reason}" if request.reason else "")
            return Answer(rollout=store.ask_to_abort(request.rollout_id, why).rollout)
        case StatusRequest():
            return Answer(rollout=store.load(request.rollout_id).rollout)
        case DesiredRequest():
            return Answer(desired=_desired(request, chosen, store))
        case ListRequest():
            planning.rings(chosen, request.fleet, ())
            return Answer(list=RolloutList(rollouts=tuple(store.of_fleet(request.fleet, request.limit))))
    raise AssertionError(request)


def _start(request: StartRequest, chosen: RolloutApiSettings, store: Store) -> Rollout:
    rings = planning.rings(chosen, request.fleet, request.rings)
    planning.few_enough_checks(request.policy, len(rings))
    rollout = _known(store, request)
    if rollout is None:
        changes = _changes(request, rings, store)
        compare = request.policy.comparison is not None and request.takes_back is None
        planning.may(chosen, store, request.fleet, changes, compare=compare)
        _as_planned(request, store)
        rollout = _new(request, changes)
        store.create(rollout)
    elif rollout.status is not RolloutStatus.RUNNING:
        # The request that could not start its machine may have broken off before it let others in.
        store.release(rollout)
        return rollout
    _run(chosen, store, rollout)
    return rollout


def _changes(request: StartRequest, rings: tuple[str, ...], store: Store) -> dict[str, Change]:
    """Ring → what it is to get."""
    if request.takes_back is None:
        return dict.fromkeys(rings, request.change)
    last = store.load(request.takes_back).rollout
    if subject(last.change) != subject(request.change):
        raise CloudError(f"rollout {last.rollout_id!r} is of something else.", code="V009")
    return planning.given_back(last, rings, request.fleet, store)


def _new(request: StartRequest, changes: Mapping[str, Change]) -> Rollout:
    first = next(iter(changes.values()))
    return progress.planned(
        rollout_id=request.rollout_id,
        fleet=request.fleet,
        rings=changes,
        change=first,
        policy=request.policy,
        by=request.by,
        now_s=int(time.time()),
        overrides=request.overrides,
        takes_back=request.takes_back,
        changes={ring: change for ring, change in changes.items() if change != first},
    )


def _known(store: Store, request: StartRequest) -> Rollout | None:
    """The rollout of this id, if this is the same request once more.

    Raises:
        CloudError: V009, the id is another rollout's.
    """
    try:
        found = store.load(request.rollout_id).rollout
    except CloudError as error:
        if error.code != "V009":
            raise
        return None
    if (found.fleet, found.change, found.takes_back) != (request.fleet, request.change, request.takes_back):
        raise CloudError(f"rollout {request.rollout_id!r} is of something else.", code="V009")
    return found


def _desired(request: DesiredRequest, chosen: RolloutApiSettings, store: Store) -> DesiredList:
    """One request for each ring, and for each of the few devices with applications of their own."""
    names = [*planning.rings(chosen, request.fleet, ())]
    names += [device_ring(thing) for thing in own_applications(chosen, request.fleet)]
    return DesiredList(states=tuple(store.newest(request.fleet, name) for name in names))


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


def _as_planned(request: StartRequest, store: Store) -> None:
    for ring, expected in request.planned_on.items():
        if undoing(store.newest(request.fleet, ring), request.change) != expected:
            raise CloudError(
                f"ring {ring!r} runs something else than when this was planned.", hint="Plan again.", code="V009"
            )
