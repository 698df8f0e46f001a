"""Asked by AWS IoT before it turns a certificate into a device. Whatever goes wrong, the answer is no."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from lambdas.common.requests import unless_condition_fails
from lambdas.common.runtime import client, logger, settings
from vedette.contracts.account import ring_group
from vedette.contracts.device import DeviceRecord, Serial
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import ClaimSettings
from vedette.core.fleet.registration import RETRY_S, Registration, digest, judge

_DENIED: Final[dict[str, Any]] = {"allowProvisioning": False}


class _Parameters(BaseModel):
    """What the machine says of itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    serial: Annotated[Serial, Field(alias="SerialNumber")]
    token: Annotated[str, Field(alias="Token", min_length=1, max_length=200)]


class _Claim(BaseModel):
    """AWS's event; what else it holds (the certificate's text, the template) is not needed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    certificate_id: Annotated[str, Field(alias="certificateId", min_length=1, max_length=128)]
    parameters: _Parameters


def handle(event: Any, _context: Any) -> dict[str, Any]:
    """Allow or deny one certificate. Never raises: a function that fails is asked again, and a guess would be, too."""
    log = logger("claim")
    try:
        claim = _Claim.model_validate(event)
        device = _consume(claim, int(time.time()))
    except CloudError as error:
        log.warning("claim denied", extra={"reason": error.message, "error_code": error.code})
        return _DENIED
    except Exception as error:  # noqa: BLE001 - the hook's edge: every failure denies, and no text of it may hold the token
        log.error("claim denied", extra={"reason": type(error).__name__, "error_code": "V012"})
        return _DENIED
    log.info("claim allowed", extra={"thing": device.thing, "serial": device.serial})
    return {"allowProvisioning": True, "parameterOverrides": overrides(device)}


def overrides(device: DeviceRecord) -> dict[str, str]:
    """Parameters of the provisioning template. They come from the registration, whatever the machine asked for."""
    return {
        "ThingName": device.thing,
        "SerialNumber": device.serial,
        "Fleet": device.fleet,
        "Ring": device.ring,
        "Site": device.site,
        "RingGroup": ring_group(device.fleet, device.ring),
        # Overwritten so that the token is in no record of the template's use.
        "Token": "used",
    }


def _consume(claim: _Claim, now_s: int) -> DeviceRecord:
    """Use the registration up, in one conditional write.

    Raises:
        CloudError: V012, refused.
    """
    table = settings(ClaimSettings).registrations_table
    serial = claim.parameters.serial
    key = {"serial": {"S": serial}}
    found = client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
    registration = _registration(found) if found else None
    refusal = judge(registration, token=claim.parameters.token, certificate_id=claim.certificate_id, now_s=now_s)
    if refusal is not None or registration is None:
        raise CloudError(f"{serial}: {refusal}", code="V012")
    with unless_condition_fails() as other:
        client("dynamodb").update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET certificate_id = :certificate, claimed_at = if_not_exists(claimed_at, :now)",
            # Everything that was judged, again: between reading and writing another claim may have come.
            ConditionExpression="token_sha256 = :digest AND ("
            "(attribute_not_exists(certificate_id) AND expires_at > :now)"
            " OR (certificate_id = :certificate AND claimed_at >= :earliest))",
            ExpressionAttributeValues={
                ":certificate": {"S": claim.certificate_id},
                ":digest": {"S": digest(claim.parameters.token)},
                ":now": {"N": str(now_s)},
                ":earliest": {"N": str(now_s - RETRY_S)},
            },
        )
    if other:
        raise CloudError(f"{serial}: another claim was faster", code="V012")
    return registration.device


def _registration(item: Mapping[str, Any]) -> Registration:
    fields = ("thing", "serial", "fleet", "ring", "site")
    return Registration(
        device=DeviceRecord.model_validate({name: item[name]["S"] for name in fields}),
        token_sha256=item["token_sha256"]["S"],
        expires_at=int(item["expires_at"]["N"]),
        certificate_id=item["certificate_id"]["S"] if "certificate_id" in item else None,
        claimed_at=int(item["claimed_at"]["N"]) if "claimed_at" in item else None,
    )
