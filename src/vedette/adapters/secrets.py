"""Secrets of cameras and receivers: from the nucleus, remembered in a private file for when it has none to give."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from vedette.adapters.state.files import write_durably
from vedette.contracts.errors import DeliveryError, StorageError

log = logging.getLogger(__name__)

#: A rotated secret is used within this time.
REFRESH_S: Final = 60.0
_MAX_BYTES: Final = 65_536


class SecretStore:
    """Asks the nucleus for each name, at most once within a time. Safe to call from several threads.

    What was remembered brings cameras and receivers back after a reboot without uplink.

    Args:
        ask: name → key-value pairs; raises DeliveryError (V503).
        folder: for the remembered ones: files of mode 0600.
        prefix: of the files' names: components that share the folder have one each.
        refresh_s: an answer is used again for so long; 0: the nucleus is asked every time.
        learned: called with every secret value, so that logs can be kept clean of it.
    """

    def __init__(
        self,
        ask: Callable[[str], Mapping[str, str]],
        folder: Path,
        *,
        prefix: str = "alerting-",
        refresh_s: float = REFRESH_S,
        learned: Callable[[str], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._folder = folder
        self._prefix = prefix
        self._refresh_s = refresh_s
        self._learned = learned
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Mapping[str, str]]] = {}
        self._missed: set[str] = set()

    def get(self, name: str) -> Mapping[str, str]:
        """The secret's pairs; the last known ones where the nucleus has none at the moment.

        Raises:
            DeliveryError: V503, neither to be had nor remembered.
        """
        with self._lock:
            known = self._known.get(name)
            now_s = self._monotonic()
            if known is not None and now_s - known[0] < self._refresh_s:
                return known[1]
            try:
                pairs = dict(self._ask(name))
            except DeliveryError as error:
                remembered = known[1] if known is not None else self._remembered(name)
                if name not in self._missed:
                    what = "cannot be had" if remembered is None else "is used as last known"
                    log.warning("secret %s %s (%s)", name, what, error.message)
                self._missed.add(name)
                if remembered is None:
                    raise
                pairs = dict(remembered)
            else:
                self._missed.discard(name)
                if pairs != (known[1] if known is not None else self._remembered(name)):
                    self._remember(name, pairs)
            for value in pairs.values():
                self._learned(value)
            self._known[name] = (now_s, pairs)
            return pairs

    def hide(self, text: str) -> None:
        """Keep something out of logs that is no secret but nobody's business, such as the number of a phone."""
        self._learned(text)

    def _path(self, name: str) -> Path:
        return self._folder / f"{self._prefix}{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"

    def remembered(self, name: str) -> dict[str, str] | None:
        """What is on the disk under a name."""
        pairs = self._remembered(name)
        for value in (pairs or {}).values():
            self._learned(value)
        return pairs

    def remember(self, name: str, pairs: Mapping[str, str]) -> None:
        """Put something on the disk under a name; where that fails the log says so."""
        self._remember(name, pairs)

    def keep_only(self, names: Iterable[str]) -> None:
        """Take everything else with this prefix from the disk."""
        kept = {self._path(name).name for name in names}
        try:
            for path in self._folder.glob(f"{self._prefix}*.json"):
                if path.name not in kept:
                    path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("secrets that nobody needs any more cannot be removed (%s)", error.strerror)
        with self._lock:
            self._known = {name: known for name, known in self._known.items() if self._path(name).name in kept}

    def _remembered(self, name: str) -> dict[str, str] | None:
        try:
            with self._path(name).open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    log.warning("secret %s: the remembered file is readable by others and is not used", name)
                    return None
                pairs = json.loads(file.read(_MAX_BYTES))
            return {str(key): str(value) for key, value in pairs.items()}
        except (OSError, ValueError, AttributeError):
            return None

    def _remember(self, name: str, pairs: Mapping[str, str]) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(self._path(name), json.dumps(dict(pairs)).encode(), 0o600)
        except (StorageError, OSError) as error:
            log.warning("secret %s cannot be remembered (%s)", name, error)
