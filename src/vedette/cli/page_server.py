"""A page for one browser on this machine, for as long as somebody looks.

The address that is printed holds a token. Whoever comes with it first gets a cookie, and the token is used up: an
address in a history, a log or a process list opens nothing afterwards. Only the names that the page itself uses are
known here, so that no path leads anywhere else.
"""

from __future__ import annotations

import hmac
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

HOST: Final = "127.0.0.1"
#: A browser that sends or takes nothing for so long is let go.
SILENCE_S: Final = 20.0
_COOKIE: Final = "vedette"
_TYPES: Final = {".jpg": "image/jpeg", ".mp4": "video/mp4"}
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
#: Between two pictures of a stream (RFC 2046, section 5.1.1).
_BOUNDARY: Final = "vedette-picture"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;background:#fff;color:#222}"
    "img,video{max-width:100%;display:block;margin:1em 0;background:#222}"
    "td{padding:.15em 1.2em .15em 0;vertical-align:top}td:first-child{color:#777}h1{font-size:1.3em}"
)
#: JPEGs of a moving picture, until there are no more.
Pictures = Callable[[], Iterator[bytes]]


class PageServer:
    """Serves one page on the loopback address.

    Args:
        page: its HTML.
        files: path in the address → file.
        streams: path in the address → JPEGs of a moving picture.

    Raises:
        OSError: no port is free.
    """

    def __init__(
        self, page: str, files: Mapping[str, Path] | None = None, streams: Mapping[str, Pictures] | None = None
    ) -> None:
        self._token: str | None = secrets.token_urlsafe(24)
        self._cookie = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
        self.page = page.encode()
        self.files = dict(files or {})
        self.streams = dict(streams or {})
        self._server = _Server((HOST, 0), _Handler)
        self._server.owner = self
        self.host = f"{HOST}:{self._server.server_port}"
        self.url = f"http://{self.host}/{self._token}"

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._server.server_close()

    def serve(self) -> None:
        """Answer until ``shutdown``, or an exception such as Ctrl-C."""
        self._server.serve_forever(poll_interval=0.2)

    def shutdown(self) -> None:
        """End ``serve``; from another thread."""
        self._server.shutdown()

    def redeem(self, token: str) -> str | None:
        """The cookie for the token, once; None for any other text, and for the token afterwards."""
        with self._lock:
            if self._token is None or not hmac.compare_digest(token.encode(), self._token.encode()):
                return None
            self._token = None
            return self._cookie

    def knows(self, cookie: str) -> bool:
        """Whether this is the cookie of the browser that had the token."""
        return hmac.compare_digest(cookie.encode(), self._cookie.encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: PageServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of a video is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SILENCE_S
    protocol_version = "HTTP/1.1"
    server_version = "vedette"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a request."""
        owner = self.server.owner
        if self.headers.get("Host") != owner.host:  # a page elsewhere whose name was made to lead here
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "This is not the address that was printed.")
        elif self._known():
            self._answer()
        elif (cookie := owner.redeem(self.path[1:])) is not None:
            self.send_response(HTTPStatus.SEE_OTHER)
            self.send_header("Set-Cookie", f"{_COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict")
            self.send_header("Location", "/")
            self._end(0)
        else:
            self._refuse(
                HTTPStatus.FORBIDDEN, "The address has been opened before, or is not the one that was printed."
            )

    do_HEAD = do_GET  # noqa: N815 - the standard library's name

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are nobody's business."""

    def _known(self) -> bool:
        try:
            morsel = SimpleCookie(self.headers.get("Cookie", "")).get(_COOKIE)
        except CookieError:
            return False
        return morsel is not None and self.server.owner.knows(morsel.value)

    def _answer(self) -> None:
        owner = self.server.owner
        if self.path == "/":
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self._end(len(owner.page))
            if self.command == "GET":
                self.wfile.write(owner.page)
        elif self.path in owner.files:
            self._file(owner.files[self.path])
        elif self.path in owner.streams:
            self._stream(owner.streams[self.path]())
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such file.")

    def _file(self, path: Path) -> None:
        try:
            file = path.open("rb")
        except OSError:
            self._refuse(HTTPStatus.GONE, "The limit for evidence has taken it meanwhile.")
            return
        with file:
            size = path.stat().st_size
            span = wanted_range(self.headers.get("Range"), size)
            if span is None:
                self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                self.send_header("Content-Range", f"bytes */{size}")
                self._end(0)
                return
            begin, end = span
            part = self.headers.get("Range") is not None and (begin, end) != (0, size)
            self.send_response(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK)
            if part:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", _TYPES.get(path.suffix, "application/octet-stream"))
            self._end(end - begin)
            if self.command == "GET":
                file.seek(begin)
                shutil.copyfileobj(_Limited(file, end - begin), self.wfile)

    def _stream(self, pictures: Iterator[bytes]) -> None:
        """One picture after another in the place of the one before; ends with the connection."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.close_connection = True
        self.end_headers()
        for picture in pictures if self.command == "GET" else ():
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            self.wfile.write(head.encode() + picture + b"\r\n")
            self.wfile.flush()

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        content = f"{why}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self._end(len(content))
        if self.command == "GET":
            self.wfile.write(content)

    def _end(self, size: int) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()


class _Limited:
    """So many bytes of a file."""

    def __init__(self, file: Any, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data: bytes = self._file.read(wanted)
        self._left -= len(data)
        return data


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Begin and end of the bytes a browser asks for; all where it asks for none, or in a form not known here.

    Args:
        header: value of ``Range``.
        size: of the file.

    Returns:
        None where there are no such bytes.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or match.groups() == ("", ""):
        return 0, size
    first, last = match.groups()
    if not first:
        return (max(size - int(last), 0), size) if int(last) and size else None
    begin = int(first)
    end = min(int(last) + 1, size) if last else size
    return (begin, end) if begin < size and begin < end else None
