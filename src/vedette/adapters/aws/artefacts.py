"""Files in the artefacts bucket: by content, in parts, several at once, and going on where an upload broke off.

A file lies under its SHA-256. Its parts have a fixed size, so that whoever uploads it again makes the same parts: those
that are there with the right SHA-256 stay. S3 checks each part as it arrives. Of a file in one part the object's
``ChecksumSHA256`` is that of its content; of several it is the composite one, SHA-256 over the parts' digests.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from vedette.adapters.artefact_file import ArtefactFile
from vedette.adapters.aws.account import Account, aws_errors
from vedette.contracts.errors import CloudError

#: S3 takes parts from 5 MiB and 10,000 of them.
PART_BYTES: Final = 16 << 20
#: Parts in flight; each is in memory.
WORKERS: Final = 4
_CHUNK: Final = 1 << 20
_GOES_ON: Final = "Type the same again: it goes on where it stopped."

#: Told of a file and of further bytes of it that are there.
Progress = Callable[[ArtefactFile, int], None]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of a file.

    Attributes:
        file: which.
        sent: bytes that went over the network.
        kept: bytes that were in the bucket already, as a whole or as parts of an upload that broke off.
        checksum: as S3 tells it: ``ChecksumSHA256``, composite where it ends in ``-N``.
    """

    file: ArtefactFile
    sent: int
    kept: int
    checksum: str


class ArtefactStore:
    """The artefacts bucket.

    Args:
        account: with the stacks.
        part_bytes: size of a part; the same for everybody who uploads.
        workers: parts in flight.
    """

    def __init__(self, account: Account, *, part_bytes: int = PART_BYTES, workers: int = WORKERS) -> None:
        self._account = account
        self._part_bytes = part_bytes
        self._workers = workers
        self._known: dict[ArtefactFile, tuple[_Part, ...]] = {}

    @cached_property
    def bucket(self) -> str:
        """Its name.

        Raises:
            CloudError: V001 to V003.
        """
        return self._account.made("artefacts-bucket")

    def uri(self, file: ArtefactFile) -> str:
        """Where a recipe finds a file."""
        return f"s3://{self.bucket}/{file.key}"

    def has(self, file: ArtefactFile) -> bool:
        """Whether the file is in the bucket, by size and checksum.

        Raises:
            CloudError: V001 to V003; V708, the file is another one than it was.
        """
        return self._there(file, self._parts(file)) is not None

    def upload(self, files: Iterable[ArtefactFile], progress: Progress) -> tuple[Uploaded, ...]:
        """Bring files into the bucket, each content once, and check what S3 then says of each.

        Raises:
            CloudError: V001 to V003, retryable where the network broke; V708, a file changed meanwhile.
        """
        with ThreadPoolExecutor(self._workers, "upload") as pool:
            try:
                return tuple(self._one(file, pool, progress) for file in {file.key: file for file in files}.values())
            except BaseException:
                # What is in flight ends; what waits is not begun. The parts stay for the next time.
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _one(self, file: ArtefactFile, pool: ThreadPoolExecutor, progress: Progress) -> Uploaded:
        parts = self._parts(file)
        found = self._there(file, parts)
        if found is not None:
            progress(file, file.size)
            return Uploaded(file, 0, file.size, found)
        try:
            with _going_on(f"uploading {file.name}"):
                kept = self._send(file, parts, pool, progress)
        except CloudError:
            # Somebody else may have finished the same upload meanwhile, and ours is gone with that.
            found = self._there(file, parts)
            if found is None:
                raise
            return Uploaded(file, 0, file.size, found)
        found = self._there(file, parts)
        if found is None:
            raise CloudError(
                f"{file.name}: S3 does not have it with the checksum it was sent with.",
                hint="Type the same again.",
                retryable=True,
            )
        return Uploaded(file, file.size - kept, kept, found)

    def _parts(self, file: ArtefactFile) -> tuple[_Part, ...]:
        """All parts of a file, which is read through once: each part is compared again when it is sent."""
        if file not in self._known:
            self._known[file] = _parts(file, self._part_bytes)
        return self._known[file]

    def _there(self, file: ArtefactFile, parts: tuple[_Part, ...]) -> str | None:
        """Its checksum where the object is there and right; None where it has to be sent."""
        from botocore.exceptions import ClientError

        s3 = self._account.client("s3")
        with aws_errors("the artefacts bucket"):
            try:
                found = s3.head_object(Bucket=self.bucket, Key=file.key, ChecksumMode="ENABLED")
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound"):
                    return None
                raise
        said = str(found.get("ChecksumSHA256", ""))
        return said if (found["ContentLength"], said) == (file.size, _checksum(parts)) else None

    def _send(self, file: ArtefactFile, parts: tuple[_Part, ...], pool: ThreadPoolExecutor, progress: Progress) -> int:
        """Send what is missing.

        Returns:
            Bytes that were there.
        """
        s3, named = self._account.client("s3"), {"Bucket": self.bucket, "Key": file.key}
        if len(parts) == 1:
            body = _read(file, parts[0])
            s3.put_object(**named, Body=body, ChecksumAlgorithm="SHA256", ChecksumSHA256=parts[0].checksum)
            progress(file, file.size)
            return 0
        upload_id, there = self._begun(file, parts)
        named["UploadId"] = upload_id
        kept = sum(part.size for part in parts if part.number in there)
        progress(file, kept)

        def send(part: _Part) -> tuple[_Part, str]:
            answer = s3.upload_part(
                **named,
                PartNumber=part.number,
                Body=_read(file, part),
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=part.checksum,
            )
            return part, str(answer["ETag"])

        for part, tag in _bounded(pool, send, [part for part in parts if part.number not in there], self._workers):
            there[part.number] = tag
            progress(file, part.size)
        listed = [
            {"PartNumber": part.number, "ETag": there[part.number], "ChecksumSHA256": part.checksum} for part in parts
        ]
        s3.complete_multipart_upload(**named, MultipartUpload={"Parts": listed})
        return kept

    def _begun(self, file: ArtefactFile, parts: tuple[_Part, ...]) -> tuple[str, dict[int, str]]:
        """An upload of this file that broke off, with the tags of its good parts; else a new one."""
        s3 = self._account.client("s3")
        wanted = {part.number: (part.size, part.checksum) for part in parts}
        best: tuple[str, dict[int, str]] | None = None
        for upload in self._open_uploads(file.key):
            pages = s3.get_paginator("list_parts").paginate(Bucket=self.bucket, Key=file.key, UploadId=upload)
            good = {
                one["PartNumber"]: str(one["ETag"])
                for page in pages
                for one in page.get("Parts", ())
                if wanted.get(one["PartNumber"]) == (one["Size"], one.get("ChecksumSHA256"))
            }
            if best is None or len(good) > len(best[1]):
                best = upload, good
        if best is not None:
            return best
        made = s3.create_multipart_upload(
            Bucket=self.bucket, Key=file.key, ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE"
        )
        return str(made["UploadId"]), {}

    def _open_uploads(self, key: str) -> list[str]:
        pages = self._account.client("s3").get_paginator("list_multipart_uploads")
        return [
            str(one["UploadId"])
            for page in pages.paginate(Bucket=self.bucket, Prefix=key)
            for one in page.get("Uploads", ())
            if one["Key"] == key and one.get("ChecksumAlgorithm") == "SHA256"
        ]


@dataclass(frozen=True, slots=True)
class _Part:
    """One part: its number from 1, its place in the file, SHA-256 as base64."""

    number: int
    offset: int
    size: int
    checksum: str


def _parts(file: ArtefactFile, part_bytes: int) -> tuple[_Part, ...]:
    """All parts of a file, read once through.

    Raises:
        CloudError: V708, it is not the file that it was.
    """
    made: list[_Part] = []
    whole, offset = hashlib.sha256(), 0
    try:
        with file.path.open("rb") as opened:
            while True:
                digest, size = hashlib.sha256(), 0
                while size < part_bytes and (piece := opened.read(min(_CHUNK, part_bytes - size))):
                    digest.update(piece)
                    whole.update(piece)
                    size += len(piece)
                if size or not made:
                    made.append(_Part(len(made) + 1, offset, size, _base64(digest.digest())))
                offset += size
                if size < part_bytes:
                    break
    except OSError as error:
        raise _unreadable(file, error) from None
    if (whole.hexdigest(), offset) != (file.sha256, file.size):
        raise _changed(file)
    return tuple(made)


def _checksum(parts: tuple[_Part, ...]) -> str:
    """What S3 says of the whole object."""
    if len(parts) == 1:
        return parts[0].checksum
    joined = hashlib.sha256(b"".join(base64.b64decode(part.checksum) for part in parts))
    return f"{_base64(joined.digest())}-{len(parts)}"


def _read(file: ArtefactFile, part: _Part) -> bytes:
    try:
        with file.path.open("rb") as opened:
            opened.seek(part.offset)
            data = opened.read(part.size)
    except OSError as error:
        raise _unreadable(file, error) from None
    if _base64(hashlib.sha256(data).digest()) != part.checksum:
        raise _changed(file)
    return data


def _unreadable(file: ArtefactFile, error: OSError) -> CloudError:
    return CloudError(f"{file.path}: {error.strerror}.", code="V708")


def _changed(file: ArtefactFile) -> CloudError:
    return CloudError(
        f"{file.path}: it is not the file that was built.", hint="Build again: vedette build", code="V708"
    )


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _bounded(
    pool: ThreadPoolExecutor, send: Callable[[_Part], tuple[_Part, str]], parts: list[_Part], workers: int
) -> Iterator[tuple[_Part, str]]:
    """Results as they come, with so many in flight: what has failed keeps the rest from being begun."""
    waiting = iter(parts)
    running: set[Future[tuple[_Part, str]]] = set()
    while True:
        while len(running) < workers and (part := next(waiting, None)) is not None:
            running.add(pool.submit(send, part))
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for one in done:
            yield one.result()


@contextmanager
def _going_on(what: str) -> Iterator[None]:
    """AWS's errors as ours, with what to do about an upload that broke off."""
    try:
        with aws_errors(what):
            yield
    except CloudError as error:
        hint = error.hint or _GOES_ON
        raise CloudError(error.message, hint=hint, code=error.code, retryable=error.retryable) from None
