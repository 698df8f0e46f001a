"""The Greengrass bus with the unmodified SDK against the socket of our own nucleus."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerting.nucleus import Nucleus
from vedette.adapters.bus.greengrass import GreengrassBus
from vedette.contracts.errors import CoreError, DeliveryError

ACCESS: dict[str, Any] = {
    "aws.greengrass.ipc.pubsub": {
        "t:1": {
            "operations": ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"],
            "resources": ["vedette/alerts"],
        }
    },
    "aws.greengrass.ipc.mqttproxy": {
        "t:1": {
            "operations": ["aws.greengrass#PublishToIoTCore", "aws.greengrass#SubscribeToIoTCore"],
            "resources": ["vedette/thing/alerts", "vedette/thing/ack"],
        }
    },
    "aws.greengrass.SecretManager": {
        "t:1": {"operations": ["aws.greengrass#GetSecretValue"], "resources": ["hook", "plain"]}
    },
}
WAIT_S = 10.0

MakeBus = Callable[[], GreengrassBus]


@pytest.fixture
def nucleus(short_tmp: Path) -> Iterator[Nucleus]:
    secrets = short_tmp / "secrets.json"
    secrets.write_text(json.dumps({"hook": {"key": "k1"}}))
    secrets.chmod(0o600)
    server = Nucleus(
        short_tmp,
        access=ACCESS,
        configuration={"stateDirectory": "/x", "accessControl": ACCESS},
        secrets_file=secrets,
    )
    yield server
    server.close()


@pytest.fixture
def make_bus(nucleus: Nucleus, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeBus]:
    for name, value in nucleus.environment.items():
        monkeypatch.setenv(name, value)
    made: list[GreengrassBus] = []

    def make() -> GreengrassBus:
        made.append(GreengrassBus())
        return made[-1]

    yield make
    for bus in made:
        bus.close()


def test_configuration_comes_without_access_control(make_bus: MakeBus) -> None:
    assert make_bus().configuration() == {"stateDirectory": "/x"}


def test_a_configuration_change_calls_back(nucleus: Nucleus, make_bus: MakeBus) -> None:
    bus = make_bus()
    changed = threading.Event()
    bus.on_configuration_change(changed.set)
    nucleus.configure({"logLevel": "DEBUG"})
    assert changed.wait(WAIT_S)
    assert bus.configuration()["logLevel"] == "DEBUG"


def test_local_messages_arrive_in_order(make_bus: MakeBus) -> None:
    bus = make_bus()
    got: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
    bus.subscribe_local("vedette/alerts", lambda topic, message: got.put((topic, message)))
    for number in range(50):
        bus.publish_local("vedette/alerts", {"n": number})
    received = [got.get(timeout=WAIT_S) for _ in range(50)]
    assert [message["n"] for _topic, message in received] == list(range(50))
    assert {topic for topic, _message in received} == {"vedette/alerts"}


def test_a_callback_that_fails_does_not_end_the_subscription(make_bus: MakeBus) -> None:
    bus = make_bus()
    got: queue.Queue[int] = queue.Queue()

    def callback(_topic: str, message: dict[str, Any]) -> None:
        if message["n"] == 0:
            raise ValueError("on purpose")
        got.put(message["n"])

    bus.subscribe_local("vedette/alerts", callback)
    bus.publish_local("vedette/alerts", {"n": 0})
    bus.publish_local("vedette/alerts", {"n": 1})
    assert got.get(timeout=WAIT_S) == 1


def test_topics_outside_the_access_control_are_refused(make_bus: MakeBus) -> None:
    bus = make_bus()
    with pytest.raises(CoreError, match="Unauthorized") as caught:
        bus.publish_local("vedette/other", {})
    assert caught.value.code == "V603"
    with pytest.raises(CoreError):
        bus.subscribe_local("vedette/other", lambda *_: None)
    with pytest.raises(DeliveryError) as refused:
        bus.publish_cloud("vedette/another-thing/alerts", b"{}")
    assert (refused.value.code, refused.value.retryable) == ("V502", True)


def test_cloud_messages_go_and_come(nucleus: Nucleus, make_bus: MakeBus) -> None:
    bus = make_bus()
    got: queue.Queue[tuple[str, bytes]] = queue.Queue()
    bus.subscribe_cloud("vedette/thing/ack", lambda topic, payload: got.put((topic, payload)))
    bus.publish_cloud("vedette/thing/alerts", b'{"a":1}')
    assert nucleus.iot.published == [("vedette/thing/alerts", b'{"a":1}')]
    nucleus.cloud_says("vedette/thing/ack", b'{"epoch":"e","through_seq":1}')
    assert got.get(timeout=WAIT_S) == ("vedette/thing/ack", b'{"epoch":"e","through_seq":1}')


def test_a_broker_that_is_away_is_a_retryable_failure(nucleus: Nucleus, make_bus: MakeBus) -> None:
    nucleus.iot.online = False
    with pytest.raises(DeliveryError, match="ServiceError") as caught:
        make_bus().publish_cloud("vedette/thing/alerts", b"{}")
    assert caught.value.retryable


def test_secrets(make_bus: MakeBus) -> None:
    bus = make_bus()
    assert bus.secret("hook") == {"key": "k1"}
    for name in ("plain", "not-allowed"):
        with pytest.raises(DeliveryError) as caught:
            bus.secret(name)
        assert caught.value.code == "V503"


def test_the_state_is_reported(nucleus: Nucleus, make_bus: MakeBus) -> None:
    make_bus().report_running()
    assert nucleus.states == ["RUNNING"]


def test_a_wrong_token_is_a_clear_error(make_bus: MakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVCUID", "somebody-else")
    with pytest.raises(CoreError) as caught:
        make_bus()
    assert caught.value.code == "V603"
    assert "somebody-else" not in str(caught.value)


def test_a_nucleus_that_comes_back_finds_its_subscribers_again(nucleus: Nucleus, make_bus: MakeBus) -> None:
    bus = make_bus()
    got: queue.Queue[dict[str, Any]] = queue.Queue()
    changed = threading.Event()
    bus.subscribe_local("vedette/alerts", lambda _topic, message: got.put(message))
    bus.on_configuration_change(changed.set)
    nucleus.stop()
    with pytest.raises(CoreError):
        bus.publish_local("vedette/alerts", {"lost": True})
    nucleus.start()
    assert changed.wait(WAIT_S), "the configuration may have changed meanwhile"
    bus.publish_local("vedette/alerts", {"n": 1})
    assert got.get(timeout=WAIT_S) == {"n": 1}


def test_close_is_idempotent_and_later_requests_fail(make_bus: MakeBus) -> None:
    bus = make_bus()
    bus.close()
    bus.close()
    with pytest.raises(CoreError):
        bus.configuration()
