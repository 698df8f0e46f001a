"""An OPC UA server on a port of its own: asyncua's, with the variables of a machine."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
import warnings
from pathlib import Path
from typing import Any, cast

from asyncua import ua
from asyncua.common.callback import CallbackType
from asyncua.crypto.cert_gen import generate_private_key, generate_self_signed_app_certificate
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.server import Server
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import DNSName, UniformResourceIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.actions.receivers import free_port

#: Name in the server → type and value at the start.
VARIABLES = {
    "Reject": (False, ua.VariantType.Boolean),
    "Count": (0, ua.VariantType.Int16),
    "Order": (0, ua.VariantType.Int32),
    "Speed": (0.0, ua.VariantType.Double),
    "Text": ("", ua.VariantType.String),
}
LOGIN = ("operator", "s3cret-of-the-plc")
#: May look but not write what is not given free.
GUEST = ("guest", "guest-of-the-plc")


class _Users:
    """Lets everybody in, or only two."""

    def __init__(self, login: bool) -> None:
        self._login = login

    def get_user(
        self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None
    ) -> User | None:
        if (username, password) == GUEST:
            return User(role=UserRole.User)
        return User(role=UserRole.Admin) if not self._login or (username, password) == LOGIN else None


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of its own (DER) and its key (PEM), as PLCs and their clients have them."""
    key = generate_private_key()
    use = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    certificate = generate_self_signed_app_certificate(
        key,
        name,
        {"organizationName": "test"},
        [UniformResourceIdentifier(f"urn:test:{name}"), DNSName("localhost")],
        use,
    )
    paths = folder / f"{name}.der", folder / f"{name}-key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


class OpcUaServer:
    """What clients wrote is in ``writes``: (monotonic time, name, value).

    Args:
        certificate: certificate and key; without it there is no security.
        login: whether only one user is let in.
    """

    def __init__(self, certificate: tuple[Path, Path] | None = None, *, login: bool = False) -> None:
        self.port = free_port()
        self.writes: list[tuple[float, str, Any]] = []
        self.pause_s = 0.0
        self._certificate = certificate
        self._login = login
        self._loop: asyncio.AbstractEventLoop | None = None
        self._names: dict[Any, str] = {}
        self._nodes: dict[str, Any] = {}
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)
        self.up()

    @property
    def endpoint(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/plc"

    def up(self) -> None:
        started = threading.Event()
        self._stop: asyncio.Event

        async def serve() -> None:
            self._stop = asyncio.Event()
            server = Server(user_manager=cast(Any, _Users(self._login)))
            await server.init()
            server.set_endpoint(self.endpoint)
            if self._certificate is not None:
                server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
                await server.load_certificate(self._certificate[0])
                await server.load_private_key(self._certificate[1])
            else:
                server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
            index = await server.register_namespace("urn:test")
            machine = await server.nodes.objects.add_object(index, "Line1")
            self._nodes = {}
            for name, (value, kind) in VARIABLES.items():
                node = await machine.add_variable(cast(Any, ua.NodeId)(f"Line1.{name}", index), name, value, kind)
                await node.set_writable()
                self._nodes[name] = node
                self._names[node.nodeid] = name
            fixed = await machine.add_variable(
                cast(Any, ua.NodeId)("Line1.Fixed", index), "Fixed", False, ua.VariantType.Boolean
            )
            self._nodes["Fixed"] = fixed
            server.subscribe_server_callback(CallbackType.PreWrite, self._before)
            server.subscribe_server_callback(CallbackType.PostWrite, self._after)
            async with server:
                started.set()
                await self._stop.wait()

        def run() -> None:
            loop = self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            loop.run_until_complete(serve())
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0.05))
            loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert started.wait(40)

    def down(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(20)
            self._loop = None
            with warnings.catch_warnings():  # what the server leaves to the collector
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()

    close = down

    def value(self, name: str) -> Any:
        return self._do(self._nodes[name].read_value())

    def set_by_hand(self, name: str, value: Any) -> None:
        self._do(self._nodes[name].write_value(ua.Variant(value, VARIABLES[name][1])))

    def written(self, name: str) -> list[Any]:
        return [value for _, one, value in self.writes if one == name]

    def _do(self, work: Any) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _before(self, event: Any, _dispatcher: Any) -> None:
        if event.is_external and self.pause_s:
            await asyncio.sleep(self.pause_s)

    async def _after(self, event: Any, _dispatcher: Any) -> None:
        if not event.is_external:
            return
        for item, result in zip(event.request_params.NodesToWrite, event.response_params, strict=True):
            if result.is_good():
                name = self._names.get(item.NodeId, "?")
                self.writes.append((time.monotonic(), name, item.Value.Value.Value))
