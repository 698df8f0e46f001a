"""X7: addresses that lead inside, in every spelling, given to webhooks and cameras; a listener there counts."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.actions.receivers import WebhookLedger
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from vedette.adapters.capture.opening import open_container
from vedette.adapters.egress import HttpPoster
from vedette.contracts.camera import Transport
from vedette.contracts.errors import VedetteError
from vedette.core.url_policy import camera_policy, check_url

#: Spellings of this machine: how operating systems, browsers and libraries read addresses.
LOOPBACK: Final = (
    *(
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0x7f.0.0.1",
        "017700000001",
        "0177.0.0.1",
    ),
    *("0177.1", "127.0.0.1.", "0", "0.0.0.0", "localhost", "LOCALHOST", "localhost.", "[::1]", "[0:0:0:0:0:0:0:1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::]"),
    *("127.8.8.8", "127.255.255.254", "①②⑦.⓪.⓪.①", "ｌocalhost", "127。0。0。1", "local.evil", "both.evil"),
)
#: Spellings of where clouds give credentials to whoever asks, and of other addresses that are never a receiver's.
FORBIDDEN: Final = (
    *("169.254.169.254", "169.254.43518", "169.16689662", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE"),
    *("0251.0376.0251.0376", "0xa9.254.0251.254", "169.254.169.254.", "169.254.170.2", "169.254.0.1", "[fe80::1]"),
    *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::169.254.169.254]", "[64:ff9b::a9fe:a9fe]"),
    *("[2002:a9fe:a9fe::]", "[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200", "192.0.0.192", "224.0.0.1"),
    *("255.255.255.255", "[ff02::1]", "[fe80::a9fe:a9fe%25lo]", "rebind.evil", "mapped.evil", "0.1.2.3", "240.0.0.1"),
)
#: What stands before a host to deceive those who read addresses with their own eyes or with a simple pattern.
DISGUISES: Final = ("example.org@", "example.org%40", "user:word@", "example.org\\@", "example.org#@", "example.org?@")
#: What FFmpeg, curl and others would take for an address.
SCHEMES: Final = (
    *("gopher://127.0.0.1:{port}/_GET", "dict://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/", "tcp://127.0.0.1:{port}"),
    *("concat:http://127.0.0.1:{port}/|x", "subfile,,start,0,end,9,,:http://127.0.0.1:{port}/", "hls+http://127.0.0.1:{port}/"),
    *("data:text/plain,x", "pipe:0", "async:http://127.0.0.1:{port}/", "cache:http://127.0.0.1:{port}/"),
    *("//127.0.0.1:{port}/",),
    *("rtmp://127.0.0.1:{port}/live", "srt://127.0.0.1:{port}", "udp://127.0.0.1:{port}", "tls://127.0.0.1:{port}"),
    *("crypto:http://127.0.0.1:{port}/", "http:/127.0.0.1:{port}/", "http:127.0.0.1:{port}/", "httpproxy://127.0.0.1:{port}/"),
)  # fmt: skip
NAMES: Final = {
    "local.evil": ("127.0.0.1",),
    "both.evil": ("203.0.113.7", "127.0.0.1"),
    "rebind.evil": ("169.254.169.254",),
    "mapped.evil": ("::ffff:169.254.169.254",),
    "localhost": ("::1", "127.0.0.1"),
}


def resolve(host: str) -> Sequence[str]:
    """A name server of the attacker's; what it does not know is answered as the system would."""
    known = NAMES.get(host.lower().rstrip("."))
    return known or [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


@dataclass
class Canary:
    """Listens at both addresses of this machine, answers nothing, counts."""

    hits: int = 0
    port: int = 0
    _listeners: list[socket.socket] = field(default_factory=list)

    def open(self) -> None:
        first = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(first.getsockname()[1])
        self._listeners.append(first)
        with contextlib.suppress(OSError):  # a machine without IPv6
            self._listeners.append(socket.create_server(("::1", self.port), family=socket.AF_INET6, backlog=256))
        for listener in self._listeners:
            threading.Thread(target=self._count, args=(listener,), daemon=True).start()

    def _count(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.hits += 1
            connection.close()

    def close(self) -> None:
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    one = Canary()
    one.open()
    yield one
    one.close()


def corpus(port: int) -> list[str]:
    """Addresses for webhooks; for cameras the scheme is another."""
    plain = [f"http://{host}:{port}/latest/meta-data/" for host in (*LOOPBACK, *FORBIDDEN)]
    secure = [f"https://{host}:{port}/" for host in LOOPBACK]
    hidden = [f"http://{disguise}{host}:{port}/" for disguise in DISGUISES for host in ("127.0.0.1", "169.254.169.254")]
    return [*plain, *secure, *hidden, *(scheme.format(port=port) for scheme in SCHEMES)]


def post(url: str) -> bool:
    """Whether a webhook's address was refused, or led nowhere, with an error of ours."""
    poster = HttpPoster(url, timeout_s=0.5, resolver=resolve)
    try:
        poster.post(b"{}", {})
    except VedetteError:
        return True
    finally:
        poster.close()
    return False


def watch(url: str) -> bool:
    """The same for a camera, where this machine is not allowed."""
    try:
        checked = check_url(url, camera_policy(loopback=False), resolve)
        if checked.is_network:
            open_container(checked, Transport.TCP, 0.5).close()
            return False
        return url.startswith("file:") or not open_file(checked.target)
    except VedetteError:
        return True
    except OSError:  # a name without address
        return True


def open_file(path: str) -> bool:
    """Whether what was taken for a file's name can be opened."""
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False


def naive(url: str, _port: int) -> None:
    """What a client does that checks nothing."""
    with contextlib.suppress(OSError, ValueError):
        parts = urlsplit(url)
        host = parts.hostname or ""
        with contextlib.suppress(ValueError):
            if not ipaddress.ip_address(host).is_loopback and host != "0.0.0.0":
                return  # never knock at addresses that may belong to somebody
        if host.endswith(".evil") and "127.0.0.1" not in NAMES.get(host, ()):
            return
        address = "127.0.0.1" if host in NAMES else host
        if socket.getaddrinfo(address, None)[0][4][0] not in ("127.0.0.1", "0.0.0.0", "::1"):
            return
        socket.create_connection((address, parts.port or 80), timeout=0.5).close()


def rebinding(first: str, then: str) -> Callable[[str], Sequence[str]]:
    asked: list[str] = []

    def answer(host: str) -> Sequence[str]:
        asked.append(host)
        return [first if len(asked) == 1 else then]

    return answer


def moved(code: int, port: int, _: object) -> tuple[int, dict[str, str]]:
    return code, {"Location": f"http://127.0.0.1:{port}/"}


def redirected(canary: Canary) -> int:
    """Receivers that were checked and then point inside; how many were asked."""
    ledger = WebhookLedger()
    codes = (301, 302, 303, 307, 308)
    try:
        for code in codes:
            ledger.answer = partial(moved, code, canary.port)
            poster = HttpPoster(ledger.url, allow_private=True)
            poster.post(b"{}", {})
            poster.close()
        # A name that changes its answer after the check: the connection goes where the check looked.
        poster = HttpPoster(
            f"http://receiver.test:{ledger.port}/",
            allow_private=True,
            resolver=rebinding("127.0.0.1", "169.254.169.254"),
        )
        poster.post(b"{}", {})
        poster.close()
    finally:
        ledger.close()
    return len(codes) + 1


def test_x7_inner_addresses(canary: Canary) -> None:
    begun_s = time.monotonic()
    urls = corpus(canary.port)
    cameras = [url.replace("http://", "rtsp://").replace("https://", "rtsps://") for url in urls]
    passed = [url for url in urls if not post(url)]
    passed += [url for url in cameras if not watch(url)]
    others = redirected(canary)
    hits, n = canary.hits, len(urls) + len(cameras) + others
    for url in urls:
        naive(url, canary.port)
    deadline_s = time.monotonic() + 5.0
    while canary.hits - hits < 10 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    control = canary.hits - hits
    row = Row(
        "X7",
        "requests to inner addresses, by webhooks and cameras",
        hits + len(passed),
        "requests",
        n,
        "0",
        passed=not hits and not passed and control >= 10,
        upper95=upper95(min(hits + len(passed), n), n),
        control=Control("the same addresses with a client that checks nothing: reached", control, control >= 10),
        notes=f"{len(urls)} addresses each for webhooks and cameras (this machine, link-local, metadata, disguises, "
        f"foreign schemes), {others} redirects and a name that changes its answer. Not refused: {passed or 'none'}.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
