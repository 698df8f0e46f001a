"""Changes of what a ring should run, and their undoing. Pure.

A change holds the entries it is about and nothing else, so it can be applied to any later state: what another operator
changed meanwhile stays. Undoing is a change of the same kind.
"""

from __future__ import annotations

from typing import overload

from vedette.contracts.rollout import (
    ApplicationChange,
    ApplicationChoice,
    Candidate,
    CandidateChange,
    Change,
    ComponentChange,
    ComponentChoice,
    DesiredState,
    RingChange,
)


def applied(state: DesiredState, change: RingChange) -> DesiredState:
    """The next version of a state, with the change in it.

    A version that comes in, or goes, takes the candidate of its application with it: nothing is left to compare.
    """
    applications, components, candidates = dict(state.applications), dict(state.components), dict(state.candidates)
    match change:
        case ApplicationChange():
            _put(applications, change.name, change.to)
            _put(candidates, change.name, None)
        case CandidateChange():
            _put(candidates, change.name, change.to)
        case ComponentChange():
            for name, choice in change.to.items():
                _put(components, name, choice)
    return state.model_copy(
        update={
            "version": state.version + 1,
            "applications": applications,
            "components": components,
            "candidates": candidates,
        }
    )


@overload
def undoing(state: DesiredState, change: Change) -> Change: ...


@overload
def undoing(state: DesiredState, change: RingChange) -> RingChange: ...


def undoing(state: DesiredState, change: RingChange) -> RingChange:
    """The change that gives back what a state says of a change's entries."""
    match change:
        case ApplicationChange():
            return ApplicationChange(name=change.name, to=state.applications.get(change.name))
        case CandidateChange():
            return CandidateChange(name=change.name, to=state.candidates.get(change.name))
        case ComponentChange():
            return ComponentChange(to={name: state.components.get(name) for name in change.to})


def holds(state: DesiredState, change: RingChange) -> bool:
    """Whether a state already says what a change wants."""
    return undoing(state, change) == change


def subject(change: Change) -> str:
    """What a change is about; two rollouts of one fleet with the same subject exclude each other."""
    return "components" if isinstance(change, ComponentChange) else f"application/{change.name}"


def same(one: DesiredState, other: DesiredState) -> bool:
    """Whether two states want the same, whatever their versions."""
    return one.model_copy(update={"version": 0}) == other.model_copy(update={"version": 0})


def _put(
    entries: dict[str, ApplicationChoice] | dict[str, ComponentChoice] | dict[str, Candidate],
    name: str,
    choice: ApplicationChoice | ComponentChoice | None,
) -> None:
    if choice is None:
        entries.pop(name, None)
    else:
        entries[name] = choice  # type: ignore[assignment]
