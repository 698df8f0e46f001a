"""What a device's bundle says of itself. It holds no secret: token and keys are files of their own beside it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from vedette.contracts.account import ShortName
from vedette.contracts.base import Contract
from vedette.contracts.device import DeviceRecord

#: Names of files in a bundle.
MANIFEST: Final = "bundle.json"
TOKEN: Final = "token"  # noqa: S105 - a file's name
CLAIM_CERTIFICATE: Final = "claim.pem.crt"
CLAIM_KEY: Final = "claim.pem.key"
LABEL: Final = "label.png"
QR_CODE: Final = "qr.png"
INSTALLER: Final = "install.sh"
#: Files that only root of the device may read, and that are deleted on the device once it has its own certificate.
SECRETS: Final = (TOKEN, CLAIM_KEY)
#: Stands in the nucleus's configuration where the installer puts the token.
TOKEN_PLACE: Final = "@TOKEN@"  # noqa: S105 - a mark

_Host = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{2,252}$")]


class Nucleus(StrEnum):
    """Which Greengrass nucleus a device gets."""

    LITE = "lite"
    CLASSIC = "classic"


class Endpoints(Contract):
    """Where a device connects to."""

    data: Annotated[_Host, Field(description="MQTT: of type iot:Data-ATS.")]
    credentials: Annotated[_Host, Field(description="Of type iot:CredentialProvider.")]


class BundleManifest(Contract):
    """``bundle.json``."""

    format: Literal[1] = 1
    device: DeviceRecord
    stage: ShortName
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    nucleus: Nucleus
    template: Annotated[str, Field(min_length=1, description="Of fleet provisioning.")]
    role_alias: Annotated[str, Field(min_length=1)]
    endpoints: Endpoints
    token_expires: AwareDatetime
    console: Annotated[str, Field(description="Page of the device in AWS's console; the QR code holds it.")]
