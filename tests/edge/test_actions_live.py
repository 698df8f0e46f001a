"""From the picture to the coil and the mailbox: real components, real servers, secrets as a run gives them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.actions.authority import Authority
from tests.actions.mail_server import MailServer
from tests.actions.plc import UNIT, Plc
from tests.actions.receivers import WebhookLedger, until, verify
from tests.edge.made_up import ZONE, application, clip, model, processes
from tests.edge.running import running
from vedette.contracts.manifest import Action, EmailAction, ModbusAction, WebhookAction

pytestmark = [pytest.mark.processes, pytest.mark.slow]

AFTER_S = 1.0
#: Of a busy machine: two cores do everything here.
NEAR_S = 0.25
VISITS = ((3.0, 4.0), (6.0, 7.0), (9.0, 10.0))
SECRETS = {
    "vedette/receiver/mail": {"username": "user", "password": "p4ss-of-the-mail"},
    "vedette/receiver/hook": {"key": "k3y-of-the-hook"},
}


@pytest.mark.timeout(120)
def test_from_the_picture_to_the_coil_and_the_mailbox(short_tmp: Path) -> None:
    recording = clip(short_tmp / "belt.mp4", VISITS, 14.0)
    authority = Authority(short_tmp)
    plc, hook = Plc(), WebhookLedger()
    server = MailServer(authority.server("127.0.0.1"), login=("user", "p4ss-of-the-mail"))
    offset_s = time.monotonic() - time.time()
    actions: dict[str, Action] = {
        "ejector": ModbusAction(
            type="modbus", host="127.0.0.1", port=plc.port, unit=UNIT, write="coil", address=3, after_s=AFTER_S,
            pulse_s=0.1, late_s=0.5,
        ),
        "guards": EmailAction(
            type="email", host="127.0.0.1", port=server.port, ca_file=str(authority.file), sender="a@site.example",
            to=("b@site.example",), secret="vedette/receiver/mail", timezone="Europe/Berlin",
        ),
        "hook": WebhookAction(type="webhook", url=hook.url, allow_private=True, secret="vedette/receiver/hook"),
    }  # fmt: skip
    rules = {"enters": {"type": "zone_entered", "zone": ZONE}}
    app = application("line", model(short_tmp), ["belt"], rules).model_copy(update={"actions": actions})
    try:
        with running(app, {"belt": str(recording)}, short_tmp / "run", secrets=SECRETS) as watched:
            watched.wait_streaming({"belt"})
            until(lambda: len(watched.alerts()) >= 2, "two visits are reported", 60)
            until(lambda: len(plc.times(3)) == len(watched.alerts()), "a pulse for each", 10)
            until(lambda: len(server.taken) == len(hook.ids()) == len(watched.alerts()), "told to everybody", 10)
            until(lambda: plc.coil(3) == 0, "at rest", 5)
            alerts = watched.alerts()
            worker = max(max(pids) for name, pids in processes(watched).items() if name == "vedette.Alerting")
            maps = Path(f"/proc/{worker}/maps").read_text()
            state = watched.edge.settings.state_directory
    finally:
        plc.close()
        server.close()
        hook.close()
    for alert, at_s in zip(alerts, plc.times(3), strict=True):
        assert 0.0 <= at_s - (alert.time.timestamp() + offset_s + AFTER_S) < NEAR_S, "so long after the picture"
    assert [message["Message-ID"] for message in server.messages()] == [f"<{a.alert_id}@site.example>" for a in alerts]
    assert hook.ids() == [alert.alert_id for alert in alerts]
    assert all(verify("k3y-of-the-hook", headers, body) for headers, body in hook.requests)
    assert "asyncua" not in maps
    for log in (*watched.edge.settings.root.rglob("*.log"), *state.rglob("*.json")):
        text = log.read_text(errors="replace")
        assert "p4ss-of-the-mail" not in text, log
        assert "k3y-of-the-hook" not in text, log
