"""One ONVIF service of one device: SOAP by ``onvif-zeep-async``, with the limits a stranger needs.

The package follows redirects, reads answers of any length and connects to whatever a name resolves to at that moment.
Here a request goes to the checked address, follows nothing, and its answer is bounded. The service descriptions are
those bundled with the package: nothing is fetched.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Final

import aiohttp
import onvif
from onvif.client import ONVIFService
from onvif.definition import SERVICES
from onvif.util import create_no_verify_ssl_context, is_auth_error
from onvif.zeep_aiohttp import AIOHTTPTransport
from requests import Response
from zeep.exceptions import Fault
from zeep.wsdl.utils import etree_to_string

from vedette.core.url_policy import CheckedUrl

ANSWER_LIMIT_BYTES: Final = 2 << 20
_WSDL: Final = Path(onvif.__file__).parent / "wsdl"


class RefusedError(Exception):
    """The device wants credentials, or other ones."""


class AnswerError(Exception):
    """The device's answer is of no use. The text says why, for people."""


class _Transport(AIOHTTPTransport):  # type: ignore[misc] # the package is not typed
    """Posts without following redirects; reads a bounded answer."""

    async def post_xml(self, address: str, envelope: Any, headers: dict[str, str]) -> Response:
        """Send one request.

        Raises:
            RefusedError: HTTP 401 or 403.
            AnswerError: a redirect, or too long.
        """
        head = {"Content-Type": 'application/soap+xml; charset="utf-8"', "User-Agent": "Vedette", **(headers or {})}
        async with self.session.post(
            address, data=etree_to_string(envelope), headers=head, allow_redirects=False
        ) as answer:
            content = bytearray()
            async for chunk in answer.content.iter_chunked(65_536):
                content += chunk
                if len(content) > ANSWER_LIMIT_BYTES:
                    raise AnswerError(f"its answer is longer than {ANSWER_LIMIT_BYTES >> 20} MB")
        if 300 <= answer.status < 400:
            raise AnswerError("it redirects to another address")
        if answer.status in (401, 403) and b"Fault" not in content:
            raise RefusedError
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
            raise AnswerError("its answer holds a document type, which ONVIF has no use for")
        response = Response()
        response._content = bytes(content)  # the only way to make one without sending
        response.status_code = answer.status
        response.headers["Content-Type"] = answer.headers.get("Content-Type", "application/soap+xml")
        response.encoding = answer.charset
        return response


class Session:
    """HTTP connections to one device; an asynchronous context manager.

    Args:
        user: of the camera; None where nobody gave one.
        password: of the camera.
        limit_s: for one request.
    """

    def __init__(self, user: str | None, password: str, limit_s: float) -> None:
        self.user = user
        self._password = password
        self._limit_s = limit_s
        self._services: list[Any] = []
        # Cameras' certificates are their own; the password is never sent, only a digest of it.
        connector = aiohttp.TCPConnector(ssl=create_no_verify_ssl_context())
        digest = () if user is None else (aiohttp.DigestAuthMiddleware(user, password),)
        timeout = aiohttp.ClientTimeout(total=limit_s)
        self._http = aiohttp.ClientSession(connector=connector, timeout=timeout, middlewares=digest)

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in self._services:
            await service.close()
        await self._http.close()

    async def service(self, name: str, address: CheckedUrl, clock_offset: Any = None) -> Service:
        """A service of the device.

        Args:
            name: ``devicemgmt`` or ``media``.
            address: where it is, checked; its first IP address is used, no name.
            clock_offset: device's clock less ours (``datetime.timedelta``), where it is known.
        """
        definition = SERVICES[name]
        host = address.addresses[0]
        host = f"[{host}]" if ":" in host else host
        inner = ONVIFService(
            f"{address.scheme}://{host}:{address.port}{address.target or '/'}",
            self.user,
            self._password,
            str(_WSDL / definition["wsdl"]),
            no_cache=True,
            dt_diff=clock_offset,
            binding_name=f"{{{definition['ns']}}}{definition['binding']}",
        )
        self._services.append(inner)
        inner.transport = _Transport(session=self._http, verify_ssl=False, cache=None)
        await inner.setup()
        return Service(inner, with_user=self.user is not None)


class Service:
    """Calls one service, with credentials only where it asks for them."""

    def __init__(self, inner: Any, *, with_user: bool) -> None:
        self._inner = inner
        self._with_user = with_user
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether it wanted credentials."""
        return self._asked

    async def call(self, operation: str, parameters: dict[str, Any] | None = None) -> Any:
        """Call an operation.

        Raises:
            RefusedError: it wants credentials, or other ones.
            AnswerError: it is of no use.
            zeep.exceptions.Fault: the device says no for another reason.
        """
        if not self._asked:
            try:
                return await getattr(self._inner, f"authless_{operation}")(parameters)
            except RefusedError:
                if not self._with_user:
                    raise
            except Fault as fault:
                if not is_auth_error(fault):
                    raise
                if not self._with_user:
                    raise RefusedError from None
            self._asked = True
        try:
            return await getattr(self._inner, operation)(parameters)
        except Fault as fault:
            if is_auth_error(fault):
                raise RefusedError from None
            raise
