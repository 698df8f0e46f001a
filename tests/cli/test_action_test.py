"""``vedette action test``, and secrets of receivers on a laptop."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.actions.authority import Authority
from tests.actions.mail_server import MailServer
from tests.actions.plc import UNIT, Plc
from tests.actions.receivers import WebhookLedger, free_port, verify
from tests.cli.test_cli_main import vedette
from tests.manifest.test_manifest_mistakes import GOOD
from vedette.contracts.errors import CoreError
from vedette.local.secretfile import read_secrets


class Bench:
    """A manifest in a folder, and secrets beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = folder / "secrets.json"

    def actions(self, **actions: dict[str, Any]) -> None:
        (self.folder / "vedette.yaml").write_text(f"{GOOD}actions: {json.dumps(actions)}\n")

    def keep(self, mode: int = 0o600, **secrets: Any) -> None:
        self.secrets.write_text(json.dumps({f"vedette/receiver/{name}": pairs for name, pairs in secrets.items()}))
        self.secrets.chmod(mode)

    def run(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        return vedette("action", "test", str(self.folder), name, *options)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def ledger() -> Iterator[WebhookLedger]:
    one = WebhookLedger()
    yield one
    one.close()


@pytest.fixture
def plc() -> Iterator[Plc]:
    one = Plc()
    yield one
    one.close()


def coil(plc: Plc, **fields: Any) -> dict[str, Any]:
    return {
        "type": "modbus",
        "host": "127.0.0.1",
        "port": plc.port,
        "unit": UNIT,
        "write": "coil",
        "address": 3,
        **fields,
    }


def test_a_webhook_with_its_secret(bench: Bench, ledger: WebhookLedger) -> None:
    bench.actions(site={"type": "webhook", "url": ledger.url, "allow_private": True, "secret": "vedette/receiver/hook"})
    bench.keep(hook={"key": "k3y-of-the-hook"})
    done = bench.run("site", "--secrets", str(bench.secrets))
    assert done.returncode == 0, done.stderr
    assert "site (webhook): the receiver answered 2xx" in done.stdout
    ((headers, body),) = ledger.requests
    assert verify("k3y-of-the-hook", headers, body)
    alert = json.loads(body)
    assert alert["rule"] == "test"
    assert alert["message"].startswith("TEST of action site")
    assert (alert["application"], alert["camera"], alert["severity"]) == ("shop", "hall", "info")
    assert alert["alert_id"] in done.stdout
    assert bench.run("site", "--secrets", str(bench.secrets)).returncode == 0
    assert len({json.loads(one)["alert_id"] for _, one in ledger.requests}) == 2, "each is another alert"


def test_what_is_refused_is_told_and_ends_with_1(bench: Bench, ledger: WebhookLedger) -> None:
    bench.actions(site={"type": "webhook", "url": ledger.url, "allow_private": True})
    ledger.answer = lambda _: (422, {})
    done = bench.run("site", "--json")
    assert done.returncode == 1
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "V501"
    assert "422" in error["message"]
    ledger.down()
    done = bench.run("site")
    assert done.returncode == 1
    assert "V502" in done.stderr
    assert "Traceback" not in done.stderr


def test_secrets_that_are_not_given(bench: Bench, ledger: WebhookLedger) -> None:
    bench.actions(site={"type": "webhook", "url": ledger.url, "allow_private": True, "secret": "vedette/receiver/hook"})
    done = bench.run("site")
    assert done.returncode == 1
    assert "V503" in done.stderr
    assert "--secrets FILE" in done.stderr
    bench.keep(other={"key": "x"})
    assert "has no secret 'vedette/receiver/hook'" in bench.run("site", "--secrets", str(bench.secrets)).stderr
    bench.keep(mode=0o644, hook={"key": "s3cret-value"})
    done = bench.run("site", "--secrets", str(bench.secrets))
    assert "chmod 600" in done.stderr
    assert "s3cret-value" not in done.stderr
    assert ledger.requests == []


def test_mail(bench: Bench, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = MailServer(authority.server("127.0.0.1"), login=("user", "pass-word"))
    try:
        bench.actions(
            guards={
                "type": "email", "host": "127.0.0.1", "port": server.port, "digest_s": 60,
                "ca_file": str(authority.file),
                "secret": "vedette/receiver/mail", "sender": "a@site.example", "to": ["b@site.example"],
            }
        )  # fmt: skip
        bench.keep(mail={"username": "user", "password": "pass-word"})
        done = bench.run("guards", "--secrets", str(bench.secrets))
        assert done.returncode == 0, done.stderr
        assert "took the message for b@site.example" in done.stdout
        assert server.messages()[0]["Subject"].startswith("INFO: TEST of action guards")
        bench.keep(mail={"username": "user", "password": "wr0ng"})
        done = bench.run("guards", "--secrets", str(bench.secrets))
        assert done.returncode == 1
        assert "535" in done.stderr
        assert "wr0ng" not in done.stderr
    finally:
        server.close()


def test_a_signal_is_asked_for(bench: Bench, plc: Plc) -> None:
    bench.actions(horn=coil(plc, pulse_s=0.05, after_s=20))
    done = bench.run("horn")
    assert done.returncode == 1
    assert "writes 1 to coil 3" in done.stderr
    assert "--yes" in done.stderr
    assert plc.writes == []
    done = bench.run("horn", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert plc.values(3) == [1, 0]
    assert json.loads(done.stdout)["said"] == "the receiver confirmed the write"


@pytest.mark.parametrize(("answer", "values"), [("y\n", [1, 0]), ("n\n", []), ("\n", [])])
def test_a_person_answers(bench: Bench, plc: Plc, answer: str, values: list[int]) -> None:
    bench.actions(horn=coil(plc, pulse_s=0.05))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "vedette", "action", "test", str(bench.folder), "horn"],
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.write(ours, answer.encode())
    _, shown = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert "puts it back to rest after 0.05 s. Do it?" in shown
    assert process.returncode == (0 if values else 1)
    assert plc.values(3) == values


def test_a_signal_that_is_refused_leaves_nothing_on(bench: Bench, plc: Plc) -> None:
    plc.before = lambda code, _address, values: "reset after" if values == (1,) else None
    bench.actions(horn=coil(plc, pulse_s=5))
    done = bench.run("horn", "--yes")
    assert done.returncode == 1
    assert "V502" in done.stderr
    assert plc.values(3) == [1, 0]


def test_a_file(bench: Bench, tmp_path: Path) -> None:
    bench.actions(log={"type": "file", "path": "a.jsonl"})
    done = bench.run("log", "--state", str(tmp_path))
    assert str(tmp_path / "a.jsonl") in done.stdout
    assert json.loads((tmp_path / "a.jsonl").read_text())["rule"] == "test"


def test_what_cannot_be_tested(bench: Bench) -> None:
    bench.actions(site={"type": "webhook", "url": "https://x.example/"}, cloud={"type": "iot_core"})
    done = bench.run("sites")
    assert done.returncode == 1
    assert "Meant `site`?" in done.stderr
    assert "nucleus" in bench.run("cloud").stderr
    bench.actions(plc={"type": "modbus", "host": "10.0.0.9", "port": free_port(), "write": "register", "address": 1})
    assert "`value` is missing" in bench.run("plc", "--yes").stderr


def test_a_value_can_be_replaced(bench: Bench, plc: Plc) -> None:
    bench.actions(horn=coil(plc, pulse_s=0.05))
    assert bench.run("horn", "--yes", "--set", "actions.horn.address=7").returncode == 0
    assert plc.values(7) == [1, 0]


@pytest.mark.parametrize("content", ["[]", '{"a": "b"}', '{"a": {"b": 5}}', "{", '{"a": null}'])
def test_files_that_hold_no_secrets(tmp_path: Path, content: str) -> None:
    file = tmp_path / "secrets.json"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(CoreError) as caught:
        read_secrets(file)
    assert caught.value.code == "V503"


def test_a_run_tells_which_secrets_are_missing(bench: Bench, tmp_path: Path) -> None:
    bench.actions(
        site={"type": "webhook", "url": "https://x.example/", "secret": "vedette/receiver/hook"},
        other={"type": "webhook", "url": "https://x.example/", "secret": "vedette/receiver/other"},
    )
    bench.keep(hook={"key": "x"})
    model = tmp_path / "yolox_nano"
    model.write_bytes(b"")
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x")
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = vedette(
        "run", str(bench.folder), "--camera", f"hall={clip}", "--state", str(blocked / "no"), "--secrets",
        str(bench.secrets), "--for", "1s",
    )  # fmt: skip
    assert done.returncode == 1
    assert "action other of shop needs the secret 'vedette/receiver/other'" in done.stderr
    assert "vedette/receiver/hook" not in done.stderr
