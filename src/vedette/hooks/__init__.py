"""What an application's own Python works with. Write a file beside ``vedette.yaml`` and name it there under ``hooks``.

A file defines one or more of these functions; ``docs/hooks.md`` says when each is called and what is guaranteed::

    from vedette.hooks import App, Batch, Frame

    def setup(app: App) -> None: ...                        # once, when the process starts
    def on_tracks(app: App, batch: Batch) -> None: ...      # every track batch, exactly once
    def on_frame(app: App, frame: Frame) -> None: ...       # pictures, the freshest, at most once

Importing this module loads the standard library only. Everything here can be used outside of Vedette too, so that hooks
can be tested: ``app.handle(on_tracks, batch)`` calls a function as Vedette does and returns the alerts it raised.
"""

from __future__ import annotations

from vedette.hooks.app import App
from vedette.hooks.values import Batch, Camera, Frame, RaisedAlert, Severity, TrackedObject

__all__ = ["App", "Batch", "Camera", "Frame", "RaisedAlert", "Severity", "TrackedObject"]
