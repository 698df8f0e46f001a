"""A session with an OPC UA server: asyncua speaks, in a loop of its own thread, to an address that was checked here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from vedette.adapters.egress.rules import Resolve, check_service, resolve
from vedette.contracts.errors import ConfigurationError, DeliveryError
from vedette.core.url_policy import CheckedUrl
from vedette.ports.action import ReceiverBusyError

T = TypeVar("T")

DEFAULT_PORT: Final = 4840
#: Answers longer than this are refused: none of ours is asked for.
MAX_MESSAGE_BYTES: Final = 1 << 20
#: After a refused login, or a certificate that the server does not trust.
LOGIN_S: Final = 60.0
#: A session takes so many answers: hello, channel, session, activation; one more for luck.
_STEPS: Final = 5
#: Status codes (OPC UA part 4, 7.38) that another try cannot change: they are about the node and the value.
_NEVER: Final = frozenset(
    {
        "BadNodeIdUnknown", "BadNodeIdInvalid", "BadTypeMismatch", "BadNotWritable", "BadWriteNotSupported",
        "BadOutOfRange", "BadAttributeIdInvalid", "BadNotSupported",
    }
)  # fmt: skip
#: Those about who we are; the operator can mend them.
_LOGIN: Final = frozenset(
    {
        "BadUserAccessDenied", "BadIdentityTokenRejected", "BadIdentityTokenInvalid", "BadCertificateUntrusted",
        "BadCertificateUriInvalid", "BadCertificateInvalid", "BadCertificateTimeInvalid", "BadSecurityChecksFailed",
        "BadSecurityPolicyRejected", "BadSecurityModeRejected",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OpcUaSecurity:
    """Basic256Sha256, signed and encrypted.

    Attributes:
        server_certificate: the only one the server may show.
    """

    certificate: Path
    private_key: Path
    server_certificate: Path


@dataclass(frozen=True, slots=True)
class OpcUaSettings:
    """A server and one variable of it.

    Attributes:
        node: node id as text.
        variant: name of the variable's built-in type, such as ``Int16``.
        security: None only to addresses of the site or this machine, and without a login.
        timeout_s: for one answer.
    """

    endpoint: str
    node: str
    variant: str
    timeout_s: float
    security: OpcUaSecurity | None = None
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


class OpcUaConnection:
    """Keeps one session and makes it anew where it was lost. To be used from one thread.

    Args:
        settings: asked for at each connecting, so that a rotated secret is used; may raise DeliveryError.
        where: for messages.
        resolver: name → addresses.
    """

    def __init__(self, settings: Callable[[], OpcUaSettings], where: str, *, resolver: Resolve = resolve) -> None:
        self._settings = settings
        self._resolver = resolver
        self.where = where
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: Any = None
        self._node: Any = None
        self._variant = ""
        self._timeout_s = 1.0

    def prepare(self) -> None:
        """Have a session.

        Raises:
            DeliveryError: V502, the server cannot be reached or does not let us in; V503, no login is to be had.
        """
        if self._client is not None and not _is_alive(self._client):
            self._forget()
        if self._client is None:
            settings = self._settings()
            self._timeout_s, self._variant = settings.timeout_s, settings.variant
            client = self._run(_connect(settings, self._address(settings)), _STEPS * settings.timeout_s)
            try:
                self._node = client.get_node(settings.node)
            except Exception as error:  # asyncua raises several kinds for what is no node id
                self._run_quietly(_leave(client, self._timeout_s))
                raise DeliveryError(
                    f"{self.where}: {settings.node!r} is no node id.", code="V504", retryable=False
                ) from error
            self._client = client

    def write(self, value: Any) -> None:
        """Write the variable.

        Raises:
            DeliveryError: V504, the server says that this can never be written; V502, it cannot now, or its answer was
                lost: it may have been written.
        """
        self.prepare()
        self._run(_write(self._node, self._variant, value), self._timeout_s)

    def read(self) -> Any:
        """What the variable holds.

        Raises:
            DeliveryError: V504, it cannot be read; V502, not now.
        """
        self.prepare()
        return self._run(self._node.read_value(), self._timeout_s)

    def close(self) -> None:
        """End the session and the thread; idempotent, takes at most two answers' time."""
        self._forget()
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5.0)
            self._loop = self._thread = None

    # -- inside -------------------------------------------------------------------------------------------------------

    def _address(self, settings: OpcUaSettings) -> CheckedUrl:
        if settings.username and settings.security is None:
            raise DeliveryError(
                f"{self.where}: a login without encryption is refused.", hint="Set `security`.", code="V502"
            )
        parts = urlsplit(settings.endpoint)
        try:
            return check_service(
                "OPC UA server",
                "opc.tcp",
                parts.hostname or "",
                parts.port or DEFAULT_PORT,
                private=settings.security is None,
                resolver=self._resolver,
            )
        except ConfigurationError as error:  # the operator can mend it, so the alert waits
            raise DeliveryError(error.message, hint=error.hint, code="V502") from error
        except OSError as error:
            words = f"its name cannot be resolved ({error.strerror or error})"
            raise DeliveryError(f"{self.where} cannot be reached: {words}.", code="V502") from error

    def _run(self, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        """Do something in the loop; whatever fails there becomes a DeliveryError."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name="opcua", daemon=True)
            self._thread.start()
        try:
            return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, limit_s), self._loop).result()
        except (TimeoutError, CancelledError, asyncio.CancelledError) as error:
            self._forget()
            raise DeliveryError(f"{self.where} cannot be reached: no answer in time.", code="V502") from error
        except DeliveryError:
            raise
        except Exception as error:  # asyncua's own, those of its files and those of the network
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> DeliveryError:
        name = type(error).__name__
        if name in _NEVER:
            return DeliveryError(
                f"{self.where} refuses with {name}.",
                hint="Check `node`, `value_type` and `value` of the action.",
                code="V504",
                retryable=False,
            )
        if name in _LOGIN:
            return ReceiverBusyError(f"{self.where} does not let us in: {name}.", retry_after_s=LOGIN_S)
        self._forget()
        if name.startswith("Bad"):
            return DeliveryError(f"{self.where} answers {name}.", code="V502")
        words = getattr(error, "strerror", None) or (str(error)[:200] if isinstance(error, OSError) else name)
        return DeliveryError(f"{self.where} cannot be reached: {words}.", code="V502")

    def _forget(self) -> None:
        client, self._client, self._node = self._client, None, None
        if client is not None:
            self._run_quietly(_leave(client, self._timeout_s))

    def _run_quietly(self, work: Coroutine[Any, Any, Any]) -> None:
        assert self._loop is not None
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        rest = asyncio.all_tasks(loop)
        for task in rest:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
    finally:
        loop.close()


async def _connect(settings: OpcUaSettings, checked: CheckedUrl) -> Any:
    from asyncua.client.client import Client

    logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # what it would log is raised

    class CheckedClient(Client):
        """Connects to the address that was checked, whatever its name says by now."""

        async def connect_socket(self) -> None:
            failure: Exception | None = None
            for address in checked.addresses:
                try:
                    await self.uaclient.connect_socket(address, checked.port)
                except (TimeoutError, OSError) as error:
                    failure = error
                    continue
                return
            assert failure is not None
            raise failure

    client = CheckedClient(settings.endpoint, timeout=settings.timeout_s)
    client.max_messagesize = MAX_MESSAGE_BYTES
    client.name = client.description = "vedette"
    if settings.security is not None:
        await _secure(client, settings.security)
    if settings.username:
        client.set_user(settings.username)
        client.set_password(settings.password)
    try:
        await client.connect()
    except BaseException:  # also where our own patience ends: the connection must not stay
        client.disconnect_socket()
        raise
    return client


async def _leave(client: Any, limit_s: float) -> None:
    """Say goodbye where the server listens; let go of the connection in any case."""
    try:
        await asyncio.wait_for(client.disconnect(), limit_s)
    finally:
        client.disconnect_socket()
        await asyncio.sleep(0)  # the loop closes it in its next round


async def _secure(client: Any, security: OpcUaSecurity) -> None:
    from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
    from asyncua.crypto.uacrypto import load_certificate
    from cryptography.x509 import ExtensionNotFound, SubjectAlternativeName, UniformResourceIdentifier

    for path in (security.certificate, security.private_key, security.server_certificate):
        if not path.is_file():
            raise DeliveryError(
                f"{path} cannot be read: no such file.",
                hint="Check the action's files and who may read them.",
                code="V502",
            )
    ours = await load_certificate(security.certificate)
    with contextlib.suppress(ExtensionNotFound):
        names = ours.extensions.get_extension_for_class(SubjectAlternativeName).value
        for uri in names.get_values_for_type(UniformResourceIdentifier)[:1]:
            client.application_uri = uri  # servers compare it with the certificate
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        certificate=str(security.certificate),
        private_key=str(security.private_key),
        server_certificate=str(security.server_certificate),
    )


async def _write(node: Any, variant: str, value: Any) -> None:
    from asyncua.ua.attribute_ids import AttributeIds
    from asyncua.ua.uatypes import DataValue, Variant, VariantType

    await node.write_attribute(AttributeIds.Value, DataValue(Variant(value, getattr(VariantType, variant))))


def _is_alive(client: Any) -> bool:
    return bool(client.uaclient.state.name == "CONNECTED")
