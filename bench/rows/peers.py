"""The users' own case in other programs, beside ours, in turns."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.footage import MAIN, encoded, model
from bench.peers import HERE, PEERS, Peer, Task
from bench.peers.harness import PeerError, Running, program, started
from bench.result import Figure, Row
from bench.rows.site import FPS, NAMES, STALL_S, VIDEO, dead_at_start, normal, stalled
from bench.system import simulated
from vedette.testing.camera import ControlClient

FILE = "person-parking-lot-7sec.mp4"
FILE_S = 7.0
START_LIMIT_S = 90.0
NOBODY = "rtsp://127.0.0.1:9/nobody"
WARM_UP_S = 3.0
BACK_LIMIT_S = 90.0
OURS = "Vedette"

Samples = dict[tuple[str, str, str], list[float]]


class Book:
    """What all programs came to, and in which words some failed."""

    def __init__(self) -> None:
        self.samples: Samples = defaultdict(list)
        self.notes: list[str] = []

    def add(self, title: str, what: str, unit: str, *values: float) -> None:
        """Samples of one figure of one program."""
        self.samples[(what, title, unit)] += values

    def figures(self) -> tuple[Figure, ...]:
        """Figure by figure, ours beside the others."""
        order = list(dict.fromkeys(what for what, _, _ in self.samples))
        return tuple(
            Figure(f"{title}: {what}", unit, tuple(values), peer=title != OURS)
            for wanted in order
            for (what, title, unit), values in self.samples.items()
            if what == wanted
        )


def measure(quick: bool) -> Row:
    """File, four cameras, one dead at the start, one stalled."""
    rounds, seconds, stall_s = (1, 6.0, 5.0) if quick else (2, 12.0, STALL_S)
    there = [peer for peer in PEERS if not peer.missing()]
    book = Book()
    book.notes += [f"{peer.title}: not measured, {peer.missing()}." for peer in PEERS if peer.missing()]
    video, short = encoded(VIDEO, MAIN).resolve(), encoded(FILE, MAIN, FILE_S).resolve()
    for _ in range(rounds):
        _files(short, there, book)
        _cameras(video, there, seconds, book)
    _dead(video, there, seconds, book)
    _stall(video, there, stall_s, book)
    return Row(
        "peers",
        "Other programs on the same cameras",
        "python -m bench.peers install && python -m bench peers",
        f"Four RTSP cameras, {MAIN.words}, 4 Mbit/s; YOLOX-nano 416 with one thread for a run; {FPS:g} analysed pictures "
        f"a second of each. {rounds} rounds of {seconds:g} s, in each all programs one after the other; dead and "
        f"stalled cameras once each ({stall_s:g} s without a byte on an open connection). File: every picture of "
        f"{FILE_S:g} s of the same encoding as fast as it goes; for ours the whole backtest with tracking and rules. "
        "Processor and memory are of all processes of a program. For ours that is every component of a device: "
        "tracking, rules, evidence, delivery and watching, which the others do not have.",
        book.figures(),
        tuple(book.notes),
    )


def _files(video: Path, peers: list[Peer], book: Book) -> None:
    task = Task((str(video),), str(model().resolve()), 0.0, 300.0)
    own = [sys.executable, str(HERE / "programs" / "ours_file.py"), task.json()]
    reference: list[int] = []
    for title, command, packages in [(OURS, own, ""), *((p.title, p.command(task), p.packages()) for p in peers)]:
        try:
            with program(title, command, packages) as running:
                running.wait_end(task.seconds + 60)
        except PeerError as error:
            book.notes.append(f"File: {error}.")
            continue
        pictures = running.heard.pictures
        if not pictures:
            book.notes.append(f"File: {title} analysed no picture.")
            continue
        people = [picture.people for picture in pictures]
        reference = reference or people
        book.add(title, "file, processor", "ms/picture", 1000 * running.heard.cpu_s / len(pictures))
        book.add(title, "file, people found", "per picture", sum(people) / len(people))
        book.add(title, "file, pictures with as many people as ours found", "%", as_many(people, reference))
        if title != OURS:
            book.add(title, "from the start of the process to the first picture of a file", "s", running.start_s)


def as_many(people: Sequence[int], reference: Sequence[int]) -> float:
    """Per cent of the pictures with the same number; those that only one of the two has count as different."""
    same = sum(a == b for a, b in zip(people, reference, strict=False))
    return 100 * same / max(len(people), len(reference))


def _cameras(video: Path, peers: list[Peer], seconds: float, book: Book) -> None:
    ours = normal(video, seconds)
    _normal_of(OURS, ours.percent_per_camera(4), ours.pictures / ours.seconds / 4, ours.pss_mb, book)
    for peer in peers:
        try:
            with simulated(dict.fromkeys(NAMES, video)) as cameras, started(peer, _task(cameras.urls)) as running:
                running.wait_analysed(set(range(4)), START_LIMIT_S)
                time.sleep(WARM_UP_S)
                stretch = running.measure(seconds)
        except PeerError as error:
            book.notes.append(f"Four cameras: {error}.")
            continue
        fps = sum(stretch.analysed.values()) / stretch.seconds / 4
        _normal_of(peer.title, stretch.percent_per_camera(4), fps, stretch.pss_mb, book)


def _normal_of(title: str, percent: float, fps: float, memory_mb: float, book: Book) -> None:
    book.add(title, "core per camera", "%", percent)
    book.add(title, "analysed", "pictures/s per camera", fps)
    book.add(title, "processor for an analysed picture", "ms", 10 * percent / fps if fps else float("nan"))
    book.add(title, "memory", "MB PSS", memory_mb)


def _dead(video: Path, peers: list[Peer], seconds: float, book: Book) -> None:
    """The first camera refuses connections from the start on."""
    what = "one of four dead at the start, pictures the others lost"
    book.add(OURS, what, "%", *(_lost(count, seconds) for count in dead_at_start(video, seconds)))
    for peer in peers:
        with simulated(dict.fromkeys(NAMES[1:], video)) as cameras:
            try:
                with started(peer, _task({NAMES[0]: NOBODY, **cameras.urls})) as running:
                    running.wait_analysed({1, 2, 3}, START_LIMIT_S)
                    time.sleep(WARM_UP_S)
                    stretch = running.measure(seconds)
            except PeerError as error:
                book.notes.append(f"One dead at the start: {error}.")
                book.add(peer.title, what, "%", 100.0)
                continue
        book.add(peer.title, what, "%", *(_lost(stretch.analysed.get(n, 0), stretch.seconds) for n in (1, 2, 3)))


def _stall(video: Path, peers: list[Peer], stall_s: float, book: Book) -> None:
    """The first camera's connection stays open and nothing comes."""
    lost, back_s = stalled(video, stall_s)
    _stalled_of(OURS, lost, back_s, book)
    for peer in peers:
        try:
            with tempfile.TemporaryDirectory(prefix="vb", dir="/tmp") as folder:
                control = Path(folder) / "control"
                with (
                    simulated(dict.fromkeys(NAMES, video), control=control) as cameras,
                    started(peer, _task(cameras.urls)) as running,
                    ControlClient(control) as client,
                ):
                    _stalled_of(peer.title, *_stalled_peer(running, client, stall_s), book)
        except PeerError as error:
            book.notes.append(f"One stalled: {error}.")


def _stalled_peer(running: Running, client: ControlClient, stall_s: float) -> tuple[list[float], float]:
    running.wait_analysed(set(range(4)), START_LIMIT_S)
    time.sleep(WARM_UP_S)
    client.call("fault", camera=NAMES[0], kind="silent")
    stretch = running.measure(stall_s)
    client.call("clear", camera=NAMES[0])
    sent_s = time.monotonic()
    back_s = running.first_after(0, sent_s, BACK_LIMIT_S) - sent_s
    return [_lost(stretch.analysed.get(number, 0), stretch.seconds) for number in (1, 2, 3)], back_s


def _stalled_of(title: str, lost: list[float], back_s: float, book: Book) -> None:
    book.add(title, "one of four stalled, pictures the others lost", "%", *lost)
    book.add(title, "the stalled camera analysed again after it sends", "s", back_s)


def _task(urls: dict[str, str]) -> Task:
    return Task(tuple(urls[name] for name in NAMES), str(model().resolve()), FPS, 600.0)


def _lost(count: float, seconds: float) -> float:
    """Per cent of the pictures asked for."""
    return max(0.0, 100 * (1 - count / (FPS * seconds)))
