"""Keeps credentials out of logs, states and error texts."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"
#: Known secrets shorter than this are not searched for: they would blank half of every text.
SHORTEST_SECRET: Final = 4

_NAMES: Final = (
    r"(?:pass(?:word|wd|phrase)?|pwd|pw|user(?:name)?|usr|login|token|secret"
    r"|api[_-]?key|access[_-]?key|auth|sig(?:nature)?|key)"
)
#: Everything from ``//`` to the LAST ``@`` before white space: a password may hold ``@``, ``/``, ``#`` and ``?``
#: unescaped. That may hide an ``@`` of the path as well; hiding too much is the better mistake.
_USERINFO: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*:/{0,2}/)[^\s\"'<>]*@")
#: A password with white space: user, colon, anything up to an ``@`` on the same line, with no host before it.
_USERINFO_WITH_SPACE: Final = re.compile(r"(?i)\b((?:rtsps?|https?|mqtts?)://)[^\s/@:\"'<>]+:[^\n\r@/\"'<>]*@")
_HEADER: Final = re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)(\"?'?\s*[:=]\s*)[^\r\n]+")
_SCHEME: Final = re.compile(r"(?i)\b(basic|bearer)\s+[a-z0-9+/._~=-]{6,}")
_DIGEST: Final = re.compile(r"(?i)\bdigest\s+(?=[^\r\n]*(?:username|response|nonce)\s*=)[^\r\n]+")
_QUERY: Final = re.compile(rf"(?i)(^|[?&;\s\"'/,{{(]){_NAMES}=[^&\s\"'#;,]*")
_FIELD: Final = re.compile(
    r"(?i)([\"']?\b(?:password|passwd|passphrase|pwd|secret|token)[\"']?\s*:\s*)"
    r"(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s,;&}\]]+)"
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without user names and passwords.

    Args:
        text: a URL, a log line, an error message.
        secrets: values known to be secret; removed wherever they stand, also percent-encoded or in Base64.
    """
    for form in _forms(secrets):
        text = text.replace(form, MASK)
    text = _HEADER.sub(lambda m: f"{m[1]}{m[2]}{MASK}", text)
    text = _DIGEST.sub(f"Digest {MASK}", text)
    text = _SCHEME.sub(lambda m: f"{m[1]} {MASK}", text)
    text = _USERINFO.sub(lambda m: f"{m[1]}{MASK}@", text)
    text = _USERINFO_WITH_SPACE.sub(lambda m: f"{m[1]}{MASK}@", text)
    text = _QUERY.sub(lambda m: m[0].split("=", 1)[0] + "=" + MASK, text)
    return _FIELD.sub(lambda m: m[1] + MASK, text)


def _forms(secrets: Iterable[str]) -> list[str]:
    """Every spelling a secret may have in a text, longest first."""
    forms: set[str] = set()
    for secret in secrets:
        if len(secret) < SHORTEST_SECRET:
            continue
        raw = secret.encode()
        forms |= {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]}
        forms |= {base64.b64encode(raw).decode(), base64.b64encode(raw).decode().rstrip("=")}
        forms.add(quote(secret, safe="").lower())
    return sorted(forms, key=len, reverse=True)


class RedactingFilter(logging.Filter):
    """Redacts every record's message; put it on each handler of a process.

    A record's arguments are merged into its message first, because a secret may be split between them. Tracebacks
    are rendered and redacted too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._secrets: frozenset[str] = frozenset()

    def add(self, *secrets: str) -> None:
        """Remember secret values, to be removed wherever they appear."""
        self._secrets |= {secret for secret in secrets if secret}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What was added."""
        return tuple(self._secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; always lets it pass."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit the format: show both, as logging would
            message = f"{record.msg} {record.args}"
        record.msg, record.args = redact(message, self._secrets), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text, self._secrets)
        if record.stack_info:
            record.stack_info = redact(record.stack_info, self._secrets)
        return True
