"""Values of parameters that were set on this machine and are still in force when a run begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from vedette.adapters.state.client import parameters as ask_parameters
from vedette.contracts.errors import VedetteError
from vedette.core.manifest_checks.kinds import shown

#: For one answer: the view must not stand still for an owner that is busy.
TIMEOUT_S: Final = 0.5


class LocalValues:
    """Says once for each application which of its values are neither its manifest's nor the command line's.

    Args:
        state: the state directory of the run.
        applications: their names.
        note: takes a line for people.
    """

    def __init__(self, state: Path, applications: Iterable[str], note: Callable[[str], None]) -> None:
        self._state = state
        self._waiting = list(applications)
        self._note = note

    def look(self) -> None:
        """Ask for the applications that have not been told of yet; those that are not attached yet wait."""
        for name in tuple(self._waiting):
            try:
                found = ask_parameters(self._state, name, TIMEOUT_S).parameters
            except VedetteError:
                return  # not attached yet, or nobody answers: the next time
            self._waiting.remove(name)
            for entry in found:
                if entry.source == "local":
                    back = f"vedette app set {name} --reset {entry.name} --state {self._state}"
                    self._note(f"{name}: {entry.name} = {shown(entry.value)}, set here by {entry.by}; to undo: {back}")
