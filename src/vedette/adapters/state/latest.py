"""The newest report of insights of each stream, for whoever looks at the device itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from vedette.adapters.state.files import read_bounded, write_durably
from vedette.adapters.state.layout import StateLayout
from vedette.contracts.errors import StorageError
from vedette.contracts.insight import InsightReport

#: Streams of which the newest report is kept.
MAX_STREAMS: Final = 256
_LIMIT: Final = 4 << 20
_REPORTS: Final = TypeAdapter(tuple[InsightReport, ...])


class LatestInsights:
    """Keeps the newest reports in a file. For one thread.

    Args:
        directory: the state directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reports: dict[tuple[str, str, str], InsightReport] = {}

    def add(self, reports: Iterable[InsightReport]) -> None:
        """Write these, and the newest ones of other streams, not forced to the disk.

        Raises:
            StorageError: V401 or V404, cannot be written.
        """
        for report in reports:
            stream = (report.application, report.pipeline, report.device_camera)
            self._reports.pop(stream, None)
            self._reports[stream] = report
        while len(self._reports) > MAX_STREAMS:
            del self._reports[next(iter(self._reports))]
        content = [report.model_dump(mode="json", exclude_none=True) for report in self._reports.values()]
        write_durably(
            StateLayout(self._directory).latest_insights,
            json.dumps(content, separators=(",", ":")).encode(),
            sync=False,
        )


def read_latest_insights(directory: Path) -> tuple[InsightReport, ...]:
    """What ``LatestInsights`` left; nothing where there is none or it cannot be read."""
    try:
        return _REPORTS.validate_json(read_bounded(StateLayout(directory).latest_insights, _LIMIT) or b"[]")
    except (StorageError, ValidationError):
        return ()
