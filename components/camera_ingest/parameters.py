"""Parameters that the account sets while applications run, by the same way as ``vedette app set`` on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vedette.adapters.state.owner import StateOwner
from vedette.contracts.device_document import Refusal
from vedette.contracts.errors import VedetteError
from vedette.contracts.manifest import ParameterValue
from vedette.contracts.state import ParameterState

#: Who set a value, as ``vedette app get`` shows it; holds a space, so that it is no user's name.
ACCOUNT: Final = "the account"

Values = Mapping[str, Mapping[str, ParameterValue]]


def sync_parameters(owner: StateOwner, wanted: Values, applied: Values) -> list[Refusal]:
    """Set what the account wants, and take back what it does not want any more.

    What somebody set on the device afterwards holds until the account says another value. A deployment that ends what
    was set on the device does not end what the account set: that is set anew.

    Args:
        owner: of the state directory.
        wanted: application → parameter → value, all allowed.
        applied: as it was the last time.

    Returns:
        What is not in force and why.
    """
    refused: list[Refusal] = []
    for app in owner.applications:
        name = app.manifest.name
        here = {entry.name: entry for entry in owner.parameters(name)}
        changes: dict[str, ParameterValue | None] = {
            key: None for key, entry in here.items() if _ours(entry) and key not in wanted.get(name, {})
        }
        for key, value in wanted.get(name, {}).items():
            entry = here.get(key)
            if entry is None:
                continue
            again = applied.get(name, {}).get(key) == value
            if entry.local is not None and not _ours(entry) and again:
                reason = f"set on the device to {entry.local} by {entry.by}; take it back there, or set another value"
                refused.append(Refusal(entry=f"parameters/{name}/{key}"[:140], reason=reason[:160]))
            elif not (again and _ours(entry)):
                changes[key] = value
        if changes:
            try:
                owner.set_parameters(name, changes, ACCOUNT)
            except VedetteError as error:
                refused.append(Refusal(entry=f"parameters/{name}"[:140], reason=error.message[:160]))
    return refused


def _ours(entry: ParameterState) -> bool:
    return entry.local is not None and entry.by == ACCOUNT
