"""An account in moto with what commands about devices find there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.cloud.fake_greengrass import NotFoundError
from vedette.adapters.aws.account import Account
from vedette.contracts.account import BY_FLEET, DEFAULT_STAGE, RINGS, THING_TYPE, fleet_group, parameter, ring_group

REGION = "eu-central-1"
DEVICES, REGISTRATIONS, CLAIM_POLICY, BUCKET = "devices-table", "registrations-table", "claim-policy", "artefacts"


class Greengrass:
    """What moto has nothing of: core devices by thing."""

    class exceptions:  # noqa: N801 - as botocore spells it
        ResourceNotFoundException = NotFoundError

    def __init__(self) -> None:
        self.devices: dict[str, dict[str, Any]] = {}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_core_devices"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"coreDevices": list(self.devices.values())}]

    def get_core_device(self, coreDeviceThingName: str) -> dict[str, Any]:  # noqa: N803 - AWS's spelling
        if coreDeviceThingName not in self.devices:
            raise NotFoundError
        return {**self.devices[coreDeviceThingName], "coreVersion": "2.14.3"}

    def list_installed_components(self, coreDeviceThingName: str) -> dict[str, Any]:  # noqa: N803
        self.get_core_device(coreDeviceThingName)
        component = {"componentName": "vedette.Alerting", "componentVersion": "0.1.0", "lifecycleState": "RUNNING"}
        return {"installedComponents": [component]}

    def list_effective_deployments(self, coreDeviceThingName: str) -> dict[str, Any]:  # noqa: N803
        self.get_core_device(coreDeviceThingName)
        return {"effectiveDeployments": []}

    def delete_core_device(self, coreDeviceThingName: str) -> None:  # noqa: N803
        self.get_core_device(coreDeviceThingName)
        del self.devices[coreDeviceThingName]

    def has(self, thing: str, status: str = "HEALTHY") -> None:
        """A device has connected."""
        self.devices[thing] = {"coreDeviceThingName": thing, "status": status}


def client(service: str) -> Any:
    """A client of the account."""
    return boto3.client(service, region_name=REGION)


@contextmanager
def devices_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Greengrass]:
    """Tables, parameters, policies, groups, a bucket."""
    greengrass, real = Greengrass(), Account.client
    monkeypatch.setattr(Account, "client", lambda a, name: greengrass if name == "greengrassv2" else real(a, name))
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("REGION", REGION), ("ACCESS_KEY_ID", "testing"), ("SECRET_ACCESS_KEY", "testing")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        _tables()
        published = {DEVICES: DEVICES, REGISTRATIONS: REGISTRATIONS, CLAIM_POLICY: CLAIM_POLICY}
        published |= {"provisioning-template": "vedette-prod-claim", "role-alias": "vedette-prod-device"}
        published |= {"artefacts-bucket": BUCKET}
        for key, value in published.items():
            client("ssm").put_parameter(Name=parameter(DEFAULT_STAGE, key), Value=value, Type="String")
        client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        iot = client("iot")
        iot.create_policy(policyName=CLAIM_POLICY, policyDocument='{"Version": "2012-10-17", "Statement": []}')
        iot.create_policy(policyName="vedette-prod-device", policyDocument='{"Version": "2012-10-17", "Statement": []}')
        iot.create_thing_type(thingTypeName=THING_TYPE)
        iot.create_thing_group(thingGroupName=fleet_group("main"))
        for ring in RINGS:
            iot.create_thing_group(thingGroupName=ring_group("main", ring))
        yield greengrass


def _tables() -> None:
    for name, partition in ((DEVICES, "thing"), (REGISTRATIONS, "serial")):
        attributes = [partition] + (["fleet"] if name == DEVICES else [])
        index = {
            "IndexName": BY_FLEET,
            "KeySchema": [
                {"AttributeName": "fleet", "KeyType": "HASH"},
                {"AttributeName": "thing", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
        client("dynamodb").create_table(
            TableName=name,
            KeySchema=[{"AttributeName": partition, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in attributes],
            BillingMode="PAY_PER_REQUEST",
            **({"GlobalSecondaryIndexes": [index]} if name == DEVICES else {}),
        )


def provisioned(thing: str, ring: str = "rest") -> str:
    """What provisioning makes of a registered device; the ARN of its certificate."""
    iot = client("iot")
    attributes = {"fleet": "main", "ring": ring}
    iot.create_thing(thingName=thing, thingTypeName=THING_TYPE, attributePayload={"attributes": attributes})
    arn = str(iot.create_keys_and_certificate(setAsActive=True)["certificateArn"])
    iot.attach_thing_principal(thingName=thing, principal=arn)
    iot.attach_policy(policyName="vedette-prod-device", target=arn)
    iot.add_thing_to_thing_group(thingName=thing, thingGroupName=ring_group("main", ring))
    return arn


def item(thing: str) -> dict[str, dict[str, Any]]:
    """A device's item."""
    found: dict[str, dict[str, Any]] = (
        client("dynamodb").get_item(TableName=DEVICES, Key={"thing": {"S": thing}}).get("Item", {})
    )
    return found


def tell(thing: str, **attributes: dict[str, Any]) -> None:
    """Write attributes of a device's item, as the account's functions do."""
    client("dynamodb").put_item(TableName=DEVICES, Item={**item(thing), **attributes})


def run(*arguments: str) -> int:
    """``vedette device …``; its exit code."""
    from vedette.cli.main import main

    with pytest.raises(SystemExit) as ended:
        main(["device", *arguments])
    return int(ended.value.code or 0)
