"""Objects into the owner's bucket, and links to them that expire.

Requests are signed by AWS's own library (Signature Version 4). Credentials are those of the device's role, which the
Greengrass token exchange service lends for an hour at most, or the environment's and the profile's on a laptop.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, urlsplit

from vedette.adapters.egress.http import HttpPoster
from vedette.contracts.errors import ConfigurationError, DeliveryError

#: Longest wait for credentials, and for the signature, which is computed here.
_CREDENTIALS_S: Final = 10.0
#: Answers that say nothing about the object: expired credentials, a wait, too many.
_RETRIED: Final = frozenset({400, 401, 403, 408, 409, 425, 429})
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where objects go.

    Attributes:
        name: of the bucket.
        region: it is in.
        endpoint: address of the service in the bucket's place, for a private endpoint or the sandbox; AWS's where
            empty.
    """

    name: str
    region: str
    endpoint: str = ""

    def url(self, key: str) -> str:
        """Address of an object."""
        path = quote(key, safe="/-_.~")
        if self.endpoint:
            return f"{self.endpoint.rstrip('/')}/{self.name}/{path}"
        return f"https://{self.name}.s3.{self.region}.amazonaws.com/{path}"


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Credentials given by hand; those of the machine are used where there are none."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def bucket_from_environment(name: str, region: str = "", environment: Mapping[str, str] = os.environ) -> Bucket:
    """The bucket, its region and endpoint as the environment gives them where they are not said.

    Raises:
        ConfigurationError: V103, no region is known.
    """
    region = region or environment.get("AWS_REGION", "") or environment.get("AWS_DEFAULT_REGION", "")
    if not region:
        raise ConfigurationError(
            f"the region of bucket {name!r} is not known.",
            hint="Name it in the manifest (`upload: {region: …}`) or in the environment variable AWS_REGION.",
        )
    endpoint = environment.get("AWS_ENDPOINT_URL_S3", "") or environment.get("AWS_ENDPOINT_URL", "")
    return Bucket(name, region, endpoint)


class S3Store:
    """A bucket, as one thread uses it.

    Args:
        bucket: where objects go.
        keys: credentials; the machine's own where None.
        timeout_s: for one whole upload.
    """

    def __init__(self, bucket: Bucket, keys: AwsKeys | None = None, *, timeout_s: float = 60.0) -> None:
        self._bucket = bucket
        self._keys = keys
        self._timeout_s = timeout_s
        self._provider: Any = None

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Store an object; the same again is harmless.

        Raises:
            DeliveryError: V501, S3 will never take it; V502, it cannot now; V503, there are no credentials.
            ConfigurationError: V105, the address is not allowed.
        """
        url = self._bucket.url(key)
        signed = self._signed("PUT", url, {"Content-Type": content_type}, sha256(body).hexdigest())
        poster = HttpPoster(url, method="PUT", timeout_s=self._timeout_s, allow_private=bool(self._bucket.endpoint))
        try:
            answer = poster.post(body, signed)
        finally:
            poster.close()
        if 200 <= answer.status < 300:
            return
        refused = 400 <= answer.status < 500 and answer.status not in _RETRIED
        raise DeliveryError(
            f"S3 answered {answer.status} for bucket {self._bucket.name}.",
            hint="See that the bucket exists in this region and that the device's role may put objects there.",
            code="V501" if refused else "V502",
            retryable=not refused,
        )

    def link(self, key: str, expires_s: int) -> str:
        """A link with which anyone can get the object until it expires.

        Raises:
            DeliveryError: V503, there are no credentials.
        """
        from awscrt import auth

        request = self._request("GET", self._bucket.url(key), {})
        config = self._config(
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS,
            signed_body_value=_UNSIGNED,
            expiration_in_seconds=expires_s,
        )
        self._sign(request, config)
        parts = urlsplit(self._bucket.url(key))
        return f"{parts.scheme}://{parts.netloc}{request.path}"

    def _signed(self, method: str, url: str, headers: Mapping[str, str], digest: str) -> dict[str, str]:
        """The headers with which the request is to be sent, without those that are made when it is sent."""
        from awscrt import auth

        request = self._request(method, url, headers)
        config = self._config(
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
            signed_body_value=digest,
            signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        )
        self._sign(request, config)
        return {name: value for name, value in request.headers if name.lower() != "host"}

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
            region=self._bucket.region,
            service="s3",
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
                f"there are no AWS credentials for bucket {self._bucket.name}: {_what(error)}.",
                hint="On a device: the component aws.greengrass.TokenExchangeService; elsewhere the environment.",
                code="V503",
            ) from error


def _what(error: BaseException) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
