"""What a device tells of a comparison, put together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from vedette.contracts.comparison import MAX_NOTE, MAX_NOTES, MAX_REPORT_BYTES, ComparisonReport
from vedette.contracts.plan import PipelinePlan, Plan
from vedette.core.comparison import NEW, RUNNING, Place
from vedette.core.labels import labels_of
from vedette.core.messages import one_line
from vedette.core.plan_candidates import said

_PROBLEM: Final = 400


@dataclass(frozen=True, slots=True)
class Compared:
    """What of a plan is compared.

    Attributes:
        sources: name of a pipeline in the journal → whose it is (``RUNNING`` or ``NEW``) and its name.
        labels: of each version, place → what can be reported there.
        sessions: names of the sessions that serve the candidate.
        problems: what the plan says of the candidate.
    """

    sources: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    labels: tuple[Mapping[Place, frozenset[str]], Mapping[Place, frozenset[str]]] = field(
        default_factory=lambda: ({}, {})
    )
    sessions: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, plan: Plan, application: str) -> Compared:
        """Of the plan of a device.

        Args:
            plan: as it is in force.
            application: whose candidate it is about.
        """
        sources: dict[str, tuple[int, str]] = {}
        labels: tuple[dict[Place, frozenset[str]], dict[Place, frozenset[str]]] = ({}, {})
        sessions: list[str] = []
        for session in plan.models:
            known = frozenset(labels_of(session.model))
            for pipeline in session.pipelines:
                if pipeline.application == application:
                    version = NEW if pipeline.candidate else RUNNING
                    sources[pipeline.key] = (version, pipeline.pipeline)
                    labels[version][_place(pipeline)] = known if pipeline.labels is None else known & {*pipeline.labels}
                    if pipeline.candidate and session.key not in sessions:
                        sessions.append(session.key)
        beginning = f"{said(application)}: "
        problems = tuple(text.removeprefix(beginning) for text in plan.problems if text.startswith(beginning))
        return cls(sources, labels, tuple(sessions), problems)

    @property
    def places(self) -> frozenset[Place]:
        """Where both versions look."""
        return frozenset(self.labels[RUNNING].keys() & self.labels[NEW].keys())

    def removed_labels(self) -> list[str]:
        """Labels that the running version can report, and the new one cannot at the same place."""
        running, new = self.labels
        return sorted({label for place in self.places for label in running[place] - new[place]})


def notes_of(compared: Compared, added: Iterable[str]) -> tuple[str, ...]:
    """What was left out of a comparison, for people.

    Args:
        compared: what of the plan is compared.
        added: labels that only the new version reports.
    """
    notes = []
    if new := sorted(added):
        notes.append(f"labels that only the new version has are not compared: {_few(new)}")
    if gone := compared.removed_labels():
        notes.append(f"labels that the new version does not have count as not seen: {_few(gone)}")
    notes += compared.problems
    if len(notes) > MAX_NOTES:
        notes[MAX_NOTES - 1 :] = [f"and {len(notes) - MAX_NOTES + 1} more, see `vedette status` on the device"]
    return tuple(one_line(note, MAX_NOTE) for note in notes)


def why_nothing(compared: Compared, models: Mapping[str, object]) -> str:
    """Why no picture was analysed by both, for people.

    Args:
        compared: what of the plan is compared.
        models: session → its state, as the inference component tells.
    """
    if not compared.places:
        return one_line("; ".join(compared.problems) or "the two versions have no pipeline in common", _PROBLEM)
    for name in compared.sessions:
        state = models.get(name)
        if not isinstance(state, dict):
            return f"the model of the new version was not loaded: the device tells nothing of session {name}"
        if state.get("state") not in ("RUNNING", "DEGRADED", "BUILDING"):
            words = f"{state.get('code', '')} {state.get('error', '')}".strip() or "no reason given"
            return one_line(f"the model of the new version is {state.get('state')}: {words}", _PROBLEM)
    return "no picture was analysed by both versions: the cameras deliver none, or the device does not keep up"


def fitted(report: ComparisonReport, limit: int = MAX_REPORT_BYTES) -> bytes:
    """The report as JSON of at most ``limit`` bytes: words for people go first, figures never."""
    while len(body := report.model_dump_json(exclude_none=True).encode()) > limit:
        if report.notes:
            report = report.model_copy(update={"notes": report.notes[:-1]})
        elif report.golden is not None and report.golden.failures:
            golden = report.golden.model_copy(update={"failures": report.golden.failures[:-1]})
            report = report.model_copy(update={"golden": golden})
        elif report.problem:
            report = report.model_copy(update={"problem": report.problem[: len(report.problem) // 2]})
        else:
            break
    return body


def _place(pipeline: PipelinePlan) -> Place:
    return Place(pipeline.pipeline, pipeline.camera)


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6])
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"
