"""Models in the owner's account: upload, and where each version stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

from vedette.adapters.aws.account import Account, aws_errors
from vedette.contracts.errors import CloudError
from vedette.contracts.model_card import CARD_NAME, ModelCard, Target
from vedette.contracts.model_record import SETTLED, ModelRecord, ModelState, incoming_key
from vedette.core.fleet.model_pack import card_text

#: How often the table is looked at while somebody waits.
LOOK_S: Final = 3.0
#: Longest that anybody waits: the state machine's own limit, and a little.
WAIT_LIMIT_S: Final = 3 * 3600 + 600.0
#: A state machine that has not begun after this time was not started.
BEGIN_LIMIT_S: Final = 300.0


class CloudModels:
    """Models of one account and stage.

    Args:
        account: where.
        sleep: waits between two looks.
        monotonic: clock of all intervals.
    """

    def __init__(
        self,
        account: Account,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._sleep = sleep
        self._monotonic = monotonic

    def now(self) -> datetime:
        """The account's time: this machine's clock may be wrong.

        Raises:
            CloudError: see ``Account.made``.
        """
        with aws_errors("the models bucket"):
            answer = self._account.client("s3").head_bucket(Bucket=self._account.made("models-bucket"))
        stamp = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(stamp) if stamp else datetime.now(UTC)

    def upload(self, card: ModelCard, file: Path, progress: Callable[[int], None]) -> None:
        """Put a model where the account takes it in; its description goes last and starts everything.

        Args:
            card: the description.
            file: the model.
            progress: told of every further bytes that are there.

        Raises:
            CloudError: V001, V002 or V003.
        """
        bucket = self._account.made("models-bucket")
        s3 = self._account.client("s3")
        with aws_errors(f"uploading {file.name}"):
            s3.upload_file(str(file), bucket, incoming_key(card.name, card.version, card.file), Callback=progress)
            s3.put_object(Bucket=bucket, Key=incoming_key(card.name, card.version, CARD_NAME), Body=card_text(card))

    def records(self, name: str = "", version: str = "") -> tuple[ModelRecord, ...]:
        """Where models stand, by name, version and target.

        Args:
            name: of one model; all where empty.
            version: of that model; all where empty.

        Raises:
            CloudError: V001, V002 or V003.
        """
        table = self._account.made("models-table")
        client = self._account.client("dynamodb")
        with aws_errors("the table of models"):
            if name:
                condition, values = "model = :model", {":model": {"S": name}}
                if version:
                    condition += " AND begins_with(#release, :version)"
                    values[":version"] = {"S": f"{version}#"}
                named = {"ExpressionAttributeNames": {"#release": "release"}} if version else {}
                pages = client.get_paginator("query").paginate(
                    TableName=table, KeyConditionExpression=condition, ExpressionAttributeValues=values, **named
                )
            else:
                pages = client.get_paginator("scan").paginate(TableName=table)
            items = [item for page in pages for item in page["Items"]]
        return tuple(sorted((_record(item) for item in items), key=lambda record: (record.model, record.release)))

    def follow(
        self, name: str, version: str, targets: tuple[Target, ...], since: datetime, source: str = ""
    ) -> Iterator[tuple[ModelRecord, ...]]:
        """What is known of a version, at each change, until all targets are settled.

        Args:
            name: of the model.
            version: of the model.
            targets: that are waited for.
            since: what was recorded before counts only where it is a release of the same content.
            source: digest of that content; empty where it is not known yet.

        Raises:
            CloudError: V007, nothing has begun, or does not end; V001 to V003.
        """
        began_s, last = self._monotonic(), None
        while True:
            found = tuple(r for r in self.records(name, version) if _counts(r, since, source))
            if found != last:
                last = found
                yield found
            if _settled(found, targets):
                return
            waited_s = self._monotonic() - began_s
            if waited_s > (WAIT_LIMIT_S if found else BEGIN_LIMIT_S):
                raise CloudError(
                    f"{name} {version} "
                    + ("is not ready" if found else "was not taken in")
                    + f" after {waited_s:.0f} s.",
                    hint="Look at the state machine's executions; see docs/runbooks.md#models.",
                    code="V007",
                )
            self._sleep(LOOK_S)


def _counts(record: ModelRecord, since: datetime, source: str) -> bool:
    """Whether a record is about this upload: a release is where its content is, anything else where it is new.

    The account's clock tells whole seconds, so a record's age alone says little about the second of the upload.
    """
    if source and record.state is ModelState.RELEASED:
        return record.sha256 == source
    return record.updated_at >= since.replace(microsecond=0)


def _settled(found: tuple[ModelRecord, ...], targets: tuple[Target, ...]) -> bool:
    if any(record.target is None for record in found):
        return True
    settled = {record.target for record in found if record.state in SETTLED}
    return set(targets) <= settled


def _record(item: Mapping[str, Any]) -> ModelRecord:
    return ModelRecord.model_validate({key: value["S"] for key, value in item.items()})
