"""Files, webhooks and brokers as receivers: what they take, what they refuse, what comes twice."""

from __future__ import annotations

import itertools
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.actions.receivers import Broker, Subscriber, WebhookLedger, until, verify
from tests.outbox.samples import row
from vedette.adapters.actions.file import FileReceiver
from vedette.adapters.actions.iot_core import MAX_PAYLOAD_BYTES, CloudLink, envelope
from vedette.adapters.actions.mqtt import MqttReceiver
from vedette.adapters.actions.webhook import WebhookReceiver
from vedette.adapters.egress import HttpPoster, MqttConnection, MqttSettings
from vedette.adapters.secrets import SecretStore
from vedette.contracts import topics
from vedette.contracts.alert import CloudAlert, CloudTombstone
from vedette.contracts.errors import ConfigurationError, DeliveryError
from vedette.ports.action import Action, ReceiverBusyError
from vedette.ports.outbox import OutboxRow

REPOSITORY = Path(__file__).resolve().parents[2]


def hand_over(action: Action, *numbers: int) -> list[int]:
    done: list[int] = []
    action.deliver([row(number) for number in numbers], lambda one: done.append(one.row_id))
    return done


def in_file(path: Path) -> list[int]:
    return [int(json.loads(line)["media_time_s"]) for line in path.read_bytes().splitlines()]


# -- file -----------------------------------------------------------------------------------------------------------


def test_a_file_gets_a_line_each(tmp_path: Path) -> None:
    receiver = FileReceiver("alerts.jsonl", tmp_path)
    assert hand_over(receiver, 1, 2) == [1, 2]
    assert hand_over(receiver, 3) == [3]
    receiver.close()
    assert in_file(tmp_path / "alerts.jsonl") == [1, 2, 3]
    assert stat.S_IMODE((tmp_path / "alerts.jsonl").stat().st_mode) & 0o007 == 0


def test_after_a_kill_what_was_written_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    receiver = FileReceiver("alerts.jsonl", tmp_path)
    hand_over(receiver, 1, 2, 3)
    receiver.close()
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):  # wherever the kill came
        path.write_bytes(whole[:cut])
        receiver = FileReceiver("alerts.jsonl", tmp_path)
        assert hand_over(receiver, 4) == [4]  # a fresh one may come first
        assert hand_over(receiver, 1, 2, 3) == [1, 2, 3]
        receiver.close()
        assert sorted(in_file(path)) == [1, 2, 3, 4]


def test_a_file_that_was_taken_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    receiver = FileReceiver("alerts.jsonl", tmp_path)
    hand_over(receiver, 1)
    path.rename(tmp_path / "old.jsonl")
    hand_over(receiver, 2)
    receiver.close()
    assert in_file(path) == [2]


def test_a_file_is_put_aside_at_its_size(tmp_path: Path) -> None:
    receiver = FileReceiver("alerts.jsonl", tmp_path, max_bytes=1000)
    for number in range(10):
        hand_over(receiver, number)
    receiver.close()
    assert (tmp_path / "alerts.jsonl").stat().st_size <= 1000
    assert (tmp_path / "alerts.jsonl.1").stat().st_size <= 1000
    assert in_file(tmp_path / "alerts.jsonl")[-1] == 9


def test_two_applications_share_a_file(tmp_path: Path) -> None:
    one, two = FileReceiver("alerts.jsonl", tmp_path), FileReceiver("alerts.jsonl", tmp_path)
    for number in range(10):
        hand_over(one if number % 2 else two, number)
    one.close()
    two.close()
    assert in_file(tmp_path / "alerts.jsonl") == list(range(10))


@pytest.mark.parametrize(
    "path", ["../alerts.jsonl", "outbox.db", "journal.db", "plan.json", "secrets/x", "run/state.sock", ".", "a/../../b"]
)
def test_a_relative_path_stays_inside_and_off_our_files(path: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        FileReceiver(path, tmp_path)
    assert caught.value.code == "V103"


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
from tests.actions.test_actions import hand_over
from vedette.adapters.actions.file import FileReceiver
from vedette.contracts.errors import DeliveryError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
receiver = FileReceiver("alerts.jsonl", Path(sys.argv[1]))
hand_over(receiver, 1)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
try:
    hand_over(receiver, 2, 3)
except DeliveryError as error:
    print(error.code, error.retryable)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
hand_over(receiver, 2, 3)
"""
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"}
    found = subprocess.run(
        [sys.executable, "-c", program, tmp_path], env=environment, capture_output=True, text=True, timeout=60
    )
    assert found.stdout.split() == ["V502", "True"], found.stderr
    assert in_file(tmp_path / "alerts.jsonl") == [1, 2, 3]


# -- webhook ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ledger() -> Iterator[WebhookLedger]:
    one = WebhookLedger()
    yield one
    one.close()


def webhook(ledger: WebhookLedger, secret: str | None = None, timeout_s: float = 2.0) -> WebhookReceiver:
    poster = HttpPoster(ledger.url, allow_private=True, timeout_s=timeout_s)
    return WebhookReceiver(poster, ledger.url, secret=secret, get_secret=lambda _: {"key": "k"}, wall_s=lambda: 1.7e9)


def test_a_webhook_is_signed_and_has_an_idempotency_key(ledger: WebhookLedger) -> None:
    receiver = webhook(ledger, secret="hook")
    assert hand_over(receiver, 1) == [1]
    receiver.close()
    headers, body = ledger.requests[0]
    assert body == row(1).body
    assert headers["Idempotency-Key"] == row(1).alert_id
    assert headers["Content-Type"] == "application/json"
    assert headers["Vedette-Signature"].startswith("t=1700000000,v1=")
    assert verify("k", headers, body)
    assert not verify("k", headers, body + b" ")
    assert not verify("other", headers, body)


def test_without_a_key_nothing_is_sent(ledger: WebhookLedger) -> None:
    def no_secret(name: str) -> dict[str, str]:
        raise DeliveryError(f"secret {name!r} is not available", code="V503")

    poster = HttpPoster(ledger.url, allow_private=True)

    def empty_secret(_name: str) -> dict[str, str]:
        return {}

    for get_secret in (no_secret, empty_secret):
        receiver = WebhookReceiver(poster, ledger.url, secret="hook", get_secret=get_secret)
        with pytest.raises(DeliveryError) as caught:
            hand_over(receiver, 1)
        assert (caught.value.code, caught.value.retryable) == ("V503", True)
    assert ledger.requests == []
    poster.close()


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 408, 425, 429, 500, 502, 503, 504, 599])
def test_answers_that_are_tried_again(ledger: WebhookLedger, status: int) -> None:
    ledger.answer = lambda _: (status, {})
    receiver = webhook(ledger)
    with pytest.raises(DeliveryError) as caught:
        hand_over(receiver, 1)
    receiver.close()
    assert caught.value.retryable


@pytest.mark.parametrize("status", [400, 404, 409, 410, 413, 415, 422])
def test_answers_that_mean_never(ledger: WebhookLedger, status: int) -> None:
    ledger.answer = lambda _: (status, {})
    receiver = webhook(ledger)
    with pytest.raises(DeliveryError, match=str(status)) as caught:
        hand_over(receiver, 1)
    receiver.close()
    assert (caught.value.retryable, caught.value.code) == (False, "V501")


@pytest.mark.parametrize(("text", "wait_s"), [("7", 7.0), ("99999", 3600.0)])
def test_a_pause_is_granted(ledger: WebhookLedger, text: str, wait_s: float) -> None:
    ledger.answer = lambda _: (429, {"Retry-After": text})
    receiver = webhook(ledger)
    with pytest.raises(ReceiverBusyError) as caught:
        hand_over(receiver, 1)
    receiver.close()
    assert caught.value.retry_after_s == wait_s


def test_a_receiver_that_hangs_or_is_not_there(ledger: WebhookLedger) -> None:
    receiver = webhook(ledger, timeout_s=0.2)
    ledger.hang.set()
    with pytest.raises(DeliveryError, match="in time") as caught:
        hand_over(receiver, 1)
    assert caught.value.retryable
    ledger.hang.clear()
    ledger.down()
    with pytest.raises(DeliveryError, match="cannot be reached"):
        hand_over(receiver, 1)
    receiver.close()


# -- MQTT -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    one = Broker(tmp_path)
    yield one
    one.close()


def mqtt(port: int, topic: str = "site/alerts", username: str = "", password: str = "") -> MqttReceiver:
    settings = MqttSettings("127.0.0.1", port, False, "test-client", username=username, password=password)
    return MqttReceiver(lambda: MqttConnection(settings), topic)


def test_a_broker_gets_alerts_in_order(broker: Broker) -> None:
    subscriber = Subscriber(broker.port, "site/alerts")
    receiver = mqtt(broker.port)
    numbers = list(range(1, 101))
    assert hand_over(receiver, *numbers) == numbers
    until(lambda: len(subscriber.messages) == 100, "all arrived")
    assert [message["media_time_s"] for message in subscriber.messages] == numbers
    receiver.close()
    subscriber.close()


def test_a_broker_without_subscribers_has_the_alert_too(broker: Broker) -> None:
    receiver = mqtt(broker.port)
    assert hand_over(receiver, 1) == [1]
    receiver.close()


def test_a_broker_that_is_away_and_comes_back(broker: Broker) -> None:
    receiver = mqtt(broker.port)
    assert hand_over(receiver, 1) == [1]
    broker.down()
    with pytest.raises(DeliveryError) as caught:
        hand_over(receiver, 2)
    assert caught.value.retryable
    broker.up()

    def works() -> bool:
        try:
            return hand_over(receiver, 2) == [2]
        except DeliveryError:
            return False

    until(works, "delivered again", 4.0)
    receiver.close()


def test_a_broker_that_moves_is_found_by_its_name(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vedette.adapters.egress.mqtt.MQTT_LOOK_UP_S", 0.0)
    asked, turns = list[str](), itertools.count()

    def addresses(name: str) -> tuple[str, ...]:
        asked.append(name)
        return ("127.0.0.2",) if len(asked) == 1 else ("127.0.0.3", "127.0.0.1")

    settings = MqttSettings("broker.site", broker.port, False, "test-client")
    receiver = MqttReceiver(lambda: MqttConnection(settings, resolver=addresses, turn=next(turns)), "site/alerts")
    with pytest.raises(DeliveryError, match=r"broker\.site") as caught:
        hand_over(receiver, 1)
    assert caught.value.retryable
    assert hand_over(receiver, 1) == [1], "looked up anew, and another of its addresses tried"
    assert asked == ["broker.site"] * 2
    receiver.close()


def test_not_authorized_is_no_reason_to_forget(tmp_path: Path) -> None:
    access = tmp_path / "acl"
    access.write_text("user nobody\n")
    broker = Broker(tmp_path, f"allow_anonymous true\nacl_file {access}")
    receiver = mqtt(broker.port)
    with pytest.raises(DeliveryError, match="NOT_AUTHORIZED") as caught:
        hand_over(receiver, 1)
    assert caught.value.retryable
    receiver.close()
    broker.close()


# -- cloud ------------------------------------------------------------------------------------------------------------


def test_an_envelope_is_a_cloud_alert() -> None:
    payload = envelope(row(5, "iot_core", seq=17, epoch="abc"))
    found = CloudAlert.model_validate_json(payload)
    assert (found.epoch, found.seq, found.alert_id) == ("abc", 17, row(5).alert_id)


def test_an_alert_about_a_crowd_fits_through_every_nucleus() -> None:
    one = row(5, "iot_core", seq=1, epoch="abc")
    document = json.loads(one.body)
    document["boxes"] = [[123.4, 234.5, 345.6, 456.7]] * 256
    document["track_ids"] = list(range(10**9, 10**9 + 256))
    payload = envelope(OutboxRow(1, "iot_core", one.alert_id, one.camera, json.dumps(document).encode(), "abc", 1))
    assert len(payload) <= MAX_PAYLOAD_BYTES
    found = CloudAlert.model_validate_json(payload)
    assert len(found.alert.boxes) == len(found.alert.track_ids) > 50


class CloudBus:
    """The part of the bus the cloud link uses."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.callback: Callable[[str, bytes], None] = lambda _topic, _payload: None

    def publish_cloud(self, topic: str, payload: bytes) -> None:
        self.published.append((topic, payload))

    def subscribe_cloud(self, topic: str, callback: Callable[[str, bytes], None]) -> None:
        assert topic == "vedette/thing/ack"
        self.callback = callback


def test_the_devices_side_of_the_ledgers_protocol() -> None:
    bus = CloudBus()
    link = CloudLink(bus, "thing")  # type: ignore[arg-type]
    heard: list[tuple[str, int]] = []
    link.listen(lambda epoch, through: heard.append((epoch, through)))
    link.send(row(1, "iot_core", seq=1))
    link.send_tombstone(CloudTombstone(epoch="e", from_seq=2, through_seq=4, tombstone="evicted"))
    assert [topic for topic, _ in bus.published] == [topics.cloud_alerts("thing")] * 2
    assert CloudTombstone.model_validate_json(bus.published[1][1]).through_seq == 4
    bus.callback("vedette/thing/ack", b'{"epoch":"e","through_seq":4}')
    for nonsense in (b"", b"[]", b'{"epoch":"e"}', b'{"epoch":"e","through_seq":-1}', b"\xff", b" " * 5000):
        bus.callback("vedette/thing/ack", nonsense)
    assert heard == [("e", 4)]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_acknowledgement_can_end_the_link(payload: bytes) -> None:
    bus = CloudBus()
    CloudLink(bus, "thing").listen(lambda _epoch, _through: None)  # type: ignore[arg-type]
    bus.callback("vedette/thing/ack", payload)


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_secrets_are_remembered_for_when_the_nucleus_has_none(tmp_path: Path) -> None:
    answers: list[dict[str, str] | None] = [{"key": "one"}]
    now_s = 0.0
    learned: list[str] = []

    def ask(name: str) -> dict[str, str]:
        if answers[-1] is None:
            raise DeliveryError(f"secret {name!r} is not available", code="V503")
        return answers[-1]

    def store() -> SecretStore:
        return SecretStore(ask, tmp_path / "secrets", learned=learned.append, monotonic=lambda: now_s)

    first = store()
    assert first.get("hook") == {"key": "one"}
    answers.append({"key": "two"})
    assert first.get("hook") == {"key": "one"}, "asked once a minute"
    now_s = 61.0
    assert first.get("hook") == {"key": "two"}
    answers.append(None)
    assert store().get("hook") == {"key": "two"}, "after a restart without uplink"
    files = list((tmp_path / "secrets").iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600]
    assert "hook" not in files[0].name
    assert learned.count("two") >= 1
    files[0].chmod(0o644)
    with pytest.raises(DeliveryError) as caught:
        store().get("hook")
    assert caught.value.code == "V503"
    assert "two" not in str(caught.value)
