"""The account's MQTT broker on loopback, with mutual TLS: devices connect to it as they would to IoT Core.

It is mosquitto. A bridge in this process hears everything that devices publish and runs rules on it, and passes on what
the account publishes. A device's certificate has its thing's name; the access list follows from its IoT policies.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from vedette.contracts.errors import CloudError
from vedette.local import keeper
from vedette.local.cloud.api import ApiError, Request, Route, route
from vedette.local.cloud.broker_access import BRIDGE, Authority, access_list
from vedette.local.cloud.topic_rules import Rules
from vedette.local.cloud.world import World

#: Largest payload that IoT Core takes.
_MOST_BYTES: Final = 128 << 10
_CONNECT_S: Final = 20.0
_LOOK_S: Final = 0.1
_FILTERS: Final = ("#", "$aws/#")


class Broker:
    """mosquitto and the bridge to it.

    Args:
        world: the sandbox.
        rules: run on what devices publish.
        program: mosquitto.
        port: on loopback.
    """

    def __init__(self, world: World, rules: Rules, program: str, port: int) -> None:
        self._world = world
        self._rules = rules
        self.port = port
        self._folder = world.directory / "broker"
        shutil.rmtree(self._folder, ignore_errors=True)
        self.authority = Authority(self._folder)
        self._policies: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        self._process, self._pid = self._start(program)
        self._connected = threading.Event()
        self._client = self._bridge()

    def _start(self, program: str) -> tuple[subprocess.Popen[bytes], int]:
        """The broker's keeper, by which it ends with this process whichever way that ends, and the broker's pid."""
        server = self.authority.issue("localhost")
        self._write_access()
        settings = {
            "listener": f"{self.port} 127.0.0.1",
            "cafile": self.authority.certificate,
            "certfile": server.certificate,
            "keyfile": server.key,
            "require_certificate": "true",
            "use_identity_as_username": "true",
            "allow_anonymous": "false",
            "acl_file": self._folder / "access",
            "persistence": "false",
            "message_size_limit": _MOST_BYTES,
            "log_dest": f"file {self._folder / 'broker.log'}",
        }
        configuration = self._folder / "mosquitto.conf"
        text = "".join(f"{key} {value}\n" for key, value in settings.items())
        if os.geteuid() == 0:
            # As root it would become another user, who may not read the keys.
            text += "user root\n"
        configuration.write_text(text)
        kept = subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__, program, "-c", str(configuration)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert kept.stdout is not None
        told = json.loads(kept.stdout.readline() or b"{}")
        if "pid" not in told:
            raise CloudError(f"the MQTT broker does not start: {told.get('error', program)}.", code="V004")
        return kept, int(told["pid"])

    def _bridge(self) -> Any:
        from awscrt import io, mqtt5

        own = self.authority.issue(BRIDGE)
        tls = io.TlsContextOptions.create_client_with_mtls_from_path(str(own.certificate), str(own.key))
        tls.override_default_trust_store_from_path(None, str(self.authority.certificate))
        options = mqtt5.ClientOptions(
            host_name="localhost",
            port=self.port,
            tls_ctx=io.ClientTlsContext(tls),
            connect_options=mqtt5.ConnectPacket(client_id="vedette-sandbox"),
            min_reconnect_delay_ms=100,
            max_reconnect_delay_ms=1000,
            on_publish_callback_fn=self._received,
            on_lifecycle_event_connection_success_fn=self._up,
            disable_metrics=True,
        )
        client = mqtt5.Client(options)
        client.start()
        return client

    def _up(self, _: Any) -> None:
        from awscrt import mqtt5

        # Without what it publishes itself: rules have seen that.
        wanted = [mqtt5.Subscription(topic_filter=one, qos=mqtt5.QoS.AT_LEAST_ONCE, no_local=True) for one in _FILTERS]
        future = self._client.subscribe(mqtt5.SubscribePacket(subscriptions=wanted))
        future.add_done_callback(lambda _: self._connected.set())

    def _received(self, event: Any) -> None:
        packet = event.publish_packet
        try:
            self._rules.receive(packet.topic, bytes(packet.payload or b""))
        except ApiError as error:
            self._world.note("problem", what=f"message on {packet.topic}", error=error.message)

    def wait(self) -> bool:
        """Wait until it passes messages on; whether it does."""
        deadline = time.monotonic() + _CONNECT_S
        while not self._connected.wait(_LOOK_S):
            if self._process.poll() is not None or time.monotonic() > deadline:
                return False
        return True

    def publish(self, topic: str, payload: bytes) -> None:
        """Pass a message of the account's on to devices."""
        from awscrt import mqtt5

        self._client.publish(mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE))

    def admit(self, thing: str) -> dict[str, Any]:
        """Credentials of a thing, with what its policies allow.

        Raises:
            ApiError: there is no such thing, or it has no certificate with a policy.
        """
        documents = _policies(self._world, thing)
        if not documents:
            message = f"The thing {thing} has no certificate with a policy, so it could do nothing."
            raise ApiError("InvalidRequestException", message)
        made = self.authority.issue(thing)
        with self._lock:
            self._policies[thing] = documents
            self._write_access()
        os.kill(self._pid, signal.SIGHUP)
        return {
            "host": "localhost",
            "port": self.port,
            "ca_file": str(self.authority.certificate),
            "cert_file": str(made.certificate),
            "key_file": str(made.key),
        }

    def knows(self, thing: str) -> bool:
        """Whether a device of this name was given credentials, so that it answers for itself."""
        with self._lock:
            return thing in self._policies

    def _write_access(self) -> None:
        work = self._folder / "access.new"
        work.write_text(access_list(self._policies))
        work.chmod(0o600)
        work.rename(self._folder / "access")

    def stop(self) -> None:
        """End."""
        self._client.stop()
        self._process.communicate()  # closes what the keeper listens to


def _policies(world: World, thing: str) -> list[str]:
    iot = world.client("iot")
    try:
        principals = iot.list_thing_principals(thingName=thing)["principals"]
    except ClientError as error:
        raise ApiError("ResourceNotFoundException", str(error), 404) from None
    names = {one["policyName"] for arn in principals for one in iot.list_attached_policies(target=arn)["policies"]}
    return [iot.get_policy(policyName=name)["policyDocument"] for name in sorted(names)]


def free_port(wanted: int) -> int:
    """The port wanted, or another that nobody uses where somebody uses it."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    return wanted


def program() -> str | None:
    """Where mosquitto is; None where it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


def install(world: World, rules: Rules, port: int) -> Broker | None:
    """Start the broker where mosquitto and its client are installed; else say what is missing, as a remark.

    Args:
        world: the sandbox.
        rules: run on what devices publish.
        port: on loopback; another where it is taken.
    """
    found = program()
    try:
        import awscrt  # noqa: F401 - only looked for
    except ModuleNotFoundError:
        world.note("remark", what="broker", remark='none: it needs pip install "vedette[edge]"')
        return None
    if found is None:
        world.note("remark", what="broker", remark="none: mosquitto is not installed")
        return None
    try:
        broker = Broker(world, rules, found, free_port(port))
    except CloudError as error:
        world.note("remark", what="broker", remark=f"none: {error.message}")
        return None
    if not broker.wait():
        broker.stop()
        log = Path(world.directory / "broker" / "broker.log")
        world.note("remark", what="broker", remark=f"none: it did not start; see {log}")
        return None
    rules.listen(broker.publish)
    world.put(broker)
    return broker


def _credentials(world: World, request: Request) -> tuple[int, Any]:
    """Where a registered thing's certificate is, and the broker that takes it."""
    if not world.has(Broker):
        remarks = [entry.detail["remark"] for entry in world.happened("remark") if entry.detail["what"] == "broker"]
        raise ApiError(
            "ServiceUnavailableException", f"There is no broker: {'; '.join(remarks) or 'it is starting'}.", 503
        )
    return 200, world.part(Broker).admit(request.arguments["thing"])


ROUTES: tuple[Route, ...] = (route("POST", "/vedette/devices/{thing}/credentials", _credentials),)
