"""A conversation with a mail server: checked address, checked certificate, bounded answers, bounded time."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final, Literal

from vedette.adapters.egress.rules import Resolve, check_service, resolve
from vedette.contracts.errors import ConfigurationError, DeliveryError
from vedette.core.url_policy import CheckedUrl
from vedette.ports.action import ReceiverBusyError

PORTS: Final = {"starttls": 587, "implicit": 465, "none": 25}
#: All that is read of one answer, of however many lines.
MAX_ANSWER_BYTES: Final = 64 << 10
#: Pauses that a server asks for with 4xx, and after it has refused the login: accounts are locked for less.
BUSY_S: Final = 30.0
LOGIN_S: Final = 60.0
#: Answers that are about the login, not about the message (RFC 4954).
_LOGIN: Final = frozenset({432, 454, 530, 534, 535, 538})
_NO_TEXT: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """A mail server.

    Attributes:
        tls: ``none`` only to addresses of the site or this machine, and never with a login.
        ca_file: certificate authority (PEM); the system's where None.
        timeout_s: for a whole conversation.
        local_name: how this machine introduces itself.
        username: empty where the server asks for none.
    """

    host: str
    port: int
    tls: Literal["starttls", "implicit", "none"]
    ca_file: str | None = None
    timeout_s: float = 20.0
    local_name: str = "vedette"
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def where(self) -> str:
        """For messages."""
        return f"mail server {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A server's word about one recipient."""

    code: int
    words: str

    @property
    def for_good(self) -> bool:
        """Whether another try is of no use."""
        return self.code >= 500


class SmtpConversation:
    """What is said to the server between greeting and goodbye; made by ``conversation``."""

    def __init__(self, settings: SmtpSettings, client: smtplib.SMTP) -> None:
        self._where = settings.where
        self._client = client

    def send(self, sender: str, recipients: Sequence[str], message: bytes) -> Mapping[str, Refusal]:
        """Hand one message over.

        Args:
            sender: address of the envelope.
            recipients: addresses of the envelope.
            message: lines of 7 bit ASCII that end in CR LF.

        Returns:
            The recipients the server did not take. All others have it; where there are none, nobody does.

        Raises:
            DeliveryError: V501, the server will never take this message; V502, it cannot now, or its answer was lost:
                it may have it.
        """
        code, answer = self._client.mail(sender)
        if code != 250:
            # Whatever the code: it is about this sender, which the operator can mend, and not about the alert.
            raise _busy(f"{self._where} does not take messages from this sender: {_words(code, answer)}", code)
        refused: dict[str, Refusal] = {}
        for recipient in recipients:
            code, answer = self._client.rcpt(recipient)
            if code in _LOGIN or code == 421:
                raise _busy(f"{self._where} answers {_words(code, answer)}", code)
            if code not in (250, 251):
                refused[recipient] = Refusal(code, _words(code, answer))
        if len(refused) == len(recipients):
            self._client.rset()
            return refused
        try:
            code, answer = self._client.data(message)
        except smtplib.SMTPDataError as error:
            code, answer = error.smtp_code, _bytes(error.smtp_error)
        if code == 250:
            return refused
        words = f"{self._where} does not take the message: {_words(code, answer)}"
        if code >= 500 and code not in _LOGIN:
            raise DeliveryError(words, code="V501", retryable=False)
        raise _busy(words, code)


@contextlib.contextmanager
def conversation(
    settings: SmtpSettings, *, resolver: Resolve = resolve, context: ssl.SSLContext | None = None
) -> Iterator[SmtpConversation]:
    """Connect, encrypt, log in; say goodbye in the end.

    Args:
        settings: the server.
        resolver: name → addresses.
        context: TLS; from the settings where absent.

    Raises:
        DeliveryError: V502, the server cannot be reached, is not the one it should be, does not encrypt, or refuses the
            login.
        ConfigurationError: V105, the address is not allowed; V103, the certificate authority cannot be read.
    """
    if settings.tls == "none" and settings.username:
        raise ConfigurationError(
            f"{settings.where}: a login without encryption is refused.", hint="Set `tls`.", code="V105"
        )
    client: _Client | None = None
    try:
        client = _Client(settings, _address(settings, resolver), context or _context(settings))
        with client.limited(settings.timeout_s):
            _begin(client, settings)
            yield SmtpConversation(settings, client)
            with contextlib.suppress(OSError, smtplib.SMTPException):
                client.quit()
    except smtplib.SMTPException as error:
        raise DeliveryError(f"{settings.where} {_what(error, client)}", code="V502") from error
    except OSError as error:
        raise DeliveryError(f"{settings.where} cannot be reached: {_reason(error, client)}.", code="V502") from error
    finally:
        if client is not None:
            client.close()


def _begin(client: _Client, settings: SmtpSettings) -> None:
    code, answer = client.reach()
    if code != 220:
        raise _busy(f"{settings.where} greets with {_words(code, answer)}", code)
    code, answer = client.ehlo()
    if not 200 <= code < 300 and settings.tls == "none":
        code, answer = client.helo()
    if not 200 <= code < 300:
        raise _busy(f"{settings.where} answers our greeting with {_words(code, answer)}", code)
    if settings.tls == "starttls":
        if not client.has_extn("starttls"):
            raise DeliveryError(
                f"{settings.where} does not offer STARTTLS, or somebody in between takes the offer away; "
                "nothing is sent unencrypted.",
                hint="Ask the server's operator; `tls: implicit` is for servers that encrypt from the first byte.",
                code="V502",
            )
        code, answer = client.starttls(context=client.context)
        if code != 220:
            raise _busy(f"{settings.where} refuses STARTTLS: {_words(code, answer)}", code)
        client.ehlo()
    if settings.username:
        _log_in(client, settings)


def _log_in(client: _Client, settings: SmtpSettings) -> None:
    """One attempt with one mechanism: ``smtplib.login`` tries all in turn, and accounts are locked by failures."""
    offered = client.esmtp_features.get("auth", "").upper().split()
    mechanism = next((name for name in ("PLAIN", "LOGIN") if name in offered), None)
    if mechanism is None:
        raise ReceiverBusyError(f"{settings.where} offers no login with user name and password.", retry_after_s=LOGIN_S)
    client.user, client.password = settings.username, settings.password
    try:
        client.auth(mechanism, client.auth_plain if mechanism == "PLAIN" else client.auth_login)
    except smtplib.SMTPAuthenticationError as error:
        # Its text may repeat what was sent: only the code is told.
        message = f"{settings.where} refuses the login ({error.smtp_code}); alerts wait."
        raise ReceiverBusyError(message, retry_after_s=LOGIN_S) from None


class _Client(smtplib.SMTP):
    """``smtplib`` on a connection to an address that was checked, with answers of bounded size."""

    def __init__(self, settings: SmtpSettings, checked: CheckedUrl, context: ssl.SSLContext) -> None:
        super().__init__(local_hostname=settings.local_name, timeout=settings.timeout_s)
        self.context = context
        self.timed_out = False
        self._settings = settings
        self._checked = checked
        self._host = checked.host  # what STARTTLS compares the certificate with
        self._plain: socket.socket | None = None

    def reach(self) -> tuple[int, bytes]:
        """Connect; the server's greeting."""
        failure: OSError | None = None
        for address in self._checked.addresses:
            try:
                self._plain = socket.create_connection((address, self._checked.port), timeout=self._settings.timeout_s)
            except OSError as error:
                failure = error
                continue
            self.sock = self._plain
            if self._settings.tls == "implicit":
                self.sock = self.context.wrap_socket(self._plain, server_hostname=self._host)
            self.file = None
            return self.getreply()
        assert failure is not None
        raise failure

    def getreply(self) -> tuple[int, bytes]:
        """The next answer; one that is too long ends the conversation."""
        if self.file is None and self.sock is not None:
            self.file = _BoundedFile(self.sock.makefile("rb"))
        if isinstance(self.file, _BoundedFile):
            self.file.left = MAX_ANSWER_BYTES
        return super().getreply()

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """End the connection after so long, whatever the server does meanwhile."""
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        self.timed_out = True
        for one in (self.sock, self._plain):
            with contextlib.suppress(OSError, AttributeError):
                one.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]


class _BoundedFile:
    """The part of a file that ``smtplib`` reads answers from."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner = inner
        self.left = 0

    def readline(self, limit: int = -1) -> bytes:
        line = self._inner.readline(limit)
        self.left -= len(line)
        if self.left < 0:
            raise OSError("its answer has no end")
        return line

    def close(self) -> None:
        self._inner.close()


def _address(settings: SmtpSettings, resolver: Resolve) -> CheckedUrl:
    private = settings.tls == "none"
    return check_service("mail server", "smtp", settings.host, settings.port, private=private, resolver=resolver)


def _context(settings: SmtpSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"ca_file {settings.ca_file} of the {settings.where}: {getattr(error, 'strerror', None) or error}.",
            hint="Give a PEM file that the component's user can read.",
            code="V103",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    return context


def _busy(message: str, code: int) -> DeliveryError:
    return ReceiverBusyError(message, retry_after_s=LOGIN_S if code in _LOGIN else BUSY_S)


def _words(code: int, answer: bytes) -> str:
    """A server's answer as it may be shown: one line, short."""
    text = answer.decode("utf-8", "replace")
    plain = " ".join("".join(" " if unicodedata.category(mark) in _NO_TEXT else mark for mark in text).split())
    return f"{code} {plain[:200]}".strip()


def _bytes(answer: Any) -> bytes:
    return answer if isinstance(answer, bytes) else str(answer).encode()


def _what(error: smtplib.SMTPException, client: _Client | None) -> str:
    if client is not None and client.timed_out:
        return "cannot be reached: no answer in time."
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "ended the conversation."
    if isinstance(error, smtplib.SMTPResponseException):
        return f"answers {_words(error.smtp_code, _bytes(error.smtp_error))}"
    return f"does not speak SMTP as it should ({type(error).__name__})."


def _reason(error: OSError, client: _Client | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, TimeoutError) or (client is not None and client.timed_out):
        return "no answer in time"
    return error.strerror or str(error) or type(error).__name__
