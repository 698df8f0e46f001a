"""Rows on their way to the bucket, through Firehose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from lambdas.common.requests import asking, chunks

#: Most records that Firehose takes at once.
MAX_ROWS: Final = 500


def send_rows(client: Any, stream: str, rows: Sequence[dict[str, Any]]) -> list[bool]:
    """Put rows into a delivery stream; whether it took each, in the same order.

    Raises:
        CloudError: V003, it refused a whole request.
    """
    taken: list[bool] = []
    for part in chunks(rows, MAX_ROWS):
        data = [{"Data": json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"} for row in part]
        with asking(f"the delivery stream {stream}"):
            results = client.put_record_batch(DeliveryStreamName=stream, Records=data)["RequestResponses"]
        taken += ["RecordId" in result and "ErrorCode" not in result for result in results]
    return taken
