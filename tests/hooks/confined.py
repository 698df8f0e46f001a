"""A confined process for tests: code as text, everything else as on a device."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.hooks.rig import BEGIN_S, batch, plan
from vedette.adapters.confinement.walls import Wall
from vedette.adapters.hooks.broker import Broker
from vedette.adapters.hooks.code_files import read_code
from vedette.adapters.hooks.directory import DataDirectory
from vedette.adapters.hooks.pictures import SharedRing
from vedette.adapters.hooks.process import ProcessSettings
from vedette.adapters.hooks.reactor import Reactor
from vedette.adapters.hooks.runner import HookRunner
from vedette.compose.hosted_hook import user_of
from vedette.contracts.errors import HookError
from vedette.contracts.hook_messages import HookReply
from vedette.contracts.plan import HookPlan

ALL_WALLS = {wall.value for wall in Wall}


class Confined:
    """One hook's process and what its warden has."""

    def __init__(
        self,
        folder: Path,
        source: str,
        *,
        forgo: Sequence[Wall] = (),
        trust: bool = False,
        refusal: str = "",
        **changes: Any,
    ) -> None:
        self.folder = folder
        self.app = folder / "app"
        self.app.mkdir(parents=True, exist_ok=True)
        self.app.chmod(0o755)
        self.write("hooks.py", source)
        values: dict[str, Any] = {"directory": str(self.app), "timeout_s": 5.0}
        self.plan: HookPlan = plan(**values | changes)
        self.reactor = Reactor()
        user = user_of(self.plan.key)
        self.directory = DataDirectory(folder / "data", user, self.plan.disk_mb << 20)
        self.broker = Broker(self.plan.key, self.plan.network, refusal, self.reactor)
        self.rings: dict[str, SharedRing] = {}
        self.settings = ProcessSettings(
            self.plan.key, self.app, user, self.plan.memory_mb << 20, trust=trust, forgo=frozenset(forgo)
        )
        self.runner = HookRunner(
            self.plan,
            self.settings,
            self.directory,
            self.reactor,
            self.broker,
            rings=self.rings,
            read_code=read_code,
        )

    def write(self, name: str, text: str) -> Path:
        """A file of the application."""
        path = self.app / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def start(self, state: str = "{}") -> HookReply:
        return self.runner.start(state, BEGIN_S)

    def tracks(self, number: int = 1, **more: Any) -> HookReply:
        return self.runner.tracks("gate", batch(number, **more))

    def fails(self, number: int = 1) -> HookError:
        """The error of a call that must fail."""
        with pytest.raises(HookError) as caught:
            self.tracks(number)
        return caught.value

    def says(self) -> list[str]:
        """What the code has to report: the messages of the alerts of one call."""
        return [alert.message for alert in self.tracks().alerts]

    def close(self) -> None:
        self.runner.close()
        self.reactor.close()


@contextmanager
def confined(folder: Path, source: str, **options: Any) -> Iterator[Confined]:
    """A process, started."""
    one = Confined(folder, source, **options)
    try:
        one.start()
        yield one
    finally:
        one.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the code printed, as it stands in the log."""
    return [record.getMessage() for record in caplog.records if record.name.endswith("hooks.output")]


def show_output(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
