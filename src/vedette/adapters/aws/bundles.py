"""A registered device's bundle: what the account gives to it, put together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath

from pydantic import ValidationError

from vedette.adapters.aws.account import Account, aws_errors
from vedette.adapters.aws.kept_secrets import Claim, UpdateKey
from vedette.adapters.aws.registry import NewDevice
from vedette.adapters.label import label, qr_code
from vedette.contracts.base import mistakes
from vedette.contracts.device_bundle import BundleManifest, Endpoints, Nucleus
from vedette.contracts.errors import CloudError
from vedette.core.fleet.bundle import BundleFile, Ingredients, bundle_files, console_page


def device_bundle(
    account: Account,
    new: NewDevice,
    claim: Claim,
    *,
    nucleus: Nucleus,
    installer: Mapping[str, bytes],
    components: Mapping[str, PurePath],
) -> dict[str, BundleFile]:
    """The files of a bundle.

    Args:
        account: the device is registered in.
        new: its registration, with the token.
        claim: with which it asks.
        nucleus: it gets.
        installer: files of the installer.
        components: where the files of a tree of components to take along are, by their path in it.

    Raises:
        CloudError: V001 to V003.
        UsageError: V702, a library is not installed.
    """
    device, region = new.device, account.region
    page = console_page(region, device.thing)
    try:
        manifest = BundleManifest(
            device=device,
            stage=account.stage,
            region=region,
            nucleus=nucleus,
            template=account.made("provisioning-template"),
            role_alias=account.made("role-alias"),
            endpoints=_endpoints(account),
            token_expires=datetime.fromtimestamp(new.expires_at, UTC),
            console=page,
        )
    except ValidationError as error:
        raise CloudError(
            f"the account says something of itself that no bundle takes: {'; '.join(mistakes(error))}"
        ) from None
    return bundle_files(
        Ingredients(
            manifest=manifest,
            token=new.token,
            claim_certificate=claim.certificate,
            claim_key=claim.key,
            update_key=UpdateKey(account).public(),
            label=label(
                page, (device.thing, f"S/N {device.serial}", f"{device.fleet} / {device.ring} / {device.site}")
            ),
            code=qr_code(page),
            installer=installer,
            components=components,
        )
    )


def _endpoints(account: Account) -> Endpoints:
    found = {}
    for name, kind in (("data", "iot:Data-ATS"), ("credentials", "iot:CredentialProvider")):
        with aws_errors("the account's addresses for devices"):
            found[name] = account.client("iot").describe_endpoint(endpointType=kind)["endpointAddress"]
    return Endpoints.model_validate(found)
