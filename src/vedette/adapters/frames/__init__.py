"""Decoded pictures in shared memory, handed from one process to others without being copied again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vedette.adapters.frames.client import FrameStoreClient
    from vedette.adapters.frames.store import FrameStoreStats, FrameStoreWriter

__all__ = ["FrameStoreClient", "FrameStoreStats", "FrameStoreWriter"]


def __getattr__(name: str) -> Any:
    """Both ends need NumPy; their conversation (``connection``) does not, so neither is loaded for it."""
    if name == "FrameStoreClient":
        from vedette.adapters.frames.client import FrameStoreClient

        return FrameStoreClient
    if name in ("FrameStoreStats", "FrameStoreWriter"):
        from vedette.adapters.frames import store

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
