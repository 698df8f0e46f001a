"""S3: what moto drops of a bucket's template, policies whose conditions it does not look at, checksums of content."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any, Final

from vedette.local.cloud.world import World

_SHA256: Final = "x-amz-checksum-sha256"


def install(world: World) -> None:
    """Make it so."""
    _install_buckets(world)
    _install_checksums()


def _install_checksums() -> None:
    """Refuse what does not have the SHA-256 that it was sent with, and tell the digests of the parts of an upload.

    moto stores what a client says of its content, lists parts without it, and tells the checksum of an object that came
    in parts without their number.
    """
    from moto.s3.responses import S3Response

    upload_part, put_object, list_parts = S3Response.upload_part, S3Response.put_object, S3Response.list_parts
    head_object = S3Response.head_object

    def checked(original: Any) -> Any:
        def method(response: Any) -> Any:
            said = response.headers.get(_SHA256)
            if said and said != _digest(response.body or b""):
                return 400, {"content-type": "application/xml"}, _BAD_DIGEST
            return original(response)

        return method

    def with_digests(response: Any) -> Any:
        status, headers, body = list_parts(response)
        bucket = response.backend.get_bucket(response.bucket_name)
        upload = bucket.multiparts[response._get_param("uploadId")]
        text = body.decode() if isinstance(body, bytes) else str(body)
        if upload.metadata.get("x-amz-checksum-algorithm") == "SHA256":

            def told(part: re.Match[str]) -> str:
                digest = _digest(upload.parts[int(part[2])].value)
                return f"{part[1]}<ChecksumSHA256>{digest}</ChecksumSHA256>{part[3]}"

            text = re.sub(r"(<Part>.*?<PartNumber>(\d+)</PartNumber>)(.*?</Part>)", told, text, flags=re.DOTALL)
        return status, headers, text

    def with_parts(response: Any, bucket_name: str, query: Any, key_name: str, headers: Any) -> Any:
        status, found, body = head_object(response, bucket_name, query, key_name, headers)
        if _SHA256 in found and status == 200:
            key = response.backend.head_object(bucket_name, key_name, query.get("versionId", [None])[0])
            if key.checksum_type == "COMPOSITE":
                found = {**found, _SHA256: f"{key.checksum_value}-{key.checksum_parts}"}
        return status, found, body

    S3Response.head_object = with_parts
    S3Response.upload_part = checked(upload_part)
    S3Response.put_object = checked(put_object)
    S3Response.list_parts = with_digests


_BAD_DIGEST: Final = (
    "<Error><Code>BadDigest</Code><Message>The SHA256 you specified did not match the calculated checksum.</Message>"
    "</Error>"
)


def _digest(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _install_buckets(world: World) -> None:
    """Send a bucket's events to EventBridge where its template says so; leave statements with conditions aside.

    moto would apply ``Deny`` of requests without TLS to every request, because it does not read conditions.
    """
    import moto.s3.models as models

    made = models.FakeBucket.create_from_cloudformation_json.__func__
    permission = models.FakeBucket.get_permission

    def create(cls: Any, resource_name: str, cloudformation_json: Any, *rest: Any, **named: Any) -> Any:
        bucket = made(cls, resource_name, cloudformation_json, *rest, **named)
        wanted = cloudformation_json.get("Properties", {}).get("NotificationConfiguration", {})
        if "EventBridgeConfiguration" in wanted:
            world.client("s3").put_bucket_notification_configuration(
                Bucket=bucket.name, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )
        return bucket

    def get_permission(bucket: Any, action: str, resource: str) -> Any:
        return permission(_View(bucket), action, resource)

    models.FakeBucket.create_from_cloudformation_json = classmethod(create)
    models.FakeBucket.get_permission = get_permission


class _View:
    """A bucket as its policy without conditional statements sees it; the bucket itself is left as it is."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket
        self.policy = unconditional(bucket.policy)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)


def unconditional(policy: bytes | None) -> bytes | None:
    """A policy without its statements that have conditions; None where nothing is left."""
    if not policy:
        return None
    document = json.loads(policy)
    document["Statement"] = [entry for entry in document["Statement"] if not entry.get("Condition")]
    return json.dumps(document).encode() if document["Statement"] else None
