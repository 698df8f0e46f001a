"""What a device may do at the broker: its certificate, and its IoT policies as the broker's access list."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: Name of the sandbox itself at the broker; no thing can have it.
BRIDGE: Final = "vedette sandbox"
_THING: Final = "${iot:Connection.Thing.ThingName}"
_GOOD_FOR: Final = timedelta(days=30)
_ACCESS: Final = {"iot:Publish": "write", "iot:Receive": "read"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files by which a client proves who it is.

    Attributes:
        certificate: PEM.
        key: PEM, readable by its owner alone.
    """

    certificate: Path
    key: Path


class Authority:
    """Makes certificates that the broker trusts.

    Args:
        folder: of its files; a new authority is made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Vedette sandbox authority")])
        made = self._signed(self._name, self._key.public_key(), authority=True)
        self.certificate = folder / "ca.pem"
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _signed(self, name: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + _GOOD_FOR)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, name: str) -> Credentials:
        """A certificate whose subject is a name."""
        folder = self._folder / "clients" / name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = Credentials(folder / "certificate.pem", folder / "key.pem")
        signed = self._signed(subject, key.public_key(), authority=False)
        made.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(os.open(made.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secret)
        return made


def access_list(policies: Mapping[str, Iterable[str]]) -> str:
    """The access list that mosquitto reads.

    Args:
        policies: documents (JSON) of each thing's policies.
    """
    lines = [f"user {BRIDGE}", "topic readwrite #", "topic readwrite $aws/#"]
    for thing, documents in sorted(policies.items()):
        lines += ["", f"user {thing}"]
        lines += [f"topic {access} {topic}" for access, topic in _allowed(thing, documents)]
    return "\n".join(lines) + "\n"


def _allowed(thing: str, documents: Iterable[str]) -> list[tuple[str, str]]:
    """Topics that a thing may write and read.

    What IoT's patterns say and the broker's cannot (a ``*`` that is not the last level) is left out: less is allowed.
    """
    found = []
    for statement in (one for text in documents for one in _many(json.loads(text)["Statement"])):
        for action in _many(statement["Action"]) if statement["Effect"] == "Allow" else ():
            for resource in _many(statement["Resource"]) if action in _ACCESS else ():
                topic = _pattern(str(resource), thing)
                if topic is not None:
                    found.append((_ACCESS[action], topic))
    return found


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _pattern(resource: str, thing: str) -> str | None:
    kind, _, topic = resource.partition(":topic/")
    if not topic or not kind.startswith("arn:aws:iot:"):
        return None
    topic = topic.replace(_THING, thing)
    if topic.endswith("/*"):
        topic = topic[:-1] + "#"
    return None if "*" in topic or "?" in topic or "${" in topic or "+" in topic else topic
