"""Requests signed with AWS's own library (Signature Version 4).

Credentials are those of the device's role, which the Greengrass token exchange service lends for an hour at most, or
the environment's and the profile's on a laptop.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from vedette.contracts.errors import DeliveryError

#: Longest wait for credentials, and for the signature, which is computed here.
_CREDENTIALS_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Credentials given by hand; those of the machine are used where there are none."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def region_of(environment: Mapping[str, str] = os.environ) -> str:
    """The region as the environment gives it; empty where it does not."""
    return environment.get("AWS_REGION", "") or environment.get("AWS_DEFAULT_REGION", "")


class Signer:
    """Signs requests for one service in one region. For one thread.

    Args:
        service: such as ``s3``.
        region: of the service.
        what: for messages, such as ``bucket evidence``.
        keys: credentials; the machine's own where None.
    """

    def __init__(self, service: str, region: str, what: str, keys: AwsKeys | None = None) -> None:
        self._service = service
        self._region = region
        self._what = what
        self._keys = keys
        self._provider: Any = None

    def headers(self, method: str, url: str, headers: Mapping[str, str], digest: str) -> dict[str, str]:
        """The headers with which a request is to be sent, without those that are made when it is sent.

        Args:
            method: of HTTP.
            url: of the request.
            headers: to be signed too.
            digest: SHA-256 of the body, hexadecimal.

        Raises:
            DeliveryError: V503, there are no credentials.
        """
        from awscrt import auth

        request = self._request(method, url, headers)
        config = self._config(
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
            signed_body_value=digest,
            signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        )
        self._sign(request, config)
        return {name: value for name, value in request.headers if name.lower() != "host"}

    def link(self, url: str, expires_s: int, body: str) -> str:
        """An address with which anyone can get what is there until it expires.

        Args:
            url: of the request.
            expires_s: seconds.
            body: what is signed in its place.

        Raises:
            DeliveryError: V503, there are no credentials.
        """
        from awscrt import auth

        request = self._request("GET", url, {})
        config = self._config(
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS,
            signed_body_value=body,
            expiration_in_seconds=expires_s,
        )
        self._sign(request, config)
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}{request.path}"

    def _request(self, method: str, url: str, headers: Mapping[str, str]) -> Any:
        from awscrt import http

        parts = urlsplit(url)
        fields = [("Host", parts.netloc), *headers.items()]
        return http.HttpRequest(method, parts.path, http.HttpHeaders(fields))

    def _config(self, **how: Any) -> Any:
        from awscrt import auth

        return auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            credentials_provider=self._credentials(),
            region=self._region,
            service=self._service,
            date=datetime.now(UTC),
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
            **how,
        )

    def _credentials(self) -> Any:
        from awscrt import auth

        if self._provider is None:
            if self._keys is not None:
                keys = self._keys
                self._provider = auth.AwsCredentialsProvider.new_static(
                    keys.access_key_id, keys.secret_access_key, keys.session_token or None
                )
            else:
                self._provider = auth.AwsCredentialsProvider.new_default_chain()
        return self._provider

    def _sign(self, request: Any, config: Any) -> None:
        from awscrt import auth

        try:
            self._credentials().get_credentials().result(_CREDENTIALS_S)
            auth.aws_sign_request(request, config).result(_CREDENTIALS_S)
        except Exception as error:  # awscrt has no error tree of its own
            raise DeliveryError(
                f"there are no AWS credentials for {self._what}: {_what(error)}.",
                hint="On a device: the component aws.greengrass.TokenExchangeService; elsewhere the environment.",
                code="V503",
            ) from error


def _what(error: BaseException) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
