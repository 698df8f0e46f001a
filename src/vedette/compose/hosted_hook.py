"""One hook put together: journal, store, confined process, pictures and network, in a thread of its own."""

from __future__ import annotations

import logging
import os
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vedette.adapters.hooks.broker import Broker
from vedette.adapters.hooks.code_files import read_code
from vedette.adapters.hooks.directory import DataDirectory
from vedette.adapters.hooks.pictures import FrameFeed
from vedette.adapters.hooks.process import ProcessSettings
from vedette.adapters.hooks.reactor import Reactor, Stopped
from vedette.adapters.hooks.runner import HookRunner
from vedette.adapters.hooks.store import SqliteHookStore
from vedette.adapters.journal.events import SqliteEventJournal
from vedette.adapters.journal.reader import SqliteJournalReader
from vedette.adapters.state.layout import StateLayout
from vedette.contracts.config import NetworkCeiling
from vedette.contracts.errors import VedetteError
from vedette.contracts.plan import HookPlan
from vedette.pipeline.hook_calls import HookCalls
from vedette.pipeline.hook_loop import HookLoop, HookState

log = logging.getLogger(__name__)

#: Longest sleep of a hook's thread.
STEP_S: Final = 0.25
#: A state directory or disk that cannot be used is tried again after this.
RETRY_S: Final = 2.0
#: A thread that makes no step for so long hangs: a start with everything on a slow disk, and so many calls.
HANG_S: Final = 90.0
HANG_CALLS: Final = 20
#: Users of confined processes where the component is root's: numbers that no system gives to anyone.
_FIRST_USER: Final = 0x7A00_0000
_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What the device says of all hooks.

    Attributes:
        layout: the state directory.
        trust: whether code runs that cannot be confined.
        ceiling: which hooks may have a network.
        alerts_per_minute: of one hook, in the long run.
    """

    layout: StateLayout
    trust: bool = False
    ceiling: NetworkCeiling = NetworkCeiling.WITHOUT_PICTURES
    alerts_per_minute: int = 30


def user_of(key: str) -> int:
    """The user that a hook's process becomes where this process is root's; the same on every start."""
    return _FIRST_USER + (zlib.crc32(key.encode()) & 0xFF_FFFF) if os.geteuid() == 0 else os.geteuid()


def network_refusal(hook: HookPlan, ceiling: NetworkCeiling) -> str:
    """Why a hook has no network at all; empty where it has what its manifest names."""
    return refusal_of_network("hook", ceiling, wanted=bool(hook.network), pictures=bool(hook.pictures))


def refusal_of_network(what: str, ceiling: NetworkCeiling, *, wanted: bool, pictures: bool) -> str:
    """Why code has no network at all; empty where it has what its manifest names.

    Args:
        what: ``hook`` or ``application``.
        ceiling: of the device.
        wanted: whether the manifest names hosts.
        pictures: whether the code sees pictures.
    """
    if not wanted:
        return f"the manifest allows this {what} no network"
    if ceiling is NetworkCeiling.NEVER:
        return f"this device allows {what}s no network (allowNetwork: never)"
    if ceiling is NetworkCeiling.WITHOUT_PICTURES and pictures:
        return f"this {what} sees pictures, and this device allows no {what} both (allowNetwork: withoutPictures)"
    return ""


class HostedHook:
    """Runs one hook until stopped, whatever happens to its code.

    Args:
        hook: its plan.
        channels: receivers of its alerts.
        settings: of the device.
        monotonic: clock of the watch over the thread.
    """

    def __init__(
        self,
        hook: HookPlan,
        channels: tuple[str, ...],
        settings: HostSettings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hook = hook
        self._channels = channels
        self._settings = settings
        self._monotonic = monotonic
        self._reactor = Reactor()
        self._stopping = threading.Event()
        self._seen_s = monotonic()
        self._parts: _Parts | None = None
        self._problem: tuple[str, str] = ("", "")
        self._thread = threading.Thread(target=self._run, name=f"hook-{hook.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask to end; what a call in progress would have done is done by the next process."""
        self._stopping.set()
        self._reactor.stop()

    def join(self, timeout_s: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout_s)

    def hung(self) -> bool:
        """Whether the thread has made no step for so long that only a new process helps."""
        return self._monotonic() - self._seen_s > HANG_CALLS * self.hook.timeout_s + HANG_S

    @property
    def progress(self) -> int:
        """Counts calls."""
        parts = self._parts
        return parts.loop.progress if parts is not None else 0

    def status(self) -> dict[str, Any]:
        """How it is, as small JSON."""
        parts = self._parts
        if parts is None:
            code, error = self._problem
            return {"state": HookState.STARTING.value, "code": code, "error": error}
        return parts.status()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with ExitStack() as stack:
                    parts = self._parts = _Parts(self.hook, self._channels, self._settings, self._reactor, stack)
                    self._serve(parts)
            except Stopped:
                return
            except VedetteError as error:
                log.error("hook %s: %s", self.hook.key, error)
                self._problem = (error.code, error.message)
            except Exception as error:  # a thread's outermost frame: without it the hook would vanish unnoticed
                log.exception("hook %s: its warden failed and begins anew", self.hook.key)
                self._problem = ("V808", f"its warden failed ({type(error).__name__}) and begins anew")
            self._parts = None
            self._seen_s = self._monotonic()
            self._stopping.wait(RETRY_S)

    def _serve(self, parts: _Parts) -> None:
        try:
            while not self._stopping.is_set():
                parts.loop.step(STEP_S)
                self._seen_s = self._monotonic()
        finally:
            parts.loop.finish()


class _Parts:
    """Everything of one hook while it is served."""

    def __init__(
        self, hook: HookPlan, channels: tuple[str, ...], settings: HostSettings, reactor: Reactor, stack: ExitStack
    ) -> None:
        layout = settings.layout
        journal = layout.root / "journal.db"
        bell = layout.run / f"hook-{zlib.crc32(hook.key.encode()):08x}.bell"
        self._hook = hook
        self._store = stack.enter_context(closing(SqliteHookStore(layout.hooks / hook.application / f"{hook.name}.db")))
        source = stack.enter_context(closing(SqliteJournalReader(journal, bell)))
        events = stack.enter_context(closing(SqliteEventJournal(journal, bell)))
        user = user_of(hook.key)
        self._directory = DataDirectory(
            layout.hook_data / hook.application / hook.name, user if os.geteuid() == 0 else None, hook.disk_mb * _MB
        )
        self._broker = Broker(hook.key, hook.network, network_refusal(hook, settings.ceiling), reactor)
        self._feed = stack.enter_context(closing(FrameFeed(hook.pictures, hook.frames_fps, layout.frames, reactor)))
        self._runner = stack.enter_context(
            closing(
                HookRunner(
                    hook,
                    ProcessSettings(hook.key, Path(hook.directory), user, hook.memory_mb * _MB, trust=settings.trust),
                    self._directory,
                    reactor,
                    self._broker,
                    rings=self._feed.rings,
                    read_code=read_code,
                )
            )
        )
        self._calls = HookCalls(hook, channels, self._runner, alerts_per_minute=settings.alerts_per_minute)

        def wait(timeout_s: float) -> None:
            reactor.run_once(timeout_s)
            source.wait(0)

        self.loop = HookLoop(hook, self._calls, self._runner, self._store, events, source, self._feed, wait)
        reactor.watch(source, lambda _events: None)
        stack.callback(reactor.forget, source)

    def status(self) -> dict[str, Any]:
        """How it is, as small JSON."""
        figures, calls, traffic = self.loop.figures, self._calls.figures, self._broker.traffic()
        walls = self._runner.walls
        code, error = figures.code, figures.error
        if not code and self._store.damage is not None:
            code, error = self._store.damage.code, self._store.damage.message
        return {
            "state": figures.state.value,
            "code": code,
            "error": error,
            "walls": sorted(walls.standing),
            "missing_walls": walls.missing,
            "calls": calls.calls,
            "failures": calls.failures,
            "skipped": figures.skipped,
            "restarts": figures.restarts,
            "alerts": calls.alerts,
            "suppressed": calls.suppressed,
            "call_p50_ms": calls.percentile_ms(0.5),
            "call_p95_ms": calls.percentile_ms(0.95),
            "lag_s": round(figures.lag_s, 2),
            "suspended": figures.suspended,
            "sent_bytes": traffic.sent_bytes,
            "received_bytes": traffic.received_bytes,
            "refused_connections": traffic.refused,
            "network": traffic.problem,
            "dropped_lines": self._runner.output.dropped,
            "pictures": self._feed.problems(),
            "pid": self._runner.pid,
        }
