"""HTTP Digest authentication for RTSP: RFC 2617 and RFC 7616 with MD5, which is what cameras and clients speak."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

REALM: Final = "Vedette camera simulator"
_FIELD: Final = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password of a camera; the password is kept out of ``repr``."""

    user: str
    password: str = field(repr=False)


class Verdict(Enum):
    """What a request's ``Authorization`` header is worth."""

    ACCEPTED = "accepted"
    MISSING = "missing"
    WRONG = "wrong"
    STALE = "stale"


class DigestAuthenticator:
    """Checks ``Authorization: Digest`` headers.

    A nonce carries its own time of birth and a keyed hash, so that nothing is stored per client. The challenge
    offers no ``qop``, as most cameras do (GStreamer answers only such challenges correctly); an answer with
    ``qop=auth`` is checked too.

    Args:
        nonce_lifetime_s: after this a correct answer is refused with ``stale=true``.
        clock: monotonic seconds.
    """

    def __init__(self, *, nonce_lifetime_s: float = 300.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = secrets.token_bytes(16)
        self._lifetime_s = nonce_lifetime_s
        self._clock = clock

    def challenge(self, *, stale: bool = False) -> str:
        """Return the value of a ``WWW-Authenticate`` header with a new nonce."""
        text = f'Digest realm="{REALM}", nonce="{self._nonce(int(self._clock() * 1000))}", algorithm=MD5'
        return text + (", stale=true" if stale else "")

    def check(self, credentials: Credentials, method: str, url: str, header: str) -> Verdict:
        """Judge the ``Authorization`` header of one request.

        Args:
            credentials: what the camera accepts.
            method: RTSP method of the request.
            url: its request address; the header's ``uri`` must name the same path.
            header: the header's value, empty where there was none.
        """
        if not header:
            return Verdict.MISSING
        scheme, _, rest = header.partition(" ")
        if scheme.lower() != "digest":
            return Verdict.WRONG
        values = {m[1].lower(): m[2] if m[2] is not None else m[3] for m in _FIELD.finditer(rest)}
        nonce, uri = values.get("nonce", ""), values.get("uri", "")
        if values.get("username") != credentials.user or urlsplit(uri).path != urlsplit(url).path:
            return Verdict.WRONG
        expected = digest_response(credentials, method, uri, nonce, values)
        if not hmac.compare_digest(expected.encode(), values.get("response", "").lower().encode()):
            return Verdict.WRONG
        return self._judge_nonce(nonce)

    def _nonce(self, born_ms: int) -> str:
        mark = hmac.new(self._key, str(born_ms).encode(), hashlib.sha256).hexdigest()[:24]
        return f"{born_ms:x}-{mark}"

    def _judge_nonce(self, nonce: str) -> Verdict:
        born, _, _ = nonce.partition("-")
        try:
            born_ms = int(born, 16)
        except ValueError:
            return Verdict.STALE
        if not hmac.compare_digest(self._nonce(born_ms).encode(), nonce.encode()):
            return Verdict.STALE
        age_s = self._clock() - born_ms / 1000
        return Verdict.ACCEPTED if age_s <= self._lifetime_s else Verdict.STALE


def digest_response(
    credentials: Credentials, method: str, uri: str, nonce: str, values: dict[str, str] | None = None
) -> str:
    """Return the ``response`` a correct client sends (``values``: its other fields, for ``qop``)."""
    fields = values or {}
    first = _md5(f"{credentials.user}:{REALM}:{credentials.password}")
    second = _md5(f"{method}:{uri}")
    parts = [nonce]
    if "qop" in fields:
        parts += [fields.get("nc", ""), fields.get("cnonce", ""), fields["qop"]]
    return _md5(":".join([first, *parts, second]))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
