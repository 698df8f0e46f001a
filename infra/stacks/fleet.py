"""Devices: the registry's tables, provisioning by claim, what a device may do."""

from __future__ import annotations

from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from infra.constructs.function import publish
from infra.constructs.table import table
from infra.settings import Settings
from infra.stacks.storage import StorageStack

#: Index of the table of devices: all devices of a fleet.
BY_FLEET: Final = "by-fleet"


class FleetStack(Stack):
    """What makes a machine a device of the fleet.

    Attributes:
        devices: one item a device, by ``thing``; see ``vedette.contracts.device``.
        registrations: one item a serial number, by ``serial``, until the device has its certificate.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, storage: StorageStack) -> None:
        super().__init__(scope, construct_id, stack_name=construct_id, description="Vedette: devices")
        self.devices = table(self, "Devices", settings=settings, key=storage.keys.tables, partition="thing")
        self.devices.add_global_secondary_index(
            index_name=BY_FLEET,
            partition_key=dynamodb.Attribute(name="fleet", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="thing", type=dynamodb.AttributeType.STRING),
        )
        self.registrations = table(
            self, "Registrations", settings=settings, key=storage.keys.tables, partition="serial", expires="expires_at"
        )
        publish(
            self,
            settings,
            {"devices-table": self.devices.table_name, "registrations-table": self.registrations.table_name},
        )
