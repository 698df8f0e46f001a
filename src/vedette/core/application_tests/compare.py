"""Alerts against expectations: which belong together, what is missing, what is too much."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from vedette.contracts.alert import Alert
from vedette.contracts.application_test import ApplicationTest, ExpectedAlert, QuietSpan

#: An alert this many tolerances away is named beside a miss: it may be the same event, too early or too late.
_NEAR: Final = 6.0
#: Times are compared with this much slack, seconds: alerts carry milliseconds.
_SLACK_S: Final = 5e-4


@dataclass(frozen=True, slots=True)
class Match:
    """An expectation that was met.

    Attributes:
        expected: what was to come.
        alert: what came.
        error_s: by how much it came late (negative: early); for a span, how far outside of its middle half it is, 0.
    """

    expected: ExpectedAlert
    alert: Alert
    error_s: float


@dataclass(frozen=True, slots=True)
class Miss:
    """An expectation that was not met.

    Attributes:
        expected: what was to come.
        near: what came instead, in words; empty where nothing near did.
    """

    expected: ExpectedAlert
    near: str = ""


@dataclass(frozen=True, slots=True)
class Extra:
    """An alert that should not have come.

    Attributes:
        alert: what came.
        span: the quiet span it fell into; None where it was only not expected.
    """

    alert: Alert
    span: QuietSpan | None = None


@dataclass(frozen=True, slots=True)
class RuleScore:
    """How well one rule does on one camera.

    Attributes:
        rule: of the manifest.
        camera: the application's.
        expected: alerts that were to come.
        matched: of these, those that did.
        extra: alerts that should not have come.
        errors_s: by how much the matched ones came late.
    """

    rule: str
    camera: str
    expected: int = 0
    matched: int = 0
    extra: int = 0
    errors_s: tuple[float, ...] = ()

    @property
    def precision(self) -> float | None:
        """Share of the judged alerts that were right; None where there was none."""
        return self.matched / (self.matched + self.extra) if self.matched + self.extra else None

    @property
    def recall(self) -> float | None:
        """Share of the expected alerts that came; None where none was expected."""
        return self.matched / self.expected if self.expected else None

    @property
    def median_error_s(self) -> float | None:
        """Median of the times by which alerts came late or early."""
        return statistics.median(map(abs, self.errors_s)) if self.errors_s else None

    @property
    def worst_error_s(self) -> float | None:
        """The largest of them."""
        return max(map(abs, self.errors_s)) if self.errors_s else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one test.

    Attributes:
        matches: in the order of their time.
        misses: the same.
        extras: the same.
        unjudged: alerts that the test says nothing about.
    """

    matches: tuple[Match, ...] = ()
    misses: tuple[Miss, ...] = ()
    extras: tuple[Extra, ...] = ()
    unjudged: tuple[Alert, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything came that was to come, and nothing else."""
        return not self.misses and not self.extras


def compare(test: ApplicationTest, alerts: Iterable[Alert]) -> Verdict:
    """Which expectations the alerts meet.

    Each alert meets one expectation at most. The pairs are as many as can be; among those, near ones are preferred.
    Does not depend on the order of the alerts.

    Args:
        test: what is expected.
        alerts: of a backtest on the test's clips; ``media_time_s`` is the time into the clip.
    """
    judged = sorted(
        (alert for alert in alerts if test.rules is None or alert.rule in test.rules),
        key=lambda alert: (alert.media_time_s, alert.camera, alert.rule, alert.alert_id),
    )
    matches: list[Match] = []
    misses: list[Miss] = []
    for group in _groups(test, judged):
        pairs = _pair(group.expected, group.alerts, test.tolerance_s)
        used = set(pairs.values())
        free = [alert for index, alert in enumerate(group.alerts) if index not in used]
        for index, expected in enumerate(group.expected):
            if index in pairs:
                alert = group.alerts[pairs[index]]
                matches.append(Match(expected, alert, _error_s(expected, alert)))
            else:
                misses.append(Miss(expected, _near(expected, free, test.tolerance_s)))
    met = {match.alert.alert_id for match in matches}
    extras, unjudged = _rest(test, [alert for alert in judged if alert.alert_id not in met])
    return Verdict(
        tuple(sorted(matches, key=lambda match: match.alert.media_time_s)),
        tuple(sorted(misses, key=lambda miss: moment_s(miss.expected))),
        tuple(extras),
        tuple(unjudged),
    )


def score(verdicts: Iterable[Verdict]) -> list[RuleScore]:
    """Over all tests: one entry for each rule and camera, in the order of their names."""
    found: dict[tuple[str, str], _Tally] = {}

    def tally(rule: str, camera: str) -> _Tally:
        return found.setdefault((rule, camera), _Tally())

    for verdict in verdicts:
        for match in verdict.matches:
            entry = tally(match.expected.rule, match.expected.camera)
            entry.expected += 1
            entry.errors_s.append(match.error_s)
        for miss in verdict.misses:
            tally(miss.expected.rule, miss.expected.camera).expected += 1
        for extra in verdict.extras:
            tally(extra.alert.rule, extra.alert.camera).extra += 1
    return [
        RuleScore(rule, camera, entry.expected, len(entry.errors_s), entry.extra, tuple(entry.errors_s))
        for (rule, camera), entry in sorted(found.items())
    ]


def moment_s(expected: ExpectedAlert) -> float:
    """When an alert is expected; of a span, its middle."""
    if expected.between_s is not None:
        return sum(expected.between_s) / 2
    return expected.at_s or 0.0


def describe(expected: ExpectedAlert, tolerance_s: float) -> str:
    """What is expected, in words."""
    if expected.between_s is not None:
        when = f"between {expected.between_s[0]:g} and {expected.between_s[1]:g} s"
    else:
        own = tolerance_s if expected.tolerance_s is None else expected.tolerance_s
        when = f"at {expected.at_s:.2f} ± {own:g} s"
    facts = [
        expected.direction.value if expected.direction is not None else "",
        f"count {expected.count}" if expected.count is not None else "",
        expected.label or "",
        *(f"{name} {value}" for name, value in (expected.attributes or {}).items()),
    ]
    return " ".join([f"{expected.rule} on {expected.camera} {when}", *filter(None, facts)])


@dataclass(slots=True)
class _Tally:
    expected: int = 0
    extra: int = 0
    errors_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Group:
    expected: list[ExpectedAlert]
    alerts: list[Alert]


def _groups(test: ApplicationTest, alerts: Sequence[Alert]) -> list[_Group]:
    """By rule and camera: only within these can an alert meet an expectation."""
    groups: dict[tuple[str, str], _Group] = {}
    for expected in test.alerts:
        groups.setdefault((expected.rule, expected.camera), _Group([], [])).expected.append(expected)
    for alert in alerts:
        if (alert.rule, alert.camera) in groups:
            groups[alert.rule, alert.camera].alerts.append(alert)
    return [groups[key] for key in sorted(groups)]


def _pair(expected: Sequence[ExpectedAlert], alerts: Sequence[Alert], tolerance_s: float) -> dict[int, int]:
    """Expectation → alert, as many as possible (augmenting paths, H. W. Kuhn 1955), nearest first."""
    options = [
        sorted(
            (index for index, alert in enumerate(alerts) if _meets(wanted, alert, tolerance_s)),
            key=lambda index: (abs(alerts[index].media_time_s - moment_s(wanted)), index),
        )
        for wanted in expected
    ]
    owner: dict[int, int] = {}
    held: dict[int, int] = {}
    for start in sorted(range(len(expected)), key=lambda index: moment_s(expected[index])):
        reached: dict[int, int] = {}
        waiting = deque([start])
        while waiting:
            wanted = waiting.popleft()
            for index in options[wanted]:
                if index in reached:
                    continue
                reached[index] = wanted
                if index not in owner:
                    _hand_over(index, start, reached, owner, held)
                    waiting.clear()
                    break
                waiting.append(owner[index])
    return held


def _hand_over(index: int, start: int, reached: dict[int, int], owner: dict[int, int], held: dict[int, int]) -> None:
    """Along the way on which a free alert was found, everyone takes the next one's place."""
    while True:
        wanted = reached[index]
        before = held.get(wanted)
        owner[index], held[wanted] = wanted, index
        if wanted == start or before is None:
            return
        index = before


def _meets(expected: ExpectedAlert, alert: Alert, tolerance_s: float) -> bool:
    if expected.between_s is not None:
        low_s, high_s = expected.between_s
    else:
        own_s = tolerance_s if expected.tolerance_s is None else expected.tolerance_s
        low_s, high_s = (expected.at_s or 0.0) - own_s, (expected.at_s or 0.0) + own_s
    return low_s - _SLACK_S <= alert.media_time_s <= high_s + _SLACK_S and not _contradictions(expected, alert)


def _contradictions(expected: ExpectedAlert, alert: Alert) -> list[str]:
    """What an alert says otherwise than expected, in words."""
    found = []
    if expected.direction is not None and alert.direction != expected.direction:
        found.append(f"direction {alert.direction.value if alert.direction else 'none'}")
    if expected.count is not None and alert.count != expected.count:
        found.append(f"count {alert.count}")
    if expected.label is not None and alert.label != expected.label:
        found.append(f"label {alert.label or 'none'}")
    for name, value in (expected.attributes or {}).items():
        if alert.attributes.get(name) != value:
            found.append(f"{name} {alert.attributes.get(name, 'unknown')}")
    return found


def _error_s(expected: ExpectedAlert, alert: Alert) -> float:
    return 0.0 if expected.at_s is None else round(alert.media_time_s - expected.at_s, 3)


def _near(expected: ExpectedAlert, free: Sequence[Alert], tolerance_s: float) -> str:
    """The nearest alert that met nothing, in words."""
    own_s = tolerance_s if expected.tolerance_s is None else expected.tolerance_s
    half_s = own_s if expected.between_s is None else (expected.between_s[1] - expected.between_s[0]) / 2
    near = min(free, key=lambda alert: abs(alert.media_time_s - moment_s(expected)), default=None)
    if near is None or abs(near.media_time_s - moment_s(expected)) > _NEAR * max(half_s, 0.1):
        return ""
    return " ".join([f"there is one at {near.media_time_s:.2f} s", *_contradictions(expected, near)])


def _rest(test: ApplicationTest, alerts: Sequence[Alert]) -> tuple[list[Extra], list[Alert]]:
    extras: list[Extra] = []
    unjudged: list[Alert] = []
    for alert in alerts:
        span = next((span for span in test.none if _within(span, alert)), None)
        if span is not None or test.complete:
            extras.append(Extra(alert, span))
        else:
            unjudged.append(alert)
    return extras, unjudged


def _within(span: QuietSpan, alert: Alert) -> bool:
    return (
        span.rule in (None, alert.rule)
        and span.camera in (None, alert.camera)
        and span.from_s - _SLACK_S <= alert.media_time_s
        and (span.to_s is None or alert.media_time_s <= span.to_s + _SLACK_S)
    )
