"""Changes of what a ring should run, and their undoing. Pure.

A change holds the entries it is about and nothing else, so it can be applied to any later state: what another operator
changed meanwhile stays. Undoing is a change of the same kind.
"""

from __future__ import annotations

from vedette.contracts.rollout import (
    ApplicationChange,
    ApplicationChoice,
    Change,
    ComponentChange,
    ComponentChoice,
    DesiredState,
)


def applied(state: DesiredState, change: Change) -> DesiredState:
    """The next version of a state, with the change in it."""
    applications, components = dict(state.applications), dict(state.components)
    if isinstance(change, ApplicationChange):
        _put(applications, change.name, change.to)
    else:
        for name, choice in change.to.items():
            _put(components, name, choice)
    return state.model_copy(
        update={"version": state.version + 1, "applications": applications, "components": components}
    )


def undoing(state: DesiredState, change: Change) -> Change:
    """The change that gives back what a state says of a change's entries."""
    if isinstance(change, ApplicationChange):
        return ApplicationChange(name=change.name, to=state.applications.get(change.name))
    return ComponentChange(to={name: state.components.get(name) for name in change.to})


def holds(state: DesiredState, change: Change) -> bool:
    """Whether a state already says what a change wants."""
    return undoing(state, change) == change


def subject(change: Change) -> str:
    """What a change is about; two rollouts of one fleet with the same subject exclude each other."""
    return f"application/{change.name}" if isinstance(change, ApplicationChange) else "components"


def same(one: DesiredState, other: DesiredState) -> bool:
    """Whether two states want the same, whatever their versions."""
    return one.model_copy(update={"version": 0}) == other.model_copy(update={"version": 0})


def _put(
    entries: dict[str, ApplicationChoice] | dict[str, ComponentChoice],
    name: str,
    choice: ApplicationChoice | ComponentChoice | None,
) -> None:
    if choice is None:
        entries.pop(name, None)
    else:
        entries[name] = choice  # type: ignore[assignment]
