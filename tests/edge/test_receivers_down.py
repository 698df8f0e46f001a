"""A webhook receiver and a broker that are down: every alert arrives afterwards, once per id, in order."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.actions.receivers import Broker, Subscriber, WebhookLedger, until
from tests.edge.running import running, site_watch
from vedette.cli.demo import FOOTAGE
from vedette.contracts.manifest import Action, FileAction, IotCoreAction, MqttAction, WebhookAction
from vedette.local.ledger import Ledger
from vedette.local.simulated import SimulatedCameras

pytestmark = [pytest.mark.footage, pytest.mark.processes, pytest.mark.slow]

#: The worker steps over the stripe once a loop.
LOOP_S = 4.74


def outage(data: Path, root: Path, outage_s: float) -> None:
    webhook = WebhookLedger()
    broker = Broker(root)
    subscriber = Subscriber(broker.port, "site/alerts")
    actions: dict[str, Action] = {
        "log": FileAction(type="file"),
        "hook": WebhookAction(type="webhook", url=webhook.url, allow_private=True),
        "bus": MqttAction(type="mqtt", host="127.0.0.1", port=broker.port, topic="site/alerts", tls=False),
        "cloud": IotCoreAction(type="iot_core"),
    }
    files = {"floor": data / "videos" / FOOTAGE["floor"]}
    try:
        with (
            SimulatedCameras(files, log_file=root / "simulator.log") as simulated,
            running(site_watch(data, root / "models", actions), simulated.urls, root / "run") as watched,
        ):
            watched.wait_streaming({"floor"})
            until(lambda: len(webhook.ids()) >= 1 and len(subscriber.messages) >= 1, "the first alert", 30)
            subscriber.settle()
            webhook.down()
            broker.down()
            before = len(watched.alerts())
            time.sleep(outage_s)
            assert len(watched.alerts()) >= before + int(outage_s / LOOP_S) - 1, "alerts were not judged meanwhile"
            assert len(webhook.ids()) <= before
            webhook.up()
            broker.up()
            goal = len(watched.alerts())
            until(lambda: len(set(webhook.ids())) >= goal, "the webhook has what it missed", 60)
            until(
                lambda: len({m["alert_id"] for m in subscriber.messages}) >= goal, "the broker has what it missed", 60
            )
            ledger = Ledger(Path(f"{root / 'run' / 'iot-core.jsonl'}.ledger"))
            until(lambda: len(list(ledger.alerts())) >= goal, "the cloud's ledger has everything", 30)
            ledger.close()
            written = [alert.alert_id for alert in watched.alerts()][:goal]
    finally:
        subscriber.close()
        webhook.close()
        broker.close()
    assert len(set(written)) == goal
    assert webhook.ids()[:goal] == written
    assert [message["alert_id"] for message in subscriber.messages][:goal] == written


@pytest.mark.timeout(180)
def test_receivers_down_for_a_moment(shared_data: Path, short_tmp: Path) -> None:
    outage(shared_data, short_tmp, 3 * LOOP_S)


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_receivers_down_for_two_minutes(shared_data: Path, short_tmp: Path) -> None:
    outage(shared_data, short_tmp, 120.0)
