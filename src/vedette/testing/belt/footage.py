"""Rendered footage as files, kept in the user's cache so that a loop is rendered once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vedette.cache_home import cache_home
from vedette.contracts.errors import StorageError
from vedette.testing.belt.encode import encode
from vedette.testing.belt.scene import Belt
from vedette.testing.belt.settings import RENDERER_VERSION, BeltSettings
from vedette.testing.belt.truth import BeltTruth, make_truth

#: Loops kept, about 4 MB each; the ones that were made first go first.
MAX_KEPT: Final = 8
#: Part of the work that goes into preparing a loop, the rest into its pictures; for the progress.
_PREPARING: Final = 0.3
_ABANDONED_S: Final = 3600.0
_PREFIX: Final = "belt-"
_UNFINISHED: Final = ".unfinished-"


@dataclass(frozen=True, slots=True)
class Footage:
    """A loop on disk.

    Attributes:
        video: the H.264 file.
        truth: what passes in it.
        rendered_s: how long it took to make; 0 where it was there already.
    """

    video: Path
    truth: BeltTruth
    rendered_s: float


def cache_directory(environment: Mapping[str, str] | None = None) -> Path:
    """Where footage is kept: ``vedette/belt`` in the XDG cache directory (``$XDG_CACHE_HOME``, else ``~/.cache``)."""
    return cache_home(environment) / "belt"


def footage(
    settings: BeltSettings, directory: Path | None = None, *, progress: Callable[[float], None] = lambda _share: None
) -> Footage:
    """The loop's video, rendered where it is not in the cache yet.

    A file is used only where its digest is the one that was noted when it was made. It appears under its name when it
    is whole; beside it lies its truth as JSON lines.

    Args:
        settings: what to render.
        directory: where to keep it; the user's cache where None.
        progress: called with the share that is done, 0..1, while it is rendered.

    Raises:
        StorageError: V707, it cannot be written.
    """
    truth = make_truth(settings)
    started_s = time.monotonic()
    video, made = kept(
        f"{_PREFIX}{settings.key}",
        lambda path: render(settings, path, progress=progress),
        {"renderer": RENDERER_VERSION, "seed": settings.seed},
        truth.lines(),
        directory,
    )
    return Footage(video, truth, time.monotonic() - started_s if made else 0.0)


def kept(
    name: str,
    render: Callable[[Path], None],
    head: Mapping[str, object],
    lines: Iterable[str],
    directory: Path | None = None,
) -> tuple[Path, bool]:
    """A rendered video, made where it is not in the cache yet, and whether it was made now.

    Args:
        name: of its files, without an ending; what comes before the first hyphen is its kind, of which some are kept.
        render: makes the video.
        head: first line of the file beside it, with its digest.
        lines: the truth, the other lines of that file.
        directory: where to keep it; the user's cache where None.

    Raises:
        StorageError: V707, it cannot be written.
    """
    folder = cache_directory() if directory is None else directory
    video, truth_file = folder / f"{name}.mp4", folder / f"{name}.jsonl"
    if _is_whole(video, truth_file):
        return video, False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _tidy(folder, name.partition("-")[0] + "-")
        with _unfinished(folder) as staging:
            render(staging)
            digest = hashlib.sha256(staging.read_bytes()).hexdigest()
            _sync(staging)
            staging.replace(video)
        with _unfinished(folder) as staging:
            staging.write_text("\n".join((json.dumps({"sha256": digest, **head}), *lines)) + "\n")
            _sync(staging)
            staging.replace(truth_file)
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder}: the rendered footage cannot be written: {error.strerror or error}.",
            hint="Free some space, or set XDG_CACHE_HOME to a folder that this user may write to.",
            code="V707",
        ) from error
    return video, True


def render(settings: BeltSettings, path: Path, *, progress: Callable[[float], None] = lambda _share: None) -> None:
    """Render a loop into an MP4 file."""
    belt = Belt(settings, progress=lambda share: progress(share * _PREPARING))
    encode(
        (belt.frame(number) for number in range(settings.frames)),
        path,
        progress=lambda count: progress(_PREPARING + (1 - _PREPARING) * count / settings.frames),
    )


def _is_whole(video: Path, truth_file: Path) -> bool:
    try:
        with truth_file.open() as lines:
            noted = json.loads(lines.readline())["sha256"]
        return bool(hashlib.sha256(video.read_bytes()).hexdigest() == noted)
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A new file under a name that nobody reads; gone afterwards unless it was renamed."""
    descriptor, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=folder)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tidy(folder: Path, prefix: str) -> None:
    """Make room for one more loop, and remove what killed processes have left."""
    with contextlib.suppress(OSError):
        videos = sorted(folder.glob(f"{prefix}*.mp4"), key=lambda path: path.stat().st_mtime)
        for video in videos[: max(0, len(videos) - MAX_KEPT + 1)]:
            video.with_suffix(".jsonl").unlink(missing_ok=True)
            video.unlink(missing_ok=True)
        for left in folder.glob(f"{_UNFINISHED}*"):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink(missing_ok=True)
