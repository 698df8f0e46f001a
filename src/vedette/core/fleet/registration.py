"""Who may become a device: a serial number that was registered, with the one token that was made for it. Pure."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vedette.contracts.device import DeviceRecord

#: Random bytes of a token: 256 bits, which nobody guesses.
TOKEN_BYTES: Final = 32
#: How long a registration waits for its device, seconds.
DEFAULT_VALID_S: Final = 24 * 3600
#: How long after the claim the same certificate may ask again, because the first answer did not arrive, seconds.
RETRY_S: Final = 600


class Refusal(StrEnum):
    """Why a claim is refused. For the log only: the machine that asks is told nothing."""

    UNKNOWN = "no such registration"
    EXPIRED = "registration is too old"
    USED = "registration was used"
    WRONG_TOKEN = "wrong token"  # noqa: S105 - a sentence


@dataclass(frozen=True, slots=True)
class Registration:
    """One item of the table of registrations.

    Attributes:
        device: what it becomes.
        token_sha256: hexadecimal digest of the token; the token itself is stored nowhere.
        expires_at: when it ends, seconds since 1970.
        certificate_id: of the certificate that used it, or None.
        claimed_at: when that was, seconds since 1970.
    """

    device: DeviceRecord
    token_sha256: str
    expires_at: int
    certificate_id: str | None = None
    claimed_at: int | None = None


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def judge(registration: Registration | None, *, token: str, certificate_id: str, now_s: float) -> Refusal | None:
    """Whether a certificate may become the registration's device; None where it may.

    The token is looked at whatever else is wrong and in constant time, so that neither the answer nor its delay tells
    how close a guess was. A used registration is good for the certificate that used it, for ``RETRY_S``: the
    answer to it may have been lost, and that certificate becomes the same device again. Any other is refused.

    Args:
        registration: of the serial number, or None where there is none.
        token: as the machine sent it.
        certificate_id: the one it wants to use.
        now_s: seconds since 1970.
    """
    known = registration.token_sha256 if registration is not None else digest("")
    right = hmac.compare_digest(known.encode(), digest(token).encode())
    if registration is None:
        return Refusal.UNKNOWN
    if not right:
        return Refusal.WRONG_TOKEN
    if registration.certificate_id is not None:
        again = hmac.compare_digest(registration.certificate_id.encode(), certificate_id.encode())
        fresh = registration.claimed_at is not None and now_s - registration.claimed_at <= RETRY_S
        return None if again and fresh else Refusal.USED
    return Refusal.EXPIRED if now_s >= registration.expires_at else None
