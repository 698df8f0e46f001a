"""Templates of the stacks with one control dropped, and the property tests that have to notice.

The comparison with the templates that somebody looked at is not among these tests: it notices everything and says nothing of
what was a control.
"""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, Final

from tests.cloud.conftest import EVERYTHING, templates

Template = dict[str, Any]
Change = Callable[[dict[str, Any]], None]

#: Modules of property tests.
MODULES: Final = (
    *("test_storage_stack", "test_templates", "test_stack_controls", "test_device_policy", "test_fleet_stack"),
    *("test_alerts_stacks", "test_deployments_stack", "test_models_stack", "test_network_stack"),
)
#: Not property tests: the looked-at templates; CloudFormation's schema; tests that change what is synthesised.
LEFT_OUT: Final = frozenset({"test_template_is_the_one_that_was_looked_at", "test_every_stack_is_looked_at"})
#: Type → what protects in its properties, as paths; each is dropped as a whole. ``^`` begins an attribute beside them.
DROPPED: Final[dict[str, tuple[str, ...]]] = {
    "AWS::S3::Bucket": (
        *("BucketEncryption", "PublicAccessBlockConfiguration", "VersioningConfiguration", "LoggingConfiguration"),
        *("OwnershipControls", "LifecycleConfiguration", "^DeletionPolicy"),
        *(
            f"PublicAccessBlockConfiguration.{name}"
            for name in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        ),
    ),
    "AWS::S3::BucketPolicy": ("",),
    "AWS::KMS::Key": ("EnableKeyRotation", "^DeletionPolicy"),
    "AWS::SQS::Queue": ("KmsMasterKeyId", "RedrivePolicy", "MessageRetentionPeriod"),
    "AWS::SQS::QueuePolicy": ("",),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::SNS::TopicPolicy": ("",),
    "AWS::SNS::Subscription": ("RedrivePolicy", "FilterPolicy"),
    "AWS::Logs::LogGroup": ("RetentionInDays", "KmsKeyId"),
    "AWS::DynamoDB::Table": (
        *("PointInTimeRecoverySpecification", "SSESpecification", "TimeToLiveSpecification", "^DeletionPolicy"),
    ),
    "AWS::Lambda::Function": ("LoggingConfig", "Timeout"),
    "AWS::Lambda::Permission": ("SourceArn", "SourceAccount"),
    "AWS::Lambda::EventInvokeConfig": ("DestinationConfig",),
    "AWS::Lambda::EventSourceMapping": ("FunctionResponseTypes", "ScalingConfig"),
    "AWS::IoT::TopicRule": ("TopicRulePayload.ErrorAction",),
    "AWS::IoT::ProvisioningTemplate": ("PreProvisioningHook",),
    "AWS::IoT::RoleAlias": ("CredentialDurationSeconds",),
    "AWS::Events::Rule": ("Targets.0.DeadLetterConfig", "Targets.0.RetryPolicy"),
    "AWS::CloudWatch::Alarm": ("", "AlarmActions", "TreatMissingData"),
    "AWS::KinesisFirehose::DeliveryStream": (
        *("DeliveryStreamEncryptionConfigurationInput", "ExtendedS3DestinationConfiguration.EncryptionConfiguration"),
        "ExtendedS3DestinationConfiguration.CloudWatchLoggingOptions",
    ),
    "AWS::Athena::WorkGroup": (
        *("WorkGroupConfiguration.EnforceWorkGroupConfiguration", "WorkGroupConfiguration.BytesScannedCutoffPerQuery"),
        "WorkGroupConfiguration.ResultConfiguration.EncryptionConfiguration",
    ),
    "AWS::StepFunctions::StateMachine": ("LoggingConfiguration", "TracingConfiguration"),
    "AWS::EC2::FlowLog": ("",),
    "AWS::EC2::VPCEndpoint": ("PolicyDocument",),
    "AWS::EC2::Subnet": ("MapPublicIpOnLaunch",),
}
#: Kinds with statements, and where these are.
POLICIES: Final = {
    **dict.fromkeys(
        ("AWS::IAM::Policy", "AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"),
        "PolicyDocument",
    ),
    "AWS::IoT::Policy": "PolicyDocument",
    "AWS::EC2::VPCEndpoint": "PolicyDocument",
    "AWS::IAM::Role": "AssumeRolePolicyDocument",
    "AWS::KMS::Key": "KeyPolicy",
}


@dataclass(frozen=True)
class Mutant:
    """One control dropped from one resource.

    Attributes:
        stack: concern of the stack.
        resource: logical id.
        what: was dropped.
        change: does it, to the resource; where None the resource itself is dropped.
    """

    stack: str
    resource: str
    what: str
    change: Change | None

    def __str__(self) -> str:
        return f"{self.stack}/{self.resource}: {self.what}"


def mutants() -> Iterator[Mutant]:
    """Every control of the stacks, dropped."""
    for stack, template in templates(EVERYTHING).items():
        for name, resource in template["Resources"].items():
            for path in DROPPED.get(resource["Type"], ()):
                if not path:
                    yield Mutant(stack, name, "the whole resource", None)
                elif _there(resource, path):
                    yield Mutant(stack, name, path.removeprefix("^"), partial(_drop, path))
            where = POLICIES.get(resource["Type"])
            if where and where in resource["Properties"]:
                yield from _of_statements(stack, name, where, resource["Properties"][where]["Statement"])
            if resource["Type"] == "AWS::EC2::SecurityGroup":
                yield Mutant(stack, name, "ingress from anywhere", lambda one: _open(one, "SecurityGroupIngress"))
                yield Mutant(stack, name, "egress to anywhere", lambda one: _open(one, "SecurityGroupEgress"))


def _of_statements(stack: str, name: str, where: str, statements: list[dict[str, Any]]) -> Iterator[Mutant]:
    for number, statement in enumerate(statements):
        said = f"statement {number + 1} ({_short(statement)})"
        at = partial(_at, where, number)
        if statement["Effect"] == "Deny":
            yield Mutant(stack, name, said, partial(_drop_statement, where, number))
            continue
        for operator, keys in sorted(statement.get("Condition", {}).items()):
            for key in sorted(keys):
                yield Mutant(
                    stack, name, f"{said}: condition {key}", partial(at, partial(_unconditioned, operator, key))
                )
        if statement.get("Resource", "*") != "*":
            yield Mutant(stack, name, f"{said}: any resource", partial(at, _any_resource))
        if where == "PolicyDocument" and "Principal" not in statement:
            yield Mutant(stack, name, f"{said}: any action of the service", partial(at, _any_action))


def _at(where: str, number: int, change: Change, resource: dict[str, Any]) -> None:
    change(resource["Properties"][where]["Statement"][number])


def _drop_statement(where: str, number: int, resource: dict[str, Any]) -> None:
    del resource["Properties"][where]["Statement"][number]


def _unconditioned(operator: str, key: str, statement: dict[str, Any]) -> None:
    del statement["Condition"][operator][key]
    if not statement["Condition"][operator]:
        del statement["Condition"][operator]
    if not statement["Condition"]:
        del statement["Condition"]


def _any_resource(statement: dict[str, Any]) -> None:
    statement["Resource"] = "*"


def _any_action(one: dict[str, Any]) -> None:
    first = one["Action"] if isinstance(one["Action"], str) else one["Action"][0]
    one["Action"] = f"{first.partition(':')[0]}:*"


def _short(statement: dict[str, Any]) -> str:
    action = statement.get("Action", "*")
    return str(action if isinstance(action, str) else f"{action[0]}…" if len(action) > 1 else action[0])


def _open(one: dict[str, Any], key: str) -> None:
    for rule in one["Properties"][key]:
        rule["CidrIp"] = "0.0.0.0/0"


def _holder(resource: dict[str, Any], path: str) -> tuple[Any, Any]:
    """(container, key) at the end of a path."""
    if path.startswith("^"):
        return resource, path[1:]
    value: Any = resource["Properties"]
    *folders, last = path.split(".")
    for each in folders:  # where there is none, the empty one has no such key either
        value = value[int(each)] if isinstance(value, list) else value.get(each, {})
    return value, last


def _there(resource: dict[str, Any], path: str) -> bool:
    holder, key = _holder(resource, path)
    return key in holder


def _drop(path: str, resource: dict[str, Any]) -> None:
    holder, key = _holder(resource, path)
    del holder[key]


@contextmanager
def applied(mutant: Mutant | None) -> Iterator[None]:
    """The templates that tests get have the change, for a while."""
    kept: list[tuple[Template, str, Any]] = []
    for context in {EVERYTHING, "{}"} if mutant else ():
        assert mutant is not None
        made = templates() if context == "{}" else templates(context)
        found = made.get(mutant.stack, {}).get("Resources", {})
        if mutant.resource not in found:
            continue
        kept.append((found, mutant.resource, copy.deepcopy(found[mutant.resource])))
        if mutant.change is None:
            del found[mutant.resource]
        else:
            mutant.change(found[mutant.resource])
    try:
        yield
    finally:
        for found, name, resource in kept:
            found[name] = resource


Check = Callable[[], None]


def checks() -> list[tuple[str, Check]]:
    """Every property test that needs nothing but templates, with each of its parameters."""
    found: list[tuple[str, Check]] = []
    for name in MODULES:
        module = importlib.import_module(f"tests.cloud.{name}")
        for title, function in vars(module).items():
            own = title.startswith("test_") and getattr(function, "__module__", "") == module.__name__
            if own and title not in LEFT_OUT and not hasattr(function, "hypothesis"):
                found += [(f"{name}::{title}", check) for check in _calls(module, function)]
    return found


def _calls(module: ModuleType, function: Callable[..., Any]) -> Iterator[Check]:
    given: list[dict[str, Any]] = [{}]
    for mark in getattr(function, "pytestmark", ()):
        if mark.name != "parametrize":
            continue
        names = mark.args[0] if not isinstance(mark.args[0], str) else [one.strip() for one in mark.args[0].split(",")]
        values = [tuple(each) if len(names) > 1 else (each,) for each in mark.args[1]]
        given = [{**one, **dict(zip(names, each, strict=True))} for one in given for each in values]
    asked = set(inspect.signature(function).parameters)
    for parameters in given:
        fixtures = asked - parameters.keys()
        if all(_fixture(module, name) is not None for name in fixtures):
            yield partial(_call, module, function, parameters, fixtures)


def _call(module: ModuleType, function: Callable[..., Any], parameters: dict[str, Any], fixtures: set[str]) -> None:
    function(**parameters, **{name: _made(module, name) for name in fixtures})


def _fixture(module: ModuleType, name: str) -> Callable[..., Any] | None:
    """A fixture of the module itself, made of templates alone."""
    found = vars(module).get(name)
    wrapped = getattr(found, "_get_wrapped_function", None)
    if wrapped is None:
        return None
    function: Callable[..., Any] = wrapped()
    return function if not inspect.signature(function).parameters else None


def _made(module: ModuleType, name: str) -> Any:
    function = _fixture(module, name)
    assert function is not None
    return function()


def noticed_by(found: list[tuple[str, Check]]) -> str:
    """The first check that fails, or that does not find what it looks at; empty where all pass."""
    for name, check in found:
        try:
            check()
        except (AssertionError, LookupError, ValueError, AttributeError, TypeError):
            return name
    return ""
