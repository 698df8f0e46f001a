"""What the parts of the sandbox share: where it is, a way to call it, and a record of what happened."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from moto.core import DEFAULT_ACCOUNT_ID

from vedette.local.cloud import address

Part = TypeVar("Part")
#: moto's account; nothing here is secret.
ACCOUNT: Final = str(DEFAULT_ACCOUNT_ID)
DEFAULT_REGION: Final = "us-east-1"
#: Things remembered of each kind; a sandbox may stay up for days.
REMEMBERED: Final = 2000
#: Things that run at once besides requests: asynchronous invocations, executions, deliveries.
_WORKERS: Final = 16


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that the account did.

    Attributes:
        kind: such as ``invocation``, ``published``, ``event``, ``rule``, ``problem``.
        at: seconds since 1970.
        detail: what is known of it, as JSON would have it.
    """

    kind: str
    at: float
    detail: dict[str, Any]


@dataclass
class World:
    """One sandbox.

    Attributes:
        port: of the server, on loopback.
        directory: everything it writes.
        region: of the account.
    """

    port: int
    directory: Path
    region: str = DEFAULT_REGION
    _happened: dict[str, deque[Happening]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _clients: dict[str, Any] = field(default_factory=dict)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_WORKERS, "sandbox"))
    _parts: dict[type, Any] = field(default_factory=dict)
    _running: set[Future[Any]] = field(default_factory=set)

    @property
    def endpoint(self) -> str:
        """Where clients go."""
        return address.endpoint(self.port)

    def environment(self) -> dict[str, str]:
        """Variables by which every AWS tool finds the sandbox."""
        return address.environment(self.port, self.region)

    def client(self, service: str) -> Any:
        """A client of the sandbox itself, made once."""
        import boto3
        from botocore.config import Config

        with self._lock:
            if service not in self._clients:
                self._clients[service] = boto3.client(
                    service,
                    region_name=self.region,
                    endpoint_url=self.endpoint,
                    aws_access_key_id=address.ACCESS_KEY,
                    aws_secret_access_key=address.ACCESS_KEY,
                    config=Config(retries={"total_max_attempts": 1}, read_timeout=900),
                )
            return self._clients[service]

    def put(self, part: object) -> None:
        """Keep the state of a concern, one of each type."""
        self._parts[type(part)] = part

    def part(self, kind: type[Part]) -> Part:
        """The state of a concern."""
        found = self._parts[kind]
        assert isinstance(found, kind)
        return found

    def has(self, kind: type) -> bool:
        """Whether a concern is here."""
        return kind in self._parts

    def note(self, kind: str, **detail: Any) -> None:
        """Remember something that happened."""
        with self._lock:
            kept = self._happened.setdefault(kind, deque(maxlen=REMEMBERED))
            kept.append(Happening(kind, time.time(), detail))

    def happened(self, kind: str) -> list[Happening]:
        """What is remembered of a kind, oldest first."""
        with self._lock:
            return list(self._happened.get(kind, ()))

    def kinds(self) -> list[str]:
        """Kinds of which something is remembered."""
        with self._lock:
            return sorted(self._happened)

    def later(self, what: str, task: Callable[[], Any]) -> None:
        """Run a task beside the requests; what goes wrong in it is remembered as a ``problem``."""

        def run() -> None:
            try:
                task()
            except Exception as error:  # noqa: BLE001 - edge of a thread: nobody else would hear of it
                self.note("problem", what=what, error=f"{type(error).__name__}: {error}")

        future = self._pool.submit(run)
        with self._lock:
            self._running.add(future)
        future.add_done_callback(self._finished)

    def _finished(self, future: Future[Any]) -> None:
        with self._lock:
            self._running.discard(future)

    def busy(self) -> int:
        """Tasks that were begun and have not ended."""
        with self._lock:
            return len(self._running)

    def stop(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
