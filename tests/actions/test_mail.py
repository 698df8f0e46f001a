"""Mail to people: what they read, what the server refuses, who listens in between. Against aiosmtpd."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.actions.authority import Authority
from tests.actions.mail_server import Between, MailServer, without_starttls
from tests.actions.receivers import until
from tests.actions.test_egress import RawServer
from tests.outbox.samples import alert, new, row
from vedette.adapters.actions.mail import _POLICY, EmailReceiver, make_message
from vedette.adapters.egress.smtp import PORTS, SmtpSettings, conversation
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.adapters.secrets import SecretStore
from vedette.compose.receivers import Surroundings, make_receiver
from vedette.contracts.alert import Severity
from vedette.contracts.errors import DeliveryError
from vedette.contracts.manifest import EmailAction
from vedette.core.messages import body, one_line, short_text, subject
from vedette.pipeline.deliver import Delivery
from vedette.ports.action import NotYetError, ReceiverBusyError
from vedette.ports.outbox import OutboxRow

LOGIN = ("vedette", "correct horse battery staple")
SECRET = {"username": LOGIN[0], "password": LOGIN[1]}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(authority: Authority) -> Iterator[MailServer]:
    one = MailServer(authority.server("127.0.0.1"), login=LOGIN)
    yield one
    one.close()


def plan(**fields: Any) -> EmailAction:
    known = {"type": "email", "host": "127.0.0.1", "sender": "alarm@site.example", "to": ["guard@site.example"]}
    return EmailAction.model_validate({**known, **fields})


def receiver(
    port: int, authority: Authority, folder: Path, pairs: dict[str, str] | None = None, **fields: Any
) -> EmailReceiver:
    known = {"port": port, "ca_file": str(authority.file), "secret": "vedette/receiver/mail", "timeout_s": 2.0}
    secrets = SecretStore(lambda _name: pairs or SECRET, folder / "secrets")
    made = make_receiver("app/mail", plan(**{**known, **fields}), Surroundings(folder, "thing", secrets))
    assert isinstance(made, EmailReceiver)
    return made


def hand_over(one: EmailReceiver, *rows: OutboxRow) -> list[int]:
    done: list[int] = []
    one.deliver(rows, lambda taken: done.append(taken.row_id))
    return done


def refusal(one: EmailReceiver, *rows: OutboxRow) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        hand_over(one, *(rows or (row(1),)))
    assert LOGIN[1] not in str(caught.value)
    return caught.value


# -- what people read -------------------------------------------------------------------------------------------------


def test_what_a_message_says(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    one = receiver(server.port, authority, tmp_path, timezone="Europe/Berlin", subject_prefix="[Werk Süd]")
    assert hand_over(one, _row(duration_s=95.0, severity=Severity.CRITICAL, message="Person 7 crossed the line.")) == [
        5
    ]
    (message,) = server.messages()
    assert message["Subject"] == "[Werk Süd] CRITICAL: Person 7 crossed the line."
    assert message["From"] == "alarm@site.example"
    assert message["To"] == "guard@site.example"
    assert message["Message-ID"] == f"<{alert(5).alert_id}@site.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Importance"] == "high"
    text = message.get_content()
    assert "2023-11-14 23:13:25 CET (Europe/Berlin)" in text
    assert "camera gate, application app, device thing" in text
    assert "1 min 35 s" in text
    assert "crossing (critical)" in text
    assert server.encrypted == [True]
    assert server.logins == [LOGIN]


def _row(number: int = 5, **changes: Any) -> OutboxRow:
    changed = alert(number).model_copy(update=changes)
    return OutboxRow(number, "app/mail", changed.alert_id, "app/gate", changed.model_dump_json().encode())


def test_a_repeat_is_the_same_message_byte_for_byte() -> None:
    one, two = (make_message(plan(), [_row()]).as_bytes(policy=_POLICY) for _ in range(2))
    assert one == two


NASTY = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(
    ["a\r\nBcc: evil@example.org", "a\n\n.\r\nQUIT", "ключ", "\u202eevil", "=?utf-8?q?x?=", "a\u2028b", "\x00", "🚨"]
)


@settings(max_examples=300, deadline=None)
@given(NASTY, NASTY, NASTY, st.lists(NASTY, max_size=3), st.sampled_from(["", "Site"]))
def test_no_text_can_leave_its_place(message: str, label: str, value: str, names: list[str], prefix: str) -> None:
    one = alert(1).model_copy(
        update={
            "message": message,
            "label": label,
            "device": value,
            "attributes": {f"a{index}": name for index, name in enumerate(names)},
        }
    )
    rows = [replace(row(1), body=one.model_dump_json().encode())]
    raw = make_message(plan(subject_prefix=prefix), rows).as_bytes(policy=_POLICY)
    assert all(byte < 128 for byte in raw), "7 bit"
    lines = raw.split(b"\r\n")
    assert all(b"\r" not in line and b"\n" not in line and len(line) <= 998 for line in lines)
    head, _, _ = raw.partition(b"\r\n\r\n")
    names_of = [line.split(b":")[0] for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    assert sorted(names_of) == sorted(
        [b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"Content-Type",
         b"Content-Transfer-Encoding", b"MIME-Version"]
    )  # fmt: skip
    for text in (subject([one], prefix), body([one], "UTC"), short_text(one, "UTC")):
        assert not re.search(r"[\r\x00\u2028\u202e\ud800]", text)
    assert "\n" not in subject([one], prefix) + short_text(one, "UTC")
    assert len(subject([one], prefix)) <= 150


def test_one_line() -> None:
    assert one_line("a\r\n\t b\u202ec\x00d", 50) == "a b c d"
    assert one_line("half \ud800 a pair", 50) == "half a pair"
    assert one_line("x" * 20, 10) == "x" * 9 + "…"


# -- the server -------------------------------------------------------------------------------------------------------


def test_several_alerts_are_several_messages_of_one_conversation(
    server: MailServer, authority: Authority, tmp_path: Path
) -> None:
    assert hand_over(receiver(server.port, authority, tmp_path), row(1), row(2), row(3)) == [1, 2, 3]
    assert len(server.taken) == 3
    assert server.conversations == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_implicit_encryption(authority: Authority, tmp_path: Path) -> None:
    server = MailServer(authority.server("127.0.0.1"), implicit=True, login=LOGIN)
    try:
        hand_over(receiver(server.port, authority, tmp_path, tls="implicit"), row(1))
        assert len(server.taken) == 1
    finally:
        server.close()


def test_without_encryption_only_on_the_site_and_never_with_a_login(authority: Authority, tmp_path: Path) -> None:
    server = MailServer(None)
    try:
        hand_over(receiver(server.port, authority, tmp_path, tls="none", secret=None), row(1))
        assert len(server.taken) == 1
        error = refusal(receiver(server.port, authority, tmp_path, tls="none"))
        assert error.retryable
        assert "without encryption" in error.message
        assert len(server.taken) == 1
    finally:
        server.close()
    settings = SmtpSettings("mail.example", 25, "none")
    with pytest.raises(Exception, match="public address"), conversation(settings, resolver=lambda _: ["93.184.215.14"]):
        pass


@pytest.mark.parametrize("host", ["169.254.169.254", "metadata.example"])
def test_never_where_credentials_are_served(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: Any, **__: Any) -> Any:
        raise AssertionError("connected")

    monkeypatch.setattr(socket, "create_connection", no)
    with (
        pytest.raises(Exception, match="metadata address"),
        conversation(SmtpSettings(host, 587, "starttls"), resolver=lambda _: ["10.0.0.7", "169.254.169.254"]),
    ):
        pass


def test_the_server_is_down_and_up_again(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    one = receiver(server.port, authority, tmp_path)
    server.down()
    error = refusal(one)
    assert (error.code, error.retryable) == ("V502", True)
    assert "Connection refused" in error.message
    server.up()
    assert hand_over(one, row(1)) == [1]


@pytest.mark.parametrize(("host", "expired"), [("mail.other.example", False), ("127.0.0.1", True)])
def test_a_certificate_that_is_not_the_servers(authority: Authority, tmp_path: Path, host: str, expired: bool) -> None:
    server = MailServer(authority.server(host, expired=expired), login=LOGIN)
    try:
        error = refusal(receiver(server.port, authority, tmp_path))
        assert error.retryable
        assert "certificate is not trusted" in error.message
        assert server.logins == []
    finally:
        server.close()


def test_a_certificate_of_an_unknown_authority(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    error = refusal(receiver(server.port, authority, tmp_path, ca_file=None))
    assert "certificate is not trusted" in error.message
    assert server.logins == []


def test_somebody_takes_the_offer_of_encryption_away(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    between = Between(server.port, without_starttls)
    try:
        error = refusal(receiver(between.port, authority, tmp_path))
        assert error.retryable
        assert "does not offer STARTTLS" in error.message
        assert b"AUTH" not in between.seen
        assert b"MAIL" not in between.seen
    finally:
        between.close()
    assert server.taken == []


def test_somebody_puts_words_before_the_encryption(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    """What was said in clear must not count as said by the server afterwards."""
    between = Between(
        server.port,
        lambda content: content + b"250-mail.test\r\n250 AUTH PLAIN\r\n" if b"220 Ready" in content else content,
    )
    try:
        hand_over(receiver(between.port, authority, tmp_path), row(1))
    finally:
        between.close()
    assert server.encrypted == [True]


def test_a_wrong_login_is_no_dead_letter(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    error = refusal(receiver(server.port, authority, tmp_path, {"username": "vedette", "password": "wr0ng-password"}))
    assert isinstance(error, ReceiverBusyError)
    assert error.retry_after_s >= 60, "accounts are locked for less"
    assert error.retryable
    assert "535" in error.message
    assert "wr0ng" not in str(error)
    assert len(server.logins) == 1, "one attempt"
    for lacking in ({"username": "vedette"}, {"key": "x"}):
        assert refusal(receiver(server.port, authority, tmp_path, lacking)).code == "V503"


def test_no_login_where_the_server_wants_one(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    error = refusal(receiver(server.port, authority, tmp_path, secret=None))
    assert error.retryable
    assert "530" in error.message


def test_greylisting(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    answers = ["451 4.7.1 Greylisted, come back in 5 minutes", "250 OK"]
    server.rcpt = lambda _: answers.pop(0)
    one = receiver(server.port, authority, tmp_path)
    error = refusal(one)
    assert isinstance(error, ReceiverBusyError)
    assert "Greylisted" in error.message
    assert hand_over(one, row(1)) == [1]
    assert len(server.taken) == 1


def test_one_of_several_recipients_is_refused(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    server.rcpt = lambda address: "550 5.1.1 No such user here" if address.startswith("gone") else "250 OK"
    to = ["guard@site.example", "gone@site.example", "boss@site.example"]
    one = receiver(server.port, authority, tmp_path, to=to)
    error = refusal(one)
    assert (error.code, error.retryable) == ("V504", False)
    assert "gone@site.example: 550 5.1.1 No such user here" in error.message
    assert "the others have it" in error.message
    assert [recipients for recipients, _ in server.taken] == [["guard@site.example", "boss@site.example"]]


def test_everybody_is_refused(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    server.rcpt = lambda _: "550 5.7.1 Relaying denied"
    error = refusal(receiver(server.port, authority, tmp_path))
    assert (error.code, error.retryable) == ("V504", False)
    assert "nobody has it" in error.message
    assert server.taken == []


def test_who_has_it_does_not_get_it_again(authority: Authority, server: MailServer, tmp_path: Path) -> None:
    later = ["451 4.3.0 Mailbox busy", "451 4.3.0 Mailbox busy", "250 OK"]
    server.rcpt = lambda address: later.pop(0) if address.startswith("busy") else "250 OK"
    one = receiver(server.port, authority, tmp_path, to=["guard@site.example", "busy@site.example"])
    assert refusal(one).retryable
    assert refusal(one).retryable
    assert hand_over(one, row(1)) == [1]
    assert [recipients for recipients, _ in server.taken] == [["guard@site.example"], ["busy@site.example"]]
    assert len({message["Message-ID"] for message in server.messages()}) == 1


def test_a_mailbox_that_is_always_busy_holds_up_the_others_for_a_while_only(
    server: MailServer, authority: Authority, tmp_path: Path
) -> None:
    server.rcpt = lambda address: "452 4.2.2 Mailbox full" if address.startswith("full") else "250 OK"
    one = receiver(server.port, authority, tmp_path, to=["guard@site.example", "full@site.example"])
    now_s = 0.0
    one._recipients._monotonic = lambda: now_s
    assert refusal(one).retryable
    now_s = 901.0
    error = refusal(one)
    assert (error.code, error.retryable) == ("V504", False)
    assert "452 4.2.2 Mailbox full" in error.message


@pytest.mark.parametrize(
    ("answer", "code", "retryable"),
    [("554 5.6.0 Message refused", "V501", False), ("552 too much", "V501", False), ("451 try later", "V502", True),
     ("452 4.3.1 no room", "V502", True)],
)  # fmt: skip
def test_the_message_is_refused(
    server: MailServer, authority: Authority, tmp_path: Path, answer: str, code: str, retryable: bool
) -> None:
    server.data = lambda _: answer
    error = refusal(receiver(server.port, authority, tmp_path))
    assert (error.code, error.retryable) == (code, retryable)
    assert answer.partition(" ")[2] in error.message


def test_a_sender_that_is_not_allowed_is_no_dead_letter(
    server: MailServer, authority: Authority, tmp_path: Path
) -> None:
    server.mail = lambda _: "553 5.7.1 Sender address rejected"
    error = refusal(receiver(server.port, authority, tmp_path))
    assert error.retryable
    assert "Sender address rejected" in error.message


def test_a_slow_server(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    server.pause_s = 30.0
    begun_s = time.monotonic()
    error = refusal(receiver(server.port, authority, tmp_path, timeout_s=0.7))
    assert time.monotonic() - begun_s < 3.0
    assert error.retryable
    assert "no answer in time" in error.message


@pytest.mark.parametrize(
    ("answer", "pause_s", "piece"),
    [
        (b"", 0.0, 1),
        (b"220-" + b"x" * 100 + b"\r\n", 0.0, 10),
        (b"220-hello\r\n" * 100_000, 0.0, 65536),  # an answer without end
        (b"220-hello\r\n" * 1_000, 0.05, 1),  # a byte at a time
        (b"220 " + b"y" * 1_000_000, 0.0, 65536),
        (b"\xff" * 5000 + b"\r\n", 0.0, 5000),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 0.0, 100),
        (b"554 go away\r\n", 0.0, 100),
        (b"220 hi\r\n250-x\r\n250 STARTTLS\r\n220 go\r\nno TLS at all\r\n" * 50, 0.0, 100),
    ],
)
def test_a_hostile_server_costs_bounded_time_and_memory(
    authority: Authority, tmp_path: Path, answer: bytes, pause_s: float, piece: int
) -> None:
    class Greets(RawServer):
        def _serve(self) -> None:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                rest = self._answer
                try:
                    while rest and not self._done.is_set():
                        connection.sendall(rest[: self._piece])
                        rest = rest[self._piece :]
                        self._done.wait(self._pause_s)
                except OSError:
                    return
                self._done.wait(5)

    server = Greets(answer, pause_s, piece)
    begun_s = time.monotonic()
    error = refusal(receiver(server.port, authority, tmp_path, timeout_s=0.6))
    assert error.retryable
    assert time.monotonic() - begun_s < 2.5
    server.close()


def test_the_connection_goes_to_the_address_that_was_checked(authority: Authority) -> None:
    server = MailServer(authority.server("mail.site.test"))
    asked: list[str] = []

    def resolve(name: str) -> list[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    try:
        settings = SmtpSettings("mail.site.test", server.port, "starttls", ca_file=str(authority.file), timeout_s=2)
        with conversation(settings, resolver=resolve) as talk:
            assert talk.send("a@b.example", ["c@d.example"], b"Subject: x\r\n\r\nhello\r\n.\r\nstill\r\n") == {}
        assert asked == ["mail.site.test"]
        assert b"\r\n.\r\nstill" in server.taken[0][1]
        with pytest.raises(Exception, match="metadata"), conversation(settings, resolver=resolve):
            pass
    finally:
        server.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_encryption_is_refused(authority: Authority, tmp_path: Path) -> None:
    context = authority.server("127.0.0.1")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    server = MailServer(context, login=LOGIN)
    try:
        assert refusal(receiver(server.port, authority, tmp_path)).retryable
        assert server.logins == []
    finally:
        server.close()


def test_ports() -> None:
    assert PORTS == {"starttls": 587, "implicit": 465, "none": 25}


# -- digests ----------------------------------------------------------------------------------------------------------


def test_a_burst_becomes_one_message(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "outbox.db")
    delivery = Delivery(outbox, "app/mail", receiver(server.port, authority, tmp_path, digest_s=0.6))
    try:
        for number in range(30):
            outbox.commit("j", number, {}, [new(number, "app/mail")])
            delivery.wake()
            time.sleep(0.005)
        until(lambda: outbox.channels() == [], "all sent")
        until(lambda: delivery.health().delivered == 30)
        assert delivery.health().problem == ""
        assert len(server.taken) == 1
        text = server.messages()[0].get_content()
        assert all(alert(number).alert_id in text for number in range(30))
        assert "and 29 more" in server.messages()[0]["Subject"]
    finally:
        delivery.close()
        outbox.close()


def test_a_digest_that_is_tried_again_is_the_same(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    one = receiver(server.port, authority, tmp_path, digest_s=5.0)
    now_s = 100.0
    one._monotonic = lambda: now_s
    with pytest.raises(NotYetError) as caught:
        hand_over(one, row(1), row(2))
    assert caught.value.again_s == pytest.approx(5.0)
    now_s = 105.0
    server.down()
    refusal(one, row(1), row(2), row(3))
    server.up()
    assert hand_over(one, row(1), row(2), row(3), row(4)) == [1, 2, 3]
    assert len(server.taken) == 1
    with pytest.raises(NotYetError):
        hand_over(one, row(4))


def test_a_full_digest_does_not_wait(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    one = receiver(server.port, authority, tmp_path, digest_s=3000.0)
    assert len(hand_over(one, *(row(number) for number in range(1, one.batch + 1)))) == one.batch


def test_a_digest_of_which_somebody_is_refused(server: MailServer, authority: Authority, tmp_path: Path) -> None:
    server.rcpt = lambda address: "550 no" if address.startswith("gone") else "250 OK"
    one = receiver(server.port, authority, tmp_path, to=["a@site.example", "gone@site.example"], digest_s=0.001)
    with pytest.raises(NotYetError):
        hand_over(one, row(1), row(2), row(3))
    time.sleep(0.01)
    done: list[int] = []
    with pytest.raises(DeliveryError, match="the others have it"):
        one.deliver([row(1), row(2), row(3)], lambda taken: done.append(taken.row_id))
    assert done == [1, 2], "the last one is kept as refused, for the whole"
    assert len(server.taken) == 1
