"""Copies of finished evidence in the owner's bucket, for applications that opted in. Its state is in the records."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from vedette.adapters.egress.s3 import S3Store, bucket_from_environment
from vedette.adapters.evidence.store import EvidenceStore
from vedette.contracts.errors import ConfigurationError, DeliveryError, EvidenceError, StorageError
from vedette.contracts.evidence import EvidenceRecord, EvidenceState, Shortfall, Upload
from vedette.contracts.manifest import UploadSettings

log = logging.getLogger(__name__)

STEP_S: Final = 1.0
#: First and longest pause after a failure, of a bucket and of an alert's files.
RETRY_FIRST_S: Final = 2.0
RETRY_MAX_S: Final = 300.0
_TYPES: Final = {".jpg": "image/jpeg", ".mp4": "video/mp4"}
UPLOAD: Final = "upload"


class ObjectStore(Protocol):
    """A bucket."""

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Store an object.

        Raises:
            DeliveryError: it cannot be stored now, or ever.
            ConfigurationError: the bucket's address is not allowed or not known.
        """
        ...


@dataclass
class _Pause:
    """When something that failed is tried again; each failure makes the next pause longer."""

    retry_s: float = float("-inf")
    pause_s: float = 0.0

    def begin(self, now_s: float) -> None:
        """It failed."""
        self.pause_s = min(max(2 * self.pause_s, RETRY_FIRST_S), RETRY_MAX_S)
        self.retry_s = now_s + self.pause_s


class _Bucket(_Pause):
    """A bucket, which pauses for all alerts."""

    def __init__(self, store: ObjectStore) -> None:
        super().__init__()
        self.store = store


def open_bucket(settings: UploadSettings) -> ObjectStore:
    """The bucket of an application.

    Raises:
        ConfigurationError: V103, its region is not known.
    """
    return S3Store(bucket_from_environment(settings.bucket, settings.region))


class EvidenceUploads:
    """Copies what is finished and not copied yet, oldest first; what failed goes last. For one thread.

    Args:
        store: the evidence.
        connect: the bucket of an application.
        monotonic: clock.
    """

    def __init__(
        self,
        store: EvidenceStore,
        connect: Callable[[UploadSettings], ObjectStore],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._connect = connect
        self._monotonic = monotonic
        self._settled: set[str] = set()
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        #: By the names of folders, longest ago first.
        self._failed: dict[str, _Pause] = {}

    def run(self, stopped: Callable[[float], bool]) -> None:
        """Copy until ``stopped``, which waits up to so many seconds, says so."""
        while not stopped(STEP_S):
            try:
                self.step()
            except Exception:
                log.exception("copying evidence failed; tried again")

    def step(self) -> None:
        """Copy everything that can be copied now."""
        folders = {folder.name: folder for folder in self._store.folders()}
        self._settled &= folders.keys()
        self._failed = {name: pause for name, pause in self._failed.items() if name in folders}
        # What cannot get through, such as a large file over a bad line, may keep nothing else from it.
        for name in [*(name for name in folders if name not in self._failed), *self._failed]:
            folder, pause = folders[name], self._failed.get(name)
            if name in self._settled or (pause is not None and self._monotonic() < pause.retry_s):
                continue
            try:
                record = self._store.read(folder)
            except EvidenceError:
                continue  # taken by the limit meanwhile, or damaged
            if record.state is EvidenceState.MADE and self._copy(folder, record):
                self._settled.add(name)
                self._failed.pop(name, None)

    def _copy(self, folder: Path, record: EvidenceRecord) -> bool:
        """Whether there is nothing more to do for this alert."""
        settings = record.asked.upload
        if settings is None or any(each.what == UPLOAD for each in record.shortfalls):
            return True
        there = {copy.file for copy in record.uploads}
        wanted = [record.snapshot.file] if settings.snapshot and record.snapshot is not None else []
        wanted += [record.clip.file] if settings.clip and record.clip is not None else []
        for file in wanted:
            if file in there:
                continue
            key = f"{settings.prefix}{record.alert.device}/{folder.name}/{file}"
            try:
                if not self._put(settings, folder / file, key):
                    return False
            except DeliveryError as error:
                why = f"{file} is not copied: {error.message}"
                log.error("alert %s: %s", record.alert.alert_id, why)
                shortfall = Shortfall(what=UPLOAD, why=why[:600], code=error.code)
                return self._write(record.model_copy(update={"shortfalls": (*record.shortfalls, shortfall)}))
            copy = Upload(file=file, bucket=settings.bucket, region=settings.region, key=key, time=datetime.now(UTC))
            record = record.model_copy(update={"uploads": (*record.uploads, copy)})
            if not self._write(record):
                return False
        return True

    def _put(self, settings: UploadSettings, path: Path, key: str) -> bool:
        """Whether the file is in the bucket.

        Raises:
            DeliveryError: it never will be.
        """
        name = (settings.bucket, settings.region)
        bucket = self._buckets.get(name)
        now_s = self._monotonic()
        if bucket is not None and now_s < bucket.retry_s:
            return False
        try:
            if bucket is None:
                bucket = self._buckets[name] = _Bucket(self._connect(settings))
        except ConfigurationError as error:
            raise DeliveryError(error.message, code="V501", retryable=False) from error
        try:
            bucket.store.put(key, path.read_bytes(), _TYPES[path.suffix])
        except OSError:
            return False  # the limit has taken the file meanwhile
        except (DeliveryError, ConfigurationError) as error:
            # A name that leads to an address which is not allowed may be of a network that answers for another.
            if isinstance(error, DeliveryError) and not error.retryable:
                raise
            if not bucket.pause_s:
                log.warning("evidence waits to be copied: %s", error.message)
            ended_s = self._monotonic()  # an attempt may take longer than the pause after it
            bucket.begin(ended_s)
            folder = path.parent.name
            pause = self._failed.pop(folder, None) or _Pause()
            pause.begin(ended_s)
            self._failed[folder] = pause  # behind all others
            return False
        bucket.pause_s = 0.0
        return True

    def _write(self, record: EvidenceRecord) -> bool:
        try:
            self._store.write(record)
        except StorageError as error:
            log.warning("alert %s: %s", record.alert.alert_id, error.message)
            return False
        return True
