"""The table of models, and the events about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lambdas.common.events import send_event
from lambdas.common.requests import unless_condition_fails
from lambdas.common.runtime import client
from vedette.contracts.errors import CloudError
from vedette.contracts.model_card import Target
from vedette.contracts.model_record import (
    MAX_REASON,
    MODEL_STATE_EVENT,
    ModelRecord,
    ModelState,
    release_key,
)


class OtherContentError(CloudError):
    """A second content under one version, V006. Nobody but the model's author can do anything about it."""

    def __init__(self, model: str, version: str) -> None:
        super().__init__(
            f"{model} {version} is released already, with other content.",
            hint="A released version never changes: raise `version` in model.yaml and upload again.",
            code="V006",
        )


class ModelBook:
    """Reads and writes where versions of models stand.

    Args:
        table: its name.
        bus: of the account's events.
        execution: that writes.
    """

    def __init__(self, table: str, bus: str, execution: str) -> None:
        self._table = table
        self._bus = bus
        self._execution = execution

    def read(self, model: str, version: str, target: Target | None) -> ModelRecord | None:
        """A record.

        Raises:
            botocore.exceptions.ClientError: the table cannot be read.
        """
        key = {"model": {"S": model}, "release": {"S": release_key(version, target)}}
        item = client("dynamodb").get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return _record(item) if item else None

    def write(self, model: str, version: str, target: Target | None, state: ModelState, **more: str) -> ModelRecord:
        """Record a state, and tell of it.

        Raises:
            OtherContentError: V006, this version is released with other content: it stays as it is.
            botocore.exceptions.ClientError: the table cannot be written.
            CloudError: V003, the event was not taken.
        """
        more["reason"] = more.get("reason", "")[:MAX_REASON]
        record = ModelRecord(
            model=model,
            release=release_key(version, target),
            version=version,
            target=target,
            state=state,
            execution=self._execution,
            updated_at=datetime.now(UTC),
            **more,
        )
        with unless_condition_fails() as found:
            client("dynamodb").put_item(
                TableName=self._table,
                Item=_item(record),
                ConditionExpression="attribute_not_exists(#release) OR #state <> :released OR sha256 = :sha256",
                ExpressionAttributeNames={"#release": "release", "#state": "state"},
                ExpressionAttributeValues={
                    ":released": {"S": ModelState.RELEASED.value},
                    ":sha256": {"S": record.sha256},
                },
            )
        if found:
            raise OtherContentError(model, version)
        self._tell(record)
        return record

    def forget(self, model: str, version: str) -> None:
        """Take away what was said of the whole version, once its description can be read."""
        key = {"model": {"S": model}, "release": {"S": release_key(version, None)}}
        client("dynamodb").delete_item(TableName=self._table, Key=key)

    def _tell(self, record: ModelRecord) -> None:
        detail = record.model_dump(mode="json", exclude_none=True)
        send_event(client("events"), self._bus, MODEL_STATE_EVENT, detail)


def _item(record: ModelRecord) -> dict[str, Any]:
    return {key: {"S": value} for key, value in record.model_dump(mode="json", exclude_none=True).items()}


def _record(item: Mapping[str, Any]) -> ModelRecord:
    return ModelRecord.model_validate({key: value["S"] for key, value in item.items()})
