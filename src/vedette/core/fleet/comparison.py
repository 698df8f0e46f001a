"""Whether a new version sees what the running one sees, by the reports of a ring's devices. Pure.

One decision, when every device that is expected has finished or the time is over: an answer that is looked for again
and again is found sooner or later by chance. No evidence is no pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from vedette.contracts.comparison import (
    MAX_DEVICES,
    MAX_NOTES,
    OTHER_LABELS,
    Agreement,
    ComparisonPolicy,
    ComparisonReport,
)
from vedette.contracts.rollout import Compared, Verdict
from vedette.core.fleet.bounds import lower, objects_needed, surely_at_least, surely_below, upper
from vedette.core.fleet.gate import GRAVITY, Finding

#: Fewer objects decide nothing, whatever share of them was seen.
LEAST_OBJECTS: Final = 20
#: Devices and failed clips that a reason names.
_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is compared.

    Attributes:
        policy: of the comparison.
        version: the new one.
        running: the version that the ring should run; None where it runs none, so that there is nothing to compare.
        online: devices of the ring that are there.
        over: whether the time is over.
    """

    policy: ComparisonPolicy
    version: str
    running: str | None
    online: int
    over: bool


def added_up(agreements: Iterable[Agreement]) -> Agreement:
    """All of them together, the same in whatever order they come."""
    every = tuple(agreements)
    running, new = sum(one.running_objects for one in every), sum(one.new_objects for one in every)
    return Agreement(
        running_objects=running,
        running_seen=min(float(running), math.fsum(one.running_seen for one in every)),
        new_objects=new,
        new_seen=min(float(new), math.fsum(one.new_seen for one in every)),
    )


def compared(reports: Sequence[ComparisonReport], asked: Asked) -> Compared:
    """What the reports of a ring mean.

    Args:
        reports: the newest of each device, in any order.
        asked: what is compared.
    """
    finished = [one for one in reports if one.done and (one.golden is not None or one.problem)]
    # A report about another running version says nothing of the one that the ring should run.
    judged = sorted(reports if asked.over else finished, key=_device)
    counted = [one for one in judged if one.against == asked.running]
    names = sorted({label for one in counted for label in one.labels})
    labels = {name: added_up(one.labels[name] for one in counted if name in one.labels) for name in names}
    overall = added_up(labels.values())
    expected = max(1, min(asked.online, MAX_DEVICES))
    if len(finished) < expected and not asked.over:
        reason = f"{len(finished)} of {expected} devices have compared {asked.policy.frames} pictures"
        finding = Finding(Verdict.WAIT, reason)
    else:
        finding = _decided([*_failed(reports), *_untold(judged)], judged, overall, labels, asked)
    return Compared(
        verdict=finding.verdict,
        reason=finding.reason,
        devices=len(reports),
        finished=len(finished),
        overall=overall,
        labels=labels,
        notes=tuple(sorted({note for one in judged for note in one.notes})[:MAX_NOTES]),
    )


def _decided(
    findings: list[Finding],
    judged: Sequence[ComparisonReport],
    overall: Agreement,
    labels: dict[str, Agreement],
    asked: Asked,
) -> Finding:
    if not judged:
        findings.append(Finding(Verdict.UNDECIDED, "no device has told what both versions see"))
    elif asked.running is not None:
        findings += _seen(overall, labels, asked) if (why := _meant(judged)) is None else [Finding(Verdict.PASS, why)]
    worst = min(findings, key=lambda one: GRAVITY.index(one.verdict), default=None)
    if worst is not None and worst.verdict is not Verdict.PASS:
        return worst
    if asked.running is None:
        return Finding(Verdict.PASS, f"nothing ran that {asked.version} could be compared with{_clips(judged)}")
    return Finding(Verdict.PASS, "; ".join(one.reason for one in findings) + _clips(judged))


def _failed(reports: Sequence[ComparisonReport]) -> list[Finding]:
    """The application's own tests, which need nobody to compare with: one device is enough, finished or not."""
    failed = [one for one in reports if one.golden is not None and one.golden.failed]
    if not failed:
        return []
    clips = sorted({name for one in failed if one.golden is not None for name in one.golden.failures})
    named = f" ({', '.join(clips[:_NAMED])})" if clips else ""
    devices = _names(one.device for one in failed)
    return [Finding(Verdict.FAIL, f"the application's own tests fail{named} on {devices}")]


def _meant(judged: Sequence[ComparisonReport]) -> str | None:
    """Why nothing was compared on any device, as it is meant; None where something was to be."""
    reasons = {one.not_compared for one in judged}
    return reasons.pop() if len(reasons) == 1 else None


def _untold(judged: Sequence[ComparisonReport]) -> list[Finding]:
    """What devices could not do."""
    findings = []
    if told := [one for one in judged if one.problem]:
        reason = f"on {_names(one.device for one in told)}: {told[0].problem}"
        findings.append(Finding(Verdict.UNDECIDED, reason))
    if waiting := [one.device for one in judged if one.golden is None and not one.problem]:
        reason = f"the application's own tests were not run in time on {_names(waiting)}"
        findings.append(Finding(Verdict.UNDECIDED, reason))
    return findings


def _seen(overall: Agreement, labels: dict[str, Agreement], asked: Asked) -> list[Finding]:
    """By the objects. A pass needs both shares, so each has the whole confidence; of the ways to fail one is enough, so
    they share what is left to chance.
    """
    policy, single = asked.policy, labels if len(labels) > 1 else {}
    failing = 1 - (1 - policy.confidence) / (2 + len(single))
    seen = _Share(overall.running_objects, overall.running_seen, policy.least_agreement)
    told = f"of {{objects}} objects that {asked.running} followed, {asked.version} saw"
    findings = [seen.finding(told, policy.confidence, failing)]
    # Written as the share that both saw, of which so much is needed.
    old = _Share(overall.new_objects, overall.new_seen, 1 - policy.most_new)
    told = f"of {{objects}} objects that {asked.version} followed, {asked.running} saw"
    findings.append(old.finding(told, policy.confidence, failing))
    for name, one in single.items():
        share = _Share(one.running_objects, one.running_seen, policy.least_agreement)
        what = "other objects" if name == OTHER_LABELS else f"objects {name!r}"
        found = share.finding(f"of {{objects}} {what} that {asked.running} followed, {asked.version} saw", 0.5, failing)
        if found.verdict is Verdict.FAIL:
            findings.append(found)
    return findings


@dataclass(frozen=True, slots=True)
class _Share:
    """So much of so many objects was seen, and of how much that must be so."""

    objects: int
    seen: float
    limit: float

    def finding(self, told: str, passing: float, failing: float) -> Finding:
        """What it means.

        Args:
            told: beginning of the sentence.
            passing: confidence of a pass.
            failing: confidence of a failure.
        """
        begin = told.format(objects=self.objects)
        if self.objects == 0:
            return Finding(Verdict.UNDECIDED, f"{begin} nothing: there was nothing to see; {self._more(1.0, passing)}")
        share = min(1.0, self.seen / self.objects)
        needed = f"{_per_cent(self.limit)} are needed"
        if self.objects >= LEAST_OBJECTS and surely_at_least(share, self.objects, self.limit, passing):
            least = _per_cent(lower(share, self.objects, passing), down=True)
            return Finding(Verdict.PASS, f"{begin} {_per_cent(share)} (at least {least}, {needed})")
        if self.objects >= LEAST_OBJECTS and surely_below(share, self.objects, self.limit, failing):
            most = _per_cent(upper(share, self.objects, failing), down=False)
            return Finding(Verdict.FAIL, f"{begin} {_per_cent(share)} (at most {most}, {needed})")
        more = self._more(share, passing if share >= self.limit else failing)
        return Finding(Verdict.UNDECIDED, f"{begin} {_per_cent(share)}, too few to tell whether the {needed}: {more}")

    def _more(self, share: float, confidence: float) -> str:
        """How many objects more would decide."""
        count = objects_needed(share, self.limit, confidence, at_least=LEAST_OBJECTS)
        if count is None:
            return "no number of them would do, the share is too near the limit"
        return f"{max(1, count - self.objects):,} more would do at this share"


def _clips(reports: Sequence[ComparisonReport]) -> str:
    """What was and was not run of the application's own tests, at the end of a sentence."""
    most = max((one.golden.total - one.golden.lacking for one in reports if one.golden is not None), default=0)
    return f"; {most} of the application's own tests pass" if most > 0 else "; the application brought no tests"


def _per_cent(share: float, *, down: bool | None = None) -> str:
    """A bound is rounded towards the limit's wrong side, so that it never looks better than it is."""
    if down is None:
        return f"{share * 100:.0f} %"
    return f"{(math.floor if down else math.ceil)(share * 100)} %"


def _names(things: Iterable[str]) -> str:
    every = sorted(things)
    more = f" and {len(every) - _NAMED} more devices" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more


def _device(report: ComparisonReport) -> str:
    return report.device
