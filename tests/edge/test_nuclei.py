"""The same components, unchanged, under the local core as classic and as lite behaves: picture in, alert out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.running import running, site_watch, wait_until
from vedette.cli.demo import FOOTAGE
from vedette.local.core import ComponentState
from vedette.local.ledger import Ledger

pytestmark = [pytest.mark.footage, pytest.mark.processes, pytest.mark.slow]


@pytest.mark.parametrize("lite", [False, True], ids=["classic", "lite"])
@pytest.mark.timeout(120)
def test_from_a_recording_to_the_ledger(lite: bool, shared_data: Path, short_tmp: Path) -> None:
    cameras = {"floor": str(shared_data / "videos" / FOOTAGE["floor"])}
    manifest = site_watch(shared_data, short_tmp / "models")
    with running(manifest, cameras, short_tmp / "run", loop=True, lite_quirks=lite) as watched:
        wait_until(lambda: len(watched.alerts()) >= 2, 60, "two loops' alerts")
        states = watched.edge.core.states()
        assert {status.state for status in states.values()} == {ComponentState.RUNNING}
        assert {status.failures for status in states.values()} == {0}
        ledger = Ledger(short_tmp / "run" / "iot-core.jsonl.ledger")
        wait_until(lambda: len(list(ledger.alerts())) >= 2, 30, "the ledger has them too")
        in_ledger = [message["alert_id"] for message in ledger.alerts()][:2]
        ledger.close()
    alerts = watched.alerts()
    assert in_ledger == [alert.alert_id for alert in alerts][:2]
    assert {alert.rule for alert in alerts} == {"hazard-line"}
