"""HTTP requests whose receiver may be hostile: checked address, bounded answer, bounded time."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vedette.adapters.egress.rules import Resolve, check_http, resolve
from vedette.contracts.errors import ConfigurationError, DeliveryError
from vedette.core.url_policy import CheckedUrl

#: All that is read of an answer: status line and headers, and a body that is thrown away.
MAX_HEAD_BYTES: Final = 16 << 10
MAX_BODY_BYTES: Final = 64 << 10
#: An idle connection older than this is not used again.
KEEP_ALIVE_S: Final = 15.0
#: So much of a request is sent at once; where progress is asked for, each piece has to go out in time.
PIECE_BYTES: Final = 64 << 10

#: Ports that are not named, as some receivers compare the host to the letter.
_PORTS: Final = {"https": 443, "http": 80}
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a receiver said.

    Attributes:
        status: HTTP status.
        retry_after_s: seconds it asks to wait, from ``Retry-After`` in seconds; None where it does not.
        body: what was asked for of it; empty where nothing was, or where it does not say how long it is.
    """

    status: int
    retry_after_s: float | None
    body: bytes = field(default=b"", repr=False)


class HttpPoster:
    """Sends to one URL, keeping the connection between requests. For one thread.

    Args:
        url: as configured.
        allow_private: see the module.
        timeout_s: for one whole request: connecting, sending, the answer.
        resolver: name → addresses.
        context: TLS; the system's certificate authorities where absent.
        method: of every request.
        keep_bytes: of an answer's body; all of it is thrown away where 0, or where it is longer.
        progress_s: for connecting and for each piece that is sent, within ``timeout_s``; twice as long for the answer,
            as what the kernel still holds goes out first. For large requests, whose time says nothing of a dead line;
            the whole alone counts where None.
    """

    def __init__(
        self,
        url: str,
        *,
        allow_private: bool = False,
        timeout_s: float = 5.0,
        resolver: Resolve = resolve,
        context: ssl.SSLContext | None = None,
        method: str = "POST",
        keep_bytes: int = 0,
        progress_s: float | None = None,
    ) -> None:
        self._method = method
        self._keep_bytes = min(keep_bytes, MAX_BODY_BYTES)
        self._url = url
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self._progress_s = progress_s
        self._resolver = resolver
        self._context = context
        self._socket: socket.socket | None = None
        self._used_s = 0.0
        self._checked: CheckedUrl | None = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Send one request and read the answer's head.

        Raises:
            DeliveryError: V502, the receiver cannot be reached, did not answer in time or does not speak HTTP.
            ConfigurationError: V105, the address is not allowed.
        """
        deadline_s = time.monotonic() + self._timeout_s
        kept = self._socket is not None and time.monotonic() - self._used_s < KEEP_ALIVE_S
        try:
            if kept:
                try:
                    return self._exchange(body, headers, deadline_s)
                except _NoAnswerError:  # the receiver had closed the connection we kept
                    pass
            self.close()
            self._connect(deadline_s)
            return self._exchange(body, headers, deadline_s)
        except (OSError, _NoAnswerError) as error:
            self.close()
            where = self._checked.shown if self._checked is not None else "webhook"
            raise DeliveryError(f"{where} cannot be reached: {_what(error)}.", code="V502") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self, deadline_s: float) -> None:
        checked = self._checked = check_http(self._url, allow_private=self._allow_private, resolver=self._resolver)
        failure: OSError | None = None
        for address in checked.addresses:
            try:
                plain = socket.create_connection((address, checked.port), timeout=self._wait_s(deadline_s))
            except OSError as error:
                failure = error
                continue
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._progress_s is not None:
                # Else the kernel takes megabytes at once and then nothing for minutes, which looks like a dead line.
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, PIECE_BYTES)
            self._socket = plain
            if checked.scheme == "https":
                context = self._context or ssl.create_default_context()
                context.hostname_checks_common_name = False  # RFC 9110, 4.3.4: the alternative names alone count
                plain.settimeout(self._wait_s(deadline_s))
                self._socket = context.wrap_socket(plain, server_hostname=checked.host)
            return
        assert failure is not None
        raise failure

    def _exchange(self, body: bytes, headers: Mapping[str, str], deadline_s: float) -> HttpAnswer:
        assert self._socket is not None
        assert self._checked is not None
        request = _request(self._method, self._checked, body, headers)
        try:
            self._send(request, deadline_s)
            if self._progress_s is not None:
                deadline_s = min(deadline_s, time.monotonic() + 2 * self._progress_s)
            head, rest = self._read_head(deadline_s)
        except (ConnectionError, ssl.SSLEOFError) as error:
            raise _NoAnswerError(_what(error)) from error
        status, fields = _parse(head)
        kept = bytearray()
        if not self._drain(fields, rest, deadline_s, kept):
            self.close()
        self._used_s = time.monotonic()
        whole = fields.get("content-length") == str(len(kept))
        return HttpAnswer(status, _seconds(fields.get("retry-after", "")), bytes(kept) if whole else b"")

    def _send(self, request: bytes, deadline_s: float) -> None:
        assert self._socket is not None
        whole = memoryview(request)
        for at in range(0, len(whole), PIECE_BYTES):
            self._socket.settimeout(self._wait_s(deadline_s))
            self._socket.sendall(whole[at : at + PIECE_BYTES])

    def _wait_s(self, deadline_s: float) -> float:
        """How long the next step may take."""
        left_s = _left(deadline_s)
        return left_s if self._progress_s is None else min(left_s, self._progress_s)

    def _read_head(self, deadline_s: float) -> tuple[bytes, bytes]:
        assert self._socket is not None
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                if len(data) > MAX_HEAD_BYTES:
                    raise DeliveryError(f"the head of the answer is longer than {MAX_HEAD_BYTES} bytes.", code="V502")
                self._socket.settimeout(_left(deadline_s))
                chunk = self._socket.recv(4096)
                if not chunk:
                    raise _NoAnswerError("the connection was closed without an answer")
                data += chunk
            head, _, data = data.partition(b"\r\n\r\n")
            if not head.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):  # 1xx: the real answer follows
                return head, data

    def _drain(self, fields: Mapping[str, str], rest: bytes, deadline_s: float, kept: bytearray) -> bool:
        """Read the body away, or into ``kept``; False where the connection cannot be used again."""
        length = fields.get("content-length", "")
        if "transfer-encoding" in fields or not length.isascii() or not length.isdigit() or len(length) > 9:
            return False
        left = int(length) - len(rest)
        keeps = int(length) <= self._keep_bytes
        closes = fields.get("connection", "").lower() == "close"
        if left < 0 or left > MAX_BODY_BYTES or (closes and not keeps):
            return False
        if keeps:
            kept += rest
        assert self._socket is not None
        while left:
            try:
                self._socket.settimeout(_left(deadline_s))
                # Receivers that send head and body apart wait for our acknowledgement of the head: 40 ms each time.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                chunk = self._socket.recv(min(left, 4096))
            except OSError:
                return False
            if not chunk:
                return False
            left -= len(chunk)
            if keeps:
                kept += chunk
        return not closes


class _NoAnswerError(Exception):
    """The connection ended before the first byte of an answer."""


def _left(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no answer in time")
    return left_s


def _request(method: str, checked: CheckedUrl, body: bytes, headers: Mapping[str, str]) -> bytes:
    target = checked.target if checked.target.startswith("/") else f"/{checked.target}"
    host = f"[{checked.host}]" if ":" in checked.host else checked.host
    port = "" if checked.port == _PORTS.get(checked.scheme) else f":{checked.port}"
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any(mark in line for line in lines for mark in "\r\n\0"):
        raise ConfigurationError("a header of the request holds a line break.", code="V105")
    head = "\r\n".join(lines)
    return head.encode("latin-1", "replace") + b"\r\n\r\n" + body


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.split(b"\r\n")
    match = _STATUS.fullmatch(first)
    if match is None:
        raise DeliveryError("the receiver does not answer in HTTP/1.1.", code="V502")
    fields = {}
    for line in lines:
        name, _, value = line.partition(b":")
        fields[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
    return int(match[1]), fields


def _seconds(text: str) -> float | None:
    """``Retry-After`` in seconds, at most an hour; a date is not followed, because clocks differ."""
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        return None
    return min(float(text), 3600.0)


def _what(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
