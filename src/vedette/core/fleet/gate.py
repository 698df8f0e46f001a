"""Whether a ring has done well enough for the next one to begin. Pure.

What cannot be known yet is waited for, and what was not known in time is ``UNDECIDED``: never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vedette.contracts.rollout import GatePolicy, RingCounts, Verdict

#: Verdicts, the gravest first.
GRAVITY: Final = (Verdict.FAIL, Verdict.UNDECIDED, Verdict.WAIT, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict and, for people, why."""

    verdict: Verdict
    reason: str


def enough(counts: RingCounts, policy: GatePolicy) -> bool:
    """Whether enough devices run the change for the soak to begin."""
    return counts.online > 0 and counts.succeeded >= _least(counts.online, policy.least_succeeded)


def too_many_failed(counts: RingCounts, policy: GatePolicy) -> bool:
    """Whether more devices than may have refused what was deployed last."""
    return counts.failed > _most(counts.online, policy.most_failed)


def decide(
    counts: RingCounts,
    policy: GatePolicy,
    *,
    elapsed_s: float,
    settled_s: float | None,
    others: Iterable[Finding] = (),
) -> Finding:
    """The gate's finding about a ring.

    Args:
        counts: devices of the ring, now.
        policy: of the rollout.
        elapsed_s: since the ring was begun.
        settled_s: since enough devices run the change; None while they do not.
        others: findings about the same ring by other measures, such as what the models see; the gravest counts.
    """
    if counts.devices == 0:
        verdict = Verdict.PASS if policy.empty_ring_passes else Verdict.UNDECIDED
        return Finding(verdict, "the ring has no devices")
    own = _by_devices(counts, policy, settled_s)
    worst = min((own, *others), key=lambda finding: GRAVITY.index(finding.verdict))
    if worst.verdict is Verdict.WAIT and elapsed_s >= policy.timeout_s:
        return Finding(Verdict.UNDECIDED, f"not enough evidence after {policy.timeout_s} s: {worst.reason}")
    return worst


def _by_devices(counts: RingCounts, policy: GatePolicy, settled_s: float | None) -> Finding:
    online = counts.online
    if too_many_failed(counts, policy):
        return Finding(Verdict.FAIL, f"{counts.failed} of {online} devices could not take the change")
    if settled_s is None or not enough(counts, policy):
        least = _least(online, policy.least_succeeded)
        told = f"{counts.succeeded} of {online} devices run the change, {least} are needed"
        if online == 0:
            told = f"all {counts.offline} devices are offline" if counts.offline > 1 else "the device is offline"
        return Finding(Verdict.WAIT, told)
    if settled_s < policy.soak_s:
        return Finding(Verdict.WAIT, f"enough devices have run the change for {settled_s:.0f} of {policy.soak_s} s")
    # A device that the change has cut off tells nothing at all: silence counts.
    if counts.newly_unwell > _most(counts.devices, policy.most_newly_unwell):
        reason = f"{counts.newly_unwell} of {counts.devices} devices report problems that they did not have, or nothing"
        return Finding(Verdict.FAIL, reason)
    return Finding(Verdict.PASS, f"{counts.succeeded} of {online} devices run the change and are well")


def _least(online: int, share: float) -> int:
    return max(1, math.ceil(online * share))


def _most(online: int, share: float) -> int:
    return math.floor(online * share)
