"""The helper that runs as root takes what the account signed; whatever else a hostile component asks is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.local.job_device import JobDevice, SigningKey, runtime
from vedette.adapters.device_helper import DeviceHelper
from vedette.contracts.device_job import DEVICE_JOB, JobProgress, Stage
from vedette.core.fleet.device_job import Ask

JOB = "j1"

TIMER_ON = "systemctl enable --now vedette-device-revert.timer"


@pytest.fixture
def device(tmp_path: Path) -> JobDevice:
    return JobDevice(tmp_path)


def asked(device: JobDevice, ask: Ask, document: Any = None, package: bytes | None = None, job: str = JOB) -> str:
    """Ask as the agent does, run the helper, and read its answer: ``status: reason``."""
    helper = DeviceHelper(device.state, device.root / "var/lib/vedette-helper")
    progress = JobProgress(
        job_id=job,
        job=DEVICE_JOB.validate_python(document or {"vedette": 1, "operation": "reboot"}),
        stage=Stage.APPLYING,
        boot_id="b",
        since_s=0,
    )
    if package is not None:
        helper.package.write_bytes(package)
    helper.ask(progress, ask)
    assert device.helped()
    assert not (device.state / "agent/ask/request").exists()
    answer = helper.answer(progress)
    return f"{answer.status}: {answer.reason}"


def test_a_signed_runtime_is_put_in_confirmed_and_kept(device: JobDevice) -> None:
    package = runtime("new")
    assert asked(device, Ask.APPLY, device.update(package), package) == "done: "
    assert device.runs == "new"
    assert TIMER_ON in device.machine.calls()
    assert asked(device, Ask.CONFIRM) == "confirmed: "
    assert device.runs == "new"
    assert "systemctl disable --now vedette-device-revert.timer" in device.machine.calls()
    for _ in range(100):
        assert device.tick().returncode == 0
    assert device.runs == "new"


def test_it_is_put_back_when_asked_or_when_nobody_confirms(device: JobDevice) -> None:
    package = runtime("new")
    assert asked(device, Ask.APPLY, device.update(package), package) == "done: "
    assert asked(device, Ask.RESTORE) == "restored: "
    assert device.runs == "first"
    assert asked(device, Ask.RESTORE).startswith("refused: no such update")
    assert asked(device, Ask.APPLY, device.update(package, probation_s=60), package, job="j2") == "done: "
    ticks = 0
    while device.runs == "new":
        assert ticks < 60
        assert device.tick().returncode == 0
        ticks += 1
    assert ticks == 22  # a minute of probation, twenty of patience, and the one in which it acts
    assert asked(device, Ask.CONFIRM, job="j2").startswith("refused: no such update")
    assert device.runs == "first"


def test_a_second_update_waits_for_the_first(device: JobDevice) -> None:
    package = runtime("new")
    assert asked(device, Ask.APPLY, device.update(package), package) == "done: "
    begun = device.machine.calls().count(TIMER_ON)
    assert (
        asked(device, Ask.APPLY, device.update(package), package, job="j2")
        == "refused: another update waits to be confirmed"
    )
    # A power cut may have left it off; then nobody would put the first one back, and no second one were taken ever.
    assert device.machine.calls().count(TIMER_ON) == begun + 1
    assert asked(device, Ask.RESTORE, job="j2").startswith("refused: no such update")
    assert device.runs == "new"


@pytest.mark.parametrize("change", ["package", "signature", "version", "kind", "key", "no key", "no package"])
def test_what_the_account_has_not_signed_is_refused_and_nothing_changes(device: JobDevice, change: str) -> None:
    package = runtime("stranger")
    document = device.update(package)
    if change == "package":
        package = runtime("swapped")
    elif change == "signature":
        document["signature"] = SigningKey().sign("runtime", document["version"], document["sha256"])
    elif change == "version":
        document["version"] = "9.9.9"
    elif change == "kind":
        document["operation"] = "update-nucleus"
    elif change == "key":
        device.machine.write("etc/vedette/update.pub", SigningKey().public)
    elif change == "no key":
        (device.root / "etc/vedette/update.pub").unlink()
    given = None if change == "no package" else package
    assert asked(device, Ask.APPLY, document, given).startswith("refused: ")
    assert device.runs == "first"
    assert not (device.root / "var/lib/vedette-helper/pending").exists()
    assert not [one for one in device.machine.calls() if "restart" in one or one.startswith("dpkg -i")]


@pytest.mark.parametrize(
    ("package", "words"),
    [
        (b"no archive", "no .tar.gz"),
        (runtime("old", "exit 1"), "does not run here"),
    ],
)
def test_a_signed_package_that_is_no_good_leaves_the_one_that_runs(
    device: JobDevice, package: bytes, words: str
) -> None:
    assert words in asked(device, Ask.APPLY, device.update(package), package)
    assert device.runs == "first"
    assert not (device.root / "var/lib/vedette-helper/pending").exists()


def nucleus(device: JobDevice, package: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(package).hexdigest()
    document = device.update(package, version="2.6.1")
    return document | {"operation": "update-nucleus", "signature": device.key.sign("nucleus", "2.6.1", sha256)}


def test_a_nucleus_goes_back_to_the_package_that_was_installed(device: JobDevice) -> None:
    new = b"new.deb"
    assert "no way back" in asked(device, Ask.APPLY, nucleus(device, new), new)
    device.machine.write("var/lib/vedette-helper/nucleus/current", "old.deb")
    assert asked(device, Ask.APPLY, nucleus(device, new), new) == "done: "
    kept = device.root / "var/lib/vedette-helper/nucleus"
    assert ((kept / "current").read_bytes(), (kept / "previous").read_text()) == (new, "old.deb")
    assert device.machine.calls()[-1] == "systemctl restart --no-block greengrass-lite.target"
    assert asked(device, Ask.RESTORE) == "restored: "
    assert (kept / "current").read_text() == "old.deb"


def test_a_nucleus_that_does_not_install_leaves_the_old_package(device: JobDevice) -> None:
    device.machine.write("var/lib/vedette-helper/nucleus/current", "old.deb")
    device.machine.settings = {"FAKE_DPKG": "1"}
    assert "does not install" in asked(device, Ask.APPLY, nucleus(device, b"new"), b"new")
    assert device.machine.text("var/lib/vedette-helper/nucleus/current") == "old.deb"


def test_a_nucleus_whose_putting_back_was_interrupted_is_put_back_by_the_next_try(device: JobDevice) -> None:
    device.machine.write("var/lib/vedette-helper/nucleus/current", "old.deb")
    assert asked(device, Ask.APPLY, nucleus(device, b"new.deb"), b"new.deb") == "done: "
    kept = device.root / "var/lib/vedette-helper/nucleus"
    (kept / "previous").rename(kept / "current")  # and then the power went, before it was installed
    installed = sum("dpkg -i" in call for call in device.machine.calls())
    assert asked(device, Ask.RESTORE) == "restored: "
    assert sum("dpkg -i" in call for call in device.machine.calls()) == installed + 1
    assert (kept / "current").read_text() == "old.deb"
    assert not (device.root / "var/lib/vedette-helper/pending").exists()


def test_what_an_earlier_update_left_is_not_the_way_back_from_this_one(device: JobDevice) -> None:
    left = device.root / "opt/vedette/python/previous"
    left.symlink_to("gone")
    device.machine.write("var/lib/vedette-helper/nucleus/previous", "older.deb")
    assert asked(device, Ask.APPLY, device.update(b"no archive"), b"no archive").startswith("refused")
    assert not left.is_symlink()
    assert not device.machine.has("var/lib/vedette-helper/nucleus/previous")
    assert device.runs == "first"


def test_a_restart_is_not_taken_right_after_one(device: JobDevice) -> None:
    device.machine.write("proc/uptime", "299.98 10.0\n")
    assert asked(device, Ask.REBOOT).startswith("refused: the machine has been up for 299 s only")
    device.machine.write("proc/uptime", "300.01 10.0\n")
    assert asked(device, Ask.REBOOT) == "done: "
    assert device.machine.calls().count("systemctl reboot") == 1


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"id=../../../etc/cron.d/x\noperation=reboot\n",
        b"id=$(reboot)\noperation=reboot\n",
        b"id=a b\noperation=reboot\n",
        b"operation=reboot\n",
        b"\0" * 10_000,
        b"id=j1\noperation=apply\nkind=../..\nversion=1\n",
        b"id=j1\noperation=rm\n",
        b"id=j1\noperation=put_back\n",
    ],
)
def test_a_request_in_no_known_form_does_nothing(device: JobDevice, request_: bytes) -> None:
    (device.state / "agent/ask/request").write_bytes(request_)
    before = sorted(str(path) for path in (device.root / "etc").rglob("*"))
    assert device.helped()
    assert sorted(str(path) for path in (device.root / "etc").rglob("*")) == before
    assert not [one for one in device.machine.calls() if one.startswith(("systemctl reboot", "dpkg"))]
    assert not (device.state / "agent/ask/request").exists()


def test_what_is_exchanged_after_it_was_checked_is_not_used(device: JobDevice) -> None:
    package, other = runtime("new"), device.root / "other"
    other.write_bytes(runtime("stranger"))
    real = shutil.which("sha256sum")
    exchanging = device.machine.tools / "sha256sum"
    exchanging.write_text(f'#!/bin/sh\n{real} "$@"\ncp {other} {device.state}/agent/ask/package\n')
    exchanging.chmod(0o755)
    assert asked(device, Ask.APPLY, device.update(package), package) == "done: "
    assert device.runs == "new"
    assert (device.state / "agent/ask/package").read_bytes() == other.read_bytes(), "it was exchanged"


def test_links_and_pipes_in_place_of_files_do_no_harm(device: JobDevice) -> None:
    secret = device.root / "etc/secret"
    secret.write_text("id=j1\noperation=reboot\n")
    ask = device.state / "agent/ask"
    (ask / "request").symlink_to(secret)
    assert device.helped()
    assert secret.exists()
    assert not device.machine.calls()
    package = runtime("x")
    (ask / "package").symlink_to(secret)
    assert "another than the one that was signed" in asked(device, Ask.APPLY, device.update(package))
    assert secret.exists()
    answers = b"".join(path.read_bytes() for path in (device.root / "var/lib/vedette-helper/results").iterdir())
    assert b"operation=reboot" not in answers
    assert os.path.lexists(secret)
