"""Component configuration: leaves with time stamps, merged as Greengrass merges, kept across restarts.

Every leaf remembers when it was written; an older write loses against a newer one. Leaves that came from a
recipe's ``DefaultConfiguration`` carry the time 0, so that anything written on purpose outlives a new default.
Lists are leaves: a merge replaces them as a whole.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from vedette.contracts.errors import CoreError

logger = logging.getLogger(__name__)

KeyPath = tuple[str, ...]
_Leaves = dict[KeyPath, tuple[JsonValue, float]]

DEFAULT_TIME_S: Final = 0.0
MAX_LEAVES: Final = 20_000
MAX_DEPTH: Final = 64
MAX_FILE_BYTES: Final = 4 << 20


class StaleUpdateError(CoreError):
    """Everything an update would change was written later than the update claims to be."""

    default_code = "V603"


def flatten(value: JsonValue, path: KeyPath = ()) -> Iterator[tuple[KeyPath, JsonValue]]:
    """Every leaf below ``value`` with its path; an empty mapping is a leaf.

    Raises:
        CoreError: deeper than ``MAX_DEPTH``.
    """
    if len(path) > MAX_DEPTH:
        raise CoreError(f"configuration deeper than {MAX_DEPTH} levels.")
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from flatten(child, (*path, key))
    else:
        yield path, value


def _check_count(value: JsonValue) -> None:
    count = sum(1 for _ in flatten(value))
    if count > MAX_LEAVES:
        raise CoreError(f"configuration of {count} values; at most {MAX_LEAVES} are allowed.")


def _mappings(path: KeyPath) -> list[KeyPath]:
    return [path[:length] for length in range(len(path))]


def pointer(text: str) -> KeyPath:
    """A JSON pointer (RFC 6901) as a key path; the empty pointer is the root."""
    if not text.strip("/"):
        return ()
    parts = text.removeprefix("/").split("/")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


class Settings:
    """The configuration of one component.

    Args:
        path: file that keeps it; read if it is there.

    Raises:
        CoreError: the file exists and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._drafted = False
        self._leaves: _Leaves = {}
        self._inner: Counter[KeyPath] = Counter()  # how many leaves lie below each mapping
        if path.exists():
            self._load()

    def draft(self) -> Settings:
        """A copy that can be changed and looked at, and that is not written until ``commit``."""
        copy = Settings.__new__(Settings)
        copy._path = self._path
        copy._drafted = True
        copy._replace(dict(self._leaves))
        return copy

    def commit(self) -> None:
        """Writes a draft; from now on changes are written as they come.

        Raises:
            CoreError: the file cannot be written.
        """
        self._drafted = False
        try:
            self._save()
        except OSError as error:
            raise CoreError(f"{self._path}: cannot be written ({error.strerror}).", code="V401") from None

    def get(self, path: Sequence[str] = ()) -> JsonValue:
        """The value at a path, a mapping where it has children.

        Raises:
            KeyError: nothing is there.
        """
        key = tuple(path)
        if key in self._leaves:
            return self._leaves[key][0]
        below = {at: leaf for at, leaf in self._leaves.items() if at[: len(key)] == key}
        if not below and key:
            raise KeyError("/".join(key))
        tree: dict[str, JsonValue] = {}
        for at, (value, _) in below.items():
            node = tree
            for part in at[len(key) : -1]:
                child = node.setdefault(part, {})
                assert isinstance(child, dict)  # a leaf never has children
                node = child
            node[at[-1]] = value
        return tree

    def apply_defaults(self, defaults: Mapping[str, JsonValue]) -> list[KeyPath]:
        """Takes a recipe's defaults over, except where something was written on purpose; tells what changed."""
        before = dict(self._leaves)
        wanted = dict(flatten(dict(defaults)))
        for path, (_, time_s) in before.items():
            if time_s == DEFAULT_TIME_S and path not in wanted:
                self._drop(path)
        for path, value in wanted.items():
            if path:
                self._put(path, value, DEFAULT_TIME_S, default=True)
        return self._finish(before)

    def merge(self, values: JsonValue, *, time_s: float, at: Sequence[str] = ()) -> list[KeyPath]:
        """Merges values below a path; leaves written later than ``time_s`` stay.

        Args:
            values: a mapping, or one value for the leaf at ``at``.
            time_s: when the caller decided so, seconds since 1970.
            at: where to merge.

        Returns:
            The paths whose value changed.

        Raises:
            StaleUpdateError: every leaf was written later.
            CoreError: the result would be larger than allowed; nothing is changed then.
        """
        before = dict(self._leaves)
        _check_count(values)
        written = [self._put(path, value, time_s) for path, value in flatten(values, tuple(at)) if path]
        if written and not any(written):
            raise StaleUpdateError(
                f"an update of {time_s:.3f} is older than the values it would replace; nothing changed."
            )
        return self._finish(before)

    def deploy(
        self, values: Mapping[str, JsonValue], *, reset: Sequence[str], defaults: Mapping[str, JsonValue], now_s: float
    ) -> list[KeyPath]:
        """Applies a deployment: resets pointers to the defaults, then merges. A deployment always wins."""
        before = dict(self._leaves)
        _check_count(dict(values))
        default_leaves = dict(flatten(dict(defaults)))
        for text in reset:
            base = pointer(text)
            for path in [path for path in self._leaves if path[: len(base)] == base]:
                self._drop(path)
            for path, value in default_leaves.items():
                if path and path[: len(base)] == base:
                    self._put(path, value, DEFAULT_TIME_S, default=True)
        latest = max((time_s for _, time_s in self._leaves.values()), default=0.0)
        for path, value in flatten(dict(values)):
            if path:
                self._put(path, value, max(now_s, latest))
        return self._finish(before)

    def _put(self, path: KeyPath, value: JsonValue, time_s: float, *, default: bool = False) -> bool:
        """Writes one leaf, replacing whatever stands in its way; False where something newer stands there."""
        ancestors = [path[:length] for length in range(1, len(path)) if path[:length] in self._leaves]
        below = [at for at in self._leaves if at[: len(path)] == path] if self._inner[path] else []
        below += [path] if path in self._leaves and path not in below else []
        if value == {} and below and below != [path]:
            return True  # merging nothing into a mapping
        in_the_way = [*ancestors, *below]
        for at in in_the_way:
            existing = self._leaves[at][1]
            if existing > time_s or (default and existing != DEFAULT_TIME_S):
                return False
        for at in in_the_way:
            self._drop(at)
        self._leaves[path] = (value, time_s)
        self._inner.update(_mappings(path))
        return True

    def _drop(self, path: KeyPath) -> None:
        del self._leaves[path]
        self._inner.subtract(_mappings(path))

    def _replace(self, leaves: _Leaves) -> None:
        self._leaves = leaves
        self._inner = Counter(mapping for path in leaves for mapping in _mappings(path))

    def _finish(self, before: _Leaves) -> list[KeyPath]:
        if self._leaves == before:
            return []
        try:
            self._save()
        except BaseException:
            self._replace(before)
            raise
        paths = [*self._leaves, *(path for path in before if path not in self._leaves)]
        missing = (None, -1.0)
        changed = [
            path
            for path in paths
            if (path in self._leaves) != (path in before)
            or self._leaves.get(path, missing)[0] != before.get(path, missing)[0]
        ]
        return [path for path in changed if path in self._leaves or not self._covered(path)]

    def _covered(self, path: KeyPath) -> bool:
        """Whether a removed leaf is told of by the leaf that replaced it or a part of it."""
        return any(at[: len(path)] == path or path[: len(at)] == at for at in self._leaves)

    def _save(self) -> None:
        if len(self._leaves) > MAX_LEAVES:
            raise CoreError(f"configuration of {len(self._leaves)} values; at most {MAX_LEAVES} are allowed.")
        rows = [[list(path), value, time_s] for path, (value, time_s) in self._leaves.items()]
        data = json.dumps({"format": 1, "leaves": rows}, separators=(",", ":")).encode()
        if len(data) > MAX_FILE_BYTES:
            raise CoreError(f"configuration of {len(data)} bytes; at most {MAX_FILE_BYTES} are allowed.")
        if self._drafted:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self._path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)

    def _load(self) -> None:
        try:
            with self._path.open("rb") as file:
                document = json.loads(file.read(MAX_FILE_BYTES + 1))
            self._replace({tuple(path): (value, float(time_s)) for path, value, time_s in document["leaves"]})
        except OSError as error:
            raise CoreError(f"{self._path}: the configuration cannot be read ({error.strerror}).") from None
        except (ValueError, KeyError, TypeError):
            damaged = self._path.with_suffix(".damaged")
            with contextlib.suppress(OSError):
                self._path.replace(damaged)
            logger.warning("%s is damaged; kept as %s, starting from the defaults", self._path, damaged.name)
            self._replace({})
