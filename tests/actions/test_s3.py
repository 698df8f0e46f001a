"""Objects in the owner's bucket: what is sent is signed as AWS's own library would sign it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from vedette.adapters.egress.s3 import Bucket, S3Store, bucket_from_environment
from vedette.adapters.egress.signing import AwsKeys
from vedette.contracts.errors import ConfigurationError, DeliveryError

KEYS = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session/token==")
ODD_KEY = "edge-1/2026/a b+c ü/clip=1.mp4"


class Bouncer(ThreadingHTTPServer):
    """A bucket that takes what is signed with the right key, by botocore's own word, and a token exchange service."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[str, bytes]] = {}
        self.answer = 200
        self.lent = 0
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = bucket.answer if bucket.is_signed("PUT", self, body) else 403
                if status == 200:
                    bucket.objects[self.path] = (self.headers["Content-Type"], body)
                self.reply(status, b"")

            def do_GET(self) -> None:
                if self.path == "/credentials":
                    known = self.headers["Authorization"] == "lend-me"
                    bucket.lent += known
                    self.reply(200 if known else 401, json.dumps(role()).encode() if known else b"")
                    return
                found = bucket.objects.get(urlsplit(self.path).path)
                if found is None or not bucket.is_linked(self):
                    self.reply(403, b"")
                else:
                    self.reply(200, found[1])

            def reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def is_signed(self, method: str, request: BaseHTTPRequestHandler, body: bytes) -> bool:
        """Whether botocore, given the same request and moment, writes the same signature."""
        signed = request.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        kept = {name: request.headers[name] for name in signed if name not in ("x-amz-date", "x-amz-security-token")}
        assert {"host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"} <= set(signed)
        ours = AWSRequest(method, self.url + request.path, headers=kept, data=body)
        moment = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        with at(moment):
            S3SigV4Auth(credentials(), "s3", "eu-central-1").add_auth(ours)
        return bool(signature(ours.headers["Authorization"]) == signature(request.headers["Authorization"]))

    def is_linked(self, request: BaseHTTPRequestHandler) -> bool:
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        moment = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        age_s = (datetime.now(UTC) - moment).total_seconds()
        ours = AWSRequest("GET", self.url + urlsplit(request.path).path, headers={"host": request.headers["Host"]})
        with at(moment):
            S3SigV4QueryAuth(credentials(), "s3", "eu-central-1", expires=int(query["X-Amz-Expires"])).add_auth(ours)
        expected = parse_qs(urlsplit(ours.url).query)["X-Amz-Signature"][0]
        return query["X-Amz-Signature"] == expected and age_s < int(query["X-Amz-Expires"])


def credentials() -> Credentials:
    return Credentials(KEYS.access_key_id, KEYS.secret_access_key, KEYS.session_token)


def role() -> dict[str, str]:
    """What the token exchange service answers."""
    return {
        "AccessKeyId": KEYS.access_key_id,
        "SecretAccessKey": KEYS.secret_access_key,
        "Token": KEYS.session_token,
        "Expiration": "2099-01-01T00:00:00Z",
    }


def signature(header: str) -> str:
    return header.split("Signature=")[1]


def at(moment: datetime) -> Any:
    return mock.patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None))


@pytest.fixture
def bouncer() -> Iterator[Bouncer]:
    server = Bouncer()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def bucket(bouncer: Bouncer) -> Bucket:
    return Bucket("evidence", "eu-central-1", bouncer.url)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize("key", ["plain.jpg", ODD_KEY, "a//b/../c", "x" * 900])
def test_what_is_put_is_signed_and_can_be_got_by_a_link(bouncer: Bouncer, bucket: Bucket, key: str) -> None:
    store = S3Store(bucket, KEYS)
    store.put(key, b"\xff\xd8 picture", "image/jpeg")
    store.put(key, b"\xff\xd8 picture", "image/jpeg")
    assert list(bouncer.objects.values()) == [("image/jpeg", b"\xff\xd8 picture")]
    link = store.link(key, 900)
    assert get(link) == b"\xff\xd8 picture"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(link.replace("X-Amz-Expires=900", "X-Amz-Expires=90000"))
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(
            link.split("?")[0]
            + "?"
            + S3Store(bucket, replace(KEYS, secret_access_key="x")).link(key, 900).split("?")[1]
        )


def test_a_wrong_key_is_refused_and_may_be_tried_again(bucket: Bucket) -> None:
    with pytest.raises(DeliveryError, match="answered 403") as caught:
        S3Store(bucket, replace(KEYS, secret_access_key="wrong")).put("a", b"b", "image/jpeg")
    assert caught.value.retryable
    assert "wrong" not in str(caught.value)
    assert "wrong" not in repr(KEYS.__class__("a", "wrong", "wrong"))


@pytest.mark.parametrize(("status", "retryable"), [(404, False), (405, False), (500, True), (503, True), (429, True)])
def test_refusals_tell_whether_to_try_again(bouncer: Bouncer, bucket: Bucket, status: int, retryable: bool) -> None:
    bouncer.answer = status
    with pytest.raises(DeliveryError, match=str(status)) as caught:
        S3Store(bucket, KEYS).put("a", b"b", "image/jpeg")
    assert caught.value.retryable is retryable


def test_the_devices_role_is_lent_by_the_token_exchange_service(
    bouncer: Bouncer, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{bouncer.url}/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "lend-me")
    store = S3Store(bucket)
    store.put("a.jpg", b"1", "image/jpeg")
    store.put("b.jpg", b"2", "image/jpeg")
    assert len(bouncer.objects) == 2
    assert bouncer.lent == 1, "lent for an hour, not for a request"


def test_without_credentials_it_says_what_is_missing(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DeliveryError, match="no AWS credentials for bucket evidence") as caught:
        S3Store(bucket).put("a", b"b", "image/jpeg")
    assert caught.value.code == "V503"


def test_an_unencrypted_public_address_is_never_used() -> None:
    store = S3Store(Bucket("evidence", "eu-central-1", "http://8.8.8.8"), KEYS)
    with pytest.raises(ConfigurationError) as caught:
        store.put("a", b"b", "image/jpeg")
    assert caught.value.code == "V105"


def test_where_a_bucket_is() -> None:
    assert Bucket("evidence", "eu-central-1").url("a b/c") == "https://evidence.s3.eu-central-1.amazonaws.com/a%20b/c"
    found = bucket_from_environment("evidence", environment={"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://x"})
    assert found == Bucket("evidence", "us-east-1", "http://x")
    with pytest.raises(ConfigurationError, match="region of bucket 'evidence' is not known"):
        bucket_from_environment("evidence", environment={})
