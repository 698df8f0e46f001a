"""Recordings as files: how long they are, whether they are the ones meant."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av


def clip_seconds(path: Path) -> float | None:
    """Length by the file's own word; None where it does not say or cannot be opened."""
    try:
        with av.open(str(path)) as container:
            return None if container.duration is None else container.duration / av.time_base
    except (av.FFmpegError, OSError, ValueError):
        return None


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
