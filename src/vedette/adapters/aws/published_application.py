"""An application that is in the account, read from its artefact: its manifest, and whether it has tests of its own.

An artefact may be hundreds of megabytes of models and libraries, so only its list of files and the manifest are loaded.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from vedette.adapters.aws.account import Account, aws_errors
from vedette.adapters.aws.component_versions import ComponentVersions
from vedette.adapters.manifest.loading import MANIFEST_NAME, validate_document
from vedette.contracts.errors import CloudError
from vedette.contracts.manifest import Manifest
from vedette.contracts.versions import APPLICATION_PREFIX
from vedette.core.yaml_reader import MAX_BYTES, read_yaml

#: Least that is asked for at once: a zip's list is read in many small pieces.
_PIECE: Final = 64 << 10
_MOST_FILES: Final = 100_000


@dataclass(frozen=True, slots=True)
class PublishedApplication:
    """What can be known of an application without loading it.

    Attributes:
        manifest: None where the artefact does not hold one that this release reads.
        tested: whether it brings tests, which devices run before they take it.
    """

    manifest: Manifest | None
    tested: bool


def published_application(account: Account, name: str, version: str) -> PublishedApplication:
    """Read an application in the account.

    Raises:
        CloudError: V001, V003; V014, its recipe cannot be read.
    """
    recipe = ComponentVersions(account).recipe(f"{APPLICATION_PREFIX}{name}", version)
    for bucket, key in _archives(recipe):
        with aws_errors(f"the artefact of {name} {version}"):
            try:
                with zipfile.ZipFile(_Object(account, bucket, key)) as archive:
                    return _read(archive)
            except (zipfile.BadZipFile, KeyError):
                continue
    return PublishedApplication(None, tested=False)


def _archives(recipe: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for manifest in recipe.get("Manifests") or ():
        for artefact in manifest.get("Artifacts") or ():
            uri = str(artefact.get("Uri") or artefact.get("URI") or "")
            if uri.startswith("s3://") and uri.endswith(".zip"):
                bucket, _, key = uri.removeprefix("s3://").partition("/")
                yield bucket, key


def _read(archive: zipfile.ZipFile) -> PublishedApplication:
    names = [PurePosixPath(name) for name in archive.namelist()[:_MOST_FILES]]
    # The application's own: a test's folder may hold a manifest, too.
    found = min((name for name in names if name.name == MANIFEST_NAME), key=lambda name: len(name.parts), default=None)
    if found is None:
        raise KeyError(MANIFEST_NAME)
    tested = any(name.parent == found.parent / "tests" and name.suffix in (".yaml", ".yml") for name in names)
    if archive.getinfo(str(found)).file_size > MAX_BYTES:
        return PublishedApplication(None, tested)
    value = read_yaml(archive.read(str(found)).decode(errors="replace")).value
    return PublishedApplication(validate_document(value)[0] if isinstance(value, dict) else None, tested)


class _Object(io.RawIOBase):
    """An object of S3 as a file that can be read anywhere in it."""

    def __init__(self, account: Account, bucket: str, key: str) -> None:
        self._s3 = account.client("s3")
        self._named = {"Bucket": bucket, "Key": key}
        self._size = int(self._s3.head_object(**self._named)["ContentLength"])
        self._at = 0
        self._piece = b""
        self._piece_at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._at + size)
        if end <= self._at:
            return b""
        if not (self._piece_at <= self._at and end <= self._piece_at + len(self._piece)):
            last = min(self._size, max(end, self._at + _PIECE)) - 1
            answer = self._s3.get_object(**self._named, Range=f"bytes={self._at}-{last}")
            self._piece, self._piece_at = answer["Body"].read(), self._at
            if len(self._piece) < end - self._at:
                raise CloudError(f"{self._named['Key']}: S3 sent less than was asked for.", retryable=True)
        start, count = self._at - self._piece_at, end - self._at
        self._at = end
        return self._piece[start : start + count]
