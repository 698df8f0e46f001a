"""The whole suite on a small machine, in parts that run beside each other:  python -m tests.groups [PART …]

Most tests of live processes wait for a clock, a camera or a process, so several of them run at once; tests that only
compute run beside them with the lowest priority, on what the others leave. A part is a folder of tests, or one file of
the folders whose files share nothing that is dear to make. Tests that are marked ``alone`` measure times: they come
last, with nothing beside them. What failed beside others is run once more by itself, and counts as that run says; both
outcomes are shown.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parent
#: Tests that start no processes which other tests' load could hold up.
COMPUTING: Final = frozenset(
    (
        *("applications", "belt", "building", "cloud", "contracts", "core", "device_document", "engines"),
        *("examples", "insights", "journal", "manifest", "models_store", "outbox"),
    )
)
#: Run by their own commands.
APART: Final = frozenset({"faults"})
#: Folders whose files are parts of their own.
SPLIT: Final = frozenset(("edge",))
#: The longest start first, so that none is left to run by itself at the end.
FIRST: Final[tuple[str, ...]] = (
    *("cli", "capture", "edge/test_kills.py", "panorama", "hooks", "local", "alerting", "edge/test_parameters_live.py"),
    *("cloud", "building", "examples", "applications", "core", "engines"),
)
#: Parts of live processes at once, beside one that computes.
LIVE_AT_ONCE: Final = 2
SLOWEST: Final = 15
#: Parts whose failed tests are run once more, by themselves. More than that is no coincidence.
AGAIN_AT_MOST: Final = 6
#: Of one test; a limit for what hangs, far above what any takes on a busy machine.
LIMIT_S: Final = 900
NOTHING_COLLECTED: Final = 5
#: Where it is set, each of the thousands of processes that tests start compiles our own modules anew.
NO_BYTECODE: Final = "PYTHONDONTWRITEBYTECODE"
_ALONE: Final = re.compile(r"^\s*(?:@|pytestmark\b.*)pytest\.mark\.alone\b|\bmarks=pytest\.mark\.alone\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Part:
    """Tests that one pytest runs.

    Attributes:
        name: such as ``core`` or ``edge/test_kills.py``.
        files: paths that pytest is given.
        computes: whether it runs with the lowest priority.
        marks: which tests of these, as ``pytest -m`` takes it.
    """

    name: str
    files: tuple[str, ...]
    computes: bool
    marks: str = "not faults and not alone"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a part.

    Attributes:
        part: which.
        status: of pytest.
        output: of pytest.
        wall_s: how long it took.
        cpu_s: of it and of every process that it waited for.
        calls: seconds of each of its tests, set-up and tear-down included.
    """

    part: Part
    status: int
    output: str
    wall_s: float
    cpu_s: float
    calls: tuple[tuple[float, str], ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed; a part all of whose tests are marked for another command has none."""
        return self.status in (0, NOTHING_COLLECTED)


def parts(tests: Path, split: Iterable[str] = SPLIT) -> list[Part]:
    """Every test file below a folder in exactly one part, the longest first."""
    found = [Part(file.name, (str(file),), computes=True) for file in sorted(tests.glob("test_*.py"))]
    for folder in sorted(path for path in tests.iterdir() if path.is_dir() and path.name not in APART):
        files = sorted(folder.rglob("test_*.py"))
        computes = folder.name in COMPUTING
        if folder.name in split:
            found += [Part(str(file.relative_to(tests)), (str(file),), computes) for file in files]
        elif files:
            found.append(Part(folder.name, (str(folder),), computes))
    order = {name: number for number, name in enumerate(FIRST)}
    return sorted(found, key=lambda part: order.get(part.name, len(order)))


def alone(tests: Path) -> Part | None:
    """The tests that run with nothing beside them."""
    files = [
        str(file)
        for file in sorted(tests.rglob("test_*.py"))
        if file.relative_to(tests).parts[0] not in APART and _ALONE.search(file.read_text("utf-8"))
    ]
    return Part("alone", tuple(files), computes=False, marks="alone and not faults") if files else None


class Runs:
    """Runs parts, each in a pytest of its own.

    Args:
        scratch: folder for reports.
        tell: told of each outcome, by one thread at a time.

    Attributes:
        outcomes: of the parts that ended, in that order.
        ended: whether nothing more is begun.
    """

    def __init__(self, scratch: Path, tell: Callable[[Outcome], None]) -> None:
        self._scratch = scratch
        self._tell = tell
        self._lock = threading.RLock()  # a signal may come to the thread that holds it
        self._running: set[subprocess.Popen[str]] = set()
        self.ended = False
        self.outcomes: list[Outcome] = []

    def beside(self, queues: Iterable[deque[Part]]) -> None:
        """Run the parts of queues, a worker for each queue that is given: it takes from its own as long as there is
        something, then from the others'."""
        mine = list(queues)
        workers = [threading.Thread(target=self._work, args=([own, *mine],)) for own in mine]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def one(self, part: Part, *, again: bool = False) -> None:
        """Run a part; ``again``: those of its tests that failed before."""
        report = self._scratch / (part.name.replace("/", "-") + ".xml")
        cache = self._scratch / (part.name.replace("/", "-") + ".cache")
        command = [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={cache}", f"--timeout={LIMIT_S}"]
        command += ["-m", part.marks, f"--junitxml={report}", *part.files]
        if again:
            command += ["--last-failed", "--last-failed-no-failures=none"]
        if part.computes and not again:
            command = ["nice", "-n", "19", *command]
        begun_s = time.monotonic()
        with tempfile.TemporaryFile("w+", dir=self._scratch, errors="replace") as said:
            process = subprocess.Popen(
                command,
                cwd=TESTS.parent,
                env={name: value for name, value in os.environ.items() if name != NO_BYTECODE},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
            )
            with self._lock:
                self._running.add(process)
                if self.ended:
                    process.terminate()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            output = said.read()
        wall_s = time.monotonic() - begun_s
        cpu_s = used.ru_utime + used.ru_stime
        code = process.returncode
        if again and code == NOTHING_COLLECTED:
            code = 1  # it ended before it could note which had failed
        outcome = Outcome(part, code, output, wall_s, cpu_s, tuple(_calls(report)))
        with self._lock:
            self._running.discard(process)
            self.outcomes.append(outcome)
            self._tell(outcome)

    def again(self) -> None:
        """Run once more, by themselves, the tests that failed; what they say then counts.

        What pytests beside each other have disturbed is told apart from what is broken. Both outcomes are told.
        """
        failed = [outcome for outcome in self.outcomes if not outcome.passed]
        if self.ended or not 0 < len(failed) <= AGAIN_AT_MOST:
            return
        print("\nagain, by themselves: " + ", ".join(outcome.part.name for outcome in failed), flush=True)
        for outcome in failed:
            self.outcomes.remove(outcome)
            self.one(outcome.part, again=True)

    def end(self) -> None:
        """Stop what runs and begin nothing more."""
        with self._lock:
            self.ended = True
            for process in self._running:
                process.send_signal(signal.SIGINT)

    def _work(self, queues: list[deque[Part]]) -> None:
        while not self.ended:
            for queue in queues:
                try:
                    part = queue.popleft()
                except IndexError:
                    continue
                self.one(part)
                break
            else:
                return


def _calls(report: Path) -> Iterable[tuple[float, str]]:
    if not report.exists():
        return
    for case in ET.parse(report).getroot().iter("testcase"):
        yield float(case.get("time", "0")), f"{case.get('classname')}::{case.get('name')}"


def show(outcome: Outcome) -> None:
    """One line of a part that passed; everything of one that did not."""
    lines = outcome.output.rstrip().splitlines()
    if not outcome.passed:
        print(f"\n===== {outcome.part.name} =====\n{outcome.output}", flush=True)
    skipped = [line for line in lines if line.startswith("SKIPPED")]
    last = lines[-1] if lines else f"pytest ended with {outcome.status}"
    print("\n".join([f"{outcome.part.name}: {last}; CPU {outcome.cpu_s:.0f} s", *skipped]), flush=True)


def summary(outcomes: list[Outcome], wall_s: float) -> str:
    """The slowest tests, what failed, and how long it all took."""
    calls = sorted((call for outcome in outcomes for call in outcome.calls), reverse=True)
    lines = ["", "the slowest tests:", *(f"{seconds:7.1f} s  {name}" for seconds, name in calls[:SLOWEST])]
    cpu_s = sum(outcome.cpu_s for outcome in outcomes)
    lines.append(f"{len(calls)} tests in {wall_s / 60:.1f} minutes, CPU {cpu_s / 60:.1f} minutes")
    failed = [outcome.part.name for outcome in outcomes if not outcome.passed]
    lines.append(f"failed: {', '.join(failed)}" if failed else "all passed")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run the suite, or the parts whose names begin with one of the arguments; 0 where everything passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.groups", description=__doc__)
    parser.add_argument("part", nargs="*", help="names of parts, or how they begin")
    wanted = tuple(parser.parse_args(arguments).part)
    begun_s = time.monotonic()
    chosen = [part for part in parts(TESTS) if not wanted or part.name.startswith(wanted)]
    last = alone(TESTS) if not wanted or "alone" in wanted else None
    live = deque(part for part in chosen if not part.computes)
    computing = deque(part for part in chosen if part.computes)
    with tempfile.TemporaryDirectory(prefix="vedette-tests-") as scratch:
        runs = Runs(Path(scratch), show)
        # Where the machine stops this, what runs is told so, and no process stays.
        signal.signal(signal.SIGTERM, lambda *_: runs.end())
        signal.signal(signal.SIGINT, lambda *_: runs.end())
        runs.beside([*([live] * LIVE_AT_ONCE), computing])
        if last is not None and not runs.ended:
            runs.one(last)
        runs.again()
    print(summary(runs.outcomes, time.monotonic() - begun_s))
    return 0 if runs.outcomes and all(outcome.passed for outcome in runs.outcomes) and not runs.ended else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
