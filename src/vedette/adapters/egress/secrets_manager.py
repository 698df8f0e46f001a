"""Secrets from AWS Secrets Manager, with the device's own role: where the nucleus has no secret manager."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

from vedette.adapters.egress.http import HttpPoster
from vedette.adapters.egress.signing import AwsKeys, Signer, region_of
from vedette.contracts.errors import ConfigurationError, DeliveryError

_MAX_BYTES: Final = 64 << 10
_TIMEOUT_S: Final = 10.0
#: Says that the nucleus lends the device's role (the token exchange service).
_LENT: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"


class SecretsManager:
    """Reads secrets, as one thread uses it.

    Args:
        region: of the service.
        endpoint: address of the service, for a private endpoint or the sandbox; AWS's where empty.
        keys: credentials; the machine's own where None.
    """

    def __init__(self, region: str, endpoint: str = "", keys: AwsKeys | None = None) -> None:
        self._url = (endpoint.rstrip("/") or f"https://secretsmanager.{region}.amazonaws.com") + "/"
        self._private = bool(endpoint)
        self._signer = Signer("secretsmanager", region, "Secrets Manager", keys)

    def get(self, name: str) -> dict[str, str]:
        """A secret's key-value pairs. The value never reaches a log or an error.

        Raises:
            DeliveryError: V503, it is not to be had.
        """
        body = json.dumps({"SecretId": name}).encode()
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue"}
        try:
            signed = self._signer.headers("POST", self._url, headers, sha256(body).hexdigest())
            poster = HttpPoster(self._url, allow_private=self._private, timeout_s=_TIMEOUT_S, keep_bytes=_MAX_BYTES)
            try:
                answer = poster.post(body, signed)
            finally:
                poster.close()
        except (DeliveryError, ConfigurationError) as error:
            raise _missing(name, error.message) from error
        if answer.status != 200:
            raise _missing(name, f"Secrets Manager answered {answer.status}{_kind(answer.body)}.")
        try:
            pairs = json.loads(json.loads(answer.body)["SecretString"])
        except (ValueError, KeyError, TypeError):
            pairs = None
        if not isinstance(pairs, dict):
            raise _missing(name, "it is no JSON object of key-value pairs.")
        return {str(key): str(value) for key, value in pairs.items()}


def remote_secrets(environment: Mapping[str, str] = os.environ) -> Callable[[str], dict[str, str]] | None:
    """Reads secrets with the role that the nucleus lends; None where it lends none or the region is not known."""
    region = region_of(environment)
    if not region or not environment.get(_LENT):
        return None
    endpoint = environment.get("AWS_ENDPOINT_URL_SECRETS_MANAGER", "") or environment.get("AWS_ENDPOINT_URL", "")
    return SecretsManager(region, endpoint).get


def _kind(body: bytes) -> str:
    """AWS's name of the refusal."""
    try:
        kind = str(json.loads(body)["__type"]).rpartition("#")[2]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" ({kind[:60]})" if kind.isalnum() else ""


def _missing(name: str, why: str) -> DeliveryError:
    return DeliveryError(
        f"secret {name!r} is not available: {why}",
        hint="It is given to one device by the tag `vedette-device` = the device's name; see docs/provisioning.md.",
        code="V503",
    )
