"""Where the program of one Panorama application lives, on a device as in a backtest: folders, socket, user."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vedette.adapters.hooks.directory import DataDirectory
from vedette.adapters.panorama.outfit import PanoramaSettings
from vedette.adapters.panorama.server import Interface, PanoramaServer
from vedette.compose.hosted_hook import user_of
from vedette.contracts.plan import PanoramaPlan
from vedette.core.port_values import PortValue
from vedette.ports.panorama import OutputSink, PictureSource, TensorRunner

_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ProgramPlace:
    """Where the program of one application lives.

    Attributes:
        plan: what the application gets.
        home: its folders ``storage`` and ``logs`` lie here.
        run: folder for what is made at each start.
        socket: of the server that it asks.
    """

    plan: PanoramaPlan
    home: Path
    run: Path
    socket: Path

    @property
    def user(self) -> int:
        """The user that the program becomes where this process is root's; the same on every start."""
        return user_of(f"{self.plan.application}/panorama")

    @property
    def limit_bytes(self) -> int:
        """Room for all that its folders hold."""
        return self.plan.settings.disk_mb * _MB

    def make_folders(self) -> None:
        """Make what it may write to, for its user.

        Raises:
            StorageError: V401, they cannot be made.
        """
        owner = self.user if os.geteuid() == 0 else None
        for part in ("storage", "logs"):
            DataDirectory(self.home / part, owner, self.limit_bytes)

    @contextmanager
    def serving(
        self, interface: Interface, monotonic: Callable[[], float] = time.monotonic
    ) -> Iterator[PanoramaServer]:
        """The server that it asks, started and in the end closed.

        Raises:
            StorageError: V401, the socket cannot be made.
        """
        server = PanoramaServer(self.socket, interface, frozenset({self.user}), monotonic)
        try:
            if os.geteuid() == 0:
                os.chown(self.socket, self.user, self.user)
            server.start()
            yield server
        finally:
            server.close()

    def settings(self, python: Path, device: str, *, trust: bool) -> PanoramaSettings:
        """How the program is run: what holds on a device and in a backtest. It has no network and no routes.

        Args:
            python: interpreter.
            device: what it is told as the device's name.
            trust: whether it runs where it cannot be confined.
        """
        code = self.plan.settings
        return PanoramaSettings(
            application=self.plan.application,
            code=Path(self.plan.directory) / code.code,
            entry=code.entry,
            python=python,
            socket=self.socket,
            storage=self.home / "storage",
            logs=self.home / "logs",
            run=self.run,
            user=self.user,
            memory_mb=code.memory_mb,
            disk_mb=code.disk_mb,
            environment=dict(code.environment),
            device=device,
            trust=trust,
        )


def interface_of(
    plan: PanoramaPlan,
    sources: Mapping[str, PictureSource],
    value: Callable[[str], PortValue],
    runner: TensorRunner,
    sink: OutputSink,
) -> Interface:
    """What the code is given.

    A camera's address is told as its name: no address of a camera leaves its process.

    Args:
        plan: its ports.
        sources: media input port → its pictures.
        value: parameter port → the value as it is now.
        runner: models.
        sink: where what it puts goes.
    """
    return Interface(
        sources=sources,
        uris={
            port: {one.camera: f"vedette://{one.camera}" for one in cameras} for port, cameras in plan.inputs.items()
        },
        types={port: entry.type for port, entry in plan.settings.parameters.items()},
        value=value,
        outputs=plan.settings.outputs,
        runner=runner,
        sink=sink,
    )
