"""Names by which stacks, functions, devices and the command line find each other in the owner's account."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import StringConstraints

#: Name of a stage of the stacks, a fleet, a ring or a site: part of names in the account.
ShortName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,23}$")]

DEFAULT_STAGE: Final = "prod"
DEFAULT_FLEET: Final = "main"
#: A fleet's rings, in the order of a rollout.
RINGS: Final = ("canary", "early", "rest")

#: Thing type of every device.
THING_TYPE: Final = "VedetteDevice"
#: Index of the tables of devices and of rollouts: all of a fleet.
BY_FLEET: Final = "by-fleet"
#: Beginning of the client ids of machines that are not devices yet; no device may have such a name.
CLAIM_CLIENT: Final = "vedette-claim-"
#: Client ids of nucleus lite while it claims: a random UUID. No device may have a name of this form.
CLAIM_UUID: Final = "-".join("?" * count for count in (8, 4, 4, 4, 12))
#: Source of the events that the account's functions send.
EVENT_SOURCE: Final = "vedette"
#: Namespace of all metrics.
METRIC_NAMESPACE: Final = "Vedette"
#: Longest that credentials of a device are good for, seconds.
CREDENTIALS_S: Final = 3600


def stack(stage: str, concern: str) -> str:
    """Name of a stack."""
    return f"vedette-{stage}-{concern}"


def fleet_group(fleet: str) -> str:
    """Thing group that holds a fleet's rings."""
    return f"vedette-{fleet}"


def ring_group(fleet: str, ring: str) -> str:
    """Thing group of one ring, the only kind of group that is deployed to."""
    return f"vedette-{fleet}-{ring}"


def role_alias(stage: str) -> str:
    """Role alias under which devices get credentials."""
    return f"vedette-{stage}-device"


def provisioning_template(stage: str) -> str:
    """Fleet provisioning template, by claim."""
    return f"vedette-{stage}-claim"


def device_policy(stage: str) -> str:
    """IoT policy of every device's certificate."""
    return f"vedette-{stage}-device"


def event_bus(stage: str) -> str:
    """Bus of the account's own events."""
    return f"vedette-{stage}"


def claim_secret(stage: str) -> str:
    """Secret that holds the claim certificate and its key; no device may read secrets of this name."""
    return f"vedette/claim/{stage}"


def update_secret(stage: str) -> str:
    """Secret that holds the key with which updates of devices are signed."""
    return f"vedette/update-key/{stage}"


def parameter(stage: str, key: str) -> str:
    """Systems Manager parameter by which the command line finds what a stack made."""
    return f"/vedette/{stage}/{key}"
