"""A device's bundle: which files with which content and rights. Pure; the same values give the same bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from vedette.contracts.account import CLAIM_CLIENT
from vedette.contracts.device_bundle import (
    CLAIM_CERTIFICATE,
    CLAIM_KEY,
    INSTALLER,
    LABEL,
    MANIFEST,
    QR_CODE,
    SECRETS,
    TOKEN,
    TOKEN_PLACE,
    BundleManifest,
    Nucleus,
)

#: Where the installer puts what the nucleus reads; root's alone.
CLAIM_FOLDER: Final = "/etc/vedette/claim"
LITE_ROOT: Final = "/var/lib/greengrass"
CLASSIC_ROOT: Final = "/greengrass/v2"
#: Users and groups of components.
LITE_USER: Final = "gg_component:gg_component"
CLASSIC_USER: Final = "ggc_user:ggc_group"
ROOT_CA: Final = "AmazonRootCA1.pem"
UPDATE_KEY: Final = "update.pub"

_PAGES: Final = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}
_PAGE: Final = re.compile(
    r"^https://[a-z0-9.-]+/iot/home\?region=[a-z0-9-]+#/greengrass/v2/cores/([A-Za-z0-9_-]{1,64})$"
)


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file.

    Attributes:
        content: its bytes, or the file that has them where they are too many to hold.
        mode: its rights.
    """

    content: bytes | PurePath
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """What a bundle is made of.

    Attributes:
        manifest: what it says of itself.
        token: of the registration.
        claim_certificate: PEM.
        claim_key: PEM.
        update_key: public half of the key of updates, PEM.
        label: PNG of the label.
        code: PNG of the QR code alone.
        installer: files of the installer by name; they are programs where the name ends in ``.sh``.
        components: where the files of a tree of ``vedette build`` are, by path; empty where none is taken along.
    """

    manifest: BundleManifest
    token: str
    claim_certificate: str
    claim_key: str
    update_key: str
    label: bytes
    code: bytes
    installer: Mapping[str, bytes]
    components: Mapping[str, PurePath]


def console_page(region: str, thing: str) -> str:
    """The device's page in AWS's console. It holds no secret; whoever opens it has to sign in."""
    domain = next((page for start, page in _PAGES.items() if region.startswith(start)), "console.aws.amazon.com")
    host = f"{region}.{domain}" if domain == "console.aws.amazon.com" else domain
    return f"https://{host}/iot/home?region={region}#/greengrass/v2/cores/{thing}"


def scanned_thing(text: str) -> str | None:
    """The device that a QR code is of; None where it is no code of ours."""
    found = _PAGE.match(text.strip())
    return found[1] if found else None


def bundle_files(made_of: Ingredients) -> dict[str, BundleFile]:
    """The files by their path in the bundle, in a fixed order. Secrets are for their owner alone (mode 0600)."""
    manifest = made_of.manifest
    found = {
        MANIFEST: BundleFile(_json(manifest.model_dump(mode="json"))),
        "README.txt": BundleFile(_readme(manifest).encode()),
        "config.yaml": BundleFile(nucleus_configuration(manifest).encode()),
        TOKEN: BundleFile(made_of.token.encode() + b"\n"),
        CLAIM_CERTIFICATE: BundleFile(made_of.claim_certificate.encode()),
        CLAIM_KEY: BundleFile(made_of.claim_key.encode()),
        UPDATE_KEY: BundleFile(made_of.update_key.encode()),
        LABEL: BundleFile(made_of.label),
        QR_CODE: BundleFile(made_of.code),
    }
    for name, content in made_of.installer.items():
        found[name] = BundleFile(content, 0o755 if name.endswith(".sh") else 0o644)
    for name, file in made_of.components.items():
        found[f"components/{name}"] = BundleFile(file)
    for name in SECRETS:
        found[name] = BundleFile(found[name].content, 0o600)
    return dict(sorted(found.items()))


def nucleus_configuration(manifest: BundleManifest) -> str:
    """``config.yaml`` for the nucleus, with ``TOKEN_PLACE`` where the installer puts the token.

    Written as JSON, which is YAML: no value can be mistaken for something else.
    """
    made = _lite(manifest) if manifest.nucleus is Nucleus.LITE else _classic(manifest)
    return _json(made).decode()


def _lite(manifest: BundleManifest) -> dict[str, object]:
    # Empty values are those that nucleus lite wants to write itself when it is provisioned.
    system = {"privateKeyPath": "", "certificateFilePath": "", "rootCaPath": "", "rootPath": LITE_ROOT, "thingName": ""}
    nucleus = {
        "awsRegion": manifest.region,
        "iotCredEndpoint": "",
        "iotDataEndpoint": "",
        "iotRoleAlias": manifest.role_alias,
        "runWithDefault": {"posixUser": LITE_USER},
        "greengrassDataPlanePort": "8443",
    }
    claim = {
        "iotDataEndpoint": manifest.endpoints.data,
        "iotCredEndpoint": manifest.endpoints.credentials,
        "rootCaPath": f"{CLAIM_FOLDER}/{ROOT_CA}",
        "claimKeyPath": f"{CLAIM_FOLDER}/{CLAIM_KEY}",
        "claimCertPath": f"{CLAIM_FOLDER}/{CLAIM_CERTIFICATE}",
        "csrCommonName": manifest.device.thing,
        "templateName": manifest.template,
        "templateParams": {"SerialNumber": manifest.device.serial, "Token": TOKEN_PLACE},
    }
    return {
        "system": system,
        "services": {
            "aws.greengrass.NucleusLite": {"componentType": "NUCLEUS", "configuration": nucleus},
            "aws.greengrass.fleet_provisioning": {"configuration": claim},
        },
    }


def _classic(manifest: BundleManifest) -> dict[str, object]:
    claim = {
        "rootPath": CLASSIC_ROOT,
        "awsRegion": manifest.region,
        "iotDataEndpoint": manifest.endpoints.data,
        "iotCredentialEndpoint": manifest.endpoints.credentials,
        "iotRoleAlias": manifest.role_alias,
        "provisioningTemplate": manifest.template,
        "claimCertificatePath": f"{CLAIM_FOLDER}/{CLAIM_CERTIFICATE}",
        "claimCertificatePrivateKeyPath": f"{CLAIM_FOLDER}/{CLAIM_KEY}",
        "rootCaPath": f"{CLAIM_FOLDER}/{ROOT_CA}",
        "deviceId": f"{CLAIM_CLIENT}{manifest.device.thing}",
        # Without them AWS would make the device's key and send it.
        "csrPath": f"{CLAIM_FOLDER}/device.csr",
        "csrPrivateKeyPath": f"{CLAIM_FOLDER}/device.key",
        "templateParameters": {"SerialNumber": manifest.device.serial, "Token": TOKEN_PLACE},
    }
    return {"services": {"aws.greengrass.FleetProvisioningByClaim": {"configuration": claim}}}


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _readme(manifest: BundleManifest) -> str:
    device = manifest.device
    return f"""Bundle of the device {device.thing}

serial number  {device.serial}
fleet, ring    {device.fleet}, {device.ring}
site           {device.site}
nucleus        {manifest.nucleus.value}
token good to  {manifest.token_expires.isoformat()}

On the device, as root:

    sh {INSTALLER} --check     looks at the machine and changes nothing
    sh {INSTALLER}             installs, waits for the device's certificate, deletes the claim's key and the token
    sh {INSTALLER} --help      everything else

Whoever has this bundle before the device was installed can become this device: keep it like a password. The files
`{TOKEN}` and `{CLAIM_KEY}` are the secrets in it. The label ({LABEL}) holds none of them: stick it on the machine.

Afterwards, at your desk: vedette device show {device.thing}
"""
