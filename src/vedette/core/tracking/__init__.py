"""Following objects from picture to picture: our ByteTrack."""

from vedette.core.tracking.byte import ByteTracker, Tracks

__all__ = ["ByteTracker", "Tracks"]
