"""How a rollout goes on: which ring is next, what a check means, what must be given back. Pure.

waiting ─begun─► deploying ─passed─► passed
                     └────────┬────────┘
                           restored
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from vedette.contracts.rollout import (
    Change,
    GatePolicy,
    RingChange,
    RingCounts,
    RingStatus,
    RingStep,
    Rollout,
    RolloutStatus,
    Verdict,
)
from vedette.core.fleet.gate import Finding, decide, enough
from vedette.core.fleet.ring_view import Unwell


class Next(StrEnum):
    """What comes after a step; the state machine's choices."""

    BEGIN = "begin"
    WAIT = "wait"
    FINISH = "finish"
    ROLL_BACK = "roll-back"
    DONE = "done"


def planned(
    *, rollout_id: str, fleet: str, rings: Iterable[str], change: Change, policy: GatePolicy, by: str, now_s: int
) -> Rollout:
    """A rollout that has not begun."""
    return Rollout(
        rollout_id=rollout_id,
        fleet=fleet,
        change=change,
        rings=tuple(RingStep(ring=ring) for ring in rings),
        policy=policy,
        by=by,
        created_at=now_s,
        updated_at=now_s,
    )


def current(rollout: Rollout) -> RingStep | None:
    """The ring that is being worked on or comes next; None where all have passed."""
    return next((s for s in rollout.rings if s.status in {RingStatus.WAITING, RingStatus.DEPLOYING}), None)


def begun(rollout: Rollout, ring: str, *, undo: RingChange, before: Unwell, now_s: int) -> Rollout:
    """The ring is about to be changed. Written down first, so that a crash after this leaves nothing unrestored."""
    return _with(
        rollout,
        ring,
        now_s,
        status=RingStatus.DEPLOYING,
        undo=undo,
        began_at=now_s,
        unwell_before=dict(before),
    )


def deployed(rollout: Rollout, ring: str, *, version: int, deployment_id: str, now_s: int) -> Rollout:
    """The ring has the change in its desired state and a deployment of it."""
    return _with(rollout, ring, now_s, version=version, deployment_id=deployment_id)


def checked(
    rollout: Rollout, ring: str, counts: RingCounts, *, now_s: int, others: Iterable[Finding] = ()
) -> tuple[Rollout, Next]:
    """Ask the gate about the ring that is deploying.

    Returns:
        The rollout with what was found, and what comes next.
    """
    step = _step(rollout, ring)
    settled_at = (step.settled_at or now_s) if enough(counts, rollout.policy) else None
    finding = decide(
        counts,
        rollout.policy,
        elapsed_s=now_s - (step.began_at or now_s),
        settled_s=None if settled_at is None else now_s - settled_at,
        others=others,
    )
    passed = finding.verdict is Verdict.PASS
    after = _with(
        rollout,
        ring,
        now_s,
        status=RingStatus.PASSED if passed else RingStatus.DEPLOYING,
        settled_at=settled_at,
        counts=counts,
        verdict=finding.verdict,
        reason=finding.reason,
    )
    if passed:
        return after, Next.FINISH if current(after) is None else Next.BEGIN
    if finding.verdict is Verdict.WAIT:
        return after, Next.WAIT
    return after.model_copy(update={"reason": f"ring {ring}: {finding.reason}"}), Next.ROLL_BACK


def to_restore(rollout: Rollout) -> list[RingStep]:
    """Rings that the rollout changed, the last one first."""
    changed = {RingStatus.DEPLOYING, RingStatus.PASSED}
    return [step for step in reversed(rollout.rings) if step.status in changed]


def restored(rollout: Rollout, ring: str, *, version: int, deployment_id: str, now_s: int) -> Rollout:
    """The ring has back what it ran before."""
    return _with(rollout, ring, now_s, status=RingStatus.RESTORED, version=version, deployment_id=deployment_id)


def ended(rollout: Rollout, status: RolloutStatus, *, now_s: int, reason: str = "") -> Rollout:
    """The rollout is over."""
    return rollout.model_copy(update={"status": status, "updated_at": now_s, "reason": reason or rollout.reason})


def _step(rollout: Rollout, ring: str) -> RingStep:
    return next(step for step in rollout.rings if step.ring == ring)


def _with(rollout: Rollout, ring: str, now_s: int, **changes: Any) -> Rollout:
    rings = tuple(step.model_copy(update=changes) if step.ring == ring else step for step in rollout.rings)
    return rollout.model_copy(update={"rings": rings, "updated_at": now_s})
