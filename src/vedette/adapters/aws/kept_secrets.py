"""Keys that a stage of the account makes once and keeps in Secrets Manager: of claims, and of updates."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from vedette.adapters.aws.account import Account, aws_errors
from vedette.contracts.account import claim_secret, update_secret
from vedette.contracts.errors import CloudError, UsageError


@dataclass(frozen=True, slots=True)
class Claim:
    """A certificate that is good for asking to become a device, and nothing else.

    Attributes:
        certificate_id: of AWS IoT.
        certificate: PEM.
        key: PEM; shared by all bundles of the stage.
    """

    certificate_id: str
    certificate: str
    key: str = field(repr=False)


class ClaimCertificate:
    """The one claim certificate of a stage.

    It is made at the first registration: inactive, then its key is kept, then it is switched on, and its policy comes
    last. So a certificate without the policy was never finished, and is finished at the next use; one with the policy
    that is inactive was switched off by its owner, and stays so.

    Args:
        account: with the stacks.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._name = claim_secret(account.stage)

    def get(self) -> Claim:
        """The certificate with its key, made where there is none.

        Raises:
            CloudError: V012 it was switched off; V001 to V003.
        """
        kept = _read(self._account, self._name)
        claim = self._from(kept) if kept is not None else self._keep(self._make())
        self._finish(claim)
        return claim

    def renew(self) -> Claim:
        """A new certificate; the one before is switched off, and bundles with it that were not used are void.

        Raises:
            CloudError: V001 to V003.
        """
        kept = _read(self._account, self._name)
        if kept is None:
            return self.get()
        before, claim = self._from(kept), self._make()
        with aws_errors("the secret of the claim certificate"):
            self._account.client("secretsmanager").put_secret_value(
                SecretId=self._name, SecretString=_claim_text(claim)
            )
        self._finish(claim)
        with aws_errors("the old claim certificate"):
            self._account.client("iot").update_certificate(certificateId=before.certificate_id, newStatus="INACTIVE")
        return claim

    def _make(self) -> Claim:
        with aws_errors("the claim certificate"):
            made = self._account.client("iot").create_keys_and_certificate(setAsActive=False)
        return Claim(made["certificateId"], made["certificatePem"], made["keyPair"]["PrivateKey"])

    def _keep(self, claim: Claim) -> Claim:
        kept = _keep(
            self._account, self._name, _claim_text(claim), "Claim certificate of machines that are no devices yet"
        )
        if kept is None:
            return claim
        # Somebody else registered a first device at the same moment and was faster.
        with aws_errors("a claim certificate that is not needed"):
            self._account.client("iot").delete_certificate(certificateId=claim.certificate_id, forceDelete=True)
        return self._from(kept)

    def _finish(self, claim: Claim) -> None:
        iot, policy = self._account.client("iot"), self._account.made("claim-policy")
        with aws_errors("the claim certificate"):
            found = iot.describe_certificate(certificateId=claim.certificate_id)["certificateDescription"]
            attached = iot.list_attached_policies(target=found["certificateArn"])["policies"]
            if policy not in {one["policyName"] for one in attached}:
                if found["status"] != "ACTIVE":
                    iot.update_certificate(certificateId=claim.certificate_id, newStatus="ACTIVE")
                iot.attach_policy(policyName=policy, target=found["certificateArn"])
            elif found["status"] != "ACTIVE":
                raise CloudError(
                    f"the claim certificate {claim.certificate_id[:12]}… of stage {self._account.stage!r} was "
                    f"switched off ({found['status']}): no machine can become a device with it.",
                    hint="A new one: vedette device register … --new-claim",
                    code="V012",
                )

    def _from(self, text: str) -> Claim:
        said = _fields(text, self._name, ("certificate_id", "certificate", "key"))
        return Claim(said["certificate_id"], said["certificate"], said["key"])


class UpdateKey:
    """The key with which updates of devices are signed; every bundle carries its public half.

    Args:
        account: with the stacks.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._name = update_secret(account.stage)

    def public(self) -> str:
        """The public half, PEM; a key is made where there is none.

        Raises:
            CloudError: V001 to V003.
        """
        from cryptography.hazmat.primitives import serialization

        public = self._key().public_key()
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return str(public.public_bytes(serialization.Encoding.PEM, kind).decode())

    def sign(self, statement: bytes) -> str:
        """ECDSA over the SHA-256 of a statement, DER, as base64.

        Raises:
            CloudError: V001 to V003.
        """
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return base64.b64encode(self._key().sign(statement, ec.ECDSA(hashes.SHA256()))).decode()

    def _key(self) -> Any:
        try:
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import ec
        except ModuleNotFoundError:
            raise UsageError(
                "keys of updates need cryptography.", hint='Type: pip install "vedette[cloud]"', code="V702"
            ) from None
        text = _read(self._account, self._name)
        if text is None:
            key = ec.generate_private_key(ec.SECP256R1())
            secret = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode()
            made = json.dumps({"key": secret})
            text = _keep(self._account, self._name, made, "Key with which updates of devices are signed") or made
        try:
            return serialization.load_pem_private_key(
                _fields(text, self._name, ("key",))["key"].encode(), password=None
            )
        except ValueError:
            raise _damaged(self._name) from None


def _read(account: Account, name: str) -> str | None:
    """A secret's text; None where there is none."""
    client = account.client("secretsmanager")
    with aws_errors(f"the secret {name}"):
        try:
            return str(client.get_secret_value(SecretId=name)["SecretString"])
        except client.exceptions.ResourceNotFoundException:
            return None


def _keep(account: Account, name: str, text: str, description: str) -> str | None:
    """Make a secret; where somebody else was faster, what that one holds."""
    client = account.client("secretsmanager")
    with aws_errors(f"the secret {name}"):
        try:
            client.create_secret(Name=name, SecretString=text, Description=description)
        except client.exceptions.ResourceExistsException:
            return _read(account, name)
    return None


def _claim_text(claim: Claim) -> str:
    return json.dumps({"certificate_id": claim.certificate_id, "certificate": claim.certificate, "key": claim.key})


def _fields(text: str, name: str, fields: tuple[str, ...]) -> dict[str, str]:
    try:
        said = json.loads(text)
        return {field: str(said[field]) for field in fields}
    except (ValueError, TypeError, KeyError):
        raise _damaged(name) from None


def _damaged(name: str) -> CloudError:
    return CloudError(
        f"the secret {name} holds something that this command did not write.",
        hint="Restore its version before (aws secretsmanager list-secret-version-ids), or delete it to begin anew.",
        code="V012",
    )
