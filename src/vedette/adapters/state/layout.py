"""Paths inside the state directory and its modes."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vedette.adapters.unix_sockets import check_socket_path
from vedette.contracts.errors import StorageError

DIRECTORY_MODE: Final = 0o2770
FILE_MODE: Final = 0o660


@dataclass(frozen=True, slots=True)
class StateLayout:
    """Where things lie in the state directory.

    Attributes:
        root: the directory itself.
    """

    root: Path

    @property
    def plan(self) -> Path:
        """The plan, replaced atomically."""
        return self.root / "plan.json"

    @property
    def attachments(self) -> Path:
        """The applications that are attached."""
        return self.root / "attachments.json"

    @property
    def run(self) -> Path:
        """Sockets and what else means nothing after a restart."""
        return self.root / "run"

    @property
    def frames(self) -> Path:
        """One socket per camera."""
        return self.run / "frames"

    @property
    def packets(self) -> Path:
        """One socket per camera, for what makes evidence."""
        return self.run / "packets"

    @property
    def evidence(self) -> Path:
        """One folder per alert that evidence was asked for."""
        return self.root / "evidence"

    @property
    def component_status(self) -> Path:
        """One small JSON file per component: how it is."""
        return self.run / "status"

    @property
    def latest_insights(self) -> Path:
        """The newest report of insights of each stream."""
        return self.run / "insights.json"

    @property
    def log_levels(self) -> Path:
        """Log levels that were set while everything runs."""
        return self.run / "log-levels.json"

    @property
    def document(self) -> Path:
        """What the device remembers of its document in the account; for the owner only."""
        return self.root / "device-document.json"

    @property
    def diagnostics(self) -> Path:
        """Bundles that could not be sent; for the owner only."""
        return self.root / "diagnostics"

    @property
    def socket(self) -> Path:
        """Where the owner of the directory listens."""
        return self.run / "state.sock"

    @property
    def lock(self) -> Path:
        """Locked by the owner for as long as it lives."""
        return self.run / "owner.lock"

    @property
    def secrets(self) -> Path:
        """Cached credentials of cameras; for the owner only."""
        return self.root / "secrets"

    @property
    def hooks(self) -> Path:
        """Where applications' own code stands: ``<application>/<hook>.db``; for the wardens only."""
        return self.root / "hooks"

    @property
    def hook_data(self) -> Path:
        """What applications' own code keeps: ``<application>/<hook>/``, each for its own process."""
        return self.root / "apps"

    @property
    def panorama(self) -> Path:
        """What Panorama code keeps: ``<application>/storage`` and ``<application>/logs``, each for its own process."""
        return self.root / "panorama"

    @property
    def models(self) -> Path:
        """Model store of the device where no other is configured."""
        return self.root / "models"

    @property
    def engines(self) -> Path:
        """What TensorRT built for this device; for the owner only, because it is code."""
        return self.root / "engines"

    def create(self) -> None:
        """Make the directories with their modes. A mode that someone else set is left as it is.

        Raises:
            StorageError: V401, cannot be made or written to.
        """
        check_socket_path(self.socket)
        for folder in (
            self.root,
            self.run,
            self.frames,
            self.packets,
            self.evidence,
            self.component_status,
            self.models,
            self.hooks,
            self.hook_data,
            self.panorama,
        ):
            _make(folder, DIRECTORY_MODE)
        _make(self.secrets, 0o700)


def _make(folder: Path, mode: int) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=mode & 0o777)
        except FileExistsError:
            if not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "is a file, not a directory", str(folder)) from None
        else:
            folder.chmod(mode)  # mkdir's own mode is cut by the umask and cannot set the group bit
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable", str(folder))
    except OSError as error:
        raise StorageError(
            f"state directory {folder}: {error.strerror or error}.",
            hint="Give the user that runs the components write access, or set `stateDirectory` to another place.",
        ) from error
