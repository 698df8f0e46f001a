"""Messages of a queue, each of which fails or succeeds by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from vedette.contracts.base import Contract, mistakes
from vedette.contracts.errors import CloudError

Content = TypeVar("Content", bound=Contract)

#: The rule puts the thing's name beside what the device sent, out of the topic, which its certificate is bound to.
THING: Final = "thing"


@dataclass(frozen=True, slots=True)
class Record:
    """One message.

    Attributes:
        id: of the queue.
        body: the text.
        sent_ms: when it came into the queue, milliseconds since 1970.
    """

    id: str
    body: str
    sent_ms: int


def records(event: Mapping[str, Any]) -> tuple[Record, ...]:
    """The messages of one call.

    Raises:
        CloudError: V011, this is no call by a queue.
    """
    try:
        return tuple(
            Record(str(one["messageId"]), str(one["body"]), int(one["attributes"]["SentTimestamp"]))
            for one in event["Records"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CloudError(f"the function was not called by its queue ({error!r}).", code="V011") from None


def answer(failed: Iterable[str]) -> dict[str, Any]:
    """Tells the queue which messages to deliver again; the others are deleted."""
    return {"batchItemFailures": [{"itemIdentifier": one} for one in sorted(set(failed))]}


def each(event: Mapping[str, Any], work: Callable[[Record], None], log: Logger) -> dict[str, Any]:
    """Work on each message; those that raised are named in the answer, and delivered again.

    Raises:
        CloudError: V011, this is no call by a queue.
    """
    failed = []
    for record in records(event):
        try:
            work(record)
        except CloudError as error:
            failed.append(record.id)
            log.error(str(error), code=error.code, messages=[record.id])
    return answer(failed)


def from_device(record: Record) -> tuple[str, dict[str, Any]]:
    """Thing and message, as a rule of AWS IoT puts them into the queue.

    Raises:
        CloudError: V011, it has another form.
    """
    try:
        document = json.loads(record.body)
    except (ValueError, RecursionError):
        raise CloudError("a message is no JSON.", code="V011") from None
    thing = document.pop(THING, None) if isinstance(document, dict) else None
    if not isinstance(thing, str) or not thing:
        raise CloudError("a message does not say which thing sent it.", code="V011")
    return thing, document


def parsed(document: Mapping[str, Any], kind: type[Content], refusal: str) -> Content:
    """What a device sent, as what it ought to be.

    Args:
        document: the message.
        kind: what it ought to be.
        refusal: beginning of the sentence where it is not, such as ``cam-7 sent no alert``.

    Raises:
        CloudError: V011, it is not.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise CloudError(f"{refusal}: {mistakes(error, 'the message')[0]}.", code="V011") from None
