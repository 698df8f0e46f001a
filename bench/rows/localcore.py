"""Messages through LocalCore, from one component to another."""

from __future__ import annotations

import queue
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.result import ROOT, Figure, Row
from tests.local.conftest import PROBE_ACCESS, TIMEOUT_S, make_core, recipe
from vedette.local.core import ComponentSpec, ComponentState, LocalCore, LocalMessage

ROLES = ("speaker", "hearer")
SIZES = (400, 20_000)
LIMIT_S = 300.0


def measure(quick: bool) -> Row:
    """Rounds of small and of larger messages in turns."""
    rounds, count = (1, 300) if quick else (5, 2000)
    rates: dict[int, list[float]] = {size: [] for size in SIZES}
    costs: dict[tuple[int, str], list[float]] = {(size, who): [] for size in SIZES for who in ("core", *ROLES)}
    with _pair() as (core, answers):
        for _ in range(rounds):
            for size in SIZES:
                seconds, spent = _round(core, answers, count, size)
                rates[size].append(count / seconds)
                for who, used_s in spent.items():
                    costs[size, who].append(1e6 * used_s / count)
    names = {"core": "LocalCore", "speaker": "the component that publishes", "hearer": "the component that receives"}
    return Row(
        "localcore",
        "Messages through LocalCore",
        "python -m bench localcore",
        f"Two components with the unmodified AWS SDK, classic behaviour; one publishes {count:,} messages, each after the answer "
        f"to the one before, the other receives them. The time ends when the last has been received. {rounds} rounds, sizes in "
        "turns. Processor time by user and system of each process.",
        tuple(
            figure
            for size in SIZES
            for figure in (
                Figure(f"{size:,} bytes: published, answered and received", "1/s", tuple(rates[size])),
                *(
                    Figure(f"{size:,} bytes: processor of {names[who]}", "µs/message", tuple(costs[size, who]))
                    for who in ("core", *ROLES)
                ),
            )
        ),
        (
            "On a device AWS's nucleus takes LocalCore's place; LocalCore's figures say what tests and the other measurements "
            "on this page spend on it. Pictures never go this way: they stay in shared memory.",
        ),
    )


@contextmanager
def _pair() -> Iterator[tuple[LocalCore, dict[str, queue.Queue[Any]]]]:
    script = ROOT / "ipc_component.py"
    recipes = [
        recipe(f"bench.{role}", f"exec python3 {script} {role}", configuration={"accessControl": PROBE_ACCESS})
        for role in ROLES
    ]
    answers: dict[str, queue.Queue[Any]] = {role: queue.Queue() for role in ROLES}
    with (
        tempfile.TemporaryDirectory(prefix="vb", dir="/tmp") as folder,
        make_core(Path(folder), *recipes) as core,
    ):
        for role in ROLES:

            def put(message: LocalMessage, role: str = role) -> None:
                answers[role].put(message.json())

            core.subscribe_local(f"probe/{role}/done", put)
        for role in ROLES:
            core.deploy({f"bench.{each}": ComponentSpec() for each in ROLES[: ROLES.index(role) + 1]})
            core.wait_for(f"bench.{role}", ComponentState.RUNNING, TIMEOUT_S)
            answers[role].get(timeout=TIMEOUT_S)
        yield core, answers


def _round(
    core: LocalCore, answers: dict[str, queue.Queue[Any]], count: int, size: int
) -> tuple[float, dict[str, float]]:
    """Seconds until everything was heard, and processor seconds of each of the three."""
    core.publish_local("probe/hearer/do", {"count": count})
    hearer_s = answers["hearer"].get(timeout=LIMIT_S)["cpu_s"]
    core.publish_local("probe/speaker/do", {"count": 0, "bytes": 0})
    speaker_s = answers["speaker"].get(timeout=LIMIT_S)["cpu_s"]
    core_s, begun_s = time.process_time(), time.monotonic()
    core.publish_local("probe/speaker/do", {"count": count, "bytes": size})
    heard = answers["hearer"].get(timeout=LIMIT_S)
    elapsed_s = time.monotonic() - begun_s
    said = answers["speaker"].get(timeout=LIMIT_S)
    core_s = time.process_time() - core_s
    return elapsed_s, {"core": core_s, "speaker": said["cpu_s"] - speaker_s, "hearer": heard["cpu_s"] - hearer_s}
