"""User names and passwords of cameras, as taken out of their secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from vedette.adapters.secrets import SecretStore
from vedette.contracts.errors import DeliveryError


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password of a camera."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


#: For a camera that asks for none.
NOBODY: Final = Credentials()


def credentials_of(secrets: SecretStore, name: str) -> Credentials | None:
    """What the secret says; None where it is neither to be had nor remembered, of which the store's log tells."""
    try:
        pairs = secrets.get(name)
    except DeliveryError:
        return None
    return Credentials(pairs.get("username", ""), pairs.get("password", ""))
