"""Machines become devices and applications are rolled out to them, with everything that is deployed really running."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from tests.cloud.sandbox_account import SandboxAccount, leave_rings_to, tell_health
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.device_logs import DeviceLogs
from vedette.adapters.aws.registry import Registry
from vedette.adapters.aws.rollouts import Rollouts
from vedette.contracts.account import ring_group
from vedette.contracts.comparison import Agreement, ComparisonPolicy, ComparisonReport, GoldenClips
from vedette.contracts.errors import CloudError
from vedette.contracts.logs import day_stream
from vedette.contracts.rollout import ApplicationChange, ApplicationChoice, GatePolicy, RolloutStatus
from vedette.contracts.topics import cloud_comparison

pytestmark = pytest.mark.slow
FAST = GatePolicy(check_every_s=1, soak_s=0, timeout_s=60)
APP = "vedette.app.ppe"


def become_device(sandbox: SandboxAccount, account: Account, serial: str, ring: str) -> str:
    """Register a serial number and claim it as the machine does."""
    new = Registry(account).register(serial, ring=ring)
    template = f"/vedette/provision/{account.made('provisioning-template')}"
    claim = {"parameters": {"SerialNumber": serial, "Token": new.token}}
    thing = str(sandbox.ask(template, claim)["thingName"])
    groups = sandbox.client("iot").list_thing_groups_for_thing(thingName=thing)["thingGroups"]
    assert [group["groupName"] for group in groups] == [ring_group("main", ring)]
    with pytest.raises(Exception, match="hook validation failed"):
        sandbox.ask(template, claim)  # another certificate with the same token
    return thing


def make_application(sandbox: SandboxAccount, version: str, name: str = "ppe") -> ApplicationChange:
    for component in (f"vedette.app.{name}", f"vedette.candidate.{name}"):
        recipe = {"RecipeFormatVersion": "2020-01-25", "ComponentName": component, "ComponentVersion": version}
        sandbox.client("greengrassv2").create_component_version(inlineRecipe=json.dumps(recipe).encode())
    return ApplicationChange(name=name, to=ApplicationChoice(version=version, bindings={"gate": ("cam-1",)}))


def installed(sandbox: SandboxAccount, thing: str) -> dict[str, str]:
    found = sandbox.client("greengrassv2").list_installed_components(coreDeviceThingName=thing)["installedComponents"]
    return {one["componentName"]: one["componentVersion"] for one in found}


def read_what_a_device_logs(sandbox: SandboxAccount, account: Account, thing: str) -> None:
    """The rollout has made the application's log group; a device writes to it, and the command reads it there."""
    found, logs, now_s = DeviceLogs(account, thing), sandbox.client("logs"), time.time()
    (_, group) = found.groups("ppe")
    stream = day_stream(datetime.fromtimestamp(now_s, UTC).date(), thing)
    logs.create_log_stream(logGroupName=group.name, logStreamName=stream)
    event = {"timestamp": int(now_s * 1000), "message": "attached"}
    logs.put_log_events(logGroupName=group.name, logStreamName=stream, logEvents=[event])
    (line,) = found.lines(found.groups(), int(now_s - 60) * 1000, int(now_s + 60) * 1000)
    assert (line.component, line.text) == (APP, "attached")


def test_from_a_serial_number_to_a_rollout_and_back(sandbox: SandboxAccount, sandbox_commands: Account) -> None:
    sandbox.invoke(sandbox_commands.made("baseline-function"), {})
    canary = become_device(sandbox, sandbox_commands, "SN-CANARY", "canary")
    rest = become_device(sandbox, sandbox_commands, "SN-REST", "rest")
    sandbox.until("the baseline", lambda: "aws.greengrass.Nucleus" in installed(sandbox, canary))
    leave_rings_to(sandbox, (canary, rest))
    for thing in (canary, rest):
        tell_health(sandbox, thing, "STREAMING")
    good, bad = make_application(sandbox, "1.0.0"), make_application(sandbox, "2.0.0")

    rollouts = Rollouts(sandbox_commands, sleep=lambda _: time.sleep(0.3))  # looks more often than people do
    started = rollouts.start(rollouts.plan("main", good), policy=FAST)
    seen = list(rollouts.follow(started.rollout_id))
    assert seen[-1].status is RolloutStatus.SUCCEEDED
    for thing in (canary, rest):
        assert installed(sandbox, thing)[APP] == "1.0.0"
        assert "aws.greengrass.Nucleus" in installed(sandbox, thing)
    read_what_a_device_logs(sandbox, sandbox_commands, canary)

    sandbox.ask(f"/vedette/devices/{canary}", {"fails": {APP: "2.0.0"}})
    started = rollouts.start(rollouts.plan("main", bad), policy=FAST)
    with pytest.raises(CloudError, match=r"V010 .*ring canary: 1 of 1 devices could not take the change"):
        list(rollouts.follow(started.rollout_id))
    sandbox.until("what ran before", lambda: installed(sandbox, canary).get(APP) == "1.0.0")
    assert installed(sandbox, rest)[APP] == "1.0.0"
    machine = sandbox.client("stepfunctions")
    execution = (
        sandbox_commands.made("rollout-machine").replace(":stateMachine:", ":execution:") + f":{started.rollout_id}"
    )
    sandbox.until("the end", lambda: machine.describe_execution(executionArn=execution)["status"] == "FAILED")


def report(sandbox: SandboxAccount, thing: str, rollout_id: str, version: str, share: float) -> None:
    """What the candidate on a device tells."""
    seen = Agreement(running_objects=60, running_seen=60 * share, new_objects=60, new_seen=60)
    told = ComparisonReport(
        time=datetime.now(UTC),
        device=thing,
        rollout_id=rollout_id,
        application="solo",
        version=version,
        against="1.0.0" if version == "2.0.0" else "2.0.0",
        done=True,
        labels={"person": seen},
        golden=GoldenClips(),
    )
    message = json.loads(told.model_dump_json())
    sandbox.ask("/vedette/publish", {"topic": cloud_comparison(thing), "payload": message, "client_id": thing})


def test_one_device_compares_versions_before_it_changes(sandbox: SandboxAccount, sandbox_commands: Account) -> None:
    sandbox.invoke(sandbox_commands.made("baseline-function"), {})
    thing = become_device(sandbox, sandbox_commands, "SN-SOLO", "early")
    one, two, three = (make_application(sandbox, f"{number}.0.0", "solo") for number in (1, 2, 3))
    rollouts = Rollouts(sandbox_commands, sleep=lambda _: time.sleep(0.3))
    alone = (f"thing/{thing}",)
    started = rollouts.start(rollouts.plan("main", one, rings=alone), policy=FAST)
    assert [*rollouts.follow(started.rollout_id)][-1].status is RolloutStatus.SUCCEEDED
    assert installed(sandbox, thing)["vedette.app.solo"] == "1.0.0"
    assert "aws.greengrass.Nucleus" in installed(sandbox, thing), "what its ring gives it stays"

    careful = FAST.model_copy(update={"comparison": ComparisonPolicy(timeout_s=60)})
    both = {"vedette.app.solo": "1.0.0", "vedette.candidate.solo": "2.0.0"}
    started = rollouts.start(rollouts.plan("main", two, rings=alone, compare=True), policy=careful)
    sandbox.until("both versions", lambda: both.items() <= installed(sandbox, thing).items())
    report(sandbox, thing, started.rollout_id, "2.0.0", 0.97)
    ended = [*rollouts.follow(started.rollout_id)][-1]
    assert ended.status is RolloutStatus.SUCCEEDED
    assert ended.rings[0].compared is not None
    assert ended.rings[0].compared.reason.startswith("of 60 objects that 1.0.0 followed, 2.0.0 saw 97 %")
    assert installed(sandbox, thing)["vedette.app.solo"] == "2.0.0"
    assert "vedette.candidate.solo" not in installed(sandbox, thing)

    started = rollouts.start(rollouts.plan("main", three, rings=alone, compare=True), policy=careful)
    sandbox.until("both versions", lambda: installed(sandbox, thing).get("vedette.candidate.solo") == "3.0.0")
    report(sandbox, thing, started.rollout_id, "3.0.0", 0.5)
    with pytest.raises(CloudError, match=r"V010 .*of 60 objects that 2.0.0 followed, 3.0.0 saw 50 %"):
        list(rollouts.follow(started.rollout_id))
    sandbox.until("what ran before", lambda: "vedette.candidate.solo" not in installed(sandbox, thing))
    assert installed(sandbox, thing)["vedette.app.solo"] == "2.0.0"

    back = rollouts.rollback("main", "solo", rings=alone, policy=FAST)
    assert [*rollouts.follow(back.rollout_id)][-1].status is RolloutStatus.SUCCEEDED
    assert installed(sandbox, thing)["vedette.app.solo"] == "1.0.0"
    states = {state.ring: state for state in rollouts.desired("main")}
    assert states[alone[0]].applications["solo"].version == "1.0.0"
