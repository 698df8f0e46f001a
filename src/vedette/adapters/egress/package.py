"""Loads the package of an update from the account's bucket, with the device's own credentials."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vedette.adapters.egress.s3 import S3Store, bucket_from_environment
from vedette.contracts.device_job import UpdateJob
from vedette.contracts.errors import VedetteError

log = logging.getLogger(__name__)

_CHUNK: Final = 1 << 18
_TIMEOUT_S: Final = 30.0
_LINK_S: Final = 3600
#: Pauses between attempts, seconds; the last one stays.
_PAUSES_S: Final = (2.0, 10.0, 30.0, 60.0)
#: Answers of S3 after which another attempt is of no use.
_NEVER: Final = frozenset({400, 403, 404})

Link = Callable[[UpdateJob], str]


def link_of(job: UpdateJob) -> str:
    """A link to the package, signed with the device's credentials.

    Raises:
        VedetteError: V503, there are no credentials; V103, no region.
    """
    return S3Store(bucket_from_environment(job.bucket, job.region)).link(job.key, _LINK_S)


class PackageLoader:
    """Loads one package at a time, in a thread of its own; at most the size that was announced.

    Args:
        link: makes the link to a package.
    """

    def __init__(self, link: Link = link_of) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loaded = False
        self._failure = ""

    def begin(self, job: UpdateJob, target: Path) -> None:
        """Begin to load; what is being loaded is given up."""
        self.stop()
        self._stop = threading.Event()
        with self._lock:
            self._loaded, self._failure = False, ""
        arguments = (job, target, self._stop)
        self._thread = threading.Thread(target=self._run, args=arguments, name="package", daemon=True)
        self._thread.start()

    def running(self) -> bool:
        """Whether something is being loaded, or was since ``begin``."""
        return self._thread is not None

    def state(self) -> tuple[bool, str]:
        """Whether the package is there, and why it cannot be had at all."""
        with self._lock:
            return self._loaded, self._failure

    def stop(self) -> None:
        """Give up."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_TIMEOUT_S)
            self._thread = None

    def _run(self, job: UpdateJob, target: Path, stop: threading.Event) -> None:
        attempt = 0
        while not stop.is_set():
            failure, for_good = self._attempt(job, target, stop)
            if not failure or for_good:
                with self._lock:
                    self._loaded, self._failure = not failure, failure
                return
            log.warning("the package of the update did not arrive (%s); tried again", failure)
            stop.wait(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
            attempt += 1

    def _attempt(self, job: UpdateJob, target: Path, stop: threading.Event) -> tuple[str, bool]:
        """Why it failed, empty where it did not; and whether that is for good."""
        part = target.with_name(target.name + ".part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            digest, size = self._receive(self._link(job), part, job.size, stop)
        except urllib.error.HTTPError as error:
            return f"the bucket answered {error.code}", error.code in _NEVER
        except VedetteError as error:
            return error.message, False
        except OSError as error:  # of the network as well as of the disk
            return str(error.strerror or error), False
        if size != job.size or digest != job.sha256:
            part.unlink(missing_ok=True)
            return f"{size} bytes with the SHA-256 {digest[:12]}…, not the announced ones", not stop.is_set()
        os.replace(part, target)
        return "", False

    def _receive(self, link: str, part: Path, most: int, stop: threading.Event) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        with urllib.request.urlopen(link, timeout=_TIMEOUT_S) as answer, part.open("wb") as file:  # noqa: S310 - ours
            while size <= most and not stop.is_set() and (data := answer.read(_CHUNK)):
                file.write(data)
                digest.update(data)
                size += len(data)
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest(), size
