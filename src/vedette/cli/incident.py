"""``vedette incident save``: an alert of a device becomes a test of its application."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape

from vedette.adapters.incidents import Incident, find_incident
from vedette.adapters.manifest.application_tests import FOLDER
from vedette.adapters.state.client import parameters as ask_parameters
from vedette.cli.application_tests import AppUnderTest, clip_folders, judge, make_case, run_case
from vedette.cli.status import find_state_directory
from vedette.compose.clips import file_digest
from vedette.contracts.alert import Alert
from vedette.contracts.application_test import ApplicationTest
from vedette.contracts.errors import UsageError, VedetteError
from vedette.contracts.manifest import ParameterValue
from vedette.core.application_tests.incident import incident_name, incident_test, narrowed, why_not
from vedette.core.parameters import parameter_values, with_parameters
from vedette.core.plan import nearest


class Expect(StrEnum):
    """What the test asks for."""

    ALERT = "alert"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Saved:
    """The files of a new test.

    Attributes:
        test: the test's.
        clip: the recording.
    """

    test: Path
    clip: Path


def save(
    alert_id: Annotated[
        str, typer.Argument(help="The alert's id, or its first six digits or more.", metavar="ALERT_ID")
    ],
    app: Annotated[Path, typer.Option(help="The application's directory.")] = Path("."),
    state: Annotated[
        Path | None, typer.Option("--state", help="State directory; default /var/lib/vedette, else the newest run.")
    ] = None,
    expect: Annotated[
        Expect, typer.Option(help="`none`: it was a false alarm, the clip must give no such alert.")
    ] = Expect.ALERT,
    check: Annotated[bool, typer.Option(help="Run the test once before it is kept.")] = True,
) -> None:
    """Make an alert and its clip a test of the application, so that what happened once is never missed again.

    The clip is copied out of the device's evidence into tests/ beside the manifest, with a test that expects the alert
    at its time. The test is run once: a clip that does not give the alert again (a dwell of 60 s is not in a clip of
    10 s) is not kept, unless --no-check says so.

    Examples:
        vedette incident save 5f3c21 --app ./shop

        vedette incident save 5f3c21 --app ./shop --expect none

        vedette incident save 5f3c21 --app ./shop --no-check
    """
    directory = state or find_state_directory()
    incident = find_incident(directory / "evidence", alert_id)
    application = AppUnderTest.load(app)
    _check_application(application, incident)
    saved = _copy(application, incident)
    try:
        digest = file_digest(saved.clip)
        if digest != incident.clip.sha256:
            raise UsageError(f"{incident.path} is damaged: its SHA-256 is not that of its record.", code="V705")
        values = _values(directory, application, incident)
        clip = (saved.clip.name, digest, incident.clip.alert_s)
        test = incident_test(incident.alert, application.manifest, clip, values, expect.value)
        said = _checked(application, saved, test, incident, expect) if check else (test, "not run")
        saved.test.write_text(_text(said[0], incident), "utf-8")
    except BaseException:
        saved.clip.unlink(missing_ok=True)
        saved.test.unlink(missing_ok=True)
        raise
    console = Console(highlight=False)
    console.print(f"{escape(str(saved.test))}: {escape(said[1])}", soft_wrap=True)
    if incident.privacy != "none":
        console.print("people in the clip were made unrecognisable; it shows no more than the evidence did")


def _check_application(application: AppUnderTest, incident: Incident) -> None:
    """Whether the alert is one of this application.

    Raises:
        UsageError: V705, it is another one's, or of a rule or camera that the manifest does not have any more.
    """
    alert, manifest = incident.alert, application.manifest
    if alert.application != manifest.name:
        raise UsageError(
            f"alert {alert.alert_id} is one of application {alert.application}, not of {manifest.name}.",
            hint=f"Name its directory: --app DIR (here: {application.path}).",
            code="V705",
        )
    alerting = (*manifest.rules, *manifest.hooks)
    for kind, name, known in (("rule", alert.rule, alerting), ("camera", alert.camera, tuple(manifest.cameras))):
        if name not in known:
            raise UsageError(
                f"{application.path} has no {kind} {name!r}; there is {', '.join(known)}{nearest(name, known)}.",
                hint="The application has changed since the alert; write a test for what took its place by hand.",
                code="V705",
            )


def _copy(application: AppUnderTest, incident: Incident) -> Saved:
    folder = application.path.parent / FOLDER
    name = incident_name(incident.alert)
    saved = Saved(folder / f"{name}.yaml", folder / f"{name}{incident.path.suffix}")
    for path in (saved.test, saved.clip):
        if path.exists():
            raise UsageError(f"{path} is there already.", hint="Remove it to save the incident anew.", code="V705")
    try:
        folder.mkdir(exist_ok=True)
        shutil.copyfile(incident.path, saved.clip)
    except OSError as error:
        saved.clip.unlink(missing_ok=True)
        raise UsageError(f"{error.filename or folder} cannot be used: {error.strerror}.", code="V705") from error
    return saved


def _values(directory: Path, application: AppUnderTest, incident: Incident) -> dict[str, ParameterValue]:
    """Values of parameters on the device that are others than in this manifest; none where nothing runs there."""
    own = parameter_values(application.manifest)
    try:
        here = ask_parameters(directory, incident.alert.application).parameters
    except VedetteError:
        return {}
    return {entry.name: entry.value for entry in here if entry.name in own and entry.value != own[entry.name]}


def _checked(
    application: AppUnderTest, saved: Saved, test: ApplicationTest, incident: Incident, expect: Expect
) -> tuple[ApplicationTest, str]:
    """Run the test; the test as it is kept, and what came of it.

    Raises:
        UsageError: V706, the clip alone does not give the alert.
    """
    case = make_case(saved.test, test, clip_folders())
    alerts = run_case(application, case)
    alert_s, alert = incident.clip.alert_s, incident.alert
    if expect is Expect.NONE:
        return _false_alarm(test, alerts, alert_s)
    verdict = judge(case, alerts)
    if verdict.passed:
        return test, f"the clip alone gives the alert again, {abs(verdict.matches[0].error_s):.2f} s from its time"
    manifest = with_parameters(application.manifest, test.parameters)
    reason = why_not(manifest, alert, alert_s, incident.privacy)
    near = verdict.misses[0].near
    raise UsageError(
        f"the clip alone does not give alert {alert.alert_id[:8]} ({alert.rule} on {alert.camera}) again"
        f"{f': {reason}' if reason else ''}{f'; {near}' if near else ''}. Nothing was kept.",
        hint="Keep the test all the same with --no-check, or ask for longer clips in the manifest.",
        code="V706",
    )


def _false_alarm(test: ApplicationTest, alerts: list[Alert], alert_s: float) -> tuple[ApplicationTest, str]:
    """The whole clip is to be quiet, or only the time around the alarm where other alerts of the rule are in it."""
    span = test.none[0]
    own = [alert for alert in alerts if (alert.rule, alert.camera) == (span.rule, span.camera)]
    around = [alert for alert in own if abs(alert.media_time_s - alert_s) <= test.tolerance_s]
    others = [alert for alert in own if alert not in around]
    kept = narrowed(test, alert_s) if others else test
    words = f"; {len(others)} other alerts of the rule are in the clip and left unjudged" if others else ""
    if around:
        return kept, f"the clip gives the false alarm again: this test fails until the application is changed{words}"
    return kept, f"the clip gives no such alert with this application as it is{words}"


def _text(test: ApplicationTest, incident: Incident) -> str:
    """The file: what a person would have written."""
    document: Mapping[str, Any] = test.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    alert = incident.alert
    # One line each, whatever a title holds: nothing of it may become a part of the document.
    head = [" ".join(line.split()) for line in (alert.message, f"Alert {alert.alert_id} of device {alert.device}.")]
    return "".join(f"# {line}\n" for line in head) + yaml.safe_dump(
        document, sort_keys=False, allow_unicode=True, width=110
    )
