"""A device's document in the account: read, changed so that nobody's change is lost, and followed."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from vedette.adapters.aws.account import Account, aws_errors
from vedette.contracts.device_document import SHADOW, DeviceReport
from vedette.contracts.errors import CloudError
from vedette.core.shadow import check_room, compact, merge_patch

#: Of people who change the same document at the same time one is refused and looks again.
ATTEMPTS: Final = 12
_PAUSE_S: Final = 0.2
#: How often a device's answer is looked for: AWS charges each look.
LOOK_S: Final = 1.0

Edit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Document:
    """A device's document.

    Attributes:
        version: of the shadow; 0 where there is none.
        desired: what was asked for.
        report: what the device says; None where it has said nothing that is understood.
    """

    version: int = 0
    desired: dict[str, Any] = field(default_factory=dict)
    report: DeviceReport | None = None

    def answers(self, version: int) -> bool:
        """Whether the device has answered to a version."""
        return self.report is not None and self.report.version >= version

    def refusals(self, entry: str) -> tuple[str, ...]:
        """Why an entry, something of it, or what it is part of, is not in force."""
        found = self.report.refused if self.report is not None else ()
        return tuple(
            one.reason for one in found if f"{one.entry}/".startswith(f"{entry}/") or entry.startswith(f"{one.entry}/")
        )


class Documents:
    """Documents of devices.

    Args:
        account: with the devices.
        sleep: waits, seconds.
        monotonic: clock.
    """

    def __init__(
        self,
        account: Account,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._sleep = sleep
        self._monotonic = monotonic

    def read(self, thing: str) -> Document:
        """The document of a device that is registered.

        Raises:
            CloudError: V001 to V003.
        """
        client = self._account.client("iot-data")
        try:
            with aws_errors(f"the document of {thing}"):
                answer = client.get_thing_shadow(thingName=thing, shadowName=SHADOW)
        except CloudError as error:
            if "ResourceNotFound" in error.message:
                return Document()
            raise
        document = json.loads(answer["payload"].read())
        state = document.get("state") or {}
        told = (state.get("reported") or {}).get("device")
        try:
            report = DeviceReport.model_validate(told) if told is not None else None
        except ValidationError:  # of another release
            report = None
        return Document(int(document.get("version", 0)), state.get("desired") or {}, report)

    def change(self, thing: str, edit: Edit) -> Document:
        """Change the document as it is now; where somebody else was faster, the one he left.

        Args:
            thing: the device.
            edit: changes ``desired`` in place; called again where somebody was faster. What it raises is passed on.

        Returns:
            The document that was written, with its version.

        Raises:
            CloudError: V013, there is no room, or others were always faster; V001 to V003.
        """
        for attempt in range(ATTEMPTS):
            before = self.read(thing)
            desired = copy.deepcopy(before.desired)
            edit(desired)
            for section in [name for name, value in desired.items() if value == {}]:
                del desired[section]
            if desired == before.desired and before.version:
                return before
            desired["revision"] = int(before.desired.get("revision") or 0) + 1
            check_room(desired)
            version = self._write(thing, before, merge_patch(before.desired, desired))
            if version is not None:
                return Document(version, desired, before.report)
            self._sleep(_PAUSE_S * (attempt + 1) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        raise CloudError(
            f"the document of {thing} is being changed by others again and again.",
            hint="Type it once more.",
            code="V013",
            retryable=True,
        )

    def _write(self, thing: str, before: Document, patch: dict[str, Any]) -> int | None:
        """The new version; None where the document is another one meanwhile."""
        request: dict[str, Any] = {"state": {"desired": patch}}
        if before.version:
            request["version"] = before.version
        try:
            with aws_errors(f"the document of {thing}"):
                answer = self._account.client("iot-data").update_thing_shadow(
                    thingName=thing, shadowName=SHADOW, payload=compact(request)
                )
        except CloudError as error:
            if "ConflictException" in error.message:
                return None
            if "RequestEntityTooLarge" in error.message:
                raise CloudError(
                    f"the document of {thing} would take more than its shadow holds, with what the device reports.",
                    hint="Take away what is not used.",
                    code="V013",
                ) from None
            raise
        return int(json.loads(answer["payload"].read())["version"])

    def follow(
        self, thing: str, timeout_s: float, done: Callable[[Document], bool], look_s: float = LOOK_S
    ) -> Document:
        """Look again and again, until the document is as wanted or the time is over; the document then.

        Raises:
            CloudError: V001 to V003.
        """
        deadline_s = self._monotonic() + timeout_s
        while True:
            document = self.read(thing)
            if done(document) or self._monotonic() >= deadline_s:
                return document
            self._sleep(look_s)
