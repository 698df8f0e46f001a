"""The model store: files named by their digest, an index that says where each came from and under which licence.

Layout: ``index.json``, ``blobs/<sha256>/<name>.onnx``; ``components`` holds what the fleet brought. A file becomes
visible only whole and on the disk; a file whose content is not what its name says is never handed out.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from vedette.adapters.models.catalogue import known_models, recognise
from vedette.adapters.models.components import FoundEntry, component_entries, component_entry
from vedette.adapters.models.suspects import refuse_what_is_no_model
from vedette.contracts.base import IDENTIFIER_PATTERN
from vedette.contracts.errors import ModelError, StorageError, UsageError

#: Larger than any detector for an edge device; keeps a wrong file from filling the disk.
MAX_MODEL_BYTES: Final = 1 << 30
UNKNOWN_LICENCE: Final = "unknown"
_CHUNK: Final = 1 << 20
_INDEX_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One entry of the index.

    Attributes:
        name: under which manifests refer to it.
        sha256: of the file.
        size: bytes.
        licence: SPDX identifier, or ``unknown``.
        source: address or file it came from.
        added: RFC 3339.
        blob: path inside the store.
        title: for people.
    """

    name: str
    sha256: str
    size: int
    licence: str
    source: str
    added: str
    blob: str
    title: str = ""


class ModelStore:
    """Models of one directory.

    Args:
        directory: made at the first ``add``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def default(cls, environment: Mapping[str, str] | None = None) -> ModelStore:
        """The user's own store: ``$VEDETTE_HOME/models``, else ``vedette/models`` in the XDG data directory."""
        env = os.environ if environment is None else environment
        if home := env.get("VEDETTE_HOME"):
            return cls(Path(home) / "models")
        data = env.get("XDG_DATA_HOME") or Path(env.get("HOME") or Path.home()) / ".local" / "share"
        return cls(Path(data) / "vedette" / "models")

    def entries(self) -> tuple[StoredModel, ...]:
        """Everything in the store, by name.

        Raises:
            StorageError: V401, the index cannot be read.
        """
        brought = {found.entry.name: _brought(found) for found in component_entries(self.directory)}
        known = self._index() | brought
        return tuple(known[name] for name in sorted(known))

    def find(self, name: str) -> StoredModel | None:
        """The entry of a name; ``yolox_nano.onnx`` finds ``yolox_nano`` too. What the fleet brought goes first.

        Raises:
            StorageError: V401, the index cannot be read.
        """
        short = name.removesuffix(".onnx")
        brought = component_entry(self.directory, short)
        if brought is not None:
            return _brought(brought)
        index = self._index()
        return index.get(name) or index.get(short)

    def path(self, name: str) -> Path:
        """The verified file of a name.

        Raises:
            ModelError: V301, there is none; V305, its content changed.
        """
        entry = self._entry(name)
        path = self.directory / entry.blob
        self._check(entry, _digest_of(path, entry.name))
        return path

    def read(self, name: str) -> bytes:
        """The verified content of a name: exactly the bytes that were verified.

        Raises:
            ModelError: V301, there is none; V305, its content changed.
        """
        entry = self._entry(name)
        try:
            content = (self.directory / entry.blob).read_bytes()
        except OSError as error:
            raise _unreadable(entry.name, self.directory / entry.blob, error) from error
        self._check(entry, hashlib.sha256(content).hexdigest())
        return content

    def add_file(
        self, path: Path, *, name: str = "", licence: str = "", source: str = "", sha256: str = ""
    ) -> StoredModel:
        """Copy a file into the store.

        Args:
            path: the file.
            name: else the catalogue's for this digest, else the file's name without ``.onnx``.
            licence: else the catalogue's, else ``unknown``.
            source: else the catalogue's, else the path.
            sha256: digest that the file must have.

        Raises:
            ModelError: V301, cannot be read; V302, is no model; V305, has another digest.
            UsageError: V701, a name that manifests cannot use, or one that stands for other content already.
            StorageError: V401 or V404, the store cannot be written.
        """
        try:
            stream = path.open("rb")
        except OSError as error:
            raise _unreadable(name or path.stem, path, error) from error
        with stream:
            return self.add_stream(
                stream.read,
                file_name=path.name,
                name=name,
                licence=licence,
                source=source or str(path.resolve()),
                sha256=sha256,
            )

    def add_stream(
        self,
        read: Callable[[int], bytes],
        *,
        file_name: str,
        name: str = "",
        licence: str = "",
        source: str = "",
        sha256: str = "",
        accept: Callable[[StoredModel], bool] = lambda _: True,
    ) -> StoredModel:
        """Copy what ``read(size)`` gives until it gives nothing; see ``add_file``.

        Args:
            read: the content, piece by piece.
            file_name: last part of where it comes from.
            name: see ``add_file``.
            licence: see ``add_file``.
            source: where it comes from.
            sha256: digest it must have.
            accept: asked before the model becomes visible; where it says no, nothing is kept.

        Raises:
            ModelError: V302, no model, or not accepted; V305, another digest.
            UsageError: V701, see ``add_file``.
            StorageError: V401 or V404, see ``add_file``.
        """
        with self._writing():
            for left_behind in self.directory.glob(".incoming-*"):
                left_behind.unlink(missing_ok=True)  # of a process that was killed: this one holds the lock
            with tempfile.NamedTemporaryFile(dir=self.directory, prefix=".incoming-") as temporary:
                digest, size = _copy(read, temporary)
                if sha256 and digest != sha256.lower():
                    raise ModelError(
                        f"{file_name} has SHA-256 {digest}; {sha256.lower()} was asked for.",
                        hint="The file is damaged, was replaced at its source, or the digest is of another file.",
                        code="V305",
                    )
                entry = self._new_entry(digest, size, file_name, name, licence, source)
                if not accept(entry):
                    raise ModelError(f"{entry.name} was not accepted; nothing was stored.", code="V302")
                self._keep(Path(temporary.name), entry)
            self._write_index({**self._index(), entry.name: entry})
            return entry

    def remove(self, name: str) -> bool:
        """Take a model out of the store; whether there was one."""
        with self._writing():
            index = self._index()
            entry = index.pop(name, None)
            if entry is None:
                return False
            self._write_index(index)
            if all(other.blob != entry.blob for other in index.values()):
                shutil.rmtree((self.directory / entry.blob).parent, ignore_errors=True)
            return True

    # --- inside --------------------------------------------------------------------------------------------------

    def _entry(self, name: str) -> StoredModel:
        entry = self.find(name)
        if entry is None:
            raise missing_model(name, self)
        return entry

    def _check(self, entry: StoredModel, digest: str) -> None:
        if digest != entry.sha256:
            raise ModelError(
                f"model {entry.name!r} in {self.directory} has SHA-256 {digest}; {entry.sha256} was stored.",
                hint=f"The file was changed or the disk is failing: vedette model add {shlex.quote(entry.source)}",
                code="V305",
            )

    def _new_entry(self, digest: str, size: int, file_name: str, name: str, licence: str, source: str) -> StoredModel:
        known = recognise(digest)
        name = name or (known.name if known else file_name.removesuffix(".onnx"))
        if not re.fullmatch(IDENTIFIER_PATTERN.strip("^$"), name):
            raise UsageError(
                f"model name {name!r} is not allowed; allowed are letters, digits, - and _, at most 64.",
                hint="Give it one with --name.",
            )
        other = self._index().get(name)
        if other is not None and other.sha256 != digest:
            raise UsageError(
                f"model {name!r} is in the store already, with SHA-256 {other.sha256}; this file has {digest}.",
                hint=f"Give the new one another --name, or first: vedette model remove {name}",
            )
        return StoredModel(
            name=name,
            sha256=digest,
            size=size,
            licence=licence or (known.licence if known else UNKNOWN_LICENCE),
            source=known.source if known else source,
            added=datetime.now(UTC).isoformat(timespec="seconds"),
            blob=other.blob if other else f"blobs/{digest}/{name}.onnx",
            title=known.title if known else "",
        )

    def _keep(self, temporary: Path, entry: StoredModel) -> None:
        target = self.directory / entry.blob
        target.parent.mkdir(parents=True, exist_ok=True)
        waiting = target.with_name(f".{target.name}.new")
        waiting.unlink(missing_ok=True)
        os.link(temporary, waiting)
        waiting.chmod(0o644)
        waiting.replace(target)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time, over all processes."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise StorageError(
                f"model store {self.directory} cannot be written: {error.strerror or error}.",
                hint="Free some space." if full else "Set VEDETTE_HOME to a directory of your own.",
                code="V404" if full else "V401",
            ) from error

    def _index(self) -> dict[str, StoredModel]:
        path = self.directory / "index.json"
        try:
            document = json.loads(path.read_bytes())
            if document["version"] != _INDEX_VERSION:
                raise ValueError(f"version {document['version']!r}; this release reads {_INDEX_VERSION}")
            known = {field.name for field in fields(StoredModel)}
            entries = [StoredModel(**{k: v for k, v in e.items() if k in known}) for e in document["models"]]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(
                f"index of the model store {path} cannot be read: {error}.",
                hint="Move the file away and add the models again; the files themselves are not touched.",
            ) from error
        inside = [entry for entry in entries if _is_inside(entry.blob)]
        return {entry.name: entry for entry in inside}

    def _write_index(self, index: Mapping[str, StoredModel]) -> None:
        document: dict[str, Any] = {
            "version": _INDEX_VERSION,
            "models": [asdict(index[name]) for name in sorted(index)],
        }
        temporary = self.directory / ".index.json.new"
        with temporary.open("w") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(self.directory / "index.json")


def _brought(found: FoundEntry) -> StoredModel:
    entry = found.entry
    source = f"component, version {entry.version}"
    return StoredModel(
        *(entry.name, entry.sha256, entry.size, entry.licence, source, found.added, found.blob, entry.title)
    )


def resolve_model(file: str, manifest_dir: Path | None, store: ModelStore) -> Path:
    """Where a manifest's model is: beside the manifest, else in the store.

    Args:
        file: ``Model.file`` or ``ModelPlan.file``.
        manifest_dir: where the manifest lies; None where only the store and absolute paths count.
        store: where else to look; what it gives is verified.

    Raises:
        ModelError: V301, in neither place: the hint is the command to type; V305, changed in the store.
    """
    beside = Path(file) if manifest_dir is None else manifest_dir / file
    if beside.is_absolute() and beside.is_file():
        return beside
    if os.sep not in file and store.find(file) is not None:
        return store.path(file)
    raise missing_model(file, store, manifest_dir)


def missing_model(file: str, store: ModelStore, manifest_dir: Path | None = None) -> ModelError:
    """The error that says where was looked and what to type."""
    name = file.removesuffix(".onnx")
    where = f"neither beside the manifest in {manifest_dir} nor" if manifest_dir else "not"
    if os.sep in file:
        return ModelError(
            f"model file {file} does not exist{f' (looked in {manifest_dir})' if manifest_dir else ''}.",
            hint="Put it there, or name a model of the store: vedette model list",
            code="V301",
        )
    known = known_models().get(name)
    command = f"vedette model add {name}" if known else f"vedette model add FILE_OR_URL --name {shlex.quote(name)}"
    return ModelError(
        f"model {file!r} is {where} in the model store {store.directory}.", hint=f"Type: {command}", code="V301"
    )


def _is_inside(blob: object) -> bool:
    return isinstance(blob, str) and not os.path.isabs(blob) and ".." not in Path(blob).parts


def _unreadable(name: str, path: Path, error: OSError) -> ModelError:
    return ModelError(f"model {name!r}: {path} cannot be read: {error.strerror or error}.", code="V301")


def _digest_of(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(name, path, error) from error


def _copy(read: Callable[[int], bytes], target: IO[bytes]) -> tuple[str, int]:
    """Copy, durably; digest and size."""
    digest, size = hashlib.sha256(), 0
    while chunk := read(_CHUNK):
        if size == 0:
            refuse_what_is_no_model(chunk)
        size += len(chunk)
        if size > MAX_MODEL_BYTES:
            raise ModelError(f"the file is larger than {MAX_MODEL_BYTES >> 20} MiB.", code="V302")
        digest.update(chunk)
        target.write(chunk)
    if size == 0:
        raise ModelError("the file is empty.", code="V302")
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest(), size
