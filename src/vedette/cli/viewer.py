"""The terminal of a long run: a live view or plain lines, and a reader who may go away."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live


class Viewer:
    """Shows a run. When the reader goes (a closed pipe, a closed terminal) it falls silent and says so once.

    Args:
        on_gone: called when nobody reads any more.
        notes: where states, problems and the summary go; standard error by default.
        alerts: where alerts go as plain lines; standard output by default.
    """

    def __init__(
        self, on_gone: Callable[[], None], *, notes: Console | None = None, alerts: Console | None = None
    ) -> None:
        self._notes = notes or Console(stderr=True)
        self._alerts = alerts or Console()
        self._on_gone = on_gone
        self._live: Live | None = None
        self.gone = False

    def note(self, text: str, style: str | None = None) -> None:
        """One line about the run itself."""
        self._write(self._notes, lambda: self._notes.print(text, style=style, highlight=False, soft_wrap=True))

    def alert(self, line: str) -> None:
        """One alert as a line."""
        self._write(
            self._alerts, lambda: self._alerts.print(line, highlight=False, soft_wrap=True, markup=False, emoji=False)
        )

    @contextmanager
    def live(self, first: RenderableType) -> Iterator[None]:
        """A view that is drawn over and over, by ``draw``."""
        # Drawn by our own thread only: an exception in a thread of the library would be nobody's.
        live = Live(first, console=self._notes, auto_refresh=False)
        self._write(self._notes, live.start)
        self._live = live
        try:
            yield
        finally:
            self._live = None
            self._write(self._notes, live.stop)

    def draw(self, view: RenderableType) -> None:
        """Replace what the live view shows; nothing happens without one."""
        live = self._live
        if live is not None:
            self._write(self._notes, lambda: live.update(view, refresh=True))

    def _write(self, console: Console, write: Callable[[], None]) -> None:
        if self.gone:
            return
        try:
            write()
        # Rich turns a closed pipe into the end of the program; a closed terminal is an OSError.
        except (OSError, SystemExit):
            self.gone = True
            with contextlib.suppress(OSError, ValueError):  # what is still in the buffer has nowhere to go
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, console.file.fileno())
                os.close(null)
            self._on_gone()
