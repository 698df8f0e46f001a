"""Runs of the model a second, by the session's settings."""

from __future__ import annotations

import resource
import threading
import time

import numpy as np
import onnxruntime as ort

from bench.footage import model
from bench.result import Figure, Row, at_least

#: Name → threads of a session, spinning, runs side by side.
SETTINGS: dict[str, tuple[int, bool, int]] = {
    "one thread a run, two runs side by side": (1, False, 2),
    "one thread a run, one run": (1, False, 1),
    "two threads a run, no spinning": (2, False, 1),
    "two threads a run, spinning (the library's own way)": (2, True, 1),
}


def measure(quick: bool) -> Row:
    """All settings in turns."""
    rounds, seconds = (1, 1.0) if quick else (5, 4.0)
    sessions = {name: _session(threads, spin) for name, (threads, spin, _) in SETTINGS.items()}
    rates: dict[str, list[float]] = {name: [] for name in SETTINGS}
    costs: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(rounds):
        for name, (_, _, beside) in SETTINGS.items():
            rate, cost = _run(sessions[name], beside, seconds)
            rates[name].append(rate)
            costs[name].append(cost)
    chosen, *others = SETTINGS
    return Row(
        "inference",
        "Runs of YOLOX-nano a second on two cores",
        "python -m bench inference",
        f"YOLOX-nano 416, float32, ONNX Runtime's processor provider; {rounds} rounds of {seconds:g} s each, in turns. The first "
        "is how the inference component runs it.",
        (
            at_least(f"{chosen}: runs", "1/s", rates[chosen], 125.0),
            Figure(f"{chosen}: processor", "ms/run", tuple(costs[chosen])),
            *(Figure(f"{name}: runs", "1/s", tuple(rates[name]), peer=True) for name in others),
            *(Figure(f"{name}: processor", "ms/run", tuple(costs[name]), peer=True) for name in others),
        ),
    )


def _session(threads: int, spin: bool) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    session = ort.InferenceSession(str(model()), options, providers=["CPUExecutionProvider"])
    _once(session)
    return session


def _once(session: ort.InferenceSession) -> None:
    session.run(None, {session.get_inputs()[0].name: np.full((1, 3, 416, 416), 114.0, np.float32)})


def _run(session: ort.InferenceSession, beside: int, seconds: float) -> tuple[float, float]:
    """Runs a second, processor milliseconds for each."""
    counts = [0] * beside
    end_s = time.monotonic() + seconds

    def work(number: int) -> None:
        while time.monotonic() < end_s:
            _once(session)
            counts[number] += 1

    before, begun_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(beside)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after, elapsed_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - begun_s
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return sum(counts) / elapsed_s, 1000 * used_s / sum(counts)
