"""An application's own code in a backtest: the same confined process, fed picture by picture."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from vedette.adapters.frames import memory
from vedette.adapters.hooks.broker import Broker
from vedette.adapters.hooks.code_files import read_code
from vedette.adapters.hooks.directory import DataDirectory
from vedette.adapters.hooks.process import ProcessSettings
from vedette.adapters.hooks.reactor import Reactor
from vedette.adapters.hooks.runner import HookRunner
from vedette.compose.hosted_hook import user_of
from vedette.contracts.alert import Alert
from vedette.contracts.errors import HookError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.plan import HookPlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.hook_alerts import make_hook_alert
from vedette.core.pixels import Pixels, i420_size
from vedette.core.sampling import Sampler
from vedette.pipeline.hook_calls import HookCalls
from vedette.pipeline.hook_loop import ATTEMPTS
from vedette.ports.hooks import Picture

#: A loaded machine must not change what a backtest finds: limits of time are wider.
PATIENCE: Final = 10.0
ALERTS_PER_MINUTE: Final = 30
#: Problems told of one hook; the rest is counted.
_MAX_PROBLEMS: Final = 5
#: A picture handed over is there until the call ends.
_FOR_EVER_S: Final = 1e12
_MB: Final = 1 << 20


class _OwnMemory:
    """Memory for one picture of one camera, as a frame store's ring of one slot."""

    def __init__(self, camera: str, number: int, width: int, height: int) -> None:
        self.size = (width, height)
        self.number = number
        self._camera = camera
        self._bytes = i420_size(width, height)
        self.descriptor, mapping = memory.create("vedette-backtest", self._bytes, f"a picture of camera {camera!r}")
        self._pixels = Pixels.from_buffer(np.frombuffer(mapping, np.uint8), width, height)

    def put(self, pixels: Pixels) -> None:
        """Replace the picture."""
        for target, plane in zip(
            (self._pixels.y, self._pixels.u, self._pixels.v), (pixels.y, pixels.u, pixels.v), strict=True
        ):
            np.copyto(target, plane)

    def as_message(self) -> dict[str, Any]:
        """What the process is told."""
        width, height = self.size
        sizes = {"slot_bytes": self._bytes, "total_bytes": self._bytes, "width": width, "height": height}
        return {"do": "ring", "camera": self._camera, "ring": self.number, **sizes}

    @contextmanager
    def read_only(self) -> Iterator[int]:
        """A descriptor that cannot be written through."""
        descriptor = os.open(f"/proc/self/fd/{self.descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Let go of the memory."""
        os.close(self.descriptor)


class BacktestHooks:
    """All hooks of an application on recordings. Use as a context manager.

    Args:
        hooks: of the plan.
        device: part of every alert's id.
        trust: whether code runs that cannot be confined here.

    """

    def __init__(self, hooks: Sequence[HookPlan], device: str, *, trust: bool = False) -> None:
        self._device = device
        self._stack = ExitStack()
        self._plans = hooks
        self._trust = trust
        self._hooks: list[_Hook] = []
        self.problems: list[str] = []

    def __enter__(self) -> BacktestHooks:
        """Make what the hooks need; they start with the first picture, whose time is theirs."""
        try:
            for plan in self._plans:
                self._hooks.append(_Hook(plan, self._stack, self.problems, trust=self._trust))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End them, and forget what they wrote."""
        self._stack.close()

    def step(self, info: FrameInfo, pixels: Pixels, batches: Iterable[TrackBatch]) -> Iterator[Alert]:
        """One picture, with what was seen in it; pictures come in the order of their time.

        Raises:
            HookError: V801 or V805, a hook cannot be loaded, or not be confined here.
        """
        known = list(batches)
        for hook in self._hooks:
            for event in hook.step(info, pixels, known):
                yield make_hook_alert(self._device, event)


class _Hook:
    """One hook."""

    def __init__(self, plan: HookPlan, stack: ExitStack, problems: list[str], *, trust: bool) -> None:
        self._plan = plan
        self._problems = problems
        self._told = 0
        self._reactor = Reactor()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vedette-hook-")))
        user = user_of(plan.key)
        directory = DataDirectory(folder / "data", user if os.geteuid() == 0 else None, plan.disk_mb * _MB)
        self._memories: dict[str, _OwnMemory] = {}
        broker = Broker(plan.key, (), "there is no network in a backtest", self._reactor)
        settings = ProcessSettings(plan.key, Path(plan.directory), user, plan.memory_mb * _MB, trust=trust)
        self._runner = HookRunner(
            plan,
            settings,
            directory,
            self._reactor,
            broker,
            rings=self._memories,
            read_code=read_code,
            patience=PATIENCE,
        )
        self._calls = HookCalls(plan, (), self._runner, alerts_per_minute=ALERTS_PER_MINUTE, wall_s=lambda: self._now_s)
        self._routes = {(route.pipeline, route.camera): route.app_camera for route in plan.routes}
        self._samplers = {camera.camera: (camera.app_camera, Sampler(plan.frames_fps)) for camera in plan.pictures}
        self._now_s = 0.0
        self._begun = False
        self._due_s: list[float] | None = None
        stack.callback(self._close)

    def step(self, info: FrameInfo, pixels: Pixels, batches: Sequence[TrackBatch]) -> Iterator[HookEvent]:
        """Timers that are due by then, the batches of the picture, and the picture itself."""
        self._now_s = info.wall_s
        if not self._begun:
            self._begun = True
            yield from self._calls.start()
        yield from self._timers(info.wall_s)
        for batch in batches:
            app_camera = self._routes.get((batch.pipeline, batch.frame.camera))
            if app_camera is not None and "on_tracks" in self._calls.functions:
                yield from self._batch(app_camera, batch)
        app_camera, sampler = self._samplers.get(info.camera, ("", None))
        if sampler is not None and "on_frame" in self._calls.functions and sampler.wants(info.t_s):
            picture = self._picture(app_camera, info, pixels)
            yield from self._once(lambda: self._calls.frame(picture))

    def _timers(self, wall_s: float) -> Iterator[HookEvent]:
        intervals = self._calls.timers
        if self._due_s is None or len(self._due_s) != len(intervals):
            self._due_s = [wall_s + interval_s for interval_s in intervals]
        while self._due_s and min(self._due_s) <= wall_s:
            number = self._due_s.index(min(self._due_s))
            at_s = self._due_s[number]
            self._due_s[number] += intervals[number]
            yield from self._once(lambda number=number, at_s=at_s: self._calls.timer(number, at_s))

    def _batch(self, app_camera: str, batch: TrackBatch) -> list[HookEvent]:
        for attempt in range(ATTEMPTS):
            try:
                return [*self._revived(), *self._calls.tracks(app_camera, batch)]
            except HookError as error:
                if attempt == ATTEMPTS - 1:
                    self._tell(error, f" It is the batch of picture {batch.frame.frame_no} of {batch.frame.camera}.")
        return []

    def _once(self, call: Any) -> list[HookEvent]:
        try:
            return [*self._revived(), *call()]
        except HookError as error:
            self._tell(error)
            return []

    def _revived(self) -> list[HookEvent]:
        """What ``setup`` raised, where the process had to be started again."""
        return [] if self._runner.alive() else self._calls.start()

    def _picture(self, app_camera: str, info: FrameInfo, pixels: Pixels) -> Picture:
        found = self._memories.get(info.camera)
        if found is None or found.size != (pixels.width, pixels.height):
            number = 1 if found is None else found.number + 1
            if found is not None:
                found.close()
            found = self._memories[info.camera] = _OwnMemory(info.camera, number, pixels.width, pixels.height)
        found.put(pixels)
        message = {
            "do": "frame",
            "camera": app_camera,
            "frame": asdict(info),
            "ring": found.number,
            "slot": 0,
            "expires_s": _FOR_EVER_S,
            "full_range": pixels.full_range,
        }
        return Picture(info, app_camera, message)

    def _tell(self, error: HookError, more: str = "") -> None:
        self._told += 1
        if self._told <= _MAX_PROBLEMS:
            self._problems.append(f"{error}{more}")
        elif self._told == _MAX_PROBLEMS + 1:
            self._problems.append(f"hook {self._plan.key} failed more often than that.")

    def _close(self) -> None:
        self._runner.close()
        for found in self._memories.values():
            with contextlib.suppress(OSError):
                found.close()
        self._reactor.close()
