"""Objects into the owner's bucket, and links to them that expire."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from vedette.adapters.egress.http import HttpPoster
from vedette.adapters.egress.signing import AwsKeys, Signer, region_of
from vedette.contracts.errors import ConfigurationError, DeliveryError

#: Answers that say nothing about the object: expired credentials, a wait, too many.
_RETRIED: Final = frozenset({400, 401, 403, 408, 409, 425, 429})
#: The slowest line an upload is waited for, bytes a second: 64 kbit/s.
SLOWEST_BYTES_S: Final = 8_000
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


def bucket_from_environment(name: str, region: str = "", environment: Mapping[str, str] = os.environ) -> Bucket:
    """The bucket, its region and endpoint as the environment gives them where they are not said.

    Raises:
        ConfigurationError: V103, no region is known.
    """
    region = region or region_of(environment)
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
        timeout_s: for one whole upload; longer for what a line of ``SLOWEST_BYTES_S`` takes longer for.
        progress_s: for each 64 KiB of it.
    """

    def __init__(
        self, bucket: Bucket, keys: AwsKeys | None = None, *, timeout_s: float = 60.0, progress_s: float = 30.0
    ) -> None:
        self._bucket = bucket
        self._signer = Signer("s3", bucket.region, f"bucket {bucket.name}", keys)
        self._timeout_s = timeout_s
        self._progress_s = progress_s

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Store an object; the same again is harmless.

        Raises:
            DeliveryError: V501, S3 will never take it; V502, it cannot now; V503, there are no credentials.
            ConfigurationError: V105, the address is not allowed.
        """
        url = self._bucket.url(key)
        signed = self._signer.headers("PUT", url, {"Content-Type": content_type}, sha256(body).hexdigest())
        poster = HttpPoster(
            url,
            method="PUT",
            timeout_s=max(self._timeout_s, len(body) / SLOWEST_BYTES_S),
            allow_private=bool(self._bucket.endpoint),
            progress_s=self._progress_s,
        )
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
        return self._signer.link(self._bucket.url(key), expires_s, _UNSIGNED)
