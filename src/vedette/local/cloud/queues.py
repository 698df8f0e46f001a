"""SQS to Lambda: event source mappings, which take messages from a queue, batch by batch.

As in AWS, what a function names in ``batchItemFailures`` (or all, where it raises) goes back to the queue, and SQS sets
aside what was received too often. In the sandbox it comes back at once, not after the queue's visibility timeout.
"""

from __future__ import annotations

import contextlib
import json
import threading
from typing import Any, Final

from vedette.local.cloud.functions import Functions
from vedette.local.cloud.world import ACCOUNT, World

#: How often queues are looked at where nothing was sent: messages that become visible again.
_LOOK_S: Final = 0.5
_MOST_IN_A_BATCH: Final = 10


class Mappings:
    """Takes messages for every mapping, one batch at a time for each."""

    def __init__(self, world: World, functions: Functions) -> None:
        self._world = world
        self._functions = functions
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._at_work: set[str] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="queues", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        self._wake.set()

    def wake(self) -> None:
        """Something was sent."""
        self._wake.set()

    def _watch(self) -> None:
        from moto.awslambda.models import lambda_backends

        while not self._stopped.is_set():
            self._wake.wait(_LOOK_S)
            self._wake.clear()
            backend = lambda_backends[ACCOUNT][self._world.region]
            for mapping in list(backend._event_source_mappings.values()):
                if mapping.enabled is not False and mapping.event_source_arn.split(":")[2] == "sqs":
                    self._begin(mapping)

    def _begin(self, mapping: Any) -> None:
        with self._lock:
            if mapping.uuid in self._at_work:
                return
            self._at_work.add(mapping.uuid)
        self._world.later(f"queue {mapping.event_source_arn}", lambda: self._work(mapping))

    def _work(self, mapping: Any) -> None:
        try:
            while self._batch(mapping) and not self._stopped.is_set():
                pass
        finally:
            with self._lock:
                self._at_work.discard(mapping.uuid)

    def _batch(self, mapping: Any) -> bool:
        """Take one batch; whether there was one."""
        from moto.awslambda.models import lambda_backends
        from moto.sqs.models import sqs_backends

        queues = sqs_backends[ACCOUNT][self._world.region]
        name = mapping.event_source_arn.split(":")[-1]
        if name not in queues.queues:
            return False
        queue = queues.get_queue(name)
        size = min(int(mapping.batch_size), _MOST_IN_A_BATCH)
        messages = queues.receive_message(name, size, 0, int(queue.visibility_timeout))
        if not messages:
            return False
        function = lambda_backends[ACCOUNT][self._world.region].get_function(mapping.function_arn)
        records = [_record(message, mapping.event_source_arn, self._world.region) for message in messages]
        outcome = self._functions.run(function, json.dumps({"Records": records}))
        failed = _failed(outcome.payload, mapping, {r["messageId"] for r in records}, raised=outcome.failed)
        for message in messages:
            with contextlib.suppress(Exception):  # a queue that was deleted meanwhile
                if message.id in failed:
                    queues.change_message_visibility(name, message.receipt_handle, 0)
                else:
                    queues.delete_message(name, message.receipt_handle)
        return True


def _record(message: Any, arn: str, region: str) -> dict[str, Any]:
    attributes = {
        key: {"dataType": value["data_type"], "stringValue": str(value.get("string_value", ""))}
        for key, value in (message.message_attributes or {}).items()
    }
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.approximate_receive_count),
            "SentTimestamp": str(message.sent_timestamp),
            "SenderId": str(message.sender_id),
            "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
        },
        "messageAttributes": attributes,
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    }


def _failed(payload: str, mapping: Any, identities: set[str], *, raised: bool) -> set[str]:
    """Messages that go back. An answer that cannot be read means all, as in AWS."""
    if raised:
        return identities
    if "ReportBatchItemFailures" not in (mapping.function_response_types or ()):
        return set()
    answer = json.loads(payload) or {}
    if not isinstance(answer, dict) or not isinstance(answer.get("batchItemFailures", []), list):
        return identities
    named = {str(entry.get("itemIdentifier")) for entry in answer.get("batchItemFailures") or []}
    return named if named <= identities else identities


def install(world: World, functions: Functions) -> Mappings:
    """Take messages by ``Mappings``, not inside the request that sends them, as moto would."""
    from moto.awslambda.models import LambdaBackend
    from moto.sqs.models import Queue, sqs_backends

    mappings = Mappings(world, functions)
    create, add = LambdaBackend.create_event_source_mapping, Queue.add_message

    def create_mapping(backend: Any, spec: dict[str, Any]) -> Any:
        mapping = create(backend, spec)
        queue = sqs_backends[ACCOUNT][world.region].queues.get(mapping.event_source_arn.split(":")[-1])
        if queue is not None:
            queue.lambda_event_source_mappings.pop(mapping.function_arn, None)
        mappings.wake()
        return mapping

    def add_message(queue: Any, message: Any) -> None:
        add(queue, message)
        mappings.wake()

    LambdaBackend.create_event_source_mapping = create_mapping
    Queue.add_message = add_message
    return mappings
