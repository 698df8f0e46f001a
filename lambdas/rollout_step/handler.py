"""One step of a rollout. Each may be repeated: what was done already is seen and not done again."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from lambdas.common.events import send_event
from lambdas.common.fleet_view import StoredRing
from lambdas.common.log_groups import keep_logs_of
from lambdas.common.own_devices import conflict
from lambdas.common.ring_change import settle
from lambdas.common.ring_look import before, look
from lambdas.common.rollout_store import Kept, Store
from lambdas.common.runtime import client, logger, settings
from lambdas.rollout_step.comparing import candidate, compare
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import RolloutSettings
from vedette.contracts.rollout import (
    ApplicationChange,
    DesiredState,
    RingStatus,
    RingStep,
    Rollout,
    RolloutStatus,
    Verdict,
)
from vedette.contracts.versions import APPLICATION_PREFIX, CANDIDATE_PREFIX, RolloutId
from vedette.core.fleet import rollout as progress
from vedette.core.fleet.desired import holds, subject, undoing
from vedette.core.fleet.gate import Finding
from vedette.core.fleet.ring_view import Unwell
from vedette.core.fleet.rollout import Next

#: What is told of an end.
_ENDS: Final = {RolloutStatus.SUCCEEDED: "succeeded", RolloutStatus.ROLLED_BACK: "rolled back"}


class Action(StrEnum):
    """What the state machine asks for."""

    BEGIN = "begin"
    CHECK = "check"
    ROLL_BACK = "roll-back"
    FINISH = "finish"


class _Step(BaseModel):
    """The state machine's input; ``error`` is there when a step broke off."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    action: Action
    rollout_id: RolloutId
    error: Annotated[dict[str, Any] | None, Field(description="Step Functions' own words.")] = None


def handle(event: Any, _context: Any) -> dict[str, str]:
    """Do a step; the answer's ``next`` is what comes after it.

    Raises:
        pydantic.ValidationError: the state machine and this function do not belong together.
        CloudError: V003 retryable, V009.
    """
    step = _Step.model_validate(event)
    log = logger("rollout_step")
    store = Store(settings(RolloutSettings))
    kept = store.load(step.rollout_id)
    if kept.rollout.status is not RolloutStatus.RUNNING:
        # The step that ended it may have broken off before it let others in.
        if store.release(kept.rollout):
            _tell(kept.rollout, None, _ENDS[kept.rollout.status])
        return {"next": Next.DONE.value}
    match step.action:
        case Action.BEGIN:
            following = _begin(kept)
        case Action.CHECK:
            following = _check(kept)
        case Action.ROLL_BACK:
            following = _roll_back(kept, step.error)
        case Action.FINISH:
            following = _finish(kept)
    log.info("step done", extra={"rollout_id": step.rollout_id, "step": step.action, "next": following})
    return {"next": following.value}


def _begin(kept: Kept) -> Next:
    """Put the change, or what is compared before it, into the next ring."""
    if kept.abort is not None:
        return Next.ROLL_BACK
    rollout, revision = kept.rollout, kept.revision
    step = progress.current(rollout)
    if step is None:
        return Next.FINISH
    store, ring = _ring(rollout, step)
    if step.status is RingStatus.WAITING:
        was = before(settings(RolloutSettings), rollout.fleet, step.ring, now_s=_now())
        if was is None:
            return _not_counted(kept, step.ring)
        refused = conflict(settings(RolloutSettings), store, rollout.fleet, step.ring, progress.wanted(rollout, step))
        if refused is not None:
            return _refused(kept, f"ring {step.ring}: {refused}")
        rollout = _begun(rollout, step, ring.newest(), was)
        revision = store.save(rollout, revision)
        _keep_logs(rollout)
        step = progress.current(rollout) or step
    comparing = step.status is RingStatus.COMPARING
    change = candidate(rollout, step, ring.newest()) if comparing else progress.wanted(rollout, step)
    settled = settle(ring, change, watched=True)
    rollout = progress.deployed(
        rollout, step.ring, version=settled.version, deployment_id=settled.deployment_id, now_s=_now()
    )
    store.save(rollout, revision)
    _tell(rollout, step.ring, "comparing" if comparing else "deploying")
    return Next.WAIT


def _begun(rollout: Rollout, step: RingStep, state: DesiredState, was: tuple[Unwell, int]) -> Rollout:
    """Written down before anything is done: what takes it back."""
    unwell, devices = was
    first = progress.to_compare(rollout, step, state, devices)
    return progress.begun(
        rollout,
        step.ring,
        undo=undoing(state, progress.wanted(rollout, step) if first is None else first),
        before=unwell,
        now_s=_now(),
        status=RingStatus.DEPLOYING if first is None else RingStatus.COMPARING,
    )


def _not_counted(kept: Kept, ring: str) -> Next:
    """How the ring was before is not known: wait for a count of its devices, but not for ever."""
    rollout = kept.rollout
    if _now() - rollout.updated_at < rollout.policy.timeout_s:
        return Next.WAIT
    return _refused(kept, f"ring {ring}: its devices were not counted within {rollout.policy.timeout_s} s")


def _refused(kept: Kept, reason: str) -> Next:
    Store(settings(RolloutSettings)).save(kept.rollout.model_copy(update={"reason": reason}), kept.revision)
    return Next.ROLL_BACK


def _check(kept: Kept) -> Next:
    """Ask the gate about the ring."""
    if kept.abort is not None:
        return Next.ROLL_BACK
    rollout = kept.rollout
    step = progress.current(rollout)
    if step is None:
        return Next.FINISH
    if step.status is RingStatus.WAITING or step.deployment_id is None:
        return _begin(kept)
    if step.status is RingStatus.COMPARING:
        return _check_comparison(kept, step)
    store, ring = _ring(rollout, step)
    now_s = _now()
    counts, unsure = look(settings(RolloutSettings), rollout.fleet, step, rollout.policy, now_s=now_s)
    others = [*unsure]
    if not holds(ring.newest(), progress.wanted(rollout, step)):
        others.append(Finding(Verdict.FAIL, "somebody else has changed the same entry of the ring's desired state"))
    rollout, following = progress.checked(rollout, step.ring, counts, now_s=now_s, others=others)
    store.save(rollout, kept.revision)
    if following is not Next.WAIT:
        _tell(rollout, step.ring, "passed" if following is not Next.ROLL_BACK else "not passed")
    return following


def _check_comparison(kept: Kept, step: RingStep) -> Next:
    """Ask what the devices see; where it is the same, the change itself is next."""
    rollout, now_s = kept.rollout, _now()
    store, ring = _ring(rollout, step)
    state = ring.newest()
    found, counts = compare(settings(RolloutSettings), rollout, step, state, now_s=now_s)
    undo = undoing(state, progress.wanted(rollout, step))
    rollout, following = progress.compared(rollout, step.ring, found, counts, undo=undo, now_s=now_s)
    store.save(rollout, kept.revision)
    if following is not Next.WAIT:
        _tell(rollout, step.ring, "compared" if following is Next.BEGIN else "not passed")
    return following


def _roll_back(kept: Kept, error: dict[str, Any] | None) -> Next:
    """Give every ring that was changed what it ran before, the last one first."""
    rollout, revision = kept.rollout, kept.revision
    store = Store(settings(RolloutSettings))
    for step in progress.to_restore(rollout):
        assert step.undo is not None
        _, ring = _ring(rollout, step)
        # Nobody looks at it again: AWS must not stop it half way.
        settled = settle(ring, step.undo, watched=False)
        rollout = progress.restored(
            rollout, step.ring, version=settled.version, deployment_id=settled.deployment_id, now_s=_now()
        )
        revision = store.save(rollout, revision)
    reason = kept.abort or rollout.reason or _words(error)
    rollout = progress.ended(rollout, RolloutStatus.ROLLED_BACK, now_s=_now(), reason=reason)
    store.save(rollout, revision)
    store.release(rollout)
    _tell(rollout, None, _ENDS[rollout.status])
    return Next.DONE


def _finish(kept: Kept) -> Next:
    """All rings run the change."""
    store = Store(settings(RolloutSettings))
    rollout = progress.ended(kept.rollout, RolloutStatus.SUCCEEDED, now_s=_now())
    store.save(rollout, kept.revision)
    store.release(rollout)
    _tell(rollout, None, _ENDS[rollout.status])
    return Next.DONE


def _ring(rollout: Rollout, step: RingStep) -> tuple[Store, StoredRing]:
    chosen = settings(RolloutSettings)
    store = Store(chosen)
    return store, StoredRing(store, chosen, rollout.fleet, step.ring, rollout.rollout_id)


def _keep_logs(rollout: Rollout) -> None:
    """Log groups for an application that comes in and for its candidate.

    Not vital: without one, devices keep its logs to themselves.
    """
    change = rollout.change
    if not isinstance(change, ApplicationChange) or change.to is None:
        return
    prefixes = [APPLICATION_PREFIX] if rollout.policy.comparison is None else [APPLICATION_PREFIX, CANDIDATE_PREFIX]
    try:
        for prefix in prefixes:
            keep_logs_of(settings(RolloutSettings), prefix + change.name)
    except CloudError as error:
        logger("rollout_step").warning("no log group", extra={"reason": error.message})


def _words(error: dict[str, Any] | None) -> str:
    if not error:
        return "a step broke off"
    return f"a step broke off: {error.get('Error', '')} {error.get('Cause', '')}"[:400].strip()


def _tell(rollout: Rollout, ring: str | None, what: str) -> None:
    """Tell whoever listens. Not vital: a bus that cannot be reached stops no rollout."""
    detail = {
        "rollout_id": rollout.rollout_id,
        "fleet": rollout.fleet,
        "subject": subject(rollout.change),
        "status": rollout.status.value,
        "ring": ring,
        "what": what,
        "reason": rollout.reason,
        "by": rollout.by,
        "overrides": [override.model_dump(mode="json") for override in rollout.overrides],
        "takes_back": rollout.takes_back,
    }
    try:
        send_event(client("events"), settings(RolloutSettings).event_bus, "RolloutState", detail)
    except CloudError as error:
        logger("rollout_step").warning("event was not taken", extra={"reason": error.message})


def _now() -> int:
    return int(time.time())
