"""From an alert and its clip to a test of the application."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal

from vedette.contracts.alert import Alert
from vedette.contracts.application_test import ApplicationTest, Clip, ExpectedAlert, QuietSpan
from vedette.contracts.manifest import CodeRead, Count, CountChanged, Dwell, Manifest, NothingSeen, ZoneOccupied
from vedette.contracts.manifest.parameters import ParameterValue

#: How far from its time the alert may come again: the clip may be analysed from another picture on.
TOLERANCE_S: Final = 1.0
#: Around a false alarm nothing may come for so long, where the clip shows right alerts of the same rule as well.
AROUND_S: Final = 2.0


def incident_name(alert: Alert) -> str:
    """Name of the test's files: date, rule, beginning of the alert's id."""
    return f"{alert.time:%Y-%m-%d}-{alert.rule}-{alert.alert_id[:8]}"


def incident_test(
    alert: Alert,
    manifest: Manifest,
    clip: tuple[str, str, float],
    parameters: Mapping[str, ParameterValue],
    expect: Literal["alert", "none"],
) -> ApplicationTest:
    """The test that asks for the alert again, or for its absence.

    Args:
        alert: as it was reported.
        manifest: of the application; has the alert's rule or hook.
        clip: file name, digest, and where the alert's picture is, seconds into the file.
        parameters: values that held when the alert came.
        expect: ``none`` for a false alarm.
    """
    file, digest, alert_s = clip
    at_s = max(0.0, round(alert_s, 2))
    rule = manifest.rules.get(alert.rule)  # None: it is a hook
    where = (rule.where or {}) if rule is not None else {}
    asked = {name: alert.attributes[name] for name in where if name in alert.attributes}
    if isinstance(rule, CodeRead) and rule.attribute in alert.attributes:
        asked[rule.attribute] = alert.attributes[rule.attribute]
    expected = ExpectedAlert(
        rule=alert.rule,
        camera=alert.camera,
        at_s=at_s,
        direction=alert.direction,
        count=alert.count if rule is None or isinstance(rule, Count | CountChanged) else None,
        label=alert.label or None,
        attributes=asked or None,
    )
    what = "false alarm of" if expect == "none" else ""
    return ApplicationTest(
        api="vedette-test/v1",
        title=f"{what} {alert.rule} on {alert.camera}, {alert.time:%Y-%m-%d %H:%M:%S %Z}".strip(),
        clips={alert.camera: Clip(file=file, sha256=digest, start=alert.time - timedelta(seconds=alert_s))},
        parameters=dict(parameters),
        tolerance_s=TOLERANCE_S,
        rules=(alert.rule,),
        complete=False,
        alerts=(expected,) if expect == "alert" else (),
        none=(QuietSpan(rule=alert.rule, camera=alert.camera),) if expect == "none" else (),
    )


def narrowed(test: ApplicationTest, alert_s: float) -> ApplicationTest:
    """The test of a false alarm that asks for silence only around it."""
    spans = tuple(
        span.model_copy(update={"from_s": max(0.0, round(alert_s - AROUND_S, 2)), "to_s": round(alert_s + AROUND_S, 2)})
        for span in test.none
    )
    return test.model_copy(update={"none": spans})


def why_not(manifest: Manifest, alert: Alert, alert_s: float, privacy: str) -> str:
    """What may keep a clip from giving its alert again, in words; empty where nothing comes to mind."""
    rule = manifest.rules.get(alert.rule)
    reasons = []
    if rule is None:
        reasons.append("the hook may need its state, the time before the clip, or the network, which tests do not have")
    if isinstance(rule, Dwell | ZoneOccupied | Count | NothingSeen) and rule.for_s > alert_s:
        reasons.append(f"the rule waits for {rule.for_s:g} s, the clip begins {alert_s:.1f} s before the alert")
    if rule is not None and rule.hold_s > alert_s:
        reasons.append(f"the rule holds for {rule.hold_s:g} s, the clip begins {alert_s:.1f} s before the alert")
    if privacy != "none":
        reasons.append("people in the clip were made unrecognisable, so a detector may not find them")
    return "; ".join(reasons)
