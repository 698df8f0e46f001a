"""S3: what moto drops of a bucket's template, and bucket policies whose conditions it does not look at."""

from __future__ import annotations

import json
from typing import Any

from vedette.local.cloud.world import World


def install(world: World) -> None:
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
