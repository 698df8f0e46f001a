"""Rows of the scorecard: one figure each, with how often it was tried, its bound, its control and its neighbours.

A test measures, records its row whatever came of it, and only then asserts ``row.passed``. What is recorded lies in
``build/scorecard`` and becomes ``docs/scorecard.md`` by ``python -m tests.faults.report``.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeVar

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
#: Where rows are kept until the report is made.
FOLDER: Final = REPOSITORY / "build" / "scorecard"
#: Beside them: how each test ended, a JSON object a line.
ENDED: Final = "ended.jsonl"
#: Where no other is asked for.
DEFAULT_SEED: Final = 7
#: As `make faults` has it: ordinary tests have three minutes, and some of these take longer.
LIMIT_S: Final = 1_800

Profile = Literal["quick", "full"]
T = TypeVar("T")


@dataclass(frozen=True)
class Control:
    """Positive control: the same meter over a loss or a leak that was put in on purpose.

    Attributes:
        what: was put in.
        value: what the meter then showed, in the row's unit.
        seen: whether that counts as seen; a row whose control was not seen has failed.
    """

    what: str
    value: float
    seen: bool


@dataclass(frozen=True)
class Anchor:
    """What another system shows for the same figure.

    Attributes:
        value: with its unit.
        kind: ``measured`` here, or ``documented`` by its makers or in its source.
    """

    name: str
    value: str
    kind: str


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        id: of the catalogue (``R4``), or of a fault (``N3``); letters after a dash tell parts apart (``R4-kills``).
        value: in ``unit``.
        n: how many times it was tried.
        goal: in words, with its unit.
        passed: whether the goal was met and the control, where there is one, was seen.
        upper95: upper bound of a share of failures, 0..1, at 95 %.
        seed: of everything random; None where nothing was.
    """

    id: str
    name: str
    value: float
    unit: str
    n: int
    goal: str
    passed: bool
    upper95: float | None = None
    control: Control | None = None
    anchors: tuple[Anchor, ...] = ()
    seed: int | None = None
    notes: str = ""


def profile() -> Profile:
    """``quick`` or ``full``, as VEDETTE_FAULTS says.

    Raises:
        ValueError: it says something else.
    """
    asked = os.environ.get("VEDETTE_FAULTS", "full")
    if asked == "quick":
        return "quick"
    if asked == "full":
        return "full"
    raise ValueError(f"VEDETTE_FAULTS: {asked!r} found, allowed: quick, full.")


def size(*, quick: T, full: T) -> T:
    """The size of a measurement in this run's profile."""
    return quick if profile() == "quick" else full


def seed() -> int:
    """What everything random begins with, as VEDETTE_FAULTS_SEED says."""
    return int(os.environ.get("VEDETTE_FAULTS_SEED", DEFAULT_SEED))


def upper95(failures: int, n: int) -> float:
    """Upper bound of the share of failures, one-sided, at 95 %.

    The exact binomial bound (Clopper and Pearson, 1934); for no failure the rule of three, which is a little above it.

    Raises:
        ValueError: not 0 <= failures <= n, or nothing was tried.
    """
    if n <= 0 or not 0 <= failures <= n:
        raise ValueError(f"failures and n: {failures} of {n} found, allowed: 0 <= failures <= n, n > 0.")
    if failures == 0:
        return min(1.0, 3.0 / n)
    if failures == n:
        return 1.0
    low, high = failures / n, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if _at_most(failures, n, middle) > 0.05:
            low = middle
        else:
            high = middle
    return high


def _at_most(failures: int, n: int, share: float) -> float:
    """Probability of no more than ``failures`` in ``n`` tries."""
    logs = [
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + k * math.log(share)
        + (n - k) * math.log1p(-share)
        for k in range(failures + 1)
    ]
    return math.fsum(math.exp(each) for each in logs)


def record(row: Row, seconds: float, folder: Path = FOLDER) -> None:
    """Keep a row, with the revision, the machine, the time and the command it came from.

    Args:
        seconds: the measurement took.

    Raises:
        ValueError: a figure that is not finite, nothing tried, or passed beside a control that was not seen.
    """
    if not math.isfinite(row.value) or row.n <= 0:
        raise ValueError(f"row {row.id}: value {row.value}, n {row.n} found, allowed: a finite value, n > 0.")
    if row.passed and row.control is not None and not row.control.seen:
        raise ValueError(f"row {row.id}: passed, but its control ({row.control.what}) was not seen.")
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
    kept = asdict(row) | {
        "seconds": round(seconds, 1),
        "sha": revision(),
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "profile": profile(),
        "command": f"VEDETTE_FAULTS={profile()} python -m pytest -m faults --timeout={LIMIT_S} {test}".strip(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f".{row.id}.json.new"
    new.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    new.replace(folder / f"{row.id}.json")
    print(f"{row.id}: {row.value:g} {row.unit} (n {row.n}, goal {row.goal}): {'passed' if row.passed else 'FAILED'}")


def note_end(test: str, outcome: Literal["passed", "failed", "skipped"], why: str, folder: Path = FOLDER) -> None:
    """Keep how a test ended: one that failed or was skipped may have recorded nothing, or what was right until then."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ENDED).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"test": test, "outcome": outcome, "why": why}) + "\n")


def revision(written: Sequence[str] = ()) -> str:
    """What is checked out, with ``+`` where something was changed since; ``unknown`` outside a clone.

    Args:
        written: paths from the clone's root that measurements write themselves; what changed there does not count.
    """
    others = [f":(exclude){path}" for path in written]
    try:
        head = _git("rev-parse", "--short=9", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *others)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{head}+" if changed else head


def machine() -> str:
    """Cores, processor, memory and kernel."""
    model = platform.machine()
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return f"{os.cpu_count()} cores, {model}, {int(memory) / 2**20:.0f} GiB, Linux {platform.release()}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _git(*arguments: str) -> str:
    asked = ["git", *arguments]
    said = subprocess.run(asked, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=20)
    return said.stdout.strip()
