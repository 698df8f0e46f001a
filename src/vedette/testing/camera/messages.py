"""RTSP 1.0 messages (RFC 2326): requests read from a byte stream, responses written to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

MAX_HEADER_BYTES: Final = 16 * 1024
MAX_BODY_BYTES: Final = 64 * 1024

REASONS: Final[dict[int, str]] = {
    200: "OK",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "RTSP Version not supported",
}


class ProtocolError(Exception):
    """The peer sent bytes that are no RTSP request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: upper-case method name.
        url: as the client wrote it.
        version: ``RTSP/1.0`` and so on.
        headers: names in lower case; of a repeated name the last value.
        body: bytes after the headers.
    """

    method: str
    url: str
    version: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The address's path, decoded, without leading and trailing slash."""
        return unquote(urlsplit(self.url).path).strip("/")


class RequestReader:
    """Collects bytes and gives out whole requests; interleaved frames from the client (RTCP) are skipped."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def next(self) -> Request | None:
        """Return the next whole request, or None until more bytes come.

        Raises:
            ProtocolError: on bytes that cannot start a request, or on one that is too big.
        """
        while bytes(self._buffer[:1]) in (b"$", b"\r", b"\n"):
            if self._buffer[:1] != b"$":
                del self._buffer[:1]
                continue
            if len(self._buffer) < 4:
                return None
            size = 4 + int.from_bytes(self._buffer[2:4])
            if len(self._buffer) < size:
                return None
            del self._buffer[:size]
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEADER_BYTES:
                raise ProtocolError(f"no end of headers in {MAX_HEADER_BYTES} bytes")
            return None
        method, url, version, headers = _parse_head(bytes(self._buffer[:end]))
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            raise ProtocolError(f"content length {length!r} is not a number up to {MAX_BODY_BYTES}")
        total = end + 4 + int(length)
        if len(self._buffer) < total:
            return None
        body = bytes(self._buffer[end + 4 : total])
        del self._buffer[:total]
        return Request(method, url, version, headers, body)


def _parse_head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    first, *rest = head.decode("utf-8", "replace").split("\r\n")
    parts = first.split()
    if len(parts) != 3 or not parts[2].startswith("RTSP/"):
        raise ProtocolError("the first line is no RTSP request")
    headers: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return parts[0].upper(), parts[1], parts[2], headers


def response(status: int, cseq: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return one response as bytes."""
    lines = [f"RTSP/1.0 {status} {REASONS[status]}", f"CSeq: {cseq}", "Server: Vedette camera simulator"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
