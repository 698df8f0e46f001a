"""A program under test in its confinement, with a host that serves it."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.panorama.serving import LIMIT_S, Rig, rig
from vedette.adapters.hooks.broker import Broker
from vedette.adapters.hooks.reactor import Reactor
from vedette.adapters.panorama.console import Console
from vedette.adapters.panorama.outfit import PanoramaSettings
from vedette.adapters.panorama.process import PanoramaProcess

USER = 0x7A12_3456 if os.geteuid() == 0 else os.geteuid()


class Heard(Console):
    """Keeps everything that was printed."""

    def __init__(self, logs: Path) -> None:
        super().__init__("test", logs)
        self.text = ""
        self._more = threading.Condition()

    def feed(self, chunk: bytes) -> None:
        super().feed(chunk)
        with self._more:
            self.text += chunk.decode()
            self._more.notify_all()

    def until(self, text: str) -> None:
        """Wait until something was printed."""
        with self._more:
            assert self._more.wait_for(lambda: text in self.text, LIMIT_S), self.text


@dataclass
class Confined:
    """A folder for a program, and everything that was started there."""

    folder: Path
    host: Rig
    settings: PanoramaSettings
    console: Heard
    make_broker: Callable[[Reactor], Broker] | None = None
    processes: list[PanoramaProcess] = field(default_factory=list)

    def start(self, code: str) -> PanoramaProcess:
        """Start a program."""
        (self.settings.code / "app.py").write_text(textwrap.dedent(code))
        process = PanoramaProcess(self.settings, self.console, self.make_broker)
        self.processes.append(process)
        process.start()
        return process

    def run(self, code: str) -> list[str]:
        """Run a program to its end; the lines that it printed."""
        process = self.start(code)
        assert process.wait(LIMIT_S)
        process.close()
        assert process.exit_reason() == "it ended with exit code 0", self.console.text
        return self.console.text.splitlines()


@contextmanager
def confined(folder: Path, **changes: object) -> Iterator[Confined]:
    """A place for a program."""
    for part in (*folder.parents, folder):  # the user that the program becomes must get there
        if part.stat().st_uid == os.geteuid() and part.is_relative_to("/tmp"):
            part.chmod(0o755)
    for name in ("code", "storage", "logs"):
        (folder / name).mkdir()
    with rig(folder) as host:
        host.server._users |= {USER}
        for path in (folder / "storage", folder / "logs", folder / "p.sock"):
            if os.geteuid() == 0:
                os.chown(path, USER, USER)
        settings = PanoramaSettings(
            "test",
            folder / "code",
            ("python3", "/panorama/app.py"),
            Path(sys.executable),
            folder / "p.sock",
            folder / "storage",
            folder / "logs",
            folder / "run",
            USER,
            device="dock-1",
            region="eu-west-1",
        )
        made = Confined(folder, host, replace(settings, **changes), Heard(folder / "logs"))  # type: ignore[arg-type]
        try:
            yield made
        finally:
            for process in made.processes:
                process.close()
