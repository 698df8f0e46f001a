"""Which AWS services devices reach privately, what may pass, and through which ports. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

#: Names that begin like this are answered by the endpoint of AWS IoT's data plane.
IOT_ZONE: Final = "iot"
#: And these by the endpoint that gives credentials.
CREDENTIALS_ZONE: Final = "credentials.iot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One interface endpoint.

    Attributes:
        service: AWS's name after ``com.amazonaws.<region>.``.
        ports: TCP ports that sites may reach.
        zone: beginning of the private zone that stands in for AWS's own, which this service lacks.
        actions: what may pass; empty where the service takes no policy.
        with_resource: whether what it acts on must be this account's, too.
    """

    service: str
    ports: tuple[int, ...] = (443,)
    zone: str | None = None
    actions: tuple[str, ...] = field(default=())
    with_resource: bool = True


#: All of them. AWS IoT's two take neither a policy nor a private name of AWS's making.
ENDPOINTS: Final = (
    Endpoint(service="iot.data", ports=(443, 8443, 8883), zone=IOT_ZONE),
    Endpoint(service="iot.credentials", zone=CREDENTIALS_ZONE),
    Endpoint(
        service="greengrass",
        actions=(
            "greengrass:GetCoreDevice",
            "greengrass:ListEffectiveDeployments",
            "greengrass:ListInstalledComponents",
        ),
    ),
    Endpoint(service="s3", actions=("s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:GetObject", "s3:PutObject")),
    Endpoint(service="logs", actions=("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents")),
    Endpoint(service="monitoring", actions=("cloudwatch:PutMetricData",), with_resource=False),
    Endpoint(service="secretsmanager", actions=("secretsmanager:GetSecretValue",)),
    Endpoint(service="kms", actions=("kms:Decrypt", "kms:GenerateDataKey")),
    Endpoint(service="sts", actions=("sts:GetCallerIdentity",), with_resource=False),
)


def policy(endpoint: Endpoint, account: str) -> dict[str, Any] | None:
    """The endpoint's policy: this account's principals, acting on what is this account's.

    Args:
        endpoint: it is for.
        account: this one.

    Returns:
        The document, or None where the service takes none.
    """
    if not endpoint.actions:
        return None
    condition = {"aws:PrincipalAccount": account} | ({"aws:ResourceAccount": account} if endpoint.with_resource else {})
    said = [_allow(list(endpoint.actions), {"StringEquals": condition})]
    if endpoint.service == "s3":
        # AWS's own components come from buckets of AWS's, whose names may change, by addresses that AWS has signed.
        # Reading carries nothing out; what is written still stays in this account.
        said.append(_allow("s3:GetObject", {"StringNotEquals": {"aws:ResourceAccount": account}}))
    return {"Version": "2012-10-17", "Statement": said}


def _allow(action: str | list[str], condition: dict[str, Any]) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": "*", "Condition": condition}
