"""Where our components may connect to, and what a hostile receiver can do to them."""

from __future__ import annotations

import ast
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.actions.authority import Authority
from tests.actions.receivers import Broker, WebhookLedger, until
from vedette.adapters.egress import HttpPoster, MqttConnection, MqttSettings, check_broker, check_http
from vedette.adapters.egress.mqtt import MQTT_THROWN_OUT_S
from vedette.contracts.errors import ConfigurationError, DeliveryError

REPOSITORY = Path(__file__).resolve().parents[2]


def answers(*addresses: str) -> Callable[[str], Sequence[str]]:
    return lambda _host: addresses


ALWAYS_REFUSED = (
    "ftp://example.com/", "file:///etc/passwd", "gopher://example.com", "//example.com/x", "example.com", "",
    "http://169.254.169.254/latest/meta-data", "https://169.254.169.254", "https://[fe80::1]/",
    "https://[fd00:ec2::254]/",
    "https://0.0.0.0/", "https://[::]/", "https://224.0.0.1/", "https://[ff02::1]/", "https://255.255.255.255/",
    "https://[::ffff:169.254.169.254]/", "https://2852039166/", "https://0xa9fea9fe/", "https://0251.0376.0251.0376/",
    "https://169.254.43518/", "https://user:hunter2@example.com/", "https://example.com@10.0.0.1/",
    "https://exa mple.com/",
    "https://example.com\\@10.0.0.1/", "https://example.com:99999/", "https://example.com:0/", "https://[::1%25lo]/",
    "https://100.100.100.200/", "https://[64:ff9b::a9fe:a9fe]/", "https://[2002:a9fe:a9fe::1]/",
    "https://exam\nple.com/",
)  # fmt: skip

PRIVATE = (
    "https://10.0.0.1/", "https://192.168.1.9:8443/x", "https://172.16.0.1/", "https://127.0.0.1/", "https://[::1]/",
    "https://[fd12::1]/", "https://100.64.0.1/", "https://[::ffff:10.0.0.1]/", "https://[::ffff:127.0.0.1]/",
)  # fmt: skip


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize("url", ALWAYS_REFUSED)
def test_some_addresses_are_never_allowed(url: str, allow_private: bool) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_http(url, allow_private=allow_private, resolver=answers("93.184.215.14"))
    assert caught.value.code == "V105"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_need_permission(url: str) -> None:
    with pytest.raises(ConfigurationError):
        check_http(url, allow_private=False)
    assert check_http(url, allow_private=True).addresses


@pytest.mark.parametrize("bad", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:192.168.0.1"])
def test_one_bad_answer_of_the_name_server_spoils_all(bad: str) -> None:
    with pytest.raises(ConfigurationError):
        check_http("https://example.com/", allow_private=False, resolver=answers("93.184.215.14", bad))


def test_without_encryption_nothing_leaves_the_site() -> None:
    assert check_http("http://10.0.0.1/x", allow_private=True).scheme == "http"
    for allow_private in (False, True):
        with pytest.raises(ConfigurationError, match="not encrypted"):
            check_http("http://example.com/", allow_private=allow_private, resolver=answers("93.184.215.14"))
    with pytest.raises(ConfigurationError):
        check_http("http://10.0.0.1/x", allow_private=False)


@pytest.mark.parametrize(
    ("cipher", "taken"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-AES128-SHA", False),
        ("ECDHE-ECDSA-NULL-SHA", False),
        ("AECDH-AES128-SHA", False),
    ],
)
def test_weak_ciphers_are_refused(cipher: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))  # for the context that receivers get
    weak = f"{cipher}:@SECLEVEL=0"
    context = authority.server("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # later ones have no weak ciphers
    context.set_ciphers(weak)
    careless = ssl.create_default_context()
    careless.set_ciphers(weak)
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    assert _answered(context, careless), "the server is able to"
    assert _answered(context, None) is taken


def _answered(server: ssl.SSLContext, client: ssl.SSLContext | None) -> bool:
    """Whether a webhook is sent to such a server, by default as receivers are."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError), server.wrap_socket(listener.accept()[0], server_side=True) as one:
                one.recv(65536)
                one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with contextlib.closing(HttpPoster(url, allow_private=True, context=client)) as poster:
            try:
                return poster.post(b"{}", {}).status == 200
            except DeliveryError:
                return False
            finally:
                thread.join(10)


def test_brokers_may_be_on_this_machine_but_not_where_credentials_are_served() -> None:
    assert check_broker("localhost", 1883, tls=False, resolver=answers("127.0.0.1")).addresses == ("127.0.0.1",)
    assert check_broker("::1", 8883, tls=True).addresses == ("::1",)
    with pytest.raises(ConfigurationError):
        check_broker("metadata", 1883, tls=False, resolver=answers("169.254.169.254"))
    with pytest.raises(ConfigurationError):
        check_broker("evil/../@host", 1883, tls=False, resolver=answers("10.0.0.1"))


@pytest.fixture
def ledger() -> Iterator[WebhookLedger]:
    one = WebhookLedger()
    yield one
    one.close()


def test_the_connection_goes_to_the_address_that_was_checked(ledger: WebhookLedger) -> None:
    asked: list[str] = []

    def rebinding(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    poster = HttpPoster(f"http://receiver.test:{ledger.port}/hook", allow_private=True, resolver=rebinding)
    assert poster.post(b'{"alert_id":"1"}', {}).status == 200
    assert poster.post(b'{"alert_id":"2"}', {}).status == 200
    assert asked == ["receiver.test"], "one connection, one question"
    poster.close()
    assert ledger.requests[0][0]["Host"] == f"receiver.test:{ledger.port}"
    with pytest.raises(ConfigurationError):
        poster.post(b"{}", {})
    assert len(ledger.requests) == 2


def test_redirects_are_not_followed(ledger: WebhookLedger) -> None:
    ledger.answer = lambda _: (302, {"Location": f"http://127.0.0.1:{ledger.port}/elsewhere"})
    poster = HttpPoster(ledger.url, allow_private=True)
    assert poster.post(b"{}", {}).status == 302
    poster.close()
    assert len(ledger.requests) == 1


def test_a_kept_connection_that_was_closed_is_made_anew(ledger: WebhookLedger) -> None:
    poster = HttpPoster(ledger.url, allow_private=True)
    assert poster.post(b"{}", {}).status == 200
    ledger.down()
    with pytest.raises(DeliveryError) as caught:
        poster.post(b"{}", {})
    assert caught.value.code == "V502"
    ledger.up()
    assert poster.post(b"{}", {}).status == 200
    poster.close()


def test_no_header_can_be_smuggled_in(ledger: WebhookLedger) -> None:
    poster = HttpPoster(ledger.url, allow_private=True)
    with pytest.raises(ConfigurationError):
        poster.post(b"{}", {"X": "a\r\nY: b"})
    poster.close()
    assert ledger.requests == []


class RawServer:
    """Answers the first connection with bytes, slowly where asked."""

    def __init__(self, answer: bytes, pause_s: float = 0.0, piece: int = 1 << 30) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._answer, self._pause_s, self._piece = answer, pause_s, piece
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(65536)
            rest = self._answer
            try:
                while rest and not self._done.is_set():
                    connection.sendall(rest[: self._piece])
                    rest = rest[self._piece :]
                    self._done.wait(self._pause_s)
            except OSError:
                return
            self._done.wait(5)

    def close(self) -> None:
        self._done.set()
        self._listener.close()
        self._thread.join(5)


@pytest.mark.parametrize(
    ("answer", "pause_s", "piece"),
    [
        (b"", 0.0, 1),  # accepts and says nothing
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, 0.0, 4096),  # a head without end
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000, 0.05, 1),  # a byte at a time
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000, 0.0, 4096),
        (b"SSH-2.0-OpenSSH\r\n\r\n", 0.0, 100),
        (b"HTTP/1.1 20x OK\r\n\r\n", 0.0, 100),
        (b"\xff" * 20_000 + b"\r\n\r\n", 0.0, 100_000),
    ],
)
def test_a_hostile_receiver_costs_bounded_time_and_memory(answer: bytes, pause_s: float, piece: int) -> None:
    server = RawServer(answer, pause_s, piece)
    poster = HttpPoster(f"http://127.0.0.1:{server.port}/", allow_private=True, timeout_s=0.4)
    begun_s = time.monotonic()
    with pytest.raises(DeliveryError):
        poster.post(b"{}", {})
    assert time.monotonic() - begun_s < 2.0
    poster.close()
    server.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 200\r\nContent-Length: 999999999999\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
    ],
)
def test_what_follows_the_head_is_nobodys_business(answer: bytes) -> None:
    server = RawServer(answer)
    poster = HttpPoster(f"http://127.0.0.1:{server.port}/", allow_private=True, timeout_s=0.5)
    assert 200 <= poster.post(b"{}", {}).status < 300
    poster.close()
    server.close()


NETWORK_MODULES = {
    "socket", "ssl", "http", "urllib.request", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "telnetlib",
    "xmlrpc", "awscrt", "boto3", "asyncio", "socketserver", "pymodbus", "asyncua", "termios", "tty", "serial",
}  # fmt: skip

#: Files that may import them, and why.
EXEMPT = {
    "src/vedette/adapters/egress": "the way out",
    "src/vedette/adapters/journal/bell.py": "a Unix socket",
    "src/vedette/adapters/frames": "a Unix socket",
    "src/vedette/adapters/packets": "a Unix socket",
    "src/vedette/adapters/state": "a Unix socket",
    "src/vedette/adapters/engines/dlr_link.py": "a socket pair to the worker of a compiled model",
    "src/vedette/adapters/supervision/template.py": "a Unix socket pair to the process that others are copied from",
    "src/vedette/adapters/unix_sockets.py": "who is at the other end of a Unix socket",
    "src/vedette/adapters/hooks": "socket pairs to confined processes; tests/hooks looks at what they do with them",
    "src/vedette/adapters/panorama": "as for hooks; tests/panorama looks at what confined programs reach",
    "src/vedette/adapters/confinement/namespaces.py": "the loopback interface of a network of its own",
    "src/vedette/adapters/capture": "cameras: the way in",
    "src/vedette/adapters/discovery": "cameras: the way in",
    "src/vedette/compose/capture.py": "cameras: the way in",
    "src/vedette/adapters/aws": "the command line works on the owner's account; no component does",
    "src/vedette/adapters/models/download.py": "the command line fetches a model; no component does",
}


def test_nothing_else_can_reach_the_network() -> None:
    offenders = []
    roots = ("src/vedette/adapters", "src/vedette/pipeline", "src/vedette/core", "src/vedette/ports",
             "src/vedette/contracts", "src/vedette/compose", "components")  # fmt: skip
    for root in roots:
        for path in (REPOSITORY / root).rglob("*.py"):
            name = path.relative_to(REPOSITORY).as_posix()
            if any(name == exempt or name.startswith(f"{exempt}/") for exempt in EXEMPT):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                reach = [one for one in names if one in NETWORK_MODULES or one.split(".")[0] in NETWORK_MODULES]
                offenders += [f"{name}: {one}" for one in reach]
    assert offenders == []


LAZY = ("pymodbus", "asyncua", "smtplib", "termios", "cryptography")


def test_a_worker_loads_only_what_its_actions_need() -> None:
    """What an action needs is loaded when there is such an action, not before."""
    script = f"""
import sys
import alerting.worker, vedette.compose.alerting_worker
from pathlib import Path
from vedette.compose.lines import make_line
from vedette.compose.receivers import Surroundings, make_receiver
from vedette.adapters.secrets import SecretStore
from vedette.contracts.manifest import FileAction, ModbusAction, WebhookAction
secrets = SecretStore(lambda _: {{}}, Path("."))
around = Surroundings(Path("."), "thing", secrets)
make_receiver("a/b", FileAction(type="file"), around)
make_receiver("a/b", WebhookAction(type="webhook", url="https://x.example/"), around)
print(*[name for name in {LAZY!r} if name in sys.modules])
line = make_line(ModbusAction(type="modbus", host="127.0.0.1", port=1, write="coil", address=0), secrets)
try:
    line.prepare()
except Exception:
    pass
print("pymodbus" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'components'}:{REPOSITORY / 'src'}"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["", "True"]


def test_who_is_thrown_out_by_its_own_name_says_so_and_pauses_before_it_comes_back(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    settings = MqttSettings("127.0.0.1", broker.port, False, "test-client")
    connection = MqttConnection(settings)
    for _ in range(3):
        assert connection.wait_connected(5.0)
        other = MqttConnection(settings)
        until(lambda: connection.problem != "", "thrown out")
        thrown_out_s = time.monotonic()
        other.close()
    assert "does another client have the same identifier, test-client?" in connection.problem
    assert not connection.wait_connected(0.0)
    until(lambda: connection.wait_connected(5.0), "it comes back by itself")
    assert time.monotonic() - thrown_out_s >= MQTT_THROWN_OUT_S[0] - 0.5
    assert connection.publish("site/alerts", b"{}").result(5.0) is not None
    connection.close()
    broker.close()
