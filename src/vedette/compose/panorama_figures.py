"""How the program of a Panorama application fares: small JSON, made by the threads that look after it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from vedette.adapters.hooks.broker import Broker
from vedette.adapters.panorama.console import Console
from vedette.adapters.panorama.live import LivePictures
from vedette.adapters.panorama.process import PanoramaProcess
from vedette.adapters.panorama.server import PanoramaServer
from vedette.contracts.errors import VedetteError
from vedette.pipeline.drawn import OutputTracks

#: Time over which rates are taken.
RATE_S: Final = 5.0
#: After so long without a wish, or without a picture put, it is said.
QUIET_S: Final = 30.0
#: A program has started when it has lived for so long or has asked for something.
STARTED_S: Final = 5.0
#: Codes of a program that is not allowed to run here at all.
_REFUSALS: Final = frozenset({"V805"})


class ProgramState(StrEnum):
    """Where a program stands."""

    STARTING = "STARTING"
    LOADING = "LOADING"
    RUNNING = "RUNNING"
    DEGRADED = "DEGRADED"
    RESTARTING = "RESTARTING"
    FAILED = "FAILED"
    REFUSED = "REFUSED"


class PanoramaFigures:
    """Collects what there is to tell. Safe to use from several threads.

    Args:
        monotonic: clock of all intervals.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._state, self._code, self._error = ProgramState.STARTING, "", ""
        self._life: _Life | None = None
        self._lives = 0
        self._totals: dict[str, int] = {}
        #: Why a model does not run where it should; empty where all do.
        self.degraded = ""

    @property
    def progress(self) -> int:
        """Counts what the program asks for."""
        life = self._life
        return self._lives + (sum(life.counts().values()) if life is not None else 0)

    def loading(self, what: str) -> None:
        """It is being prepared; what failed before is still the last that is known."""
        with self._lock:
            if not self._code:
                self._state, self._error = ProgramState.LOADING, what

    def starting(self) -> None:
        """Its process starts."""
        with self._lock:
            if not self._code:
                self._state, self._error = ProgramState.STARTING, ""

    def began(
        self,
        server: PanoramaServer,
        process: PanoramaProcess,
        outputs: OutputTracks,
        sources: Mapping[str, LivePictures],
        console: Console,
        brokers: Sequence[Broker],
    ) -> None:
        """Its process runs."""
        with self._lock:
            self._lives += 1
            self._life = _Life(server, process, outputs, sources, console, brokers, self._monotonic())

    def ended(self, why: str) -> None:
        """Its process ended by itself."""
        with self._lock:
            self._state, self._code, self._error = ProgramState.RESTARTING, "V808", why

    def failed(self, error: VedetteError) -> None:
        """It cannot be run as things are."""
        with self._lock:
            self._state = ProgramState.REFUSED if error.code in _REFUSALS else ProgramState.FAILED
            self._code, self._error = error.code, error.message + (f" {error.hint}" if error.hint else "")

    def close(self) -> None:
        """Its process is gone; what it did counts on."""
        with self._lock:
            if self._life is not None:
                for name, count in self._life.counts().items():
                    self._totals[name] = self._totals.get(name, 0) + count
                self._life = None

    def status(self) -> dict[str, Any]:
        """How it is."""
        with self._lock:
            life, now_s = self._life, self._monotonic()
            if life is not None and life.started(now_s):
                self._state = ProgramState.DEGRADED if self.degraded else ProgramState.RUNNING
                self._code, self._error = self.degraded[:4], self.degraded[5:]
            counts = life.counts() if life is not None else {}
            told: dict[str, Any] = {
                "state": self._state.value,
                "code": self._code,
                "error": self._error,
                "restarts": max(0, self._lives - 1),
                **{
                    name: self._totals.get(name, 0) + counts.get(name, 0)
                    for name in ("pictures", "calls", "puts", "refused", "batches", "repeated")
                },
            }
            if life is not None:
                told |= life.told(now_s)
            return told


class _Life:
    """One process of the program."""

    def __init__(
        self,
        server: PanoramaServer,
        process: PanoramaProcess,
        outputs: OutputTracks,
        sources: Mapping[str, LivePictures],
        console: Console,
        brokers: Sequence[Broker],
        begun_s: float,
    ) -> None:
        self._server = server
        self._process = process
        self._outputs = outputs
        self._sources = sources
        self._console = console
        self._brokers = brokers
        self._begun_s = begun_s
        self._past: deque[tuple[float, dict[str, int]]] = deque([(begun_s, self.counts())])
        self._asked: tuple[int, float] = (0, begun_s)

    def started(self, now_s: float) -> bool:
        """Whether it does what it is for, as far as can be seen."""
        figures = self._server.figures
        return bool(figures.pictures or figures.calls or figures.waiting) or now_s - self._begun_s >= STARTED_S

    def counts(self) -> dict[str, int]:
        """What it did since it began."""
        figures = self._server.figures
        return {
            "pictures": figures.pictures,
            "calls": figures.calls,
            "puts": figures.puts,
            "refused": figures.errors,
            "batches": self._outputs.taken,
            "repeated": self._outputs.repeated,
        }

    def told(self, now_s: float) -> dict[str, Any]:
        """Rates, times and what else there is to tell."""
        counts = self.counts()
        self._past.append((now_s, counts))
        while len(self._past) > 2 and now_s - self._past[1][0] >= RATE_S:
            self._past.popleft()
        before_s, before = self._past[0]
        span_s = max(now_s - before_s, 1e-3)
        walls = self._process.walls
        traffic = [broker.traffic() for broker in self._brokers]
        return {
            **{
                f"{name}_per_s": round((counts[name] - before[name]) / span_s, 1)
                for name in ("pictures", "calls", "puts")
            },
            "call_p50_ms": self._percentile_ms(0.5),
            "call_p95_ms": self._percentile_ms(0.95),
            "pid": self._process.pid,
            "walls": sorted(walls.standing),
            "missing_walls": walls.missing,
            "routes": dict(self._process.route_problems),
            "cameras": {
                camera: problem for source in self._sources.values() for camera, problem in source.problems().items()
            },
            "given": {camera: count for source in self._sources.values() for camera, count in source.given().items()},
            "dropped_lines": self._console.dropped,
            "sent_bytes": sum(one.sent_bytes for one in traffic),
            "received_bytes": sum(one.received_bytes for one in traffic),
            "refused_connections": sum(one.refused for one in traffic),
            "network": next((one.problem for one in traffic if one.problem), ""),
            "note": self._note(now_s, counts),
        }

    def _percentile_ms(self, share: float) -> float:
        try:
            ordered = sorted(self._server.figures.call_s)
        except RuntimeError:  # a call ended meanwhile
            return 0.0
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else 0.0

    def _note(self, now_s: float, counts: dict[str, int]) -> str:
        """What people would wonder about."""
        asked = counts["pictures"] + counts["calls"] + counts["puts"] + counts["refused"]
        if asked != self._asked[0] or self._server.figures.waiting:
            self._asked = (asked, now_s)
        quiet_s = now_s - self._asked[1]
        if quiet_s >= QUIET_S:
            return f"it has asked for nothing for {quiet_s:.0f} s"
        if counts["pictures"] and not counts["puts"] and now_s - self._begun_s >= QUIET_S:
            return "it takes pictures and has put none on an output, so there are no objects of it"
        return ""
