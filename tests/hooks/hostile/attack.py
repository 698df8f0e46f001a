"""An application that tries everything: picture ``n`` is attack ``n``.

It is copied into an application's directory with its folders, and called from there.
"""

from __future__ import annotations

from typing import Any

from tests.hooks.hostile import on_files, on_kernel, on_network, on_processes
from tests.hooks.hostile.tools import ATTACKS

__all__ = ["on_files", "on_kernel", "on_network", "on_processes", "on_tracks"]


def on_tracks(app: Any, batch: Any) -> None:
    """Try one, and say what came of it."""
    name = sorted(ATTACKS)[batch.frame_no]
    try:
        result = ATTACKS[name]()
    except (OSError, MemoryError, ValueError, RuntimeError, AttributeError) as error:
        app.alert(f"refused {type(error).__name__} {error}"[:200], key=name)
    else:
        app.alert(f"got {result!r}"[:200], key=name)
