"""Firehose to S3: what is put arrives at once, under the stream's own prefix, as JSON lines.

Prefixes with expressions are evaluated. A stream that would convert to Parquet writes JSON lines here; that is told
once, as a ``remark``.
"""

from __future__ import annotations

import base64
import gzip
import re
import uuid
from datetime import UTC, datetime
from typing import Any, Final

from vedette.local.cloud.world import World

_EXPRESSION: Final = re.compile(r"!\{(\w+):([^}]*)\}")
#: Java's letters of dates, which prefixes use.
_DATE: Final = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_DATE_PART: Final = re.compile(r"'([^']*)'|(yyyy|MM|dd|HH|mm|ss)")
#: Prefix that Firehose appends where the stream's has no expression.
_DEFAULT_DATE: Final = "!{timestamp:yyyy/MM/dd/HH}/"


class PrefixError(ValueError):
    """A prefix with an expression that is not emulated."""


def prefix_at(prefix: str, at: datetime) -> str:
    """A stream's prefix at a time.

    Raises:
        PrefixError: it holds an expression other than ``timestamp`` and ``firehose:random-string``.
    """

    def value(found: re.Match[str]) -> str:
        namespace, argument = found[1], found[2]
        if namespace == "timestamp":
            return _DATE_PART.sub(lambda part: part[1] if part[2] is None else at.strftime(_DATE[part[2]]), argument)
        if (namespace, argument) == ("firehose", "random-string"):
            return uuid.uuid4().hex[:11]
        raise PrefixError(f"The prefix {prefix!r}: the expression {found[0]} is not emulated.")

    with_date = prefix if "!{" in prefix else prefix + _DEFAULT_DATE
    return _EXPRESSION.sub(value, with_date)


def lines(records: list[dict[str, Any]]) -> bytes:
    """Records as lines: each ends with a line break, whether it brought one or not."""
    return b"".join(record["Data"].rstrip(b"\n") + b"\n" for record in records)


def install(world: World) -> None:
    """Write to S3 as Firehose does; refuse streams whose prefix could not be evaluated."""
    from moto.firehose.exceptions import InvalidArgumentException
    from moto.firehose.models import FirehoseBackend

    create = FirehoseBackend.create_delivery_stream
    told: set[str] = set()

    def create_delivery_stream(backend: Any, *arguments: Any, **named: Any) -> Any:
        destination = named.get("extended_s3_destination_configuration") or {}
        try:
            prefix_at(destination.get("Prefix", ""), datetime.now(UTC))
        except PrefixError as error:
            raise InvalidArgumentException(str(error)) from None
        return create(backend, *arguments, **named)

    def put_s3_records(
        backend: Any, name: str, version: str, destination: dict[str, Any], records: list[dict[str, Any]]
    ) -> list[dict[str, str]]:
        now = datetime.now(UTC)
        body = lines(decoded(records))
        converts = (destination.get("DataFormatConversionConfiguration") or {}).get("Enabled")
        if converts and name not in told:
            told.add(name)
            world.note("remark", what=f"stream {name}", remark="writes JSON lines here, Parquet in AWS")
        packed = destination.get("CompressionFormat") == "GZIP" and not converts
        stem = f"{name}-{version}-{now.strftime('%Y-%m-%d-%H-%M-%S')}-{uuid.uuid4()}"
        key = prefix_at(destination.get("Prefix", ""), now) + stem + (".json.gz" if packed else ".json")
        bucket = destination["BucketARN"].split(":")[-1]
        world.client("s3").put_object(Bucket=bucket, Key=key, Body=gzip.compress(body) if packed else body)
        return [{"RecordId": str(uuid.uuid4())} for _ in records]

    FirehoseBackend.create_delivery_stream = create_delivery_stream
    FirehoseBackend.put_s3_records = put_s3_records


def decoded(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records with their data as bytes, however moto hands them over."""
    return [
        {"Data": base64.b64decode(one["Data"]) if isinstance(one["Data"], str) else bytes(one["Data"])}
        for one in records
    ]
