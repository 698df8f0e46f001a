"""Hooks for tests: plans, batches, a process that runs in this one, and everything of one hook over real files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vedette.adapters.hooks.child.runtime import batch_of
from vedette.adapters.hooks.store import SqliteHookStore
from vedette.adapters.journal.events import SqliteEventJournal
from vedette.adapters.journal.sqlite import SqliteJournalReader, SqliteJournalWriter
from vedette.contracts.errors import HookError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.hook_messages import HookReply, RaisedMessage
from vedette.contracts.manifest import NetworkPeer
from vedette.contracts.plan import HookCamera, HookPlan, HookRoute
from vedette.contracts.tracks import TrackBatch
from vedette.core.hook_alerts import hook_alert_id
from vedette.hooks import App, Camera, RaisedAlert
from vedette.pipeline.hook_calls import HookCalls
from vedette.pipeline.hook_loop import HookLoop
from vedette.ports.hooks import Picture

DEVICE = "thing"
PIPELINE = "app/main"
CAMERAS = ("gate", "yard")
BEGIN_S = 1.7e9


def plan(**changes: Any) -> HookPlan:
    """Hook ``app/greeter`` on the batches of two cameras."""
    values: dict[str, Any] = {
        "application": "app",
        "name": "greeter",
        "directory": "/nowhere",
        "file": "hooks.py",
        "code": {},
        "cameras": tuple(HookCamera(app_camera=name, camera=name) for name in CAMERAS),
        "routes": tuple(HookRoute(pipeline=PIPELINE, app_camera=name, camera=name) for name in CAMERAS),
    }
    return HookPlan.model_validate(values | changes)


def peer(port: int, host: str = "127.0.0.1") -> NetworkPeer:
    """A host on this machine."""
    return NetworkPeer(host=host, port=port, allow_private=True)


def batch(
    number: int,
    camera: str = "gate",
    *,
    people: int | None = None,
    pipeline: str = PIPELINE,
    fps: float = 5.0,
    begin_s: float = BEGIN_S,
) -> TrackBatch:
    """Picture ``number``; as many people as the number says, modulo three, unless told otherwise."""
    count = number % 3 if people is None else people
    time_s = number / fps
    return TrackBatch(
        pipeline=pipeline,
        frame=FrameInfo(camera, f"epoch-{camera}", number, time_s, time_s, begin_s + time_s, 640, 360),
        track_ids=tuple(range(1, count + 1)),
        boxes=((1.0, 2.0, 3.0, 4.0),) * count,
        labels=("person",) * count,
        scores=(0.75,) * count,
        analysed_wall_s=begin_s + time_s,
    )


Functions = Mapping[str, Callable[..., object]]


class InlineProcess:
    """Implements ``ports.hooks.HookProcess`` without a process: the functions are called here."""

    def __init__(self, functions: Functions, timers: Sequence[tuple[float, Callable[[App], None]]] = ()) -> None:
        self.functions = functions
        self.timers = tuple(timers)
        self.app: App | None = None
        self.starts = 0
        self.fatal: set[type[BaseException]] = set()

    def start(self, state: str, wall_s: float) -> HookReply:
        self.starts += 1
        self.app = App([Camera(name) for name in CAMERAS], state=json.loads(state))
        self._saved = self.app.saved_state()
        alerts = self._guarded(lambda app: app.handle(self.functions["setup"], setup=True), "V801") if (
            "setup" in self.functions
        ) else ()  # fmt: skip
        return self._reply(alerts, functions=tuple(self.functions), timers=tuple(seconds for seconds, _ in self.timers))

    def tracks(self, app_camera: str, batch: TrackBatch) -> HookReply:
        message = {"camera": app_camera, "pipeline": "main", "batch": json.loads(batch.to_json())}
        return self._reply(self._guarded(lambda app: app.handle(self.functions["on_tracks"], batch_of(message))))

    def frame(self, picture: Picture) -> HookReply:
        return self._reply(self._guarded(lambda app: app.handle(self.functions["on_frame"], picture.message["frame"])))

    def timer(self, number: int, wall_s: float) -> HookReply:
        return self._reply(self._guarded(lambda app: app.handle(self.timers[number][1])))

    def alive(self) -> bool:
        return self.app is not None

    def check(self) -> None:
        return None

    def close(self) -> None:
        self.app = None

    def _guarded(self, call: Callable[[App], tuple[RaisedAlert, ...]], code: str = "V802") -> tuple[RaisedAlert, ...]:
        assert self.app is not None
        try:
            return call(self.app)
        except Exception as error:
            if type(error) in self.fatal:
                self.app = None
                raise HookError(f"ended by {error}", code="V808") from error
            raise HookError(f"raised {error!r}", code=code) from error

    def _reply(self, alerts: Sequence[RaisedAlert], **more: Any) -> HookReply:
        assert self.app is not None
        state = self.app.saved_state()
        changed, self._saved = state != self._saved, state
        messages = tuple(RaisedMessage.model_validate(asdict(alert)) for alert in alerts)
        return HookReply(alerts=messages, state=state if changed else None, **more)


class Feed:
    """Pictures that are due, in the order given."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.finished: list[Picture] = []

    def due(self) -> Picture | None:
        return self.pictures.pop(0) if self.pictures else None

    def done(self, picture: Picture) -> None:
        self.finished.append(picture)


class Bench:
    """One hook over real files with clocks of our own. ``start`` and ``crash`` as often as wanted."""

    def __init__(self, folder: Path, process: Callable[[], Any], hook: HookPlan | None = None) -> None:
        self.folder = folder
        self.hook = hook or plan()
        self.make_process = process
        self.now_s = 100.0
        self.wall_s = BEGIN_S
        self.per_minute = 6000
        self.feed = Feed()
        self.waits: list[float] = []
        self._stack = ExitStack()

    def start(self) -> None:
        """What a warden does when it starts."""
        journal = self.folder / "journal.db"
        self.store = self._stack.enter_context(closing(SqliteHookStore(self.folder / "greeter.db")))
        self.source = self._stack.enter_context(closing(SqliteJournalReader(journal)))
        self.events = self._stack.enter_context(closing(SqliteEventJournal(journal, self.folder / "x.bell")))
        self.process = self.make_process()
        self.calls = HookCalls(
            self.hook,
            ("app/file",),
            self.process,
            alerts_per_minute=self.per_minute,
            wall_s=lambda: self.wall_s,
            monotonic=lambda: self.now_s,
        )
        self.loop = HookLoop(
            self.hook,
            self.calls,
            self.process,
            self.store,
            self.events,
            self.source,
            self.feed,
            self.waits.append,
            wall_s=lambda: self.wall_s,
            monotonic=lambda: self.now_s,
        )

    def crash(self) -> None:
        """End without a word: what is not on disk is gone."""
        self._stack.close()
        self._stack = ExitStack()

    def write(self, batches: Sequence[TrackBatch]) -> None:
        """Inference's part."""
        with closing(SqliteJournalWriter(self.folder / "journal.db")) as writer:
            for one in batches:
                writer.append(one)

    def settle(self, steps: int = 400) -> None:
        """Step until nothing happens any more, as time goes by."""
        quiet = 0
        for _ in range(steps):
            before = (self.loop.progress, self.loop._cursor)
            self.loop.step(0.0)
            self.now_s += 0.25
            quiet = 0 if (self.loop.progress, self.loop._cursor) != before else quiet + 1
            if quiet > 60:
                return

    def raised(self) -> list[HookEvent]:
        """Every event of the journal, repeats included."""
        with closing(SqliteJournalReader(self.folder / "journal.db")) as reader:
            reader.identity()
            return [row for _, row in _all(reader) if isinstance(row, HookEvent)]

    def alerts(self) -> list[str]:
        """Messages of the alerts that receivers get: each id once."""
        seen: dict[str, str] = {}
        for event in self.raised():
            seen.setdefault(hook_alert_id(DEVICE, event), event.message)
        return list(seen.values())

    def state(self) -> Any:
        """``app.state`` as it was committed last."""
        return json.loads(self.store.load().state)


def _all(reader: SqliteJournalReader) -> Iterator[tuple[int, Any]]:
    after = 0
    while rows := reader.read(after, 500):
        yield from rows
        after = rows[-1][0]
