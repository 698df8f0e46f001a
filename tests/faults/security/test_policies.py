"""X1 to X3: what the stacks allow, by AWS's own rules, by a look at every statement, and by trying."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cloud.conftest import EVERYTHING, feature_flags, templates
from tests.cloud.iot_policy import allows, as_list, resolved
from tests.cloud.test_device_policy import ATTACHED, PUBLISHED, TRICKS, iot, policy_statements, role_statements, stream
from tests.cloud.test_nag import LEAST_REASON, Reasons, findings
from tests.faults import scorecard
from tests.faults.scorecard import Anchor, Control, Row, upper95
from vedette.contracts.topics import cloud_ack

#: Of cdk-nag's findings.
MOST_SUPPRESSIONS: Final = 5
#: Actions that AWS takes no resource for (Service Authorization Reference): any resource is the only one there is.
WITHOUT_RESOURCE: Final = frozenset(
    {
        *("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules"),
        *("xray:GetSamplingTargets", "cloudwatch:PutMetricData", "iot:DescribeEndpoint"),
        *("ecr:GetAuthorizationToken", "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery"),
        *("logs:DeleteLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy"),
        *("greengrass:ListComponents", "greengrass:ListDeployments", "logs:DescribeResourcePolicies"),
        *("logs:DescribeLogGroups", "ec2:DescribeNetworkInterfaces"),
        *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeSubnets"),
        *("ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses", "ec2:DescribeVpcs"),
        *("ec2:DescribeDhcpOptions", "ec2:DescribeSecurityGroups", "sts:GetCallerIdentity"),
    }
)


def statements(all_templates: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(place, kind, statement) of every policy."""
    for stack, template in all_templates.items():
        for name, resource in template.get("Resources", {}).items():
            yield from _within(f"{stack}/{name}", resource["Type"], resource.get("Properties", {}))


def _within(place: str, kind: str, value: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if isinstance(value, dict):
        if value.get("Effect") in ("Allow", "Deny"):
            yield place, kind, value
        for inner in value.values():
            yield from _within(place, kind, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _within(place, kind, inner)


def wide(found: list[tuple[str, str, dict[str, Any]]]) -> tuple[list[str], list[str]]:
    """(statements with any action, statements of identities on any resource that AWS could have narrowed)."""
    actions, anything = [], []
    for place, kind, statement in found:
        if statement["Effect"] != "Allow":
            continue
        asked = [str(one) for one in as_list(statement.get("Action", statement.get("NotAction", "*")))]
        # Handing a key to IAM of its own account is what AWS puts on every key (KMS developer guide).
        of_key = kind == "AWS::KMS::Key" and asked == ["kms:*"] and ":root" in json.dumps(statement["Principal"])
        if not of_key and any(one == "*" or one.endswith(":*") for one in asked):
            actions.append(f"{place}: {asked}")
        # A policy of a resource (key, bucket, endpoint) has nothing but itself below "*".
        of_identity = kind in ("AWS::IAM::Policy", "AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IoT::Policy")
        if of_identity and "*" in as_list(resolved(statement.get("Resource", []))):
            needless = [one for one in asked if one not in WITHOUT_RESOURCE]
            if needless:
                anything.append(f"{place}: {needless}")
    return actions, anything


def kind_of(rule: str) -> str:
    """Why a rule of cdk-nag is suppressed, roughly: the finding's own words tell what is wider than it might be."""
    name, _, words = rule.partition("[")
    if not words:
        return name
    if words == "Resource::*]":
        return f"{name} where AWS knows no resource"
    what = "names that are not known beforehand" if words.startswith("Resource") else "actions of one kind"
    return f"{name} for {what}"


def suppressions_row(accepted: Mapping[tuple[str, str], str]) -> Row:
    """How much is explained instead of mended: (construct, rule) → reason."""
    kinds = Counter(kind_of(rule) for _, rule in accepted)
    return Row(
        "X1-suppressions",
        "findings of cdk-nag that are explained instead of mended",
        len(accepted),
        "suppressions",
        max(len(accepted), 1),
        f"<= {MOST_SUPPRESSIONS}",
        passed=len(accepted) <= MOST_SUPPRESSIONS,
        notes=f"{'; '.join(f'{count} of {kind}' for kind, count in kinds.most_common()) or 'None'}. Each has its reason at its construct; "
        f"{len(set(accepted.values()))} reasons differ.",
    )


def test_x1_nag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aws_cdk import App, Stack
    from aws_cdk import aws_s3 as s3

    from infra.app import build
    from infra.constructs import reasons
    from infra.settings import read_settings

    begun_s = time.monotonic()
    careless = App(outdir=str(tmp_path / "careless"))
    s3.Bucket(Stack(careless, "careless"), "Bucket")
    control = len(findings(careless))
    monkeypatch.setattr(reasons, "Validations", Reasons)
    monkeypatch.setattr(Reasons, "accepted", [])
    app = App(analytics_reporting=False, context=feature_flags(), outdir=str(tmp_path / "ours"))
    build(app, read_settings(EVERYTHING))
    found = findings(app)
    accepted = {(path, rule): reason for path, rule, reason in Reasons.accepted}
    bare = [
        f"{path}: {rule}"
        for path, rule in sorted(found)
        if not any(rule == other and (path == at or path.startswith(f"{at}/")) for at, other in accepted)
    ]
    short = [f"{path}: {rule}" for (path, rule), reason in accepted.items() if len(reason) < LEAST_REASON]
    row = Row(
        "X1",
        "findings of cdk-nag without a reason, and reasons that are none",
        len(bare) + len(short),
        "findings",
        max(len(found), 1),
        "0, 0",
        passed=not bare and not short and control > 0,
        control=Control("a bucket with nothing set: findings", control, control > 0),
        anchors=(Anchor("samples of AWS", "commonly suppress IAM5 for a whole stack", "documented"),),
        notes=f"AwsSolutions over all stacks with every option on; {len(found)} findings are explained in "
        f"{len(accepted)} places, each at its construct. Not explained: {bare or 'none'}.",
    )
    suppressions = suppressions_row(accepted)
    for each in (row, suppressions):
        scorecard.record(each, time.monotonic() - begun_s)
    assert row.passed, row
    assert suppressions.passed, suppressions


def test_x2_wide_statements() -> None:
    begun_s = time.monotonic()
    found = list(statements(templates(EVERYTHING)))
    actions, anything = wide(found)
    bad: dict[str, Any] = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    control = sum(len(one) for one in wide([*found, ("control", "AWS::IAM::Policy", bad)]))
    control -= len(actions) + len(anything)
    row = Row(
        "X2",
        "statements with any action, and with any resource where AWS takes one",
        len(actions) + len(anything),
        "statements",
        len(found),
        "0, <= 3 listed",
        passed=not actions and len(anything) <= 3 and control == 2,
        control=Control("one statement s3:* on * beside them: seen in both ways", control, control == 2),
        anchors=(Anchor("aws-panorama-samples", "a template with five *FullAccess policies", "documented"),),
        notes=f"Any action: {actions or 'none'}. Any resource: {anything or 'none'}.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row


def attempts(chance: random.Random, number: int) -> Iterator[tuple[str, str]]:
    """(this device, another): names as made by chance, neighbours of each other, and tricks."""
    letters = "abcXYZ019_-"
    for count in range(number):
        thing = chance.choice("abcX019") + "".join(chance.choice(letters) for _ in range(chance.randrange(0, 12)))
        other = chance.choice(
            (
                thing + chance.choice(letters),
                thing[:-1] or "z",
                thing.swapcase() + "x",
                TRICKS[count % len(TRICKS)],
                "cam",
            )
        )
        if other != thing:
            yield thing, other


def crossing(said: list[dict[str, Any]], lent: list[dict[str, Any]], thing: str, other: str) -> list[tuple[str, bool]]:
    """What a device tries on another's, and whether it may."""
    tries: list[tuple[str, bool]] = []
    topics = [*(made(other) for made in PUBLISHED), cloud_ack(other), f"$aws/things/{other}/shadow/get"]
    for topic in (*topics, f"$aws/things/{other}/jobs/notify-next"):
        for action, kind in (("iot:Publish", "topic"), ("iot:Receive", "topic"), ("iot:Subscribe", "topicfilter")):
            tries.append((f"{action} {topic}", allows(said, action, iot(kind, topic), thing=thing)))
    if "#" not in other:  # a client id with a number after its thing is the device's own
        connects = allows(said, "iot:Connect", iot("client", other), thing=thing, context=ATTACHED)
        tries.append((f"iot:Connect {other}", connects))
    place = f"arn:import:evidence/{other}/1/clip.mp4"
    tries.append((f"s3:PutObject {other}", allows(lent, "s3:PutObject", place, thing=thing)))
    tries.append((f"logs:PutLogEvents {other}", allows(lent, "logs:PutLogEvents", stream(other), thing=thing)))
    return tries


def widened(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A policy whose variable was forgotten."""
    return json.loads(json.dumps(said).replace("${iot:Connection.Thing.ThingName}", "*"))  # type: ignore[no-any-return]


def test_x3_cross_device() -> None:
    begun_s, seed = time.monotonic(), scorecard.seed()
    said, lent = policy_statements("vedette-prod-device"), role_statements()
    number = scorecard.size(quick=150, full=1_000)
    count: Callable[[list[dict[str, Any]]], list[tuple[str, bool]]] = lambda policy: [  # noqa: E731
        one for pair in attempts(random.Random(seed), number) for one in crossing(policy, lent, *pair)
    ]
    tries = count(said)
    crossed = [what for what, allowed in tries if allowed]
    control = sum(allowed for _, allowed in count(widened(said)))
    row = Row(
        "X3",
        "what a device may do with another's topics, clients, prefixes and streams",
        len(crossed),
        "allowed",
        len(tries),
        "0 of >= 2,000",
        passed=not crossed and len(tries) >= 2_000 and control > 0,
        upper95=upper95(len(crossed), len(tries)),
        control=Control("the same policy with * for the device's name: allowed", control, control > 0),
        seed=seed,
        notes=f"Evaluated as AWS documents it, over the synthesised policies. Allowed: {crossed[:5] or 'none'}.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
