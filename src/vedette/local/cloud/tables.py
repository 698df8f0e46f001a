"""DynamoDB: a write and its condition are one step, as in AWS. The emulator looks and writes in two."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from vedette.local.cloud.world import World

_WRITES: Final = ("put_item", "update_item", "delete_item", "transact_write_items")


def atomic_writes() -> dict[str, Callable[..., Any]]:
    """The emulator's writes behind one lock, by name."""
    from moto.dynamodb.models import DynamoDBBackend

    lock = threading.RLock()

    def locked(write: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(write)
        def one_at_a_time(*arguments: Any, **named: Any) -> Any:
            with lock:
                return write(*arguments, **named)

        return one_at_a_time

    return {name: locked(getattr(DynamoDBBackend, name)) for name in _WRITES}


def install(world: World) -> None:
    """Make every write of the sandbox's tables one step."""
    from moto.dynamodb.models import DynamoDBBackend

    for name, write in atomic_writes().items():
        setattr(DynamoDBBackend, name, write)
