"""Starts child processes, watches their progress, and replaces those that end, hang or fall silent."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import random
import selectors
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vedette.adapters.supervision.child import Child, Started, start_copy, start_program
from vedette.adapters.supervision.template import RETRY_S, Template

logger = logging.getLogger(__name__)

#: A child that ended is replaced after a random time up to this, so that eight cameras do not knock at once.
RESTART_JITTER_S: Final = 0.5
#: A child that ends within this time of its start "failed at start".
QUICK_FAILURE_S: Final = 1.0
#: Wait after the n-th failure at start in a row, seconds: n = 1, 2, 3, 4 and more.
QUICK_FAILURE_WAIT_S: Final = (0.5, 1.0, 2.0, 5.0)
#: Sleep of the loop while a child waits for something that does not wake it.
TICK_S: Final = 0.05
#: Longest sleep of the loop.
REST_S: Final = 1.0
#: A wait that takes so much longer than it should was no wait.
AWAY_S: Final = 0.5
#: So much after a limit it is certain to have passed.
_PAST_S: Final = 0.001
#: Environment variables by which a process may speak to Greengrass as this component.
GREENGRASS_VARIABLES: Final = ("SVCUID", "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", "AWS_CONTAINER_")


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child process.

    Attributes:
        name: unique among the supervisor's children; appears in logs.
        argv: command line. It is readable by every user of the machine: no secrets.
        spec: first JSON line on the child's standard input. A change restarts the child.
        live: further values in that line; a change is sent to the running child as a message.
        silence_limit_s: a child that sends nothing for so long is killed and replaced; time for which it waited for a
            processor does not count.
        start_limit_s: time a new child has until its first message.
        stop_limit_s: time a child has to end after its standard input was closed.
        greengrass: whether the child gets the variables with which it can speak to Greengrass itself.
        template: command line of a process that is copied for the child, which is the same then as one started with
            ``argv`` but shares its memory and starts at once; none: always started with ``argv``.
        gives_way: 0 to 1000: where memory is short, the kernel ends the highest first (``oom_score_adj``).
    """

    name: str
    argv: tuple[str, ...]
    spec: dict[str, Any] = field(repr=False)
    live: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    silence_limit_s: float = 2.0
    start_limit_s: float = 15.0
    stop_limit_s: float = 2.0
    greengrass: bool = False
    template: tuple[str, ...] = ()
    gives_way: int = 0


class Supervisor:
    """Keeps one process per ``ChildSpec`` alive until stopped.

    Everything happens in the thread that calls ``run`` (or in the one made by ``start``); the callbacks are called
    there and must be quick. The other methods may be called from any thread. That thread must live as long as the
    children: the kernel kills them when it ends.

    Args:
        on_message: called with a child's name and each JSON object it sends.
        on_exit: called with a child's name and why it ended, for people, before it is replaced.
        clock: monotonic seconds.
        jitter: uniform random number 0..1.
    """

    def __init__(
        self,
        on_message: Callable[[str, dict[str, Any]], None],
        on_exit: Callable[[str, str], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._on_message = on_message
        self._on_exit = on_exit
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._requests: list[Callable[[], None]] = []
        self._slots: dict[str, _Slot] = {}
        self._leaving: list[Child] = []
        self._templates: dict[tuple[str, ...], _Copied] = {}
        self._looked_s = 0.0
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._stopping = threading.Event()
        self._finished = threading.Event()
        self._thread: threading.Thread | None = None

    def set_children(self, specs: Iterable[ChildSpec]) -> None:
        """Start what is new, stop what is gone, restart what has changed."""
        wanted = {spec.name: spec for spec in specs}
        self._ask(lambda: self._apply(wanted))

    def restart(self, name: str, reason: str) -> None:
        """Kill one child and start it anew; the reason is handed to the new one."""
        self._ask(lambda: self._kill(name, reason))

    def send(self, name: str, message: dict[str, Any]) -> None:
        """Send a message to a child; dropped where it is not running at the moment."""

        def deliver() -> None:
            slot = self._slots.get(name)
            if slot is not None and slot.child is not None and not slot.child.send(message):
                slot.child.kill("it does not read the messages sent to it")

        self._ask(deliver)

    def set_live(self, name: str, live: dict[str, Any]) -> None:
        """Replace ``live`` for the processes of a child that start from now on; the running one is not told."""

        def change() -> None:
            slot = self._slots.get(name)
            if slot is not None:
                slot.spec = replace(slot.spec, live=live)

        self._ask(change)

    def pids(self) -> dict[str, int]:
        """Process numbers of the running children (for status and tests)."""
        return {name: slot.child.pid for name, slot in list(self._slots.items()) if slot.child is not None}

    def start(self) -> None:
        """Run in a thread of the supervisor's own."""
        self._thread = threading.Thread(target=self.run, name="supervisor")
        self._thread.start()

    def stop(self) -> None:
        """End all children (asked first, then killed) and return when they are gone; idempotent."""
        self._stopping.set()
        self._wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def run(self) -> None:
        """Watch the children until ``stop`` is called."""
        self._looked_s = self._clock()
        try:
            while not self._stopping.is_set():
                self._step()
            self._apply({})
            while self._leaving:
                self._step()
        finally:
            for child in [*self._leaving, *(slot.child for slot in self._slots.values() if slot.child is not None)]:
                child.kill("the supervisor ended")
                child.reap()
            for copied in self._templates.values():
                if copied.template is not None:
                    copied.template.close()
            self._selector.close()
            with self._lock:
                self._finished.set()
                os.close(self._wake_read)
                os.close(self._wake_write)

    def _ask(self, request: Callable[[], None]) -> None:
        with self._lock:
            self._requests.append(request)
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            if not self._finished.is_set():
                with contextlib.suppress(BlockingIOError):  # full: it is going to wake up anyhow
                    os.write(self._wake_write, b"!")

    def _step(self) -> None:
        for key, _ in self._ready():
            if key.data is None:
                os.read(self._wake_read, 4096)
                continue
            if isinstance(key.data, Template):
                key.data.handle()
                continue
            child: Child = key.data
            for message in child.handle(key.fd):
                self._heard(child, message)
        with self._lock:
            requests, self._requests = self._requests, []
        for request in requests:
            request()
        now_s = self._looked_s  # what was heard since then counts; what was not, may yet be
        for slot in list(self._slots.values()):
            self._watch(slot, now_s)
        for child in list(self._leaving):
            if child.ended():
                child.reap()
                self._leaving.remove(child)
            elif now_s >= child.leave_by_s:
                child.kill("it did not end when asked")

    def _ready(self) -> Sequence[tuple[selectors.SelectorKey, int]]:
        """Wait for something to do.

        A wait that took much longer than it should means that this process was stopped, or was given no processor.
        Nobody listened meanwhile: no child is to blame for it.
        """
        rest_s, before_s = self._rest_s(), self._looked_s
        ready = self._selector.select(rest_s)
        self._looked_s = self._clock()
        away_s = self._looked_s - before_s - rest_s
        if away_s <= AWAY_S:
            return ready
        for slot in self._slots.values():
            if slot.child is not None:
                slot.child.last_heard_s += away_s
        return ready or self._selector.select(0)

    def _rest_s(self) -> float:
        """How long there is nothing to do but to listen."""
        now_s = self._clock()
        due_s = [child.leave_by_s for child in self._leaving]
        for slot in self._slots.values():
            due = slot.start_at_s if slot.child is None else slot.child.due_s(slot.limit_s) + _PAST_S
            due_s.append(due if due > now_s else now_s + TICK_S)
        return min(max(0.0, min(due_s, default=math.inf) - now_s), REST_S)

    def _heard(self, child: Child, message: dict[str, Any]) -> None:
        slot = self._slots.get(child.name)
        now_s = self._clock()
        silent_s, child.last_heard_s = now_s - child.last_heard_s, now_s
        if slot is None or slot.child is not child:
            return
        if silent_s > slot.limit_s and "stalled" not in message:
            logger.warning("child %s was silent for %.1f s: the machine gave it no processor", child.name, silent_s)
        child.heard = True
        if "stalled" in message:
            child.kill(str(message["stalled"]))
        self._on_message(child.name, message)

    def _apply(self, wanted: dict[str, ChildSpec]) -> None:
        now_s = self._looked_s
        for name, slot in list(self._slots.items()):
            if wanted.get(name) == slot.spec:
                changed, slot.spec = wanted[name].live != slot.spec.live, wanted[name]
                if changed and slot.child is not None:
                    slot.child.send(slot.spec.live)
                continue
            if slot.child is not None:
                slot.child.ask_to_end(now_s + slot.spec.stop_limit_s)
                self._leaving.append(slot.child)
                slot.child = None
            if name in wanted:
                slot.spec, slot.start_at_s, slot.reason = wanted[name], now_s, "its configuration changed"
            else:
                del self._slots[name]
        for name, spec in wanted.items():
            if name not in self._slots:
                self._slots[name] = _Slot(spec, start_at_s=now_s)

    def _kill(self, name: str, reason: str) -> None:
        slot = self._slots.get(name)
        if slot is not None and slot.child is not None:
            slot.child.kill(reason)

    def _watch(self, slot: _Slot, now_s: float) -> None:
        child = slot.child
        if child is None:
            if now_s >= slot.start_at_s and not any(old.name == slot.spec.name for old in self._leaving):
                self._start(slot, now_s)
            return
        if child.ended():
            self._ended(slot, child, now_s)
            return
        limit_s = slot.limit_s
        if child.silent_s(now_s, limit_s) > limit_s:
            child.kill(f"no sign of life for {limit_s:g} s" if child.heard else f"not ready {limit_s:g} s after start")

    def _start(self, slot: _Slot, now_s: float) -> None:
        template = self._template(slot.spec, now_s)
        if template is not None and template.expected(now_s):
            return
        spec = {**slot.spec.spec, **slot.spec.live}
        first = {"spec": spec, "restarts": slot.starts, "reason": slot.reason, "parent": os.getpid()}
        slot.starts += 1
        try:
            slot.child = Child(slot.spec.name, lambda: _started(slot.spec, template), first, now_s, self._selector)
        except OSError as error:  # no memory, no process slot, no program: try again, slowly
            logger.error("child %s cannot be started: %s", slot.spec.name, error)
            slot.quick_failures += 1
            slot.start_at_s = now_s + QUICK_FAILURE_WAIT_S[-1]
            return
        with contextlib.suppress(OSError):  # gone already, or no such file on this kernel
            Path(f"/proc/{slot.child.pid}/oom_score_adj").write_text(str(slot.spec.gives_way), encoding="ascii")

    def _template(self, spec: ChildSpec, now_s: float) -> Template | None:
        """What the child is copied from, started where it is not there; None where there is nothing to copy."""
        if not spec.template:
            return None
        known = self._templates.setdefault(spec.template, _Copied())
        if known.template is not None and known.template.failed:
            known.template = None
        if known.template is None and now_s >= known.start_at_s:
            known.start_at_s = now_s + RETRY_S
            try:
                known.template = Template(spec.template, _environment(spec.greengrass), self._selector, now_s)
            except OSError as error:
                logger.error("%s cannot be started: %s", " ".join(spec.template), error)
        return known.template

    def _ended(self, slot: _Slot, child: Child, now_s: float) -> None:
        reason = child.reap()
        slot.child = None
        slot.reason = reason
        quick = now_s - child.started_s < QUICK_FAILURE_S
        slot.quick_failures = slot.quick_failures + 1 if quick else 0
        wait_s = RESTART_JITTER_S * self._jitter()
        if slot.quick_failures > 1:
            wait_s = QUICK_FAILURE_WAIT_S[min(slot.quick_failures - 1, len(QUICK_FAILURE_WAIT_S)) - 1]
        slot.start_at_s = now_s + wait_s
        logger.warning("child %s ended: %s; a new one starts in %.1f s", child.name, reason, wait_s)
        if self._on_exit is not None:
            self._on_exit(child.name, reason)


@dataclass(slots=True)
class _Slot:
    """What the supervisor remembers of a child across its processes."""

    spec: ChildSpec
    start_at_s: float
    child: Child | None = None
    starts: int = 0
    quick_failures: int = 0
    reason: str = ""

    @property
    def limit_s(self) -> float:
        """How long the child may be silent at present."""
        return self.spec.silence_limit_s if self.child is not None and self.child.heard else self.spec.start_limit_s


@dataclass(slots=True)
class _Copied:
    """What the supervisor remembers of a template across its processes."""

    template: Template | None = None
    start_at_s: float = -float("inf")


def _started(spec: ChildSpec, template: Template | None) -> Started:
    copy = start_copy(template) if template is not None else None
    return copy or start_program(spec.argv, _environment(spec.greengrass))


def _environment(greengrass: bool) -> dict[str, str]:
    """This process' environment; without the component's token unless the child may use it."""
    if greengrass:
        return dict(os.environ)
    return {key: value for key, value in os.environ.items() if not key.startswith(GREENGRASS_VARIABLES)}
