"""``make soak``: eight cameras for an hour with faults at random; whether anything is lost, and whether anything grows.

The whole edge side runs under LocalCore as on a device. In each camera a rectangle stands at known times; every visit
is to be reported once by each rule, to a file, a webhook and a broker. Meanwhile cameras, processes and receivers
fail at random. A visit that a fault of its own camera touched counts for nothing; all others count.

    python -m bench.soak --minutes 60 --cameras 8 --seed 7
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.processes import descendants, pss_mb, written_mb
from bench.result import Figure, Row, Series, at_most, figure_line, write
from bench.slopes import course, growth, theil_sen
from bench.visits import Blind, Seen, Tally, Visit, missing, tally, visits_of
from tests.actions.receivers import Broker, Subscriber, WebhookLedger
from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import Watched, running
from vedette.contracts.alert import Alert
from vedette.local.core import ComponentState
from vedette.local.simulated import SimulatedCameras
from vedette.testing.camera import ControlClient

FPS, SAMPLE_S = 5.0, 10.0
#: Of the recordings: how long a visit is, and from one to the next.
STAY_S, PERIOD_S, VISITS = 6.0, 16.0, 4
#: A track outlives the replacement of any process; visits are farther apart than this.
LOST_S = 5.0
#: How far from its visit an alert may be dated: a picture is analysed late while a process is replaced.
SLACK_S = 4.0
#: After a fault its camera is given this long to be as before.
AFTERMATH_S = LOST_S + 3.0
SETTLE_S = 90.0
#: A shorter run sees caches fill and processes being replaced, not growth.
GROWTH_MINUTES = 20.0
#: What an hour may add in MB, and in descriptors or threads; see the row's method.
GROWTH_LIMIT_MB, GROWTH_LIMIT = 10.0, 5.0
RULES: dict[str, Any] = {
    "enters": {"type": "zone_entered", "zone": ZONE},
    "stays": {"type": "dwell", "zone": ZONE, "for_s": 1.0},
}
CAMERA_FAULTS = ("cut", "silent", "deaf", "restart", "garbage", "corrupt")
CHILDREN_OF = ("vedette.CameraIngest", "vedette.Inference", "vedette.Alerting")
RESULTS = Path(__file__).resolve().parent.parent / "build" / "soak"


@dataclass(frozen=True)
class Sample:
    """The edge side at one moment; ``fps`` is that of the camera analysed least."""

    minutes: float
    pss_mb: float
    written_mb: float
    descriptors: int
    threads: int
    processes: int
    disk_mb: float
    fps: float
    alerts: int


@dataclass
class Soak:
    """A run and what has been noted of it."""

    watched: Watched
    control: ControlClient
    hook: WebhookLedger
    broker: Broker
    names: tuple[str, ...]
    root: Path
    began_s: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)
    blind: list[Blind] = field(default_factory=list)
    faults: list[tuple[float, float, str]] = field(default_factory=list)
    _analysed: dict[str, int] = field(default_factory=dict)
    _sampled_s: float = 0.0

    def minutes(self) -> float:
        """Since the beginning."""
        return (time.monotonic() - self.began_s) / 60

    def note(self, what: str, cameras: Sequence[str] = (), seconds: float = 0.0) -> None:
        """Keep a fault and whom it may blind."""
        now_s = time.time()
        self.faults.append((now_s, self.minutes(), what))
        self.blind += [Blind(name, now_s - 1.0, now_s + seconds + AFTERMATH_S) for name in cameras]

    def sample(self) -> Sample:
        """Measure, and keep it."""
        pids = descendants(s.pid for s in self.watched.edge.core.states().values() if s.pid is not None)
        now_s = time.monotonic()
        rates = []
        for name in self.names:
            count, before = self.watched.analysed.get(name, 0), self._analysed.get(name, 0)
            rates.append((count - before if count >= before else count) / max(now_s - self._sampled_s, 0.1))
            self._analysed[name] = count
        self._sampled_s = now_s
        taken = Sample(
            self.minutes(),
            pss_mb(pids),
            written_mb(pids),
            sum(_entries(pid, "fd") for pid in pids),
            sum(_entries(pid, "task") for pid in pids),
            len(pids),
            _disk_mb(self.root / "state"),
            min(rates),
            _lines(self.watched.alerts_file),
        )
        self.samples.append(taken)
        return taken


def main() -> int:
    """Run, tell, keep; 1 where something was lost, came twice or grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", action="store_true", help="keep the figures for the report of the benchmarks")
    arguments = parser.parse_args()
    print(f"soak: {arguments.cameras} cameras, {arguments.minutes:g} minutes, seed {arguments.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="vd", dir="/tmp"))
    began_s = time.monotonic()
    try:
        row = soak(folder, arguments.minutes, arguments.cameras, arguments.seed)
    finally:
        _keep_logs(folder / "run")
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.keep:
        print(f"{write(row, time.monotonic() - began_s)} written")
    for figure in row.figures:
        print(f"  {figure_line(figure)}")
    for line in row.notes:
        print(f"  {line}")
    return 0 if all(figure.met is not False for figure in row.figures) else 1


def soak(folder: Path, minutes: float, cameras: int, seed: int) -> Row:
    """The whole run; everything is written below ``folder``, which has a short name."""
    stays = {f"cam-{n}": _stays(n) for n in range(cameras)}
    files = {name: clip(folder / f"{name}.mp4", s, PERIOD_S * VISITS) for name, s in stays.items()}
    with ExitStack() as stack:
        hook, broker = WebhookLedger(), Broker(folder)
        stack.callback(hook.close)
        stack.callback(broker.close)
        bus = Subscriber(broker.port, "soak")
        stack.callback(bus.close)
        control = folder / "control"
        simulated = stack.enter_context(
            SimulatedCameras(files, log_file=folder / "sim.log", control=control, separate_ports=True)
        )
        client = stack.enter_context(ControlClient(control))
        manifest = _application(folder, tuple(files), hook.url, broker.port)
        watched = stack.enter_context(running(manifest, simulated.urls, folder / "run"))
        watched.wait_streaming(set(files), 120.0)
        run = Soak(watched, client, hook, broker, tuple(files), folder / "run")
        first_s = time.time() + AFTERMATH_S
        last_s = _let_run(run, minutes, random.Random(seed))
        written = _settled(run, bus)
        states = watched.edge.core.states()
        starts: dict[str, list[float]] = {name: [] for name in files}
        for loop in simulated.loops():
            starts[loop.camera].append(loop.wall_time_s)
        visits = [
            visit
            for name in files
            for visit in visits_of(name, starts[name], stays[name])
            if visit.begin_s >= first_s and visit.end_s + SLACK_S <= last_s
        ]
        failures = sum(s.failures for s in states.values()) + sum(
            s.state is not ComponentState.RUNNING for s in states.values()
        )
        found = tally(visits, run.blind, _seen(written), tuple(RULES), SLACK_S)
        # The same count without one alert and with one twice has to notice both, or it counts nothing.
        counted = [a for a in _seen(written) if any(v.camera == a.camera and v.begin_s <= a.time_s for v in visits)]
        control_seen = _control(found, visits, run.blind, counted)
        ids = [alert.alert_id for alert in written]
        receivers = missing(ids, {"webhook": hook.ids(), "broker": bus.ids()})
        return _row(run, found, receivers, failures, control_seen, (minutes, cameras, seed))


def _stays(number: int) -> list[tuple[float, float]]:
    """Visits of a camera's recording; cameras take turns, so that alerts come all the time."""
    offset_s = 2.0 + 2.0 * (number % 4)
    return [(PERIOD_S * n + offset_s, PERIOD_S * n + offset_s + STAY_S) for n in range(VISITS)]


def _application(folder: Path, names: tuple[str, ...], url: str, port: int) -> Any:
    pipeline = {"model": "objects", "cameras": list(names), "fps": FPS, "tracker": {"lost_s": LOST_S}}
    return application(
        "soak",
        model(folder),
        names,
        RULES,
        pipelines={"main": pipeline},
        actions={
            "log": {"type": "file"},
            "hook": {"type": "webhook", "url": url, "allow_private": True},
            "bus": {"type": "mqtt", "host": "127.0.0.1", "port": port, "topic": "soak", "tls": False},
        },
    )


def _let_run(run: Soak, minutes: float, rng: random.Random) -> float:
    """Faults at random until the time is up; the Unix time until which visits count."""
    stop = threading.Event()
    thread = threading.Thread(target=_sampling, args=(run, stop), name="soak-samples")
    thread.start()
    try:
        while run.minutes() < minutes:
            time.sleep(min(rng.uniform(4.0, 14.0), max(0.1, (minutes - run.minutes()) * 60)))
            _misfortune(run, rng)
    finally:
        stop.set()
        thread.join()
    return time.time()


def _misfortune(run: Soak, rng: random.Random) -> None:
    """One fault; those of receivers last while this waits."""
    kind = rng.choices(("camera", "kill", "stop", "hook", "broker"), (5, 3, 1, 1, 1))[0]
    seconds = rng.uniform(2.0, 12.0)
    if kind == "camera":
        name, fault = rng.choice(run.names), rng.choice(CAMERA_FAULTS)
        run.note(f"{fault} of {name} for {seconds:.0f} s", (name,), seconds)
        run.control.call("fault", camera=name, kind=fault, seconds=seconds)
        return
    if kind in ("kill", "stop"):
        component = rng.choice(CHILDREN_OF)
        main = run.watched.edge.core.states()[component].pid
        children = sorted(descendants([main]) - {main}) if main is not None else []
        if not children:
            return
        victim = rng.choice(children)
        # A killed model or worker loses nothing; a camera's process, or the one it is copied from, is blind meanwhile.
        run.note(f"{kind} of a child of {component}", run.names if component == CHILDREN_OF[0] else (), 0.0)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL if kind == "kill" else signal.SIGSTOP)
        return
    run.note(f"{kind} down for {seconds:.0f} s")
    receiver: WebhookLedger | Broker = run.hook if kind == "hook" else run.broker
    receiver.down()
    time.sleep(seconds)
    receiver.up()


def _sampling(run: Soak, stop: threading.Event) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    begin, end = ("\r", "") if sys.stdout.isatty() else ("", "\n")
    with (RESULTS / "samples.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(asdict(run.sample()))
        while not stop.wait(SAMPLE_S):
            sample = run.sample()
            table.writerow(asdict(sample).values())
            file.flush()
            print(
                f"{begin}{sample.minutes:6.1f} min  {sample.pss_mb:5.0f} MB  {sample.descriptors} descriptors  "
                f"{sample.threads} threads  {sample.alerts} alerts  {len(run.faults)} faults  ",
                end=end,
                flush=True,
            )
    print()
    (RESULTS / "faults.txt").write_text("".join(f"{t:.1f}  {m:8.2f} min  {what}\n" for t, m, what in run.faults))


def _keep_logs(run: Path) -> None:
    """What components said and the alerts they wrote, for whoever asks why one is missing."""
    kept = RESULTS / "run"
    shutil.rmtree(kept, ignore_errors=True)
    for file in (*run.rglob("*.log*"), *run.glob("*.jsonl")):
        target = kept / file.relative_to(run)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _settled(run: Soak, bus: Subscriber) -> list[Alert]:
    """Every alert that was written, when receivers have them or have had time enough."""
    limit_s = time.monotonic() + SETTLE_S
    while True:
        written = run.watched.alerts()
        ids = {alert.alert_id for alert in written}
        have: Callable[[list[str]], bool] = lambda taken, ids=ids: ids <= set(taken)  # type: ignore[misc]  # noqa: E731
        if (have(run.hook.ids()) and have(bus.ids())) or time.monotonic() > limit_s:
            return written
        time.sleep(1.0)


def _seen(written: Sequence[Alert]) -> list[Seen]:
    return [Seen(a.alert_id, a.camera or "", a.rule, a.time.timestamp()) for a in written]


def _control(found: Tally, visits: Sequence[Visit], blind: Sequence[Blind], counted: list[Seen]) -> bool:
    """Whether the count notices one alert that is taken away and one that is doubled, tried until one counts."""
    for at in range(len(counted)):
        without = tally(visits, blind, counted[:at] + counted[at + 1 :], tuple(RULES), SLACK_S)
        twice = tally(visits, blind, [*counted, counted[at]], tuple(RULES), SLACK_S)
        if len(without.lost) > len(found.lost) and len(twice.duplicated) > len(found.duplicated):
            return True
    return False


def _row(
    run: Soak,
    found: Tally,
    receivers: dict[str, tuple[int, int]],
    failures: int,
    control_seen: bool,
    asked: tuple[float, int, int],
) -> Row:
    minutes, cameras, seed = asked
    steady = run.samples[len(run.samples) // 5 :]
    grown, courses = _growths(steady, minutes)
    figures = [
        Figure("alerts expected", "", (float(found.expected),), "> 0", found.expected > 0),
        at_most("expected alerts lost", "", [float(len(found.lost))], 0),
        at_most("alerts twice", "", [float(len(found.duplicated))], 0),
        at_most("alerts that nothing caused", "", [float(len(found.uncaused))], 0),
        *(at_most(f"written alerts that the {name} has not", "", [float(n)], 0) for name, (n, _) in receivers.items()),
        *(Figure(f"alerts sent again to the {name}", "", (float(n),)) for name, (_, n) in receivers.items()),
        Figure("the count notices a loss and a double", "", (float(control_seen),), "= 1", control_seen),
        at_most("failures counted of components", "", [float(failures)], 0),
        *grown,
        Figure("memory", "MB PSS", tuple(s.pss_mb for s in steady)),
        Figure("memory that processes have written", "MB", tuple(s.written_mb for s in steady)),
        Figure("least analysed camera", "pictures/s", tuple(s.fps for s in steady)),
    ]
    xs = tuple(s.minutes for s in run.samples)
    series = [
        Series(plot, name, "minutes", unit, xs, ys)
        for plot, name, unit, ys in (
            ("memory", "all components", "MB PSS", tuple(s.pss_mb for s in run.samples)),
            ("written", "all components", "MB written", tuple(s.written_mb for s in run.samples)),
            ("counts", "descriptors", "number", tuple(float(s.descriptors) for s in run.samples)),
            ("counts", "threads", "number", tuple(float(s.threads) for s in run.samples)),
            ("disk", "journal, outbox, pictures", "MB", tuple(s.disk_mb for s in run.samples)),
        )
    ]
    return Row(
        "soak",
        f"{cameras} cameras for {minutes:g} minutes with faults at random",
        f"python -m bench.soak --minutes {minutes:g} --cameras {cameras} --seed {seed} --keep",
        f"Simulated cameras, {FPS:g} analysed pictures a second each, {len(run.faults)} faults of cameras, processes "
        f"and receivers, seed {seed}. Growth is the slope of Theil and Sen after the first fifth; the upper end of its "
        f"interval at 95 % has to meet the limit. {GROWTH_LIMIT_MB:g} MB and {GROWTH_LIMIT:g} descriptors or threads "
        "an hour are limits of our own: what is asked for is that nothing grows. Of memory, what each process has "
        "written is judged, counted in each: the proportional size goes up and down by some 20 MB whenever the process "
        "that cameras' processes are copied from is killed, because copies of two do not share. What each reconnect, "
        "picture and alert leaves behind is in rows R11 of the [scorecard](../docs/scorecard.md). Runs of less than "
        f"{GROWTH_MINUTES:g} minutes say nothing about growth.",
        tuple(figures),
        (
            f"{found.undecided} alerts of visits that a fault of their own camera touched count for nothing.",
            *courses,
            *(f"lost: {rule} of {visit.camera}; {_around(visit, run.faults)}" for rule, visit in found.lost[:10]),
            *(f"twice: {alert}" for alert in found.duplicated[:10]),
            *(f"uncaused: {alert}" for alert in found.uncaused[:10]),
        ),
        tuple(series),
    )


def _growths(steady: Sequence[Sample], minutes: float) -> tuple[list[Figure], list[str]]:
    """What an hour adds; and of what it adds too much of, where it began and ended."""
    hours = [s.minutes / 60 for s in steady]
    figures, courses = [], []
    for name, unit, limit, values in (
        ("memory that processes have written", "MB/h", GROWTH_LIMIT_MB, [s.written_mb for s in steady]),
        ("descriptors", "1/h", GROWTH_LIMIT, [float(s.descriptors) for s in steady]),
        ("threads", "1/h", GROWTH_LIMIT, [float(s.threads) for s in steady]),
    ):
        slope = theil_sen(hours, values)
        figures.append(growth(f"{name}, growth", unit, slope, limit, told=minutes >= GROWTH_MINUTES))
        if figures[-1].met is False:
            courses.append(course(figures[-1], values))
    return figures, courses


def _around(visit: Visit, faults: Sequence[tuple[float, float, str]]) -> str:
    """The faults that may have to do with a visit, by their time from its beginning."""
    times = [(at_s - visit.begin_s, what) for at_s, _, what in faults]
    near = [f"{what} at {t_s:+.0f} s" for t_s, what in times if -15 <= t_s <= STAY_S]
    return ", ".join(near) or "no fault near it"


def _entries(pid: int, folder: str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/{folder}"))
    except OSError:
        return 0


def _disk_mb(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:
            continue
    return total / 2**20


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


if __name__ == "__main__":
    sys.exit(main())
