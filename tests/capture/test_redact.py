from __future__ import annotations

import base64
import io
import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.core.redact import RedactingFilter, redact

NASTY = [
    "hunter2",
    "p@ssword",
    "sla/sh-word",
    "ha#sh-word",
    "qu?ery-word",
    "do.ts.in.word",
    "per%40cent",
    "colon:inside",
    "amp&usr=x",
    "Ünïcödé-pass",
    "back\\slash",
    "plus+equals=",
    "tilde~dash-_",
    "[brack]et",
    "com,ma;semi",
    "!$*()bang",
]


@pytest.mark.parametrize("secret", NASTY)
@pytest.mark.parametrize(
    "form",
    [
        "open rtsp://admin:{}@10.0.0.5:554/stream1 failed",
        "rtsp://admin:{}@camera.local/h264?channel=1&subtype=0",
        "RTSPS://admin:{}@[fe80::1]:322/x",
        "url='http://admin:{}@host/path', retry",
        '{{"url": "rtsp://admin:{}@host/path"}}',
        "Connection to tcp://admin:{}@10.0.0.1:554?timeout=0 failed",
    ],
)
def test_passwords_in_urls_vanish_however_written(secret: str, form: str) -> None:
    for spelling in (secret, quote(secret, safe="")):
        shown = redact(form.format(spelling))
        assert secret not in shown
        assert spelling not in shown
        assert "admin" not in shown
        assert "***" in shown


def test_a_password_with_a_space_vanishes() -> None:
    assert "word" not in redact("rtsp://admin:pass word@10.0.0.5/stream")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("http://10.0.0.9/cgi?usr=root&pwd=Tr0ub4dor&chn=1", "Tr0ub4dor"),
        ("/video.mjpg?user=root&password=Tr0ub4dor", "Tr0ub4dor"),
        ("GET /x?token=Tr0ub4dor HTTP/1.1", "Tr0ub4dor"),
        ("Authorization: Basic YWRtaW46VHIwdWI0ZG9y", "YWRtaW46VHIwdWI0ZG9y"),
        ('Authorization: Digest username="admin", realm="x", response="Tr0ub4dor"', "Tr0ub4dor"),
        ('WWW says Digest username="root", nonce="a", response="Tr0ub4dor"', "Tr0ub4dor"),
        ("header Bearer Tr0ub4dor.abc.def", "Tr0ub4dor"),
        ('{"username": "admin", "password": "Tr0ub4\\"dor"}', 'Tr0ub4\\"dor'),
        ("{'password': 'Tr0ub4dor'}", "Tr0ub4dor"),
        ("password: Tr0ub4dor, next: 1", "Tr0ub4dor"),
        ("Cookie: session=Tr0ub4dor", "Tr0ub4dor"),
    ],
)
def test_other_places_where_secrets_stand(text: str, secret: str) -> None:
    assert secret not in redact(text)


def test_harmless_text_stays() -> None:
    for text in (
        "camera gate: rtsp://10.0.0.5:554/stream1?channel=1: no packet for 1.8 s.",
        "mail to someone@example.org about v4l2:///dev/video0",
        "basic needs and a keyboard; the digest of the file",
        "frames=25 fps=5",
    ):
        assert redact(text) == text


@pytest.mark.parametrize("secret", NASTY)
def test_known_secrets_vanish_anywhere_in_any_encoding(secret: str) -> None:
    for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode(), repr(secret)):
        assert secret not in redact(f"libav says {form} at 0x12", [secret])
        assert form.strip("'") not in redact(f"libav says {form} at 0x12", [secret])


def test_the_filter_covers_arguments_tracebacks_and_broken_formats() -> None:
    redaction = RedactingFilter()
    redaction.add("s3cr3t-word", "")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(redaction)
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.warning("opening %s://%s", "rtsp", "admin:hunter2@host/x")
    logger.warning("two %d", "s3cr3t-word")
    try:
        raise ValueError("rtsp://u:s3cr3t-word@h/")
    except ValueError:
        logger.exception("failed")
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "s3cr3t-word" not in text
    assert "Traceback" in text


@given(st.text(max_size=200))
def test_any_text_passes_and_twice_is_as_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == redact(redact(once))


@given(
    st.text(
        st.characters(blacklist_categories=("Cs", "Cc", "Z"), blacklist_characters="\"'<>"), min_size=6, max_size=30
    )
)
def test_any_password_without_spaces_vanishes_from_a_url(password: str) -> None:
    shown = redact(f"rtsp://user:{password}@192.0.2.7:554/live")
    assert shown == "rtsp://***@192.0.2.7:554/live"
