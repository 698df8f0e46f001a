"""Devices: the registry's tables, groups, provisioning by claim, what a device may do."""

from __future__ import annotations

from typing import Any, Final

from aws_cdk import Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs import device_policy
from infra.constructs.device_policy import DeviceData, Place
from infra.constructs.function import log_group, publish
from infra.constructs.provisioning import Provisioning, ProvisioningProps
from infra.constructs.reasons import accept
from infra.constructs.table import table
from infra.settings import Fleet, Settings
from infra.stacks.storage import StorageStack
from vedette.contracts.account import (
    BY_FLEET,
    CREDENTIALS_S,
    THING_TYPE,
    fleet_group,
    ring_group,
    role_alias,
    stack,
)
from vedette.contracts.account import device_policy as device_policy_name
from vedette.contracts.logs import JOURNAL_LOGS, component_group, nucleus_group

#: Components whose logs devices may send. Groups of applications are made when they are rolled out.
COMPONENTS: Final = (
    *("vedette.CameraIngest", "vedette.Inference", "vedette.Alerting", "vedette.AppHost"),
    "vedette.DeviceAgent",
)


class FleetStack(Stack):
    """What makes a machine a device of the fleet.

    Attributes:
        devices: one item a device, by ``thing``; see ``vedette.contracts.device``.
        registrations: one item a serial number, by ``serial``, until the device has its certificate.
        ring_counts: one item a ring, by ``ring`` (``<fleet>/<ring>``): what the last count of its devices found.
        rings: thing group of each ring, by (fleet, ring).
        device_role: under which devices use their credentials.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, storage: StorageStack) -> None:
        super().__init__(scope, construct_id, stack_name=construct_id, description="Vedette: devices")
        self._settings = settings
        self._storage = storage
        self._place = Place(self.region, self.account)
        self.devices = table(self, "Devices", settings=settings, key=storage.keys.tables, partition="thing")
        self.devices.add_global_secondary_index(
            index_name=BY_FLEET,
            partition_key=dynamodb.Attribute(name="fleet", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="thing", type=dynamodb.AttributeType.STRING),
        )
        self.ring_counts = table(self, "RingCounts", settings=settings, key=storage.keys.tables, partition="ring")
        self.registrations = table(
            self, "Registrations", settings=settings, key=storage.keys.tables, partition="serial", expires="expires_at"
        )
        kind = iot.CfnThingType(
            self,
            "ThingType",
            thing_type_name=THING_TYPE,
            thing_type_properties=iot.CfnThingType.ThingTypePropertiesProperty(
                thing_type_description="A device of Vedette", searchable_attributes=["fleet", "ring", "site"]
            ),
        )
        self.rings = {key: group for fleet in settings.fleets for key, group in self._groups(fleet).items()}
        self._component_logs()
        self.device_role = self._device_role()
        policies = self._device_policies()
        provisioning = Provisioning(
            self,
            "Provisioning",
            ProvisioningProps(
                settings=settings, storage=storage, registrations=self.registrations, policies=tuple(policies)
            ),
        )
        for made in (kind, *policies.values(), *self.rings.values()):
            provisioning.template.add_resource_dependency(made)
        self._publish(provisioning)

    def _publish(self, provisioning: Provisioning) -> None:
        publish(
            self,
            self._settings,
            {
                "devices-table": self.devices.table_name,
                "registrations-table": self.registrations.table_name,
                "provisioning-template": str(provisioning.template.template_name),
                "claim-policy": str(provisioning.claim_policy.policy_name),
                "role-alias": role_alias(self._settings.stage),
            },
        )

    def _groups(self, fleet: Fleet) -> dict[tuple[str, str], iot.CfnThingGroup]:
        """A fleet's group and below it one for each ring; a device is in one ring for good."""
        parent = iot.CfnThingGroup(self, f"Fleet-{fleet.name}", thing_group_name=fleet_group(fleet.name))
        rings = {}
        for ring in fleet.rings:
            group = iot.CfnThingGroup(
                self,
                f"Ring-{fleet.name}-{ring}",
                thing_group_name=ring_group(fleet.name, ring),
                parent_group_name=fleet_group(fleet.name),
            )
            group.add_resource_dependency(parent)
            rings[fleet.name, ring] = group
        return rings

    def _component_logs(self) -> None:
        """Made here, because a group that a device made would keep its logs for ever."""
        names = {component.partition(".")[2]: component_group(self.region, component) for component in COMPONENTS}
        names |= {"Nucleus": nucleus_group(self.region), "Journal": JOURNAL_LOGS}
        for short, name in names.items():
            group = log_group(self, f"Logs-{short}", settings=self._settings, key=self._storage.keys.logs)
            resource = group.node.default_child
            assert isinstance(resource, logs.CfnLogGroup)
            resource.log_group_name = name

    def _device_role(self) -> iam.Role:
        alias = role_alias(self._settings.stage)
        role = iam.Role(
            self,
            "DeviceRole",
            assumed_by=iam.ServicePrincipal(
                "credentials.iot.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": self.account},
                    "ArnEquals": {"aws:SourceArn": self._place.arn("iot", f"rolealias/{alias}")},
                },
            ),
            description="What devices use AWS as",
        )
        storage = self._storage
        data = DeviceData(
            artefacts=storage.artefacts.bucket_arn,
            evidence=storage.evidence.bucket_arn,
            objects_key=storage.keys.objects.key_arn,
        )
        for statement in device_policy.credentials(self._place, data):
            role.add_to_policy(iam.PolicyStatement.from_json(statement))
        iot.CfnRoleAlias(
            self,
            "RoleAlias",
            role_alias=alias,
            role_arn=role.role_arn,
            credential_duration_seconds=CREDENTIALS_S,
        )
        accept(role, _reasons(self._settings.stage))
        return role

    def _device_policies(self) -> dict[str, iot.CfnPolicy]:
        """Two policies by name: AWS IoT takes 2,048 characters in one."""
        name = device_policy_name(self._settings.stage)
        alias = role_alias(self._settings.stage)
        statements: dict[str, list[dict[str, Any]]] = {
            name: [device_policy.connect(self._place), *device_policy.topics(self._place)],
            f"{name}-data": device_policy.data_plane(self._place, alias),
        }
        return {
            name: iot.CfnPolicy(
                self,
                f"DevicePolicy{number}",
                policy_name=name,
                policy_document={"Version": "2012-10-17", "Statement": said},
            )
            for number, (name, said) in enumerate(statements.items())
        }


def _reasons(stage: str) -> dict[str, str]:
    """Why the wildcards in the role of devices are as narrow as can be."""
    ours = f"{stack(stage, 'storage')}:ExportsOutputFnGetAtt"
    groups = "arn:aws:logs:<AWS::Region>:<AWS::AccountId>:log-group:"
    logs_of = f"{groups}{component_group('<AWS::Region>', 'vedette.*')}"
    nucleus = f"{groups}{nucleus_group('<AWS::Region>')}"
    listing = "Greengrass's log manager asks for the streams of a group; their names are no secret."
    secrets = "arn:aws:secretsmanager:<AWS::Region>:<AWS::AccountId>:secret:vedette"
    thing = "<credentials-iot:ThingName>"
    own = "of which each device reads those tagged with its name or for every device"
    return {
        f"AwsSolutions-IAM5[Resource::{rule}]": reason
        for rule, reason in {
            f"{ours}ArtefactsC012E42AArnBAB43CB7/*": "Every device may load every component; none may write one.",
            f"{ours}Evidence4CC26D68Arn9E0A376E/{thing}/*": "Everything below the device's own name.",
            f"{logs_of}:log-stream:/*/thing/{thing}": "Streams by day that end in the device's name.",
            f"{nucleus}:log-stream:/*/thing/{thing}": "Streams by day that end in the device's name.",
            f"{logs_of}:*": listing,
            f"{nucleus}:*": listing,
            f"{groups}{JOURNAL_LOGS}:*": listing,
            f"{secrets}/camera/*": f"Credentials of cameras, {own}.",
            f"{secrets}/receiver/*": f"Keys of receivers, {own}.",
        }.items()
    }
