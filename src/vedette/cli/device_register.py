"""``vedette device register``: a serial number becomes a device of the fleet, with a bundle to install it from."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.kept_secrets import ClaimCertificate
from vedette.adapters.aws.registry import NewDevice, Registry
from vedette.adapters.bundle_writer import ARCHIVE, check_target, write_bundle
from vedette.adapters.label import require_libraries
from vedette.cli.tables import key_value_table
from vedette.contracts.account import DEFAULT_FLEET, DEFAULT_STAGE, RINGS
from vedette.contracts.device_bundle import Nucleus
from vedette.contracts.errors import UsageError
from vedette.core.fleet.registration import DEFAULT_VALID_S
from vedette.local.bundle_sources import component_files, installer_files


def register(
    serial: Annotated[str, typer.Argument(help="As it stands on the device.")],
    fleet: Annotated[str, typer.Option(help="It belongs to, for good.")] = DEFAULT_FLEET,
    ring: Annotated[str, typer.Option(help="Of the fleet, for good: its turn in rollouts.")] = RINGS[-1],
    site: Annotated[str, typer.Option(help="Where it is; people subscribe to the alerts of sites.")] = "site",
    thing: Annotated[str | None, typer.Option(help="Its name; made of the serial number where absent.")] = None,
    hours: Annotated[float, typer.Option(min=0.1, max=720, help="How long the token is good.")] = DEFAULT_VALID_S
    / 3600,
    nucleus: Annotated[Nucleus, typer.Option(help="Of Greengrass, that the device gets.")] = Nucleus.LITE,
    out: Annotated[
        Path | None, typer.Option(help="The bundle: a folder, or FILE.tar.gz; without it only the token is shown.")
    ] = None,
    components: Annotated[
        Path | None, typer.Option(help="Nucleus lite: tree of `vedette build` to take along, for a slow uplink.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also a device that was retired.")] = False,
    new_claim: Annotated[
        bool, typer.Option("--new-claim", help="Make a new claim certificate; bundles not used so far are void.")
    ] = False,
    stage: Annotated[str, typer.Option(help="Of the stacks.")] = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Register a device, and write the bundle it is installed from: installer, configuration, claim, token, label.

    The same serial number again makes a new token; the one before is void. What the machine does with the bundle
    is in docs/fleet-devices.md.

    Examples:
        vedette device register SN-2041 --fleet main --ring canary --site berlin --out SN-2041.tar.gz

        vedette device register SN-2041 --nucleus classic --out /media/usb/SN-2041

        vedette device register SN-2041 --json
    """
    if components is not None and (nucleus is not Nucleus.LITE or out is None):
        raise UsageError(
            "--components goes into a bundle for nucleus lite, which can deploy from a folder.",
            hint="Leave it out: the components come with the ring's next deployment.",
        )
    packed = component_files(components)
    if out is not None:
        # What can go wrong here goes wrong before the token of an earlier bundle becomes void.
        check_target(out)
        require_libraries()
    account = Account(stage)
    registry, claim = Registry(account), None
    registry.check_ring(fleet, ring)
    if out is not None or new_claim:
        certificate = ClaimCertificate(account)
        claim = certificate.renew() if new_claim else certificate.get()
    new = registry.register(
        serial, fleet=fleet, ring=ring, site=site, thing=thing, valid_s=int(hours * 3600), again=again
    )
    written = None
    if out is not None and claim is not None:
        from vedette.adapters.aws.bundles import device_bundle

        installer = installer_files()
        files = device_bundle(account, new, claim, nucleus=nucleus, installer=installer, components=packed)
        written = write_bundle(out, new.device.thing, files)
    _tell(new, written, json_=json_)


def _tell(new: NewDevice, written: Path | None, *, json_: bool) -> None:
    until = datetime.fromtimestamp(new.expires_at, UTC)
    document = {**new.device.model_dump(), "expires_at": until.isoformat()}
    # With a bundle nobody needs to see the token.
    document |= {"token": new.token} if written is None else {"bundle": str(written)}
    if json_:
        print(json.dumps(document))
        return
    table = key_value_table()
    for key, value in document.items():
        table.add_row(key, escape(value))
    Console(highlight=False).print(table)
    if written is None:
        print("The token is good once, and is not shown again.")
        return
    print("Until it is installed, whoever has the bundle can become this device: keep it like a password.")
    if written.name.endswith(ARCHIVE):
        print(f"On the device: tar -xzf {written.name} && sudo sh {new.device.thing}/install.sh")
    else:
        print(f"On the device: sudo sh {written.name}/install.sh")
