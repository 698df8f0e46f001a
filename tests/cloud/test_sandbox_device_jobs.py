"""A job of the account on a real agent: over the sandbox's broker, through LocalCore, with the helper's own script."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.broker_device import credentials
from tests.cloud.sandbox_account import SandboxAccount
from tests.local.job_device import JobDevice, runtime
from vedette.local.cloud.broker import program
from vedette.local.core import ComponentSpec, ComponentState, LocalCore, LocalCoreConfig
from vedette.local.data import data_directory

needs_mosquitto = pytest.mark.skipif(program() is None, reason="mosquitto is not installed")
AGENT = "vedette.DeviceAgent"
THING = "${iot:Connection.Thing.ThingName}"


def policy() -> str:
    """What devices may do with jobs, as the stacks say it."""
    statements = [
        {
            "Effect": "Allow",
            "Action": f"iot:{action}",
            "Resource": f"arn:aws:iot:us-east-1:1:{kind}/$aws/things/{THING}/jobs/*",
        }
        for action, kind in (("Publish", "topic"), ("Receive", "topic"), ("Subscribe", "topicfilter"))
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture(scope="module")
def jobs_policy(bare_sandbox: SandboxAccount) -> str:
    bare_sandbox.client("iot").create_policy(policyName="of-jobs", policyDocument=policy())
    return "of-jobs"


def member(account: SandboxAccount, group: str, thing: str) -> None:
    """A registered thing in a group."""
    iot = account.client("iot")
    iot.create_thing(thingName=thing)
    arn = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    iot.attach_thing_principal(thingName=thing, principal=arn)
    iot.attach_policy(policyName="of-jobs", target=arn)
    iot.add_thing_to_thing_group(thingName=thing, thingGroupName=group)


def created(account: SandboxAccount, target: str, document: dict[str, Any], **more: Any) -> str:
    job = f"j-{uuid.uuid4().hex[:8]}"
    account.client("iot").create_job(jobId=job, targets=[target], document=json.dumps(document), **more)
    return job


def ended(account: SandboxAccount, job: str, thing: str) -> tuple[str, dict[str, str]]:
    """How an execution ended, and its details."""

    def look() -> dict[str, Any] | None:
        found = account.client("iot").describe_job_execution(jobId=job, thingName=thing)["execution"]
        return found if found["status"] not in {"QUEUED", "IN_PROGRESS"} else None

    found = account.until(f"the end of {job}", look)
    return found["status"], found["statusDetails"]["detailsMap"]


@pytest.fixture
def group(bare_sandbox: SandboxAccount, jobs_policy: str) -> tuple[str, str]:
    """Name and ARN of a group."""
    name = f"g-{uuid.uuid4().hex[:6]}"
    return name, bare_sandbox.client("iot").create_thing_group(thingGroupName=name)["thingGroupArn"]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[JobDevice]:
    made = JobDevice(tmp_path)
    yield made
    made.stop_systemd()


@pytest.fixture
def agent(
    bare_sandbox: SandboxAccount, group: tuple[str, str], device: JobDevice, tmp_path: Path
) -> Iterator[Callable[[], str]]:
    """Starts the agent, or starts it again as the machine's restart does; the thing's name."""
    thing = f"cam-{uuid.uuid4().hex[:6]}"
    member(bare_sandbox, group[0], thing)
    running: list[LocalCore] = []

    def start() -> str:
        if running:
            running.pop().stop()
        config = LocalCoreConfig(
            root=tmp_path / "core",
            thing_name=thing,
            recipe_dirs=(data_directory("recipes"),),
            artifact_sources={"device_agent.zip": data_directory("components")},
            iot=credentials(bare_sandbox, thing),
            environment=bare_sandbox.environment,
            socket_path=tmp_path / "s",
        )
        core = LocalCore(config)
        core.start()
        running.append(core)
        core.deploy({AGENT: ComponentSpec(configuration_merge=device.configuration())})
        core.wait_for(AGENT, ComponentState.RUNNING, 30)
        return thing

    yield start
    for core in running:
        core.stop()


@needs_mosquitto
@pytest.mark.processes
def test_a_reboot_succeeds_once_the_machine_is_another_boot(
    bare_sandbox: SandboxAccount, group: tuple[str, str], device: JobDevice, agent: Callable[[], str]
) -> None:
    thing = agent()
    device.start_systemd()
    job = created(bare_sandbox, group[1], {"vedette": 1, "operation": "reboot"})
    bare_sandbox.until("the reboot", lambda: "systemctl reboot" in device.machine.calls())
    found = bare_sandbox.client("iot").describe_job_execution(jobId=job, thingName=thing)["execution"]
    assert found["status"] == "IN_PROGRESS"
    device.boot("boot-2")
    agent()
    assert ended(bare_sandbox, job, thing) == ("SUCCEEDED", {"stage": "done", "reason": "the machine was restarted"})
    assert device.machine.calls().count("systemctl reboot") == 1
    assert bare_sandbox.client("iot").describe_job(jobId=job)["job"]["status"] == "COMPLETED"
    bare_sandbox.until("the file of the job", lambda: not (device.state / "agent/job.json").exists())


@needs_mosquitto
@pytest.mark.processes
def test_an_update_that_does_the_device_no_good_is_taken_back_and_a_good_one_stays(
    bare_sandbox: SandboxAccount, group: tuple[str, str], device: JobDevice, agent: Callable[[], str]
) -> None:
    s3 = bare_sandbox.client("s3")
    bucket = f"artefacts-{uuid.uuid4().hex[:6]}"
    s3.create_bucket(Bucket=bucket)
    thing = agent()
    device.start_systemd()
    device.status("vedette.Alerting", wall_s=4e9)  # writes on, as far as anybody sees
    for mark, foreign, wanted in (("good", False, "SUCCEEDED"), ("stranger", True, "FAILED")):
        package = runtime(mark)
        document = device.update(package) | {"bucket": bucket}
        if foreign:
            document |= {"signature": device.key.sign("runtime", "3.11.9", "0" * 64)}
        s3.put_object(Bucket=bucket, Key=document["key"], Body=package)
        status, details = ended(bare_sandbox, created(bare_sandbox, group[1], document), thing)
        assert (status, device.runs) == (wanted, "good"), details
    assert details["reason"] == "the update is not signed by this account"
    package = runtime("bad")
    document = device.update(package, settle_s=5) | {"bucket": bucket}
    s3.put_object(Bucket=bucket, Key=document["key"], Body=package)
    job = created(bare_sandbox, group[1], document)
    bare_sandbox.until("the update", lambda: device.runs == "bad")
    device.status("vedette.Alerting", wall_s=0)
    assert ended(bare_sandbox, job, thing) == (
        "FAILED",
        {"stage": "done", "reason": "not well with it: vedette.Alerting is silent; the previous one was put back"},
    )
    assert device.runs == "good"


@needs_mosquitto
@pytest.mark.processes
def test_what_is_no_job_of_ours_is_rejected_with_the_reason(
    bare_sandbox: SandboxAccount, group: tuple[str, str], device: JobDevice, agent: Callable[[], str]
) -> None:
    thing = agent()
    for document, said in (
        ({"vedette": 1, "operation": "format-disk"}, "format-disk"),
        ({"vedette": 1, "operation": "reboot", "command": "rm -rf /"}, "command"),
        ({"operation": "reboot", "vedette": 2}, "vedette"),
    ):
        status, details = ended(bare_sandbox, created(bare_sandbox, group[1], document), thing)
        assert status == "REJECTED"
        assert said in details["reason"]
    assert not device.machine.calls()


def test_simulated_devices_take_jobs_as_they_were_told(bare_sandbox: SandboxAccount, group: tuple[str, str]) -> None:
    iot = bare_sandbox.client("iot")
    behaviours: dict[str, dict[str, Any]] = {
        **{f"{group[0]}-ok{n}": {} for n in range(3)},
        f"{group[0]}-broken": {"fails": {"reboot": "*"}},
        f"{group[0]}-away": {"online": False},
    }
    for thing, behaviour in behaviours.items():
        member(bare_sandbox, group[0], thing)
        bare_sandbox.ask(f"/vedette/devices/{thing}", behaviour)
    job = created(bare_sandbox, group[1], {"vedette": 1, "operation": "reboot"})
    found = iot.describe_job(jobId=job)["job"]
    counts = {key: value for key, value in found["jobProcessDetails"].items() if value and key != "processingTargets"}
    assert counts == {"numberOfSucceededThings": 3, "numberOfFailedThings": 1, "numberOfQueuedThings": 1}
    assert found["status"] == "IN_PROGRESS"
    bare_sandbox.ask(f"/vedette/devices/{group[0]}-away", {})
    assert iot.describe_job(jobId=job)["job"]["status"] == "COMPLETED"
    aborting = {"criteriaList": [{"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 10.0,
                                  "minNumberOfExecutedThings": 1}]}  # fmt: skip
    bare_sandbox.ask(f"/vedette/devices/{group[0]}-away", {"online": False})
    job = created(bare_sandbox, group[1], {"vedette": 1, "operation": "reboot"}, abortConfig=aborting)
    found = iot.describe_job(jobId=job)["job"]
    assert found["status"] == "CANCELED"
    assert found["jobProcessDetails"]["numberOfCanceledThings"] == 1
