"""Objects of a bucket as files of a function's own disk, bounded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from lambdas.common.runtime import client
from vedette.contracts.errors import CloudError

_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_CHUNK: Final = 1 << 20


def read_object(bucket: str, key: str, limit: int) -> bytes:
    """A small object.

    Raises:
        CloudError: V006, it is missing or larger than ``limit`` bytes.
        botocore.exceptions.ClientError: refused.
    """
    body, size = _open(bucket, key)
    if size > limit:
        raise _too_large(key, size, limit)
    content: bytes = body.read()
    return content


def fetch_object(bucket: str, key: str, target: Path, limit: int) -> str:
    """An object as a file; its SHA-256.

    Raises:
        CloudError: V006, it is missing, empty or larger than ``limit`` bytes.
        botocore.exceptions.ClientError: refused.
    """
    body, size = _open(bucket, key)
    if size > limit:
        raise _too_large(key, size, limit)
    if size == 0:
        raise CloudError(f"{key} is empty.", hint="Upload it again.", code="V006")
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while chunk := body.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def store_file(bucket: str, key: str, source: Path) -> None:
    """Upload a file, in parts where it is large.

    Raises:
        boto3.exceptions.S3UploadFailedError: refused.
    """
    client("s3").upload_file(str(source), bucket, key)


def _open(bucket: str, key: str) -> tuple[Any, int]:
    try:
        answer = client("s3").get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            raise CloudError(
                f"{key} is not in the bucket.",
                hint="Upload the model file first and model.yaml last.",
                code="V006",
            ) from None
        raise
    return answer["Body"], int(answer["ContentLength"])


def _too_large(key: str, size: int, limit: int) -> CloudError:
    return CloudError(
        f"{key} has {size / 1e6:.0f} MB; at most {limit / 1e6:.0f} MB are taken.",
        hint="Use a smaller model.",
        code="V006",
    )
