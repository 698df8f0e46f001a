"""Requests to AWS services from within functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from vedette.contracts.errors import CloudError

T = TypeVar("T")

#: Most entries that SNS and EventBridge take at once.
MAX_ENTRIES: Final = 10
_NOT_SO: Final = "ConditionalCheckFailedException"


@contextmanager
def asking(what: str) -> Iterator[None]:
    """AWS's refusals as errors of the project; whoever delivered the message delivers it again.

    Raises:
        CloudError: V003, with AWS's own words.
    """
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        raise CloudError(f"{what}: {said.get('Code')}: {said.get('Message')}", retryable=True) from error
    except BotoCoreError as error:
        raise CloudError(f"{what}: {error}", retryable=True) from error


@contextmanager
def unless_condition_fails() -> Iterator[list[dict[str, Any]]]:
    """A conditional write: the list is empty where it was made, else holds the item as it is (low-level form)."""
    found: list[dict[str, Any]] = []
    try:
        yield found
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != _NOT_SO:
            raise
        found.append(error.response.get("Item", {}))


def chunks(entries: Sequence[T], size: int = MAX_ENTRIES) -> Iterator[list[T]]:
    """So many at a time."""
    rest = iter(entries)
    while part := list(islice(rest, size)):
        yield part
