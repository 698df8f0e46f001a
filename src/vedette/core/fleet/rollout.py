"""How a rollout goes on: which ring is next, what a check means, what must be given back. Pure.

waiting ─begun─► (comparing ─seen the same─►) deploying ─passed─► passed
                     └────────────────────────────┴─────────────────┤
                                                                restored
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from vedette.contracts.comparison import ComparisonTask
from vedette.contracts.rollout import (
    ApplicationChange,
    Candidate,
    CandidateChange,
    Change,
    Compared,
    DesiredState,
    GatePolicy,
    Override,
    RingChange,
    RingCounts,
    RingStatus,
    RingStep,
    Rollout,
    RolloutStatus,
    Verdict,
)
from vedette.core.fleet.desired import holds
from vedette.core.fleet.gate import Finding, decide, enough
from vedette.core.fleet.ring_view import Unwell

#: How much longer than a device compares its ring is waited for: the deployment has to reach it first. Seconds.
COMPARISON_MARGIN_S: Final = 900
_UNDER_WAY: Final = frozenset({RingStatus.WAITING, RingStatus.COMPARING, RingStatus.DEPLOYING})
_CHANGED: Final = frozenset({RingStatus.COMPARING, RingStatus.DEPLOYING, RingStatus.PASSED})


class Next(StrEnum):
    """What comes after a step; the state machine's choices."""

    BEGIN = "begin"
    WAIT = "wait"
    FINISH = "finish"
    ROLL_BACK = "roll-back"
    DONE = "done"


def planned(
    *,
    rollout_id: str,
    fleet: str,
    rings: Iterable[str],
    change: Change,
    policy: GatePolicy,
    by: str,
    now_s: int,
    overrides: tuple[Override, ...] = (),
    takes_back: str | None = None,
    changes: Mapping[str, Change] | None = None,
) -> Rollout:
    """A rollout that has not begun.

    Args:
        rollout_id: its id.
        fleet: of the rings.
        rings: in their order.
        change: of all rings, or of those without one of their own.
        policy: of the gate.
        by: who asked for it.
        now_s: seconds since 1970.
        overrides: checks that were passed over.
        takes_back: the rollout that it takes back.
        changes: ring → its own change.
    """
    own = changes or {}
    return Rollout(
        rollout_id=rollout_id,
        fleet=fleet,
        change=change,
        rings=tuple(RingStep(ring=ring, change=own.get(ring)) for ring in rings),
        policy=policy,
        by=by,
        overrides=overrides,
        takes_back=takes_back,
        created_at=now_s,
        updated_at=now_s,
    )


def longest_s(policy: GatePolicy, rings: int) -> int:
    """How long so many rings may take, comparison included; seconds."""
    comparison = policy.comparison.timeout_s + COMPARISON_MARGIN_S if policy.comparison is not None else 0
    return rings * policy.timeout_s + comparison


def wanted(rollout: Rollout, step: RingStep) -> Change:
    """What a ring gets."""
    return step.change or rollout.change


def current(rollout: Rollout) -> RingStep | None:
    """The ring that is being worked on or comes next; None where all have passed."""
    return next((step for step in rollout.rings if step.status in _UNDER_WAY), None)


def to_compare(rollout: Rollout, step: RingStep, state: DesiredState, devices: int) -> CandidateChange | None:
    """What puts the new version beside the running one, where that comes first.

    It does in the first ring that has devices and something to change, for a version that comes in, if the policy says
    so. What is taken back ran before, and waits for nothing.

    Args:
        rollout: as it is.
        step: the ring that comes next.
        state: what the ring should run.
        devices: of the ring.
    """
    change, policy = wanted(rollout, step), rollout.policy.comparison
    if policy is None or rollout.takes_back is not None or devices == 0:
        return None
    if not isinstance(change, ApplicationChange) or change.to is None or holds(state, change):
        return None
    for earlier in rollout.rings[: rollout.rings.index(step)]:
        if earlier.counts is not None and earlier.counts.devices and earlier.undo != wanted(rollout, earlier):
            return None
    task = ComparisonTask(rollout_id=rollout.rollout_id, policy=policy)
    return CandidateChange(name=change.name, to=Candidate(**dict(change.to), task=task))


def begun(
    rollout: Rollout,
    ring: str,
    *,
    undo: RingChange,
    before: Unwell,
    now_s: int,
    status: RingStatus = RingStatus.DEPLOYING,
) -> Rollout:
    """The ring is about to be changed. Written down first, so that a crash after this leaves nothing unrestored."""
    return _with(
        rollout,
        ring,
        now_s,
        status=status,
        undo=undo,
        began_at=now_s,
        unwell_before=dict(before),
    )


def deployed(rollout: Rollout, ring: str, *, version: int, deployment_id: str, now_s: int) -> Rollout:
    """The ring has the change in its desired state and a deployment of it."""
    return _with(rollout, ring, now_s, version=version, deployment_id=deployment_id)


def compared(
    rollout: Rollout, ring: str, found: Compared, counts: RingCounts, *, undo: Change, now_s: int
) -> tuple[Rollout, Next]:
    """The ring's devices have told more of what both versions see.

    Args:
        rollout: as it is.
        ring: that compares.
        found: what they told, and what that means.
        counts: of the ring.
        undo: what takes the change itself back; it counts from here on where the comparison has passed.
        now_s: seconds since 1970.

    Returns:
        The rollout, and what comes next: after a pass the change itself.
    """
    news: dict[str, Any] = {"counts": counts, "compared": found, "verdict": found.verdict, "reason": found.reason}
    if found.verdict is Verdict.PASS:
        # No deployment yet: whoever comes next makes it.
        news |= {"status": RingStatus.DEPLOYING, "undo": undo, "began_at": now_s, "settled_at": None}
        news |= {"version": None, "deployment_id": None}
        return _with(rollout, ring, now_s, **news), Next.BEGIN
    after = _with(rollout, ring, now_s, **news)
    if found.verdict is Verdict.WAIT:
        return after, Next.WAIT
    return after.model_copy(update={"reason": f"ring {ring}: {found.reason}"}), Next.ROLL_BACK


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
    return [step for step in reversed(rollout.rings) if step.status in _CHANGED]


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
