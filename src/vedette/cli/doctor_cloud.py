"""The checks of ``vedette doctor --cloud``: what ``cdk deploy`` needs, and whether the account is ready for devices."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, Final

from vedette.adapters.aws.account import Account, aws_errors
from vedette.cli.doctor_checks import Check
from vedette.contracts.account import stack
from vedette.contracts.errors import CloudError, UsageError
from vedette.local.cloud.cdk import cdk_version, node_directory

CLOUD: Final = 'pip install "vedette[cloud]"'
#: Least version of the bootstrap stack that the library's deployments need.
_BOOTSTRAP: Final = 6
_BOOTSTRAP_PARAMETER: Final = "/cdk-bootstrap/hnb659fds/version"
#: Node releases that are still looked after in 2026.
_OLDEST_NODE: Final = 22
_LIMIT_S: Final = 20
_CONCERNS: Final = ("storage", "fleet", "alerts", "monitoring", "models", "deployments")


def run_cloud_checks(stage: str) -> list[Check]:
    """All checks, in the order in which they are shown; those that need an account end where there is none."""
    return [*_libraries(), _node(), _cdk(), *_account(stage)]


def _libraries() -> Iterator[Check]:
    for name in ("boto3", "aws-cdk-lib", "constructs"):
        try:
            yield Check(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Check(name, "fail", "not installed", CLOUD)


def _node() -> Check:
    try:
        version = _output([str(node_directory() / "node"), "--version"])
    except UsageError as error:
        return Check("node", "fail", error.message, error.hint)
    found = re.match(r"v(\d+)\.", version)
    if not found:
        return Check("node", "fail", version or "not found", f"{CLOUD} brings one")
    if int(found[1]) < _OLDEST_NODE:
        return Check("node", "warn", f"{version} is no longer looked after", f"{CLOUD} brings a newer one")
    return Check("node", "ok", version)


def _cdk() -> Check:
    pinned = cdk_version()
    path = shutil.which("cdk")
    version = (_output([path, "--version"]).split() or [""])[0] if path else ""
    ours = f"vedette cloud cdk … brings {pinned}"
    if not version:
        return Check("cdk on the path", "optional", "none", ours)
    if version != pinned:
        return Check("cdk on the path", "warn", f"{version}; tried out was {pinned}", ours)
    return Check("cdk on the path", "ok", version)


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _account(stage: str) -> Iterator[Check]:
    try:
        account = Account(stage)
        with aws_errors("who am I"):
            identity = account.client("sts").get_caller_identity()
    except (CloudError, UsageError) as error:
        yield Check("AWS account", "fail", error.message, error.hint)
        return
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    where = f", the sandbox at {endpoint}" if endpoint else ""
    yield Check("AWS account", "ok", f"{identity['Account']} in {account.region}{where}, as {identity['Arn']}")
    parts: tuple[tuple[str, Callable[[Account, str], Check]], ...] = (
        ("bootstrap", _bootstrap),
        ("stacks", _stacks),
        ("IoT endpoint", _endpoint),
        ("Greengrass service role", _service_role),
        ("fleet index", _index),
    )
    for name, check in parts:
        try:
            yield check(account, str(identity["Account"]))
        except CloudError as error:
            yield Check(name, "warn", error.message, "may this role read it? then nothing is to be done")


def _bootstrap(account: Account, number: str) -> Check:
    advice = f"vedette cloud cdk bootstrap aws://{number}/{account.region}"
    try:
        with aws_errors("the bootstrap version"):
            answer = account.client("ssm").get_parameter(Name=_BOOTSTRAP_PARAMETER)
    except CloudError as error:
        if "ParameterNotFound" in error.message:
            return Check("bootstrap", "fail", "this account and region are not prepared for the CDK", advice)
        raise
    version = str(answer["Parameter"]["Value"])
    good = version.isdecimal() and int(version) >= _BOOTSTRAP
    return Check("bootstrap", "ok" if good else "fail", f"version {version}", "" if good else advice)


def _stacks(account: Account, _number: str) -> Check:
    wanted = {stack(account.stage, concern) for concern in _CONCERNS}
    with aws_errors("the stacks"):
        pages = account.client("cloudformation").get_paginator("describe_stacks").paginate()
        found: dict[str, Any] = {one["StackName"]: one["StackStatus"] for page in pages for one in page["Stacks"]}
    there = {name: found[name] for name in wanted & set(found)}
    broken = {name: state for name, state in there.items() if "FAILED" in state or state.startswith("ROLLBACK")}
    if broken:
        said = ", ".join(f"{name} is {state}" for name, state in sorted(broken.items()))
        return Check("stacks", "fail", said, "read the stack's events, then: vedette cloud cdk deploy --all")
    if not there:
        return Check("stacks", "optional", f"none of stage {account.stage!r} yet", "vedette cloud cdk deploy --all")
    if lacking := sorted(wanted - set(there)):
        return Check("stacks", "warn", f"{', '.join(lacking)} not there", "vedette cloud cdk deploy --all")
    return Check("stacks", "ok", f"all {len(there)} of stage {account.stage!r}")


def _endpoint(account: Account, _number: str) -> Check:
    with aws_errors("the IoT endpoint"):
        answer = account.client("iot").describe_endpoint(endpointType="iot:Data-ATS")
    return Check("IoT endpoint", "ok", str(answer["endpointAddress"]))


def _service_role(account: Account, _number: str) -> Check:
    with aws_errors("the Greengrass service role"):
        answer = account.client("greengrassv2").get_service_role_for_account()
    role = answer.get("roleArn", "")
    advice = "" if role else "docs/cloud.md, once per account: Greengrass may then check who a device is"
    return Check("Greengrass service role", "ok" if role else "warn", role or "none", advice)


def _index(account: Account, _number: str) -> Check:
    with aws_errors("the fleet index"):
        answer = account.client("iot").get_indexing_configuration()
    mode = answer.get("thingIndexingConfiguration", {}).get("thingIndexingMode", "OFF")
    command = "aws iot update-indexing-configuration --thing-indexing-configuration thingIndexingMode=REGISTRY,"
    command += "thingConnectivityIndexingMode=STATUS"
    return Check("fleet index", "ok" if mode != "OFF" else "optional", mode, "" if mode != "OFF" else command)
