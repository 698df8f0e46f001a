"""IoT Core without a broker: a file of JSON lines, and the acknowledgements the cloud would send."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from vedette.contracts import topics
from vedette.contracts.errors import StorageError
from vedette.local.bus import Bus, Subscription
from vedette.local.iot import FileIot
from vedette.local.ledger import Entry, Ledger, NotForLedgerError
from vedette.local.logfile import BoundedLog
from vedette.local.server import IpcError

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 1000
MAX_BATCH: Final = 200


class FileBridge:
    """Writes every published message to a file and answers alerts as the cloud's ledger does.

    A publish returns once the line is written; the acknowledgement follows once the ledger is on disk.

    Args:
        settings: where.
        thing_name: whose alerts are acknowledged.
    """

    def __init__(self, settings: FileIot, thing_name: str) -> None:
        self._settings = settings
        self._thing = thing_name
        self._asked_for_shadow = topics.shadow(thing_name, "get")
        self._alerts = topics.cloud_alerts(thing_name)
        self._acknowledgements = topics.cloud_ack(thing_name)
        self._bus: Bus[bytes] = Bus()
        self._waiting: asyncio.Queue[Entry] = asyncio.Queue(MAX_WAITING)
        self._disk = ThreadPoolExecutor(1, "vedette-ledger")
        self._log: BoundedLog | None = None
        self._ledger: Ledger | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Opens file and ledger."""
        path = self._settings.path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._log = BoundedLog(path, self._settings.max_bytes)
        self._ledger = Ledger(path.with_name(path.name + ".ledger"))
        self._task = asyncio.create_task(self._keep_ledger(), name="ledger")

    async def stop(self) -> None:
        """Records what waits and closes."""
        if self._task is not None:
            await self._waiting.join()
            self._task.cancel()
            await asyncio.wait([self._task])
        self._disk.shutdown()
        for resource in (self._log, self._ledger):
            if resource is not None:
                resource.close()

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:  # noqa: ARG002
        """Writes one line; an alert goes on to the ledger."""
        assert self._log is not None
        if topic == self._asked_for_shadow:
            self._bus.publish(topics.shadow(self._thing, "get/rejected"), _no_shadow(payload))
            return
        if topic == self._alerts and self._waiting.full():
            raise IpcError("ServiceError", "the ledger is behind; try again")
        line = {"topic": topic, "payload": _readable(payload), "time": time.time()}
        try:
            self._log.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            raise IpcError("ServiceError", f"{self._settings.path}: {error.strerror}") from None
        self._bus.publish(topic, payload)
        if topic == self._alerts:
            try:
                self._waiting.put_nowait(Entry.parse(payload))
            except NotForLedgerError as error:
                logger.warning("a message on %s is neither an alert nor a tombstone: %s", topic, error)

    async def subscribe(self, subscription: Subscription[bytes], qos: int) -> None:  # noqa: ARG002
        """Starts delivery of what is published here and of the acknowledgements."""
        self._bus.add(subscription)

    def unsubscribe(self, subscription: Subscription[bytes]) -> None:
        """Ends delivery."""
        self._bus.remove(subscription)

    async def _keep_ledger(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._ledger is not None
        ledger = self._ledger
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                through = await loop.run_in_executor(self._disk, lambda b=batch: _record(ledger, b))  # type: ignore[misc]
            except StorageError as error:  # no acknowledgement: the device sends it again
                logger.warning("%s", error)
                through = {}
            for epoch, seq in through.items():
                if seq:
                    answer = json.dumps({"epoch": epoch, "through_seq": seq}).encode()
                    self._bus.publish(self._acknowledgements, answer)
            for _ in batch:
                self._waiting.task_done()


def _record(ledger: Ledger, batch: list[Entry]) -> dict[str, int]:
    return ledger.record(batch, received_s=time.time())


def _no_shadow(request: bytes) -> bytes:
    """What AWS IoT answers where nothing was ever said about a device; a question is nothing to write down."""
    answer: dict[str, Any] = {"code": 404, "message": "No shadow exists with name: 'vedette'"}
    with contextlib.suppress(ValueError, KeyError, TypeError):
        answer["clientToken"] = json.loads(request)["clientToken"]
    return json.dumps(answer).encode()


def _readable(payload: bytes) -> Any:
    """The payload as JSON where it is, as text where it is, else as base64."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(payload).decode()}
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
