"""X17: certificates that a webhook's receiver must not be believed for, over real TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from vedette.adapters.egress import HttpPoster
from vedette.contracts.errors import DeliveryError

HOST = "receiver.test"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    def pem(self) -> bytes:
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private + self.certificate.public_bytes(serialization.Encoding.PEM)


def make(
    name: str,
    issuer: Made | None,
    *,
    names: tuple[str, ...] = (),
    ca: bool = False,
    days: tuple[int, int] = (-1, 2),
    key: Key | None = None,
    usage: x509.ObjectIdentifier | None = None,
    path_length: int | None = None,
    permitted: str = "",
    critical: bool = False,
) -> Made:
    """A certificate; signed by itself where there is no issuer."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
    if permitted:
        tree = x509.NameConstraints(permitted_subtrees=[x509.DNSName(permitted)], excluded_subtrees=None)
        builder = builder.add_extension(tree, critical=True)
    if critical:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    return Made(builder.sign((issuer.key if issuer else key), hashes.SHA256()), key)


def _general(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ip_address(name))
    return x509.DNSName(name)


def bad(root: Made) -> Iterator[tuple[str, list[Made]]]:
    """(what is wrong, chain as the server shows it)."""
    other = make("another root", None, ca=True)
    limited = make("limited", root, ca=True, path_length=0)
    below = make("below", limited, ca=True)
    leaf = make("leaf", root, names=("other.test",))
    old = make("old authority", root, ca=True, days=(-9, -1))
    narrow = make("narrow", root, ca=True, permitted="example.org")
    yield "signed by itself", [make(HOST, None, names=(HOST,))]
    yield "of an unknown authority", [make(HOST, other, names=(HOST,)), other]
    yield "expired", [make(HOST, root, names=(HOST,), days=(-9, -1))]
    yield "not valid yet", [make(HOST, root, names=(HOST,), days=(1, 9))]
    yield "of another host", [make("other.test", root, names=("other.test",))]
    yield "host in the common name only", [make(HOST, root)]
    yield "wildcard over two labels", [make("*.test", root, names=("*",))]
    yield "NUL in the name", [make(HOST, root, names=(HOST + "\0.evil.org",))]
    yield "another address", [make("address", root, names=("10.0.0.9",))]
    yield "for clients only", [make(HOST, root, names=(HOST,), usage=ExtendedKeyUsageOID.CLIENT_AUTH)]
    yield "signed by a leaf", [make(HOST, leaf, names=(HOST,)), leaf]
    yield "authority below one that may have none", [make(HOST, below, names=(HOST,)), below, limited]
    yield "of an expired authority", [make(HOST, old, names=(HOST,)), old]
    yield "outside its authority's names", [make(HOST, narrow, names=(HOST,)), narrow]
    yield "a key of 1,024 bits", [make(HOST, root, names=(HOST,), key=rsa.generate_private_key(65537, 1024))]
    yield "unknown critical extension", [make(HOST, root, names=(HOST,), critical=True)]


class Server:
    """Answers HTTP over TLS; keeps what it could read."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self.port = int(self._listener.getsockname()[1])
        self.read = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            plain, _ = self._listener.accept()
            plain.settimeout(5)
            with plain, self._context.wrap_socket(plain, server_side=True) as secure:
                self.read = secure.recv(65536)
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(6)


def accepted(chain: list[Made], trusted: ssl.SSLContext, folder: Path, *, low: bool = False) -> bool:
    """Whether a webhook is sent to a server with this chain."""
    file = folder / "chain.pem"
    rest = b"".join(one.certificate.public_bytes(serialization.Encoding.PEM) for one in chain[1:])
    file.write_bytes(chain[0].pem() + rest)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")  # the server is the attacker's: it takes anything
    if low:
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.load_cert_chain(file)
    server = Server(context)
    poster = HttpPoster(
        f"https://{HOST}:{server.port}/", allow_private=True, resolver=lambda _: ["127.0.0.1"], context=trusted
    )
    try:
        return poster.post(b'{"alert_id": "x"}', {}).status == 200
    except DeliveryError:
        return False
    finally:
        poster.close()
        server.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # the attacker's server may be that old
def test_x17_certificates(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    root = make("The test's authority", None, ca=True)
    trusted = ssl.create_default_context(cadata=root.certificate.public_bytes(serialization.Encoding.PEM).decode())
    results: dict[str, Any] = {what: accepted(chain, trusted, tmp_path) for what, chain in bad(root)}
    good = [make(HOST, root, names=(HOST,))]
    results["TLS 1.1"] = accepted(good, trusted, tmp_path, low=True)
    taken = [what for what, taken in results.items() if taken]
    control = accepted(good, trusted, tmp_path)
    careless = ssl.create_default_context()
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    control_bad = accepted([make(HOST, None, names=(HOST,))], careless, tmp_path)
    row = Row(
        "X17",
        "bad certificates of receivers that are believed",
        len(taken),
        "certificates",
        len(results),
        "0",
        passed=not taken and control and control_bad,
        upper95=upper95(len(taken), len(results)),
        control=Control(
            "a good one, and a bad one by a client that does not look: accepted", 2, control and control_bad
        ),
        notes=f"{', '.join(results)}. Accepted: {taken or 'none'}.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
