"""A job ring by ring: whether the next ring may begin. Pure."""

from __future__ import annotations


def ring_fails(*, succeeded: int, failed: int, waiting: int, working: int = 0) -> str:
    """Why the ring after this one must not begin; empty where it may.

    A device that was offline all the time gets the job when it is back, holds nobody up and is no evidence: a ring in
    which none succeeded is none. A ring without devices says nothing and keeps nobody.

    Args:
        succeeded: devices that did it.
        failed: that failed, refused or took too long.
        waiting: that have not begun.
        working: that have begun and not ended, though the time is over: whatever keeps them is no good sign.
    """
    if failed:
        return "1 device failed" if failed == 1 else f"{failed} devices failed"
    if working:
        return "1 device has not ended in time" if working == 1 else f"{working} devices have not ended in time"
    return "no device has done it in time" if waiting and not succeeded else ""
