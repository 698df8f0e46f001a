"""Credentials of the cameras: from the nucleus, and from a private file where the nucleus has none at the moment."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vedette.adapters.state.files import write_durably
from vedette.contracts.errors import StorageError, VedetteError
from vedette.ports.bus import Bus

logger = logging.getLogger(__name__)

_FILE_LIMIT_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password of a camera."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


class SecretCache:
    """Asks the nucleus and remembers the answer, so that cameras come back after a reboot without uplink.

    Args:
        bus: to the nucleus.
        folder: for the remembered ones, mode 0700; files 0600.
    """

    def __init__(self, bus: Bus, folder: Path) -> None:
        self._bus = bus
        self._folder = folder
        self._complained: set[str] = set()

    def get(self, name: str) -> Credentials | None:
        """The credentials; None where they are neither to be had nor remembered."""
        try:
            pairs = self._bus.secret(name)
        except VedetteError as error:
            remembered = self._remembered(name)
            if name not in self._complained:
                self._complained.add(name)
                logger.warning(
                    "secret %s cannot be had (%s)%s",
                    name,
                    error.message,
                    "; using the last known" if remembered else "",
                )
            return remembered
        self._complained.discard(name)
        credentials = Credentials(str(pairs.get("username", "")), str(pairs.get("password", "")))
        if credentials != self._remembered(name):
            self._remember(name, credentials)
        return credentials

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"

    def _remembered(self, name: str) -> Credentials | None:
        try:
            with self._path(name).open("rb") as file:
                pairs = json.loads(file.read(_FILE_LIMIT_BYTES))
            return Credentials(str(pairs["username"]), str(pairs["password"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _remember(self, name: str, credentials: Credentials) -> None:
        content = json.dumps({"username": credentials.username, "password": credentials.password}).encode()
        try:
            write_durably(self._path(name), content, 0o600)
        except StorageError as error:
            logger.warning("secret %s cannot be remembered: %s", name, error.message)
