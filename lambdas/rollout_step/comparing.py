"""The stage before a change: a new version beside the running one, on the devices of the first ring."""

from __future__ import annotations

from lambdas.common.comparisons import read_comparison
from lambdas.common.ring_look import look
from lambdas.common.runtime import client
from vedette.contracts.functions import RolloutSettings
from vedette.contracts.rollout import (
    ApplicationChange,
    CandidateChange,
    Compared,
    DesiredState,
    RingCounts,
    RingStep,
    Rollout,
    Verdict,
)
from vedette.core.fleet import rollout as progress
from vedette.core.fleet.comparison import Asked, compared
from vedette.core.fleet.desired import holds
from vedette.core.fleet.gate import too_many_failed


def candidate(rollout: Rollout, step: RingStep, state: DesiredState) -> CandidateChange:
    """What puts the new version beside the running one."""
    change = progress.to_compare(rollout, step, state, devices=1)
    assert change is not None
    return change


def compare(
    settings: RolloutSettings, rollout: Rollout, step: RingStep, state: DesiredState, *, now_s: int
) -> tuple[Compared, RingCounts]:
    """What the ring's devices tell so far, and what that means.

    Args:
        settings: of the function.
        rollout: as it is.
        step: the ring that compares.
        state: what it should run now.
        now_s: seconds since 1970.
    """
    change, policy = progress.wanted(rollout, step), rollout.policy
    assert isinstance(change, ApplicationChange)
    assert change.to is not None
    assert policy.comparison is not None
    counts, _ = look(settings, rollout.fleet, step, policy, now_s=now_s)
    told, _ = read_comparison(client("dynamodb"), settings.rollouts_table, rollout.rollout_id)
    running = state.applications.get(change.name)
    elapsed_s = now_s - (step.began_at or now_s)
    asked = Asked(
        policy=policy.comparison,
        version=change.to.version,
        running=running.version if running is not None else None,
        online=counts.online,
        over=elapsed_s >= policy.comparison.timeout_s + progress.COMPARISON_MARGIN_S,
    )
    found = compared(tuple(told.reports.values()), asked)
    wrong = _wrong(rollout, step, state, counts)
    if wrong is not None:
        found = found.model_copy(update={"verdict": Verdict.FAIL, "reason": wrong})
    return found, counts


def _wrong(rollout: Rollout, step: RingStep, state: DesiredState, counts: RingCounts) -> str | None:
    change = progress.to_compare(rollout, step, state, devices=1)
    if change is None or not holds(state, change):
        return "somebody else has changed the same entry of the ring's desired state"
    if too_many_failed(counts, rollout.policy):
        return f"{counts.failed} of {counts.online} devices could not take the new version beside the running one"
    return None
