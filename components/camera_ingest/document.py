"""What this device knows of its document: heard from the account, kept on the disk, judged, reported."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from camera_ingest.shadow_link import UNANSWERED, Heard
from vedette import __version__
from vedette.adapters.state.files import quarantine, read_bounded, write_durably
from vedette.contracts.device_document import (
    DeviceDocument,
    DeviceMemory,
    DeviceReport,
    DiagnosticsReport,
    Refusal,
)
from vedette.contracts.errors import StorageError
from vedette.core.device_document import Decision, Surroundings, decide, fitted, reported

logger = logging.getLogger(__name__)

_MAX_BYTES: Final = 256 << 10
_DEVICE: Final = "device"


@dataclass(frozen=True, slots=True)
class News:
    """What a message means.

    Attributes:
        changed: the document is another one: judge it and report.
        ask: ask for the whole document.
        report: report, though nothing changed.
    """

    changed: bool = False
    ask: bool = False
    report: bool = False


class DocumentKeeper:
    """The document as far as it is known here. For one thread.

    Args:
        path: where it is kept, mode 0600.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._memory = DeviceMemory()
        self._latest = 0
        self._unconfirmed: tuple[int, dict[str, Any]] | None = None
        self._told: dict[str, Any] | None = None
        self._foreign: tuple[str, ...] = ()
        self._not_understood = False

    @property
    def memory(self) -> DeviceMemory:
        """As it is kept."""
        return self._memory

    def load(self) -> None:
        """Take over what an earlier process kept; what cannot be read is put aside and asked for again."""
        try:
            content = read_bounded(self._path, _MAX_BYTES)
            if content is not None:
                self._memory = DeviceMemory.model_validate_json(content)
        except ValidationError:
            aside = quarantine(self._path)
            logger.warning(
                "%s cannot be read and is kept as %s; the account is asked anew", self._path.name, aside.name
            )
        except StorageError as error:
            logger.warning("%s", error)
        self._latest = self._memory.version

    def hear(self, heard: Heard) -> News:
        """Take a message in. Old ones and repeats mean nothing; broken ones are reported and change nothing."""
        if heard.what == UNANSWERED:
            waiting, self._unconfirmed = self._unconfirmed, None
            return self._take(*waiting) if waiting is not None else News(report=self._memory.exists)
        document = heard.document
        if document is None:
            return self._broken("a message that is no JSON object, or too long")
        if heard.what == "update/delta":
            return self._delta(document)
        if heard.what == "get/accepted":
            return self._whole(document, sure=heard.asked and not heard.overtaken)
        if heard.what == "delete/accepted":
            return News(ask=True)
        if not heard.asked and heard.what == "get/rejected":
            return News()
        said = str(document.get("message", ""))[:200]
        if heard.what == "get/rejected" and document.get("code") == 404 and said.startswith("No shadow"):
            return self._gone()
        logger.warning("the account refused a request about this device's document: %s %s", document.get("code"), said)
        return News()

    def judge(self, here: Surroundings) -> Decision:
        """What of the document is in force on this device as it is now; it is kept from here on."""
        decision = decide(self._memory.raw, self._memory.good, here)
        if decision.document != self._memory.good:
            self._memory = self._memory.model_copy(update={"good": decision.document})
        return decision

    def note(self, **values: Any) -> None:
        """Change what is remembered besides."""
        self._memory = self._memory.model_copy(update=values)

    def store(self) -> None:
        """Put it on the disk where it is not there so.

        Raises:
            StorageError: V401 or V404, it cannot be written.
        """
        content = self._memory.model_dump_json().encode()
        try:
            there = read_bounded(self._path, _MAX_BYTES)
        except StorageError:
            there = b""
        nothing = there is None and self._memory == DeviceMemory()
        if there != content and not nothing:
            write_durably(self._path, content, 0o600)

    def report(self, refused: tuple[Refusal, ...], *, force: bool = False) -> dict[str, Any] | None:
        """What is to be reported; None where that is what the account knows already, or there is nothing to tell."""
        memory = self._memory
        if not memory.version:
            return None
        if self._not_understood:
            refused = (*refused, Refusal(entry="document", reason="a message about it was not understood"))
        made = reported(
            fitted(
                DeviceReport(
                    version=memory.version,
                    revision=memory.good.revision,
                    release=__version__[:32],
                    refused=refused,
                    paused=tuple(sorted(memory.good.paused)),
                    diagnostics=memory.diagnostics,
                )
            )
        )
        if made[_DEVICE] == self._told and not self._foreign and not force:
            return None
        self._told = made[_DEVICE]
        foreign, self._foreign = self._foreign, ()
        return {**made, **dict.fromkeys(foreign)}

    def answered(self, report: DiagnosticsReport) -> None:
        """A request for diagnostics was answered."""
        self.note(diagnostics=report)

    def _delta(self, document: dict[str, Any]) -> News:
        """It carries all of ``desired``, unless somebody else reports something: then what it lacks may still hold."""
        version, state = _version(document), document.get("state")
        if version is None or not isinstance(state, dict):
            return self._broken("a delta without version or state")
        if version < self._latest:
            return News()
        self._latest = version
        if _lacks(state, self._memory.raw):
            self._unconfirmed = (version, state)
            return News(ask=True)
        self._unconfirmed = None
        return self._take(version, state)

    def _whole(self, document: dict[str, Any], *, sure: bool) -> News:
        version, state = _version(document), document.get("state")
        if version is None or not isinstance(state, dict):
            return self._broken("a document without version or state")
        desired, told = state.get("desired") or {}, state.get("reported") or {}
        if not isinstance(desired, dict) or not isinstance(told, dict):
            return self._broken("a document whose parts are no objects")
        if version < self._latest and not sure:  # else the shadow was deleted and made anew, and counts from the start
            return News()
        self._latest = version
        self._unconfirmed = None
        self._not_understood = False
        before, self._told = self._told, told.get(_DEVICE)
        self._foreign = tuple(sorted(told.keys() - {_DEVICE}))[:32]
        news = self._take(version, desired, anew=True)
        return News(changed=news.changed, report=self._told != before or bool(self._foreign))

    def _take(self, version: int, desired: dict[str, Any], *, anew: bool = False) -> News:
        memory = self._memory
        if desired == memory.raw and memory.exists and (version >= memory.version or not anew):
            return News()
        self._memory = memory.model_copy(update={"version": version, "exists": True, "raw": desired})
        return News(changed=True)

    def _gone(self) -> News:
        """There is no shadow: there is no run-time configuration."""
        self._unconfirmed = None
        if not self._memory.exists:
            return News()
        logger.info("this device's document was deleted: what the deployment says holds")
        self._told = None
        self.note(exists=False, raw={}, good=DeviceDocument())
        return News(changed=True)

    def _broken(self, what: str) -> News:
        if not self._not_understood:
            logger.warning("%s about this device's document was not understood; it is left out", what)
        news = News(report=not self._not_understood)
        self._not_understood = True
        return news


def _version(document: dict[str, Any]) -> int | None:
    value = document.get("version")
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _lacks(state: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether something that was there is not: a section, or an entry of one."""
    for key, value in before.items():
        if key not in state:
            return True
        if isinstance(value, dict) and isinstance(state[key], dict) and _lacks(state[key], value):
            return True
    return False
