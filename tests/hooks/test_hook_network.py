"""The network of a hook: what its manifest names, through the warden, counted; nothing else."""

from __future__ import annotations

import ast
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.hooks.confined import Confined
from tests.hooks.rig import peer, plan
from vedette.adapters.egress import check_peer
from vedette.adapters.egress.relay import BUFFER_BYTES, Relay
from vedette.adapters.hooks.broker import MAX_CONNECTIONS
from vedette.adapters.hooks.reactor import Reactor
from vedette.compose.hosted_hook import network_refusal
from vedette.contracts.config import NetworkCeiling
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import NetworkPeer
from vedette.contracts.plan import HookCamera

pytestmark = pytest.mark.processes


class Server:
    """An HTTP server of this machine; keeps what it was sent."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.bodies: list[bytes] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"y" * 100_000)

            def log_message(self, *_: Any) -> None:
                return

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                return

        self._http = Quiet(("127.0.0.1", 0), Handler)
        if context is not None:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def make(short_tmp: Path) -> Iterator[Callable[..., Confined]]:
    made: list[Confined] = []

    def hook(source: str, *ports: int, **options: Any) -> Confined:
        made.append(Confined(short_tmp, source, network=tuple(peer(port) for port in ports), **options))
        made[-1].start()
        return made[-1]

    yield hook
    for one in made:
        one.close()


def posting(url: str, body: str = "b'x' * 50_000", more: str = "") -> str:
    return f"""
import ssl, urllib.request
def on_tracks(app, batch):
    try:
        request = urllib.request.Request({url!r}, data={body}, method="POST")
        with urllib.request.urlopen(request, timeout=3{more}) as answer:
            app.alert(f"{{answer.status}} {{len(answer.read())}}")
    except OSError as error:
        app.alert(f"{{type(error).__name__}} {{error}}")
"""


def test_ordinary_libraries_work_and_bytes_are_counted(make: Callable[..., Confined], server: Server) -> None:
    one = make(posting(f"http://127.0.0.1:{server.port}/in"), server.port)
    assert one.says() == ["200 100000"]
    assert server.bodies == [b"x" * 50_000]
    one.reactor.run_once(0.1)
    traffic = one.broker.traffic()
    assert 50_000 < traffic.sent_bytes < 51_000
    assert 100_000 < traffic.received_bytes < 101_000
    assert (traffic.connections, traffic.refused) == (1, 0)


def test_tls_works_on_top(make: Callable[..., Confined], short_tmp: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl program")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(short_tmp / "key.pem"), "-out", str(short_tmp / "cert.pem")]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(short_tmp / "cert.pem", short_tmp / "key.pem")
    server = Server(context)
    try:
        url = f"https://localhost:{server.port}/in"
        trusting = ", context=ssl.create_default_context(cadata=open(app_file('cert.pem')).read())"
        source = "import os\ndef app_file(name): return os.path.join(os.path.dirname(__file__), name)\n"
        one = Confined(short_tmp, source + posting(url, more=trusting), network=(peer(server.port, "localhost"),))
        one.write("cert.pem", (short_tmp / "cert.pem").read_text())
        one.start()
        assert one.says() == ["200 100000"]
        one.write("hooks.py", posting(url))
        one.start()
        assert "CERTIFICATE_VERIFY_FAILED" in one.says()[0], "and a certificate nobody vouches for is refused"
        one.close()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{other}/", "refused: the manifest allows 127.0.0.1:"),
        ("http://localhost:{port}/", "refused: the manifest allows"),
        ("http://example.org/", "refused: the manifest allows"),
        ("http://169.254.169.254/latest/meta-data", "refused: the manifest allows"),
        ("http://[::1]:{port}/", "refused: the manifest allows"),
    ],
)
def test_nothing_but_what_the_manifest_names(
    make: Callable[..., Confined], server: Server, url: str, words: str
) -> None:
    one = make(posting(url.format(port=server.port, other=server.port + 1)), server.port)
    assert words in one.says()[0]
    assert server.bodies == []
    assert one.broker.traffic().refused == 1
    assert "V806" in one.broker.traffic().problem


def test_without_a_network_it_is_said_why(make: Callable[..., Confined], server: Server) -> None:
    one = make(
        posting(f"http://127.0.0.1:{server.port}/in"), server.port, refusal="this device allows hooks no network"
    )
    assert "this device allows hooks no network" in one.says()[0]
    assert server.bodies == []


@pytest.mark.parametrize(
    ("network", "pictures", "ceiling", "words"),
    [
        ((), False, NetworkCeiling.ALWAYS, "the manifest allows this hook no network"),
        ((443,), False, NetworkCeiling.WITHOUT_PICTURES, ""),
        ((443,), True, NetworkCeiling.WITHOUT_PICTURES, "sees pictures"),
        ((443,), True, NetworkCeiling.ALWAYS, ""),
        ((443,), False, NetworkCeiling.NEVER, "allowNetwork: never"),
    ],
)
def test_the_devices_ceiling(network: Sequence[int], pictures: bool, ceiling: NetworkCeiling, words: str) -> None:
    cameras = (HookCamera(app_camera="gate", camera="gate"),) if pictures else ()
    refusal = network_refusal(plan(network=tuple(map(peer, network)), pictures=cameras), ceiling)
    assert words in refusal
    assert bool(refusal) == bool(words)


@pytest.mark.parametrize(
    ("address", "private", "allowed"),
    [
        ("93.184.215.14", False, True),
        ("93.184.215.14", True, True),
        ("10.0.0.5", False, False),
        ("10.0.0.5", True, True),
        ("127.0.0.1", False, False),
        ("127.0.0.1", True, True),
        ("169.254.169.254", True, False),
        ("fe80::1", True, False),
        ("fd00:ec2::254", True, False),
        ("0.0.0.0", True, False),
        ("224.0.0.1", True, False),
        ("::ffff:169.254.169.254", True, False),
        ("::ffff:10.0.0.1", False, False),
    ],
)
def test_the_address_decides_not_the_name(address: str, private: bool, allowed: bool) -> None:
    def resolver(_host: str) -> Sequence[str]:
        return [address]

    if allowed:
        assert check_peer("api.example.org", 443, allow_private=private, resolver=resolver).addresses == (address,)
    else:
        with pytest.raises(ConfigurationError):
            check_peer("api.example.org", 443, allow_private=private, resolver=resolver)


def test_a_name_that_leads_elsewhere_is_refused_at_the_moment_of_connecting(short_tmp: Path) -> None:
    named = (NetworkPeer(host="api.example.org", port=443),)
    one = Confined(short_tmp, posting("https://api.example.org/"), network=named)
    one.broker._resolver = lambda _host: ["169.254.169.254"]
    try:
        one.start()
        assert "link-local or cloud metadata" in one.says()[0]
        one.broker._resolver = lambda _host: ["10.1.2.3"]
        assert "it is on a private network" in one.says()[0]

        def nowhere(_host: str) -> Sequence[str]:
            raise OSError(-2, "Name or service not known")

        one.broker._resolver = nowhere
        assert "Name or service not known" in one.says()[0]
    finally:
        one.close()


def test_a_host_that_does_not_answer_costs_the_call_and_no_more(make: Callable[..., Confined]) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)
    port = int(listener.getsockname()[1])
    one = make(posting(f"http://127.0.0.1:{port}/"), port)
    began_s = time.monotonic()
    assert "timed out" in one.says()[0]
    assert time.monotonic() - began_s < 4.5
    listener.close()
    assert "Connection refused" in one.says()[0]


def test_connections_are_bounded_and_end_with_the_process(make: Callable[..., Confined]) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = int(listener.getsockname()[1])
    source = f"""
import socket
held = []
def on_tracks(app, batch):
    for _ in range(20):
        try:
            held.append(socket.create_connection(("127.0.0.1", {port}), timeout=2))
        except OSError as error:
            app.alert(f"{{len(held)}} {{error}}", key="limit")
"""
    one = make(source, port)
    (said,) = one.says()
    assert said.startswith(f"{MAX_CONNECTIONS} ")
    assert "V806 more than 8 connections" in said
    accepted = [listener.accept()[0] for _ in range(MAX_CONNECTIONS)]
    one.runner.close()
    for connection in accepted:
        connection.settimeout(5)
        assert connection.recv(1) == b"", "the other side sees the end"
        connection.close()
    listener.close()


def test_the_relay_passes_everything_on_and_stops_reading_when_nobody_takes_it() -> None:
    reactor = Reactor()
    inside, process = socket.socketpair()
    outside, host = socket.socketpair()
    for one in (inside, outside, process, host):
        one.setblocking(False)
    ended: list[Relay] = []
    relay = Relay(inside, outside, reactor, ended.append)
    content = bytes(range(256)) * 20_000
    sent, received = 0, bytearray()
    for _ in range(200_000):
        if sent < len(content):
            with contextlib.suppress(BlockingIOError):
                sent += process.send(content[sent : sent + 65536])
        elif sent == len(content):
            process.shutdown(socket.SHUT_WR)
            sent += 1
        reactor.run_once(0.0)
        assert len(relay._out.waiting) <= BUFFER_BYTES
        try:
            received += host.recv(4096)
        except BlockingIOError:
            continue
        if relay.sent_bytes == len(content) and len(received) == len(content):
            break
    assert bytes(received) == content
    assert relay.sent_bytes == len(content)
    host.send(b"answer")
    reactor.run_once(0.1)
    assert process.recv(10) == b"answer"
    host.close()
    for _ in range(10):
        reactor.run_once(0.01)
    assert ended == [relay]
    assert relay.received_bytes == 6
    process.close()
    reactor.close()


#: What the code of hooks may use of ``socket``: pairs, descriptors, and nothing that reaches a network.
USED = {"socket", "socketpair", "send_fds", "recv_fds", "SHUT_WR", "SHUT_RDWR", "SOL_SOCKET", "create_connection"}


def test_the_code_around_hooks_makes_no_connection_itself() -> None:
    """It is exempt from the rule that only ``egress`` may import ``socket``; this says what it does with it."""
    for path in (REPOSITORY / "src" / "vedette" / "adapters" / "hooks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "socket":
                assert node.attr in USED, f"{path.name}: socket.{node.attr}"
            if isinstance(node, ast.Attribute) and node.attr in ("connect", "connect_ex", "bind", "listen"):
                assert ast.unparse(node.value) in ("sqlite3", "self._broker"), f"{path.name}: {ast.unparse(node)}"
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func) == "socket.socket"
            ):
                assert [keyword.arg for keyword in node.keywords] == ["fileno"], f"{path.name}: {ast.unparse(node)}"
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "socket.create_connection":
                raise AssertionError(f"{path.name}: {ast.unparse(node)}")
