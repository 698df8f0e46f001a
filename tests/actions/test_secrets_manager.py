"""Secrets read with the device's role: signed as AWS's own library would, bounded, and silent about values."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from vedette.adapters.egress.secrets_manager import SecretsManager, remote_secrets
from vedette.adapters.egress.signing import AwsKeys
from vedette.contracts.errors import DeliveryError

KEYS = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session/token==")


class Manager(ThreadingHTTPServer):
    """Answers what is signed with the right key, by botocore's own word."""

    def __init__(self) -> None:
        self.secrets: dict[str, Any] = {}
        self.targets: list[str] = []
        manager = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                manager.targets.append(self.headers["X-Amz-Target"])
                name = json.loads(body)["SecretId"]
                if not manager.is_signed(self, body):
                    self.reply(400, {"__type": "IncompleteSignatureException"})
                elif name not in manager.secrets:
                    self.reply(400, {"__type": "com.amazonaws#ResourceNotFoundException", "Message": "canary"})
                else:
                    self.reply(200, {"SecretString": manager.secrets[name]})

            def reply(self, status: int, document: dict[str, Any]) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def is_signed(self, request: BaseHTTPRequestHandler, body: bytes) -> bool:
        signed = request.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        kept = {name: request.headers[name] for name in signed if name not in ("x-amz-date", "x-amz-security-token")}
        ours = AWSRequest("POST", self.url + request.path, headers=kept, data=body)
        moment = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        credentials = Credentials(KEYS.access_key_id, KEYS.secret_access_key, KEYS.session_token)
        with mock.patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
            SigV4Auth(credentials, "secretsmanager", "eu-central-1").add_auth(ours)
        made, sent = ours.headers["Authorization"], request.headers["Authorization"]
        return bool(made.split("Signature=")[1] == sent.split("Signature=")[1])


@pytest.fixture
def manager() -> Iterator[Manager]:
    server = Manager()
    yield server
    server.shutdown()
    server.server_close()


def test_a_secret_is_read(manager: Manager) -> None:
    manager.secrets["vedette/camera/a/b"] = json.dumps({"username": "admin", "password": "päss/word", "n": 5})
    found = SecretsManager("eu-central-1", manager.url, KEYS).get("vedette/camera/a/b")
    assert found == {"username": "admin", "password": "päss/word", "n": "5"}
    assert manager.targets == ["secretsmanager.GetSecretValue"]


@pytest.mark.parametrize("value", ["plain canary", '["canary"]', None, '"canary"', "x" * 70_000])
def test_what_is_no_secret_of_pairs_is_refused_without_its_value(manager: Manager, value: str | None) -> None:
    manager.secrets["a"] = value
    with pytest.raises(DeliveryError) as refused:
        SecretsManager("eu-central-1", manager.url, KEYS).get("a")
    assert refused.value.code == "V503"
    assert "canary" not in str(refused.value)


def test_a_refusal_says_aws_name_of_it(manager: Manager) -> None:
    with pytest.raises(DeliveryError, match=r"400 \(ResourceNotFoundException\)") as refused:
        SecretsManager("eu-central-1", manager.url, KEYS).get("a")
    assert "canary" not in str(refused.value)
    with pytest.raises(DeliveryError, match="IncompleteSignature"):
        SecretsManager("eu-central-1", manager.url, AwsKeys("A", "wrong")).get("a")


def test_nobody_there_is_said(manager: Manager) -> None:
    with pytest.raises(DeliveryError, match="cannot be reached"):
        SecretsManager("eu-central-1", "http://127.0.0.1:1", KEYS).get("a")


def test_it_is_asked_only_where_the_nucleus_lends_a_role() -> None:
    lent = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost:1/", "AWS_REGION": "eu-central-1"}
    assert remote_secrets(lent) is not None
    assert remote_secrets({"AWS_REGION": "eu-central-1"}) is None
    assert remote_secrets({**lent, "AWS_REGION": ""}) is None
