"""What a change of an application gains and loses: two verdicts on the same test side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vedette.contracts.application_test import ApplicationTest, ExpectedAlert
from vedette.core.application_tests.compare import Extra, Verdict, describe


@dataclass(frozen=True, slots=True)
class Difference:
    """One incident that only one of two versions handles well.

    Attributes:
        kind: ``gained`` or ``lost`` for an incident that is reported now or was before; ``quieter`` or ``louder`` for a
            false alarm that is gone or new.
        what: the incident, in words.
        at_s: when, seconds into the recording.
    """

    kind: Literal["gained", "lost", "quieter", "louder"]
    what: str
    at_s: float


def differences(test: ApplicationTest, now: Verdict, before: Verdict) -> list[Difference]:
    """What is reported otherwise, in the order of the recording.

    Args:
        test: both were compared with.
        now: of the application as it is.
        before: of the other one.
    """
    found: list[Difference] = []
    met_now = {id(match.expected) for match in now.matches}
    met_before = {id(match.expected) for match in before.matches}
    for expected in test.alerts:
        if (id(expected) in met_now) != (id(expected) in met_before):
            kind: Literal["gained", "lost"] = "gained" if id(expected) in met_now else "lost"
            found.append(Difference(kind, describe(expected, test.tolerance_s), _moment_s(expected)))
    found += _alone(test, now.extras, before.extras, "louder")
    found += _alone(test, before.extras, now.extras, "quieter")
    return sorted(found, key=lambda difference: (difference.at_s, difference.what))


def _alone(
    test: ApplicationTest, these: tuple[Extra, ...], those: tuple[Extra, ...], kind: Literal["quieter", "louder"]
) -> list[Difference]:
    """False alarms that the other version does not have at about the same time; each is taken once."""
    left = list(those)
    found = []
    for extra in these:
        alert = extra.alert
        twin = next(
            (
                other
                for other in left
                if (other.alert.rule, other.alert.camera) == (alert.rule, alert.camera)
                and abs(other.alert.media_time_s - alert.media_time_s) <= max(test.tolerance_s, 0.1)
            ),
            None,
        )
        if twin is None:
            what = f"{alert.rule} on {alert.camera} at {alert.media_time_s:.2f} s"
            found.append(Difference(kind, what, alert.media_time_s))
        else:
            left.remove(twin)
    return found


def _moment_s(expected: ExpectedAlert) -> float:
    return expected.at_s if expected.at_s is not None else (expected.between_s or (0.0, 0.0))[0]
