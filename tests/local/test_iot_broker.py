"""The bridge to a real MQTT broker with mutual TLS."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.local.conftest import TIMEOUT_S, Probe, deploy_probe, make_core, probe_recipe
from vedette.contracts.errors import CoreError
from vedette.local.core import BrokerIot, LocalCore
from vedette.local.iot_broker import BrokerBridge
from vedette.local.server import IpcError

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(MOSQUITTO is None or shutil.which("openssl") is None, reason="needs mosquitto and openssl"),
]


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


def make_certificates(folder: Path) -> None:
    """An authority, a broker and a device; and a stranger with an authority of its own."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for authority in ("ca", "stranger-ca"):
        key_and_certificate = ["-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-subj", f"/CN={authority}"]
        _openssl(folder, "req", "-x509", *curve, "-days", "2", *key_and_certificate)
    (folder / "san").write_text("subjectAltName=DNS:localhost")
    for name, authority in (("localhost", "ca"), ("device", "ca"), ("stranger", "stranger-ca")):
        _openssl(folder, "req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed_by = ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial"]
        wanted = ["-in", f"{name}.csr", "-out", f"{name}.pem", "-days", "2", "-extfile", "san"]
        _openssl(folder, "x509", "-req", *wanted, *signed_by)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """mosquitto on one port, to be stopped and started."""

    def __init__(self, folder: Path, certificates: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\n"
            f"cafile {certificates}/ca.pem\n"
            f"certfile {certificates}/localhost.pem\n"
            f"keyfile {certificates}/localhost.key\n"
            "require_certificate true\nuse_identity_as_username true\nallow_anonymous false\nuser root\n"
        )

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline_s
                time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def broker(tmp_path: Path, certificates: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path, certificates)
    yield broker
    broker.stop()


def settings(broker: Broker, certificates: Path, who: str = "device") -> BrokerIot:
    return BrokerIot(
        "localhost", broker.port, certificates / "ca.pem", certificates / f"{who}.pem", certificates / f"{who}.key"
    )


def publish_until(probe: Probe, accepted: bool) -> float:
    """Publishes until the broker takes it (or no longer does); the seconds it took."""
    begun_s = time.monotonic()
    while True:
        answer = probe.do("publish_cloud", ["cloud/try", "x"])
        if (answer == "published") is accepted:
            return time.monotonic() - begun_s
        assert answer == "published" or answer["error"] == "ServiceError"
        assert time.monotonic() - begun_s < TIMEOUT_S
        time.sleep(0.05)


def start(root: Path, iot: BrokerIot, lite: bool = False) -> LocalCore:
    return make_core(root, probe_recipe(), iot=iot, lite_quirks=lite)


def test_messages_go_through_and_a_lost_broker_comes_back(
    short_tmp: Path, broker: Broker, certificates: Path, lite: bool
) -> None:
    broker.start()
    with start(short_tmp, settings(broker, certificates), lite) as core:
        probe = deploy_probe(core)
        publish_until(probe, accepted=True)
        assert probe.do("subscribe_cloud", "cloud/+/x") == "subscribed"
        assert probe.do("publish_cloud", ["cloud/1/x", json.dumps({"n": 1})]) == "published"
        assert probe.hear("cloud") == ["cloud/1/x", '{"n": 1}']
        broker.stop()
        publish_until(probe, accepted=False)
        begun_s = time.monotonic()
        assert probe.do("publish_cloud", ["cloud/1/x", "lost"])["error"] == "ServiceError"
        assert time.monotonic() - begun_s < 1.0  # at once, and nothing is kept for later
        broker.start()
        assert publish_until(probe, accepted=True) < 6.0
        deadline_s = time.monotonic() + TIMEOUT_S
        while probe.silent("cloud"):  # the subscription is renewed without the component's doing
            assert probe.do("publish_cloud", ["cloud/2/x", "again"]) == "published"
            assert time.monotonic() < deadline_s
        assert probe.hear("cloud") == ["cloud/2/x", "again"]


def test_what_was_given_after_the_connection_broke_is_told_at_once(broker: Broker, certificates: Path) -> None:
    """Between the break and the news of it the client takes messages, and would keep them for the next connection."""

    async def run() -> None:
        bridge = BrokerBridge(settings(broker, certificates), "device", lite=True)
        bridge._connected = True
        sent = asyncio.create_task(bridge.publish("cloud/1/x", b"x", 1))
        abandoned = asyncio.create_task(bridge.publish("cloud/2/x", b"x", 1))
        await asyncio.sleep(0)
        abandoned.cancel()
        bridge._down(SimpleNamespace(exception="the line is cut"))
        with pytest.raises(IpcError, match="the line is cut"):
            await asyncio.wait_for(sent, TIMEOUT_S)
        await bridge.stop()  # the client's own answers come now, and disturb nobody

    asyncio.run(run())


def test_no_broker_is_an_immediate_service_error(
    short_tmp: Path, broker: Broker, certificates: Path, lite: bool
) -> None:
    with start(short_tmp, settings(broker, certificates), lite) as core:
        probe = deploy_probe(core)
        answer = probe.do("publish_cloud", ["cloud/1/x", "x"])
        assert (answer["error"], answer["message"] is None) == ("ServiceError", lite)
        subscribed = probe.do("subscribe_cloud", "cloud/1/x")
        if lite:
            assert subscribed["error"] == "ServiceError"
            return
        assert subscribed == "subscribed"  # and takes effect once there is a broker
        broker.start()
        publish_until(probe, accepted=True)
        assert probe.do("publish_cloud", ["cloud/1/x", "late"]) == "published"
        assert probe.hear("cloud") == ["cloud/1/x", "late"]


def test_a_stranger_is_not_let_in(
    short_tmp: Path, broker: Broker, certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker.start()
    with start(short_tmp, settings(broker, certificates, "stranger")) as core:
        probe = deploy_probe(core)
        deadline_s = time.monotonic() + TIMEOUT_S
        while f"no connection to the broker localhost:{broker.port}" not in caplog.text:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        assert "connected to the broker" not in caplog.text
        assert probe.do("publish_cloud", ["cloud/1/x", "x"])["error"] == "ServiceError"


def test_unusable_certificates_are_named(short_tmp: Path, broker: Broker, certificates: Path) -> None:
    with pytest.raises(CoreError, match=r"nobody\.pem: no such file"):
        start(short_tmp, settings(broker, certificates, "nobody")).start()
    bad = BrokerIot("localhost", 1, certificates / "ca.pem", certificates / "san", certificates / "san")
    with pytest.raises(CoreError, match="san: certificate or key is not usable"):
        start(short_tmp, bad).start()
