"""Decoded pictures in shared memory, handed from one process to others without being copied again."""

from vedette.adapters.frames.client import FrameStoreClient
from vedette.adapters.frames.store import FrameStoreStats, FrameStoreWriter

__all__ = ["FrameStoreClient", "FrameStoreStats", "FrameStoreWriter"]
