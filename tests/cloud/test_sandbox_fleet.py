"""A fleet operator's whole way, with the real commands, in an account where everything really runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.cloud.sandbox_account import FLEET_OF_COMMANDS as FLEET
from tests.cloud.sandbox_account import SandboxAccount, tell_health
from tests.cloud.test_sandbox_rollout import installed
from tests.edge.made_up import ZONE, application, clip, model
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.registry import Registry
from vedette.cli.main import build as command_line
from vedette.contracts.comparison import Agreement, ComparisonReport, GoldenClips
from vedette.contracts.errors import VedetteError
from vedette.contracts.logs import component_group, day_stream
from vedette.contracts.topics import cloud_comparison

pytestmark = pytest.mark.slow
GATE = ("--soak", "0s", "--timeout", "60s", "--check-every", "1s")
BUILD = ("--no-libraries",)
RULES: dict[str, Any] = {"enters": {"type": "zone_entered", "zone": ZONE}}


def vedette(*arguments: str, code: int | None = 0) -> Result:
    """A command in this process; an error of the project's is its exit code 1."""
    done = CliRunner().invoke(command_line(), list(arguments))
    _write_down(arguments, f"{done.output}{done.exception or ''}", done.exit_code)
    if isinstance(done.exception, VedetteError):
        assert code in (1, None), f"{done.exception}\n{done.output}"
        return done
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    if code is not None:
        assert done.exit_code == code, done.output
    return done


def _write_down(arguments: Sequence[str], said: str, code: int) -> None:
    """Into the file that VEDETTE_TRANSCRIPT names: how the output in docs/fleet.md was made."""
    if page := os.environ.get("VEDETTE_TRANSCRIPT"):
        with Path(page).open("a") as file:
            file.write(f"$ vedette {shlex.join(arguments)}\n{said}\n[{code}]\n")


def told(*arguments: str) -> Any:
    """What a command says with --json."""
    return json.loads(vedette(*arguments, "--json", code=None).stdout)


@pytest.fixture(autouse=True)
def _impatient(sandbox_commands: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vedette.adapters.aws.rollouts._EVERY_S", 0.2)


@pytest.fixture
def devices(sandbox: SandboxAccount, sandbox_commands: Account, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """A canary and another device, which tell that they are well."""
    sandbox.invoke(sandbox_commands.made("baseline-function"), {})
    things = []
    template = f"/vedette/provision/{sandbox_commands.made('provisioning-template')}"
    for ring in ("canary", "rest"):
        serial = f"SN-{ring}-fleet"
        new = Registry(sandbox_commands).register(serial, fleet=FLEET, ring=ring, site="berlin")
        if not getattr(sandbox, "_fleet_devices", False):
            sandbox.ask(template, {"parameters": {"SerialNumber": serial, "Token": new.token}})
        things.append(new.device.thing)
    sandbox._fleet_devices = True  # type: ignore[attr-defined]
    for thing in things:
        sandbox.ask(f"/vedette/devices/{thing}", {})
        tell_health(sandbox, thing, "STREAMING")
    yield things
    for thing in things:
        sandbox.ask(f"/vedette/devices/{thing}", {})


def log_line(sandbox: SandboxAccount, thing: str, component: str, text: str) -> None:
    """What the log manager of a device sends."""
    logs, now = sandbox.client("logs"), datetime.now(UTC)
    group, stream = component_group(sandbox.running.region, component), day_stream(now.date(), thing)
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group)
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    events = [{"timestamp": int(now.timestamp() * 1000), "message": text}]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def make_application(folder: Path, name: str, version: str, *, fails: bool = False) -> Path:
    """An application with one test, which passes unless it is meant to fail."""
    (folder / "tests").mkdir(parents=True, exist_ok=True)
    parameters = {"margin_s": {"sets": ["rules.enters.hold_s"], "max": 10}}
    rules = {"enters": {**RULES["enters"], "hold_s": 0.0}}
    manifest = application(name, Path("rectangle.onnx"), ["hall"], rules, version=version, parameters=parameters)
    model(folder)
    (folder / "vedette.yaml").write_text(manifest.model_dump_json(exclude_none=True, exclude_unset=True))
    recording = folder / "tests" / "hall.mp4"
    if not recording.exists():
        clip(recording, [(1.0, 2.0)], 3.0)
    test = {
        "api": "vedette-test/v1",
        "clips": {"hall": {"file": "hall.mp4", "sha256": hashlib.sha256(recording.read_bytes()).hexdigest()}},
        "alerts": [{"rule": "enters", "camera": "hall", "at_s": 2.5 if fails else 1.0}],
    }
    (folder / "tests" / "visit.yaml").write_text(yaml.safe_dump(test))
    return folder


def deploy(path: Path | str, *arguments: str, code: int | None = 0) -> Result:
    build = BUILD if isinstance(path, Path) else ()
    return vedette("deploy", str(path), "--fleet", FLEET, *build, *GATE, "--yes", *arguments, code=code)


NO_COMPARISON = ("--without-comparison", "nothing to compare in this test")


def test_from_a_directory_to_every_ring_and_back(sandbox: SandboxAccount, devices: list[str], tmp_path: Path) -> None:
    folder = make_application(tmp_path / "shop", "shop", "1.0.0")
    component = "vedette.app.shop"
    dry = vedette("deploy", str(folder), "--fleet", FLEET, *BUILD, "--dry-run", "--bind", "hall=cam-9")
    assert "Nothing was changed" in dry.stderr
    assert "Warning: no device of fleet" in dry.stderr
    assert "passed visit.yaml" in dry.stderr
    assert component not in installed(sandbox, devices[0])

    first = deploy(folder, "--bind", "hall=cam-1", "--set", "margin_s=2", *NO_COMPARISON)
    assert "Succeeded" in first.stderr
    for thing in devices:
        assert installed(sandbox, thing)[component] == "1.0.0"
    again = deploy(folder, "--bind", "hall=cam-1", "--set", "margin_s=2", *NO_COMPARISON)
    assert "Nothing to do" in again.stderr

    # The next version keeps bindings and parameters; the device cannot run it.
    make_application(folder, "shop", "2.0.0")
    sandbox.ask(f"/vedette/devices/{devices[0]}", {"fails": {component: "2.0.0"}})
    bad = deploy(folder, *NO_COMPARISON, code=1)
    assert "version 1.0.0 → 2.0.0" in bad.stderr
    assert "Taken back" in bad.stderr
    assert "could not take the change" in bad.stderr
    why = "V301 model 'rectangle' is neither beside the manifest nor in the model store"
    log_line(sandbox, devices[0], component, why)
    log_line(sandbox, devices[1], component, "attached")
    log_line(sandbox, devices[0], "vedette.Alerting", "the outbox is empty")
    (line,) = vedette("logs", devices[0], "shop", "--since", "5m").stdout.splitlines()
    assert line.endswith(f"app.shop {why}")
    both = vedette("logs", devices[0], "--since", "5m").stdout
    assert "Alerting the outbox is empty" in both
    assert "attached" not in both, "of another device"
    (found,) = vedette("logs", devices[0], "shop", "--grep", "V301", "--json").stdout.splitlines()
    assert json.loads(found)["device"] == devices[0]
    unknown = vedette("logs", devices[0], "shopp", code=1)
    assert isinstance(unknown.exception, VedetteError)
    assert unknown.exception.code == "V024"
    sandbox.until("what ran before", lambda: installed(sandbox, devices[0]).get(component) == "1.0.0")
    assert installed(sandbox, devices[1])[component] == "1.0.0"

    sandbox.ask(f"/vedette/devices/{devices[0]}", {})
    deploy("shop", "--version", "2.0.0", "--set", "margin_s=", *NO_COMPARISON)
    (shop,) = {
        json.dumps(ring["desired"]["applications"]["shop"]) for ring in told("status", "--fleet", FLEET)["rings"]
    }
    assert json.loads(shop) == {"version": "2.0.0", "bindings": {"hall": ["cam-1"]}, "parameters": {}}
    status = vedette("status", "--fleet", FLEET, code=None)
    assert "hall=cam-1" in status.stdout
    rollout = told("status", "--fleet", FLEET)["rollouts"][0]
    shown = vedette("status", "--rollout", rollout["rollout_id"])
    assert "comparison: nothing to compare in this test" in " ".join(shown.stdout.split())

    back = vedette("rollback", "shop", "--fleet", FLEET, *GATE, "--yes")
    assert "Succeeded" in back.stderr
    assert {installed(sandbox, thing)[component] for thing in devices} == {"1.0.0"}
    vedette("remove", "shop", "--fleet", FLEET, *GATE, "--yes")
    assert not any(component in installed(sandbox, thing) for thing in devices)
    gone = vedette("remove", "shop", "--fleet", FLEET, *GATE, "--yes")
    assert "Nothing to do" in gone.stderr


def test_what_fails_its_own_tests_is_not_published(sandbox: SandboxAccount, devices: list[str], tmp_path: Path) -> None:
    folder = make_application(tmp_path / "wrong", "wrong", "1.0.0", fails=True)
    refused = deploy(folder, code=1)
    assert isinstance(refused.exception, VedetteError)
    assert refused.exception.code == "V704"
    greengrass = sandbox.client("greengrassv2").list_components(scope="PRIVATE")["components"]
    assert not any(one["componentName"] == "vedette.app.wrong" for one in greengrass)
    passed_over = deploy(folder, "--without-tests", "known and harmless", *NO_COMPARISON)
    assert "passed over: tests: known and harmless" in passed_over.stderr


def begin(*arguments: str) -> subprocess.Popen[str]:
    """A command in a process of its own, as another operator's."""
    command = [sys.executable, "-m", "vedette", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and what it said on standard error."""
    said = process.communicate(timeout=120)[1]
    assert isinstance(process.args, list)
    _write_down([str(one) for one in process.args[3:]], said, process.returncode)
    return process.returncode, said


def test_two_operators_deploy_two_applications_at_once(
    sandbox: SandboxAccount, devices: list[str], tmp_path: Path
) -> None:
    folders = [make_application(tmp_path / name, name, "1.0.0") for name in ("left", "right")]
    common = ("--fleet", FLEET, *BUILD, *GATE, "--yes", "--without-tests", "as the others", *NO_COMPARISON)
    for process in [begin("deploy", str(folder), *common) for folder in folders]:
        code, said = end(process)
        assert code == 0, said
    for thing in devices:
        assert {"vedette.app.left", "vedette.app.right"} <= set(installed(sandbox, thing))


def compared(sandbox: SandboxAccount, thing: str, rollout_id: str, version: str, share: float) -> None:
    """What the candidate on a device tells when it is done."""
    told_ = ComparisonReport(
        time=datetime.now(UTC),
        device=thing,
        rollout_id=rollout_id,
        application="seen",
        version=version,
        against="1.0.0",
        done=True,
        frames=2000,
        labels={"thing": Agreement(running_objects=60, running_seen=60 * share, new_objects=60, new_seen=58)},
        golden=GoldenClips(total=1),
    )
    payload = json.loads(told_.model_dump_json())
    sandbox.ask("/vedette/publish", {"topic": cloud_comparison(thing), "payload": payload, "client_id": thing})


def await_candidate(sandbox: SandboxAccount, thing: str, version: str, process: subprocess.Popen[str]) -> None:
    """Until the version runs beside the other one."""

    def there() -> bool:
        assert process.poll() is None, process.communicate()
        return installed(sandbox, thing).get("vedette.candidate.seen") == version

    try:
        sandbox.until("the candidate", there)
    except BaseException:
        process.kill()
        sys.stderr.write(str(process.communicate()))
        raise


def test_a_version_that_sees_half_is_taken_back_before_it_gives_any_alert(
    sandbox: SandboxAccount, devices: list[str], tmp_path: Path
) -> None:
    folder = make_application(tmp_path / "seen", "seen", "1.0.0")
    deploy(folder, "--without-tests", "passed yesterday", *NO_COMPARISON)
    for version, share, code in (("1.1.0", 0.48, 1), ("1.2.0", 0.97, 0)):
        make_application(folder, "seen", version)
        reason = "its tests are being rewritten"
        common = ("--fleet", FLEET, *BUILD, *GATE, "--yes", "--compare-timeout", "90s", "--without-tests", reason)
        process = begin("deploy", str(folder), *common)
        await_candidate(sandbox, devices[0], version, process)
        assert installed(sandbox, devices[0])["vedette.app.seen"] == "1.0.0"
        (newest, *_) = told("status", "--fleet", FLEET)["rollouts"]
        compared(sandbox, devices[0], newest["rollout_id"], version, share)
        found, said = end(process)
        assert found == code, said
        assert f"passed over: tests: {reason}" in said
        shown = " ".join(vedette("status", "--rollout", newest["rollout_id"], code=code).stdout.split())
        if code:
            assert f"of 60 objects that 1.0.0 followed, {version} saw 48 %" in " ".join(said.split())
            sandbox.until("no candidate", lambda: "vedette.candidate.seen" not in installed(sandbox, devices[0]))
            assert {installed(sandbox, thing)["vedette.app.seen"] for thing in devices} == {"1.0.0"}
        assert "compared on 1 of 1 devices" in shown
    assert {installed(sandbox, thing)["vedette.app.seen"] for thing in devices} == {"1.2.0"}


def test_a_rollout_that_is_under_way_is_named_and_can_be_stopped(
    sandbox: SandboxAccount, devices: list[str], tmp_path: Path
) -> None:
    folder = make_application(tmp_path / "slow", "slow", "1.0.0")
    sandbox.ask(f"/vedette/devices/{devices[0]}", {"holds": True})
    begun = deploy(folder, "--no-wait", *NO_COMPARISON)
    identity = begun.stdout.strip().splitlines()[-1]
    other = deploy(folder, "--without-tests", "seen", *NO_COMPARISON, "--set", "margin_s=3", code=1)
    assert isinstance(other.exception, VedetteError)
    assert identity in str(other.exception)
    assert f"vedette abort {identity}" in other.exception.hint
    stopped = vedette("rollback", "slow", "--fleet", FLEET, "--yes", "--reason", "wrong site")
    assert "Taken back" in stopped.stderr
    assert "wrong site" in stopped.stderr
    assert told("status", "--rollout", identity)["status"] == "rolled-back"


def test_without_a_terminal_nobody_is_asked_and_nothing_happens(
    sandbox: SandboxAccount, devices: list[str], tmp_path: Path
) -> None:
    folder = make_application(tmp_path / "asked", "asked", "1.0.0")
    arguments = ("deploy", str(folder), "--fleet", FLEET, *BUILD, *GATE, "--without-tests", "seen", *NO_COMPARISON)
    refused = vedette(*arguments, code=1)
    assert isinstance(refused.exception, VedetteError)
    assert "--yes" in refused.exception.hint
    assert not any("vedette.app.asked" in installed(sandbox, thing) for thing in devices)


def test_an_application_on_one_device(sandbox: SandboxAccount, devices: list[str], tmp_path: Path) -> None:
    folder = make_application(tmp_path / "single", "single", "1.0.0")
    vedette(
        *("deploy", str(folder), "--device", devices[1], *BUILD, *GATE, "--yes", "--without-tests", "seen"),
        *NO_COMPARISON,
    )
    assert installed(sandbox, devices[1])["vedette.app.single"] == "1.0.0"
    assert "vedette.app.single" not in installed(sandbox, devices[0])
    rings = {one["ring"]: one for one in told("status", "--device", devices[1])["rings"]}
    assert rings[f"thing/{devices[1]}"]["desired"]["applications"]["single"]["version"] == "1.0.0"
    clash = deploy("single", *NO_COMPARISON, code=1)
    assert isinstance(clash.exception, VedetteError)
    assert clash.exception.code == "V009"
    vedette("remove", "single", "--device", devices[1], *GATE, "--yes")
    assert "vedette.app.single" not in installed(sandbox, devices[1])


def test_our_own_components_with_a_configuration(sandbox: SandboxAccount, devices: list[str], tmp_path: Path) -> None:
    tree = str(sandbox.directory / "components")
    assert "Everything is there already." in vedette("publish", tree).stdout, "the stacks made the same versions"
    common = ("deploy", "--components", tree, "--fleet", FLEET, *GATE, "--yes")
    done = vedette(*common, "--configure", "vedette.AppHost:trustCode=true")
    assert "vedette.AppHost trustCode: not there → true" in " ".join(done.stderr.split())
    rings = told("status", "--fleet", FLEET)["rings"]
    hosts = [ring["desired"]["components"]["vedette.AppHost"] for ring in rings]
    assert [host["configuration"] for host in hosts] == [{"trustCode": True}] * 2
    assert "Nothing to do" in vedette(*common).stderr, "what is configured stays"

    # Code of an application goes to such rings only where the operator says so.
    folder = make_application(tmp_path / "coded", "coded", "1.0.0")
    manifest = json.loads((folder / "vedette.yaml").read_text())
    manifest["hooks"] = {"own": {"file": "hooks.py"}}
    (folder / "vedette.yaml").write_text(json.dumps(manifest))
    (folder / "hooks.py").write_text("def on_tracks(app, batch):\n    pass\n")
    refused = deploy(folder, "--dry-run", "--without-tests", "seen", *NO_COMPARISON, code=1)
    assert isinstance(refused.exception, VedetteError)
    assert "--trust-code" in refused.exception.hint
    shown = deploy(folder, "--dry-run", "--trust-code", "--without-tests", "seen", *NO_COMPARISON)
    assert "passed over: code: may run unconfined: own" in shown.stderr
    vedette(*common, "--fresh")
