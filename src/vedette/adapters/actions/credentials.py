"""What receivers take out of secrets."""

from __future__ import annotations

from collections.abc import Mapping

from vedette.contracts.errors import DeliveryError


def user_and_password(pairs: Mapping[str, str], secret: str) -> tuple[str, str]:
    """User name and password of a secret.

    Raises:
        DeliveryError: V503, it lacks one of them: nothing is sent without a login instead.
    """
    username, password = pairs.get("username", ""), pairs.get("password", "")
    if not username or not password:
        raise lacking(secret, "`username` and `password`")
    return username, password


def lacking(secret: str, what: str) -> DeliveryError:
    """A secret without what is needed of it."""
    return DeliveryError(f"secret {secret!r} has no {what}.", hint="Store it as key-value pairs.", code="V503")
