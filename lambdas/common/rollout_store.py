"""Desired states and rollouts in DynamoDB."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from pydantic import TypeAdapter

from lambdas.common.requests import unless_condition_fails
from lambdas.common.runtime import client
from vedette.contracts.account import BY_FLEET
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import RolloutSettings
from vedette.contracts.rollout import Change, ComponentChoice, DesiredState, Rollout, RolloutStatus, device_of
from vedette.contracts.versions import ComponentName
from vedette.core.fleet.desired import subject
from vedette.core.fleet.rollout import longest_s

#: How much longer than all its time limits a rollout keeps others out, if it dies without a word, seconds.
_GRACE_S: Final = 86_400
#: Rollouts of a fleet in which one is looked for: so many requests at most, and so many in each.
_PAGES, _PAGE = 10, 100
_BASELINE: Final = TypeAdapter(dict[ComponentName, ComponentChoice])


@dataclass(frozen=True, slots=True)
class Kept:
    """A rollout as it is stored.

    Attributes:
        rollout: itself.
        revision: grows with each writing.
        abort: who wants it stopped and why, or None.
    """

    rollout: Rollout
    revision: int
    abort: str | None


class Store:
    """Both tables.

    Args:
        settings: names of the tables.
    """

    def __init__(self, settings: RolloutSettings) -> None:
        self._settings = settings
        self._client = client("dynamodb")

    def newest(self, fleet: str, ring: str) -> DesiredState:
        """What a ring should run; the baseline, version 0, where nothing was decided yet."""
        found = self._client.query(
            TableName=self._settings.desired_table,
            KeyConditionExpression="ring = :ring",
            ExpressionAttributeValues={":ring": {"S": f"{fleet}/{ring}"}},
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=True,
        )["Items"]
        if found:
            return DesiredState.model_validate_json(found[0]["state"]["S"])
        # What lies below the applications comes to a device with its ring, whoever has applications of its own.
        own = device_of(ring) is not None
        return DesiredState(fleet=fleet, ring=ring, components={} if own else self.baseline())

    def baseline(self) -> dict[ComponentName, ComponentChoice]:
        """Components of a ring of which nothing was decided yet."""
        return _BASELINE.validate_json(self._settings.baseline)

    def put(self, state: DesiredState, why: str) -> bool:
        """Add a version; False where somebody else has made a version of this number."""
        with unless_condition_fails() as found:
            self._client.put_item(
                TableName=self._settings.desired_table,
                Item={
                    "ring": {"S": f"{state.fleet}/{state.ring}"},
                    "version": {"N": str(state.version)},
                    "state": {"S": state.model_dump_json()},
                    "why": {"S": why},
                    "at": {"N": str(int(time.time()))},
                },
                ConditionExpression="attribute_not_exists(ring)",
            )
        return not found

    def load(self, rollout_id: str) -> Kept:
        """A rollout.

        Raises:
            CloudError: V009, there is none.
        """
        item = self._client.get_item(
            TableName=self._settings.rollouts_table, Key={"rollout_id": {"S": rollout_id}}, ConsistentRead=True
        ).get("Item")
        if item is None:
            raise CloudError(
                f"there is no rollout {rollout_id!r}.", hint="The action list names those there are.", code="V009"
            )
        return _kept(item)

    def create(self, rollout: Rollout) -> None:
        """Write a new rollout and keep others of the same subject out, both or neither.

        Raises:
            CloudError: V009, another rollout of the same subject is under way, or this id was used.
        """
        table = self._settings.rollouts_table
        lock = _lock(rollout)
        limits = longest_s(rollout.policy, len(rollout.rings)) + _GRACE_S
        held = {
            "rollout_id": {"S": lock},
            "holder": {"S": rollout.rollout_id},
            "until": {"N": str(rollout.created_at + limits)},
        }
        writes: list[dict[str, Any]] = [
            {
                "Put": {
                    "TableName": table,
                    "Item": _item(rollout, 1),
                    "ConditionExpression": "attribute_not_exists(rollout_id)",
                }
            },
            {
                "Put": {
                    "TableName": table,
                    "Item": held,
                    "ConditionExpression": "attribute_not_exists(rollout_id) OR #until < :now",
                    "ExpressionAttributeNames": {"#until": "until"},
                    "ExpressionAttributeValues": {":now": {"N": str(rollout.created_at)}},
                }
            },
        ]
        try:
            self._client.transact_write_items(TransactItems=writes)
        except self._client.exceptions.TransactionCanceledException as error:
            reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", ())]
            raise self._refused(rollout, reasons) from None

    def _refused(self, rollout: Rollout, reasons: list[str | None]) -> CloudError:
        if "ConditionalCheckFailed" not in reasons:
            return CloudError("another request was writing at the same time.", hint="Try again.", retryable=True)
        what = subject(rollout.change)
        holder = self.holder(rollout.fleet, rollout.change)
        if holder is None or holder == rollout.rollout_id:
            return CloudError(f"rollout {rollout.rollout_id!r} is already there.", code="V009")
        return CloudError(
            f"rollout {holder!r} of {what} is under way in fleet {rollout.fleet!r}.",
            hint="Wait for it, or abort it, then plan again.",
            code="V009",
        )

    def holder(self, fleet: str, change: Change) -> str | None:
        """The rollout that keeps others of this subject out, or None."""
        item = self._client.get_item(
            TableName=self._settings.rollouts_table,
            Key={"rollout_id": {"S": _lock_name(fleet, change)}},
            ConsistentRead=True,
        ).get("Item")
        if item is None or int(item["until"]["N"]) < time.time():
            return None
        return str(item["holder"]["S"])

    def save(self, rollout: Rollout, revision: int) -> int:
        """Write a rollout over the revision that it was made from; the request to abort stays.

        Returns:
            The new revision.

        Raises:
            CloudError: V003, retryable, somebody else has written it.
        """
        item = _item(rollout, revision + 1)
        with unless_condition_fails() as found:
            self._client.update_item(
                TableName=self._settings.rollouts_table,
                Key={"rollout_id": item["rollout_id"]},
                UpdateExpression="SET #document = :document, #status = :status, #revision = :revision",
                ConditionExpression="#revision = :was",
                ExpressionAttributeNames={"#document": "document", "#status": "status", "#revision": "revision"},
                ExpressionAttributeValues={
                    ":document": item["document"],
                    ":status": item["status"],
                    ":revision": item["revision"],
                    ":was": {"N": str(revision)},
                },
            )
        if found:
            raise CloudError(f"rollout {rollout.rollout_id!r} was written by another step.", retryable=True)
        return revision + 1

    def ask_to_abort(self, rollout_id: str, why: str) -> Kept:
        """Leave word for the next step.

        Raises:
            CloudError: V009, there is no such rollout, or it is over.
        """
        kept = self.load(rollout_id)
        with unless_condition_fails() as found:
            self._client.update_item(
                TableName=self._settings.rollouts_table,
                Key={"rollout_id": {"S": rollout_id}},
                UpdateExpression="SET #abort = if_not_exists(#abort, :why)",
                ConditionExpression="#status = :running",
                ExpressionAttributeNames={"#abort": "abort", "#status": "status"},
                ExpressionAttributeValues={":why": {"S": why}, ":running": {"S": RolloutStatus.RUNNING.value}},
            )
        if found:
            raise CloudError(
                f"rollout {rollout_id!r} is over ({kept.rollout.status.value}): there is nothing to abort.", code="V009"
            )
        return self.load(rollout_id)

    def release(self, rollout: Rollout) -> bool:
        """Let others of the same subject in; False, and nothing happens, where this rollout does not hold them out."""
        with unless_condition_fails() as found:
            self._client.delete_item(
                TableName=self._settings.rollouts_table,
                Key={"rollout_id": {"S": _lock(rollout)}},
                ConditionExpression="holder = :me",
                ExpressionAttributeValues={":me": {"S": rollout.rollout_id}},
            )
        return not found

    def succeeded(self, fleet: str, what: str) -> Iterator[Rollout]:
        """A fleet's rollouts of a subject that succeeded, the newest first, among the newest of all.

        Args:
            fleet: of the rollouts.
            what: the subject.
        """
        pages = self._client.get_paginator("query").paginate(
            TableName=self._settings.rollouts_table,
            IndexName=BY_FLEET,
            KeyConditionExpression="fleet = :fleet",
            FilterExpression="#status = :succeeded",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":fleet": {"S": fleet},
                ":succeeded": {"S": RolloutStatus.SUCCEEDED.value},
            },
            ScanIndexForward=False,
            PaginationConfig={"PageSize": _PAGE},
        )
        for page in islice(pages, _PAGES):
            for item in page["Items"]:
                found = _kept(item).rollout
                if subject(found.change) == what:
                    yield found

    def of_fleet(self, fleet: str, limit: int) -> list[Rollout]:
        """A fleet's rollouts, the newest first."""
        items = self._client.query(
            TableName=self._settings.rollouts_table,
            IndexName=BY_FLEET,
            KeyConditionExpression="fleet = :fleet",
            ExpressionAttributeValues={":fleet": {"S": fleet}},
            ScanIndexForward=False,
            Limit=limit,
        )["Items"]
        return [_kept(item).rollout for item in items]


def _lock(rollout: Rollout) -> str:
    return _lock_name(rollout.fleet, rollout.change)


def _lock_name(fleet: str, change: Change) -> str:
    # A slash: no rollout has one in its id.
    return f"lock/{fleet}/{subject(change)}"


def _item(rollout: Rollout, revision: int) -> dict[str, Any]:
    return {
        "rollout_id": {"S": rollout.rollout_id},
        "fleet": {"S": rollout.fleet},
        "created_at": {"N": str(rollout.created_at)},
        "status": {"S": rollout.status.value},
        "revision": {"N": str(revision)},
        "document": {"S": rollout.model_dump_json()},
    }


def _kept(item: dict[str, Any]) -> Kept:
    return Kept(
        rollout=Rollout.model_validate(json.loads(item["document"]["S"])),
        revision=int(item["revision"]["N"]),
        abort=item["abort"]["S"] if "abort" in item else None,
    )
