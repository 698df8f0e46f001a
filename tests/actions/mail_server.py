# ruff: noqa: N802 - the names are aiosmtpd's
"""A mail server that tests can make refuse, and somebody between it and us."""

from __future__ import annotations

import asyncio
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class MailServer:
    """aiosmtpd on a port of its own. What it took is in ``taken``: (recipients, raw message)."""

    def __init__(
        self,
        context: ssl.SSLContext | None,
        *,
        implicit: bool = False,
        login: tuple[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self.taken: list[tuple[list[str], bytes]] = []
        self.logins: list[tuple[str, str]] = []
        self.encrypted: list[bool] = []
        self.conversations = 0
        self.rcpt: Callable[[str], str] = lambda _address: "250 OK"
        self.mail: Callable[[str], str] = lambda _address: "250 OK"
        self.data: Callable[[int], str] = lambda _number: "250 taken"
        self.pause_s = 0.0
        self._login = login
        self._implicit = context if implicit else None
        self._starttls = None if implicit else context
        self.port = port or _free_port()
        self._controller: Controller | None = None
        self.up()

    def up(self) -> None:
        outer = self

        class Ours(Controller):
            def factory(self) -> SMTP:
                outer.conversations += 1
                return SMTP(
                    outer,
                    hostname="mail.test",
                    tls_context=outer._starttls,
                    require_starttls=outer._starttls is not None,
                    authenticator=outer._authenticate if outer._login else None,
                    auth_required=outer._login is not None,
                    auth_require_tls=outer._implicit is None,
                    enable_SMTPUTF8=False,
                    decode_data=False,
                )

        self._controller = Ours(self, hostname="127.0.0.1", port=self.port, ssl_context=self._implicit)
        self._controller.start()
        self.conversations = 0  # it has looked itself whether it is there

    def down(self) -> None:
        if self._controller is not None:
            self._controller.stop(no_assert=True)
            self._controller = None

    close = down

    def messages(self) -> list[EmailMessage]:
        return [message_from_bytes(raw, policy=default) for _, raw in self.taken]

    def _authenticate(self, _server: Any, session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        found = (data.login.decode(), data.password.decode())
        self.logins.append(found)
        return AuthResult(success=found == self._login, handled=False)

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:
        answer = self.mail(address)
        if answer.startswith("250"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return answer

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:
        answer = self.rcpt(address)
        if answer.startswith("25"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        if self.pause_s:
            await asyncio.sleep(self.pause_s)
        answer = self.data(len(self.taken))
        if answer.startswith("250"):
            self.taken.append((list(envelope.rcpt_tos), bytes(envelope.content)))
            self.encrypted.append(session.ssl is not None)
        return answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Between:
    """A relay to the server that may change what the server says before there is encryption."""

    def __init__(self, port: int, change: Callable[[bytes], bytes]) -> None:
        self._to = port
        self._change = change
        self.seen = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self._to)) as server:
                while True:
                    ready = select.select([client, server], [], [], 10)[0]
                    if not ready:
                        break
                    try:
                        content = ready[0].recv(65536)
                        if not content:
                            break
                        if ready[0] is client:
                            self.seen += content
                            server.sendall(content)
                        else:
                            client.sendall(self._change(content))
                    except OSError:
                        break

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def without_starttls(answer: bytes) -> bytes:
    """As a man in the middle takes the offer away."""
    return re.sub(rb"250-STARTTLS\r\n", b"", re.sub(rb"250 STARTTLS\r\n", b"250 HELP\r\n", answer))
