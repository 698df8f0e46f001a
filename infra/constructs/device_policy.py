"""What a device may do, in the words of AWS IoT and of IAM. Functions of names; nothing here makes a resource.

AWS fills in the variables: ``${iot:Connection.Thing.ThingName}`` from the certificate of an MQTT connection,
``${credentials-iot:ThingName}`` where a certificate is exchanged for credentials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from vedette.contracts.logs import JOURNAL_LOGS, component_group, nucleus_group
from vedette.contracts.topics import cloud_ack, cloud_alerts, cloud_comparison, cloud_health, cloud_insights

#: The thing that an MQTT connection belongs to.
THING: Final = "${iot:Connection.Thing.ThingName}"
#: The thing that credentials were given to.
CREDENTIALS_THING: Final = "${credentials-iot:ThingName}"
#: Tag of a secret: name of the device that may read it, or ``EVERY_DEVICE``.
SECRET_TAG: Final = "vedette-device"  # noqa: S105 - a name
#: Holds a space, so that it is no device's name.
EVERY_DEVICE: Final = "every device"
#: What a device of the older (``greengrass``) and of the newer nucleus (``greengrassv2``) tells Greengrass of itself:
#: one pattern, because AWS IoT takes policies of 2,048 characters.
_GREENGRASS_STATE: Final = "greengrass*/health/json"


@dataclass(frozen=True, slots=True)
class Place:
    """An account's region; both may be tokens of the CDK."""

    region: str
    account: str

    def arn(self, service: str, resource: str) -> str:
        """An ARN in it."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def connect(place: Place) -> dict[str, Any]:
    """Connect under its own name. The nucleus's further connections add ``#`` and a number, which no name holds."""
    return {
        "Effect": "Allow",
        "Action": "iot:Connect",
        "Resource": [place.arn("iot", f"client/{THING}"), place.arn("iot", f"client/{THING}#*")],
        "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": "true"}},
    }


def topics(place: Place) -> list[dict[str, Any]]:
    """Send what devices send, and hear what is for this device: its acknowledgements, its jobs, its shadow.

    Jobs and shadow end in ``/*``, after the whole name of the thing: ``cam`` is not the beginning of ``cam2``.
    """
    own = [f"$aws/things/{THING}/jobs/*", f"$aws/things/{THING}/shadow/*"]
    sent = [cloud_alerts(THING), cloud_insights(THING), cloud_health(THING), cloud_comparison(THING)]
    sent.append(f"$aws/things/{THING}/{_GREENGRASS_STATE}")
    heard = [cloud_ack(THING), *own]
    return [
        _allow("iot:Publish", [place.arn("iot", f"topic/{topic}") for topic in (*sent, *own)]),
        _allow("iot:Receive", [place.arn("iot", f"topic/{topic}") for topic in heard]),
        _allow("iot:Subscribe", [place.arn("iot", f"topicfilter/{topic}") for topic in heard]),
    ]


def data_plane(place: Place, role_alias: str) -> list[dict[str, Any]]:
    """Greengrass's data plane, and credentials.

    The data plane speaks HTTP, where AWS IoT knows the certificate but fills in no thing variables, and components that
    AWS publishes belong to no account: resource ``*`` is the only one there is. Each action answers for the caller's
    own certificate only, and none changes anything.
    """
    return [
        _allow(
            [
                "greengrass:GetComponentVersionArtifact",
                "greengrass:GetDeploymentConfiguration",
                "greengrass:ListThingGroupsForCoreDevice",
                "greengrass:ResolveComponentCandidates",
            ],
            "*",
        ),
        _allow("iot:AssumeRoleWithCertificate", place.arn("iot", f"rolealias/{role_alias}")),
    ]


def claim(place: Place, template: str, clients: tuple[str, ...]) -> list[dict[str, Any]]:
    """What the certificate of a machine that is no device yet is good for: asking to become one.

    Args:
        place: account and region.
        template: of fleet provisioning.
        clients: patterns of the client ids, which no device has: a claim cannot end a device's connection.
    """
    asked = ["$aws/certificates/create/json", "$aws/certificates/create-from-csr/json"]
    asked.append(f"$aws/provisioning-templates/{template}/provision/json")
    answers = [f"{topic}/{answer}" for topic in asked for answer in ("accepted", "rejected")]
    return [
        _allow("iot:Connect", [place.arn("iot", f"client/{client}") for client in clients]),
        _allow("iot:Publish", [place.arn("iot", f"topic/{topic}") for topic in asked]),
        _allow("iot:Receive", [place.arn("iot", f"topic/{topic}") for topic in answers]),
        _allow("iot:Subscribe", [place.arn("iot", f"topicfilter/{topic}") for topic in answers]),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceData:
    """ARNs of what devices use with their credentials."""

    artefacts: str
    evidence: str
    objects_key: str


def credentials(place: Place, data: DeviceData) -> list[dict[str, Any]]:
    """What the credentials of a device are good for, statements of IAM."""
    return [
        _allow("s3:GetObject", f"{data.artefacts}/*"),
        # AWS's own components ask where the bucket is before they load from it.
        _allow("s3:GetBucketLocation", data.artefacts),
        _allow(["s3:AbortMultipartUpload", "s3:PutObject"], f"{data.evidence}/{CREDENTIALS_THING}/*"),
        # Buckets have keys of their own, made from this one for the bucket named in the context.
        _allow("kms:Decrypt", data.objects_key)
        | {"Condition": {"StringEquals": {"kms:EncryptionContext:aws:s3:arn": [data.artefacts, data.evidence]}}},
        _allow("kms:GenerateDataKey", data.objects_key)
        | {"Condition": {"StringEquals": {"kms:EncryptionContext:aws:s3:arn": data.evidence}}},
        *_logs(place),
        *_secrets(place),
    ]


def _logs(place: Place) -> list[dict[str, Any]]:
    """Streams that end in the device's own name; the groups were made, with an end to what they keep."""
    days = [component_group(place.region, "vedette.*"), nucleus_group(place.region)]
    groups = [place.arn("logs", f"log-group:{name}") for name in days]
    journal = place.arn("logs", f"log-group:{JOURNAL_LOGS}")
    streams = [f"{group}:log-stream:/*/thing/{CREDENTIALS_THING}" for group in groups]
    return [
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], [*streams, f"{journal}:log-stream:{CREDENTIALS_THING}"]),
        _allow("logs:DescribeLogStreams", [f"{group}:*" for group in (*groups, journal)]),
    ]


def _secrets(place: Place) -> list[dict[str, Any]]:
    """Secrets that the recipes may name, where the owner tagged them for this device or for every device."""
    names = ("vedette/camera/*", "vedette/receiver/*")
    tagged = {"StringEquals": {f"secretsmanager:ResourceTag/{SECRET_TAG}": [CREDENTIALS_THING, EVERY_DEVICE]}}
    return [
        _allow("secretsmanager:GetSecretValue", [place.arn("secretsmanager", f"secret:{name}") for name in names])
        | {"Condition": tagged}
    ]


def _allow(action: str | list[str], resource: str | list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}
