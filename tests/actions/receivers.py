"""Receivers that tests can take down, slow down and make refuse: a webhook with a ledger, and a real broker."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WAIT_S = 30.0


def until(condition: Callable[[], object], what: str = "", timeout_s: float = WAIT_S) -> None:
    """Poll until the condition holds."""
    limit_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit_s, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.01)


class WebhookLedger:
    """An HTTP server on a port of its own. ``answer`` decides what is said; what is answered 2xx is in ``taken``."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.taken: list[dict[str, Any]] = []
        self.answer: Callable[[int], tuple[int, dict[str, str]]] = lambda _number: (200, {})
        self.hang = threading.Event()
        self.port = 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def ids(self) -> list[str]:
        with self._lock:
            return [one["alert_id"] for one in self.taken]

    def up(self) -> None:
        ledger = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                while ledger.hang.is_set():
                    time.sleep(0.01)
                with ledger._lock:
                    status, headers = ledger.answer(len(ledger.requests))
                    ledger.requests.append((dict(self.headers), body))
                    if 200 <= status < 300:
                        ledger.taken.append(json.loads(body))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            connections: set[socket.socket] = set()  # noqa: RUF012

            def process_request(self, request: Any, client_address: Any) -> None:
                self.connections.add(request)
                super().process_request(request, client_address)

            def handle_error(self, *_: Any) -> None:
                return

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def down(self) -> None:
        """Refuse connections, and drop those there are."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            for connection in list(self._server.connections):  # type: ignore[attr-defined]
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
            self._thread.join()
            self._server = None

    close = down


def verify(key: str, headers: dict[str, str], body: bytes) -> bool:
    """As a receiver does it, from the documentation alone."""
    fields = dict(part.split("=", 1) for part in headers["Vedette-Signature"].split(","))
    digest = hmac.new(key.encode(), fields["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(digest, fields["v1"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """mosquitto on a port of its own, with a subscriber that keeps what arrives."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        self.port = free_port()
        self._configuration = folder / "mosquitto.conf"
        # Started by root it would become another user, who cannot read the test's folder.
        lines = (
            f"listener {self.port} 127.0.0.1",
            "user root",
            "persistence true",  # a subscriber's session survives a restart, so that nothing is missed meanwhile
            f"persistence_location {folder}/",
            extra or "allow_anonymous true",
        )
        self._configuration.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.up()

    def up(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen([program, "-c", self._configuration], stderr=subprocess.DEVNULL)
        until(self._listens, "mosquitto listens")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def down(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    close = down

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Subscriber:
    """Collects what is published on a topic; comes back by itself after the broker was away."""

    def __init__(self, port: int, topic: str, username: str = "", password: str = "") -> None:
        from awscrt import mqtt5

        self.messages: list[dict[str, Any]] = []
        self._subscribed = threading.Event()
        self._stopped = threading.Event()

        def on_up(_: Any) -> None:
            packet = mqtt5.SubscribePacket(subscriptions=[mqtt5.Subscription(topic, mqtt5.QoS.AT_LEAST_ONCE)])
            self._client.subscribe(packet).add_done_callback(lambda _: self._subscribed.set())

        self._client = mqtt5.Client(
            mqtt5.ClientOptions(
                host_name="127.0.0.1",
                port=port,
                connect_options=mqtt5.ConnectPacket(
                    client_id="ledger",
                    username=username or None,
                    password=password.encode() or None,
                    session_expiry_interval_sec=3600,
                ),
                # mosquitto keeps no session over a restart that once began with a clean start.
                session_behavior=mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS,
                min_reconnect_delay_ms=50,
                max_reconnect_delay_ms=100,
                on_publish_callback_fn=lambda event: self.messages.append(json.loads(event.publish_packet.payload)),
                on_lifecycle_event_connection_success_fn=on_up,
                on_lifecycle_event_disconnection_fn=lambda _: self._subscribed.clear(),
                on_lifecycle_event_stopped_fn=lambda _: self._stopped.set(),
                disable_metrics=True,
            )
        )
        self._client.start()
        self.wait()

    def wait(self) -> None:
        assert self._subscribed.wait(WAIT_S)

    def ids(self) -> list[str]:
        return [message["alert_id"] for message in list(self.messages)]

    def settle(self) -> None:
        """Wait until the broker knows what was received here; a broker that ends before that sends it again."""
        from awscrt import mqtt5

        # Acknowledgements go before it on the same connection.
        marker = mqtt5.PublishPacket(topic="settled", payload=b"", qos=mqtt5.QoS.AT_LEAST_ONCE)
        self._client.publish(marker).result(WAIT_S)

    def close(self) -> None:
        self._client.stop()
        self._stopped.wait(WAIT_S)
