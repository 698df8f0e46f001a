"""The readers' view of the plan."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from vedette.adapters.state.files import read_bounded
from vedette.adapters.state.layout import StateLayout
from vedette.contracts.errors import StorageError
from vedette.contracts.plan import Plan


class PlanFile:
    """The plan as the other components see it.

    Args:
        path: ``<state>/plan.json``, or the state directory itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = StateLayout(path).plan if path.is_dir() else path
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> Plan | None:
        """The plan; None where there is none yet. ``changed`` is False until it is replaced again.

        Raises:
            StorageError: V401, the file is not a plan that this release reads.
        """
        self._seen = self._mark()
        content = read_bounded(self.path)
        if content is None:
            return None
        try:
            return Plan.model_validate_json(content)
        except ValidationError as error:
            raise StorageError(
                f"{self.path} is not a plan this release reads: {error.errors()[0]['msg']}.",
                hint="It is written by vedette.CameraIngest: deploy all components in one version.",
            ) from error

    def changed(self) -> bool:
        """Whether the file is another one than at the last ``read``; costs one ``stat``."""
        return self._mark() != self._seen

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            info = self.path.stat()
        except OSError:
            return None
        return info.st_ino, info.st_mtime_ns, info.st_size
