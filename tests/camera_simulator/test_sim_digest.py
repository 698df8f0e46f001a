"""Digest authentication: right, wrong, stale, and with a quality of protection."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import av.error
import pytest

from tests.camera_simulator.clients import RtspSocket, read_pictures
from vedette.testing.camera import CameraSimulator, CameraSource, Credentials
from vedette.testing.camera.digest import REALM, DigestAuthenticator, Verdict, digest_response

URL = "rtsp://127.0.0.1:554/hall"
NASTY = Credentials("viewer", "p@ss:w/ord#?%")


def header(credentials: Credentials, method: str, url: str, challenge: str, **extra: str) -> str:
    match = re.search(r'nonce="([^"]+)"', challenge)
    assert match is not None
    answer = digest_response(credentials, method, url, match[1], extra)
    more = "".join(f', {name}="{value}"' for name, value in extra.items())
    return (
        f'Digest username="{credentials.user}", realm="{REALM}", nonce="{match[1]}", uri="{url}", '
        f'response="{answer}"{more}'
    )


def test_the_rfc_2617_computation() -> None:
    # RFC 2069 form of the well-known example, with this module's realm.
    from hashlib import md5

    first = md5(f"Mufasa:{REALM}:Circle Of Life".encode()).hexdigest()
    second = md5(b"GET:/dir/index.html").hexdigest()
    expected = md5(f"{first}:abc:{second}".encode()).hexdigest()
    assert digest_response(Credentials("Mufasa", "Circle Of Life"), "GET", "/dir/index.html", "abc") == expected


def test_verdicts() -> None:
    now = [100.0]
    authenticator = DigestAuthenticator(nonce_lifetime_s=60, clock=lambda: now[0])
    challenge = authenticator.challenge()
    assert "stale" not in challenge

    def judge(text: str, method: str = "DESCRIBE", url: str = URL) -> Verdict:
        return authenticator.check(NASTY, method, url, text)

    good = header(NASTY, "DESCRIBE", URL, challenge)
    assert judge(good) is Verdict.ACCEPTED
    assert judge(header(NASTY, "DESCRIBE", URL, challenge, qop="auth", nc="00000001", cnonce="zz")) is Verdict.ACCEPTED
    assert judge("") is Verdict.MISSING
    assert judge("Basic dXNlcjpwYXNz") is Verdict.WRONG
    assert judge(header(Credentials("viewer", "wrong"), "DESCRIBE", URL, challenge)) is Verdict.WRONG
    assert judge(header(Credentials("other", NASTY.password), "DESCRIBE", URL, challenge)) is Verdict.WRONG
    assert judge(good, method="SETUP") is Verdict.WRONG
    assert judge(good, url="rtsp://127.0.0.1:554/dock") is Verdict.WRONG
    assert judge(header(NASTY, "DESCRIBE", URL, 'nonce="made-up"')) is Verdict.STALE
    now[0] += 61
    assert judge(good) is Verdict.STALE
    assert "stale=true" in authenticator.challenge(stale=True)


def test_the_password_is_in_no_representation() -> None:
    assert "p@ss" not in repr(NASTY)
    assert "p@ss" not in str([NASTY])


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_ffmpeg_with_the_right_and_a_wrong_password(clip: Callable[..., bytes], transport: str) -> None:
    credentials = Credentials("viewer", "correct-horse")
    with CameraSimulator([CameraSource(io.BytesIO(clip()), "hall")], credentials=credentials) as simulator:
        assert len(read_pictures(simulator.url(), 5, transport, credentials="viewer:correct-horse")) == 5
        with pytest.raises(av.error.HTTPUnauthorizedError):
            read_pictures(simulator.url(), 1, transport, credentials="viewer:wrong")
        with pytest.raises(av.error.HTTPUnauthorizedError):
            read_pictures(simulator.url(), 1, transport)
        simulator.set_credentials(Credentials("viewer", "rotated"))
        with pytest.raises(av.error.HTTPUnauthorizedError):
            read_pictures(simulator.url(), 1, transport, credentials="viewer:correct-horse")
        assert len(read_pictures(simulator.url(), 1, transport, credentials="viewer:rotated")) == 1


def test_a_stale_nonce_is_told_from_a_wrong_password(clip: Callable[..., bytes]) -> None:
    credentials = Credentials("viewer", "secret")
    source = [CameraSource(io.BytesIO(clip()), "hall")]
    with (
        CameraSimulator(source, credentials=credentials, nonce_lifetime_s=-1.0) as simulator,
        RtspSocket(simulator.url()) as client,
    ):
        status, headers, _ = client.request("DESCRIBE")
        assert (status, "stale" in headers["www-authenticate"]) == (401, False)
        right = header(credentials, "DESCRIBE", client.url, headers["www-authenticate"])
        status, headers, _ = client.request("DESCRIBE", Authorization=right)
        assert (status, "stale=true" in headers["www-authenticate"]) == (401, True)
        wrong = header(Credentials("viewer", "no"), "DESCRIBE", client.url, headers["www-authenticate"])
        status, headers, _ = client.request("DESCRIBE", Authorization=wrong)
        assert (status, "stale" in headers["www-authenticate"]) == (401, False)
