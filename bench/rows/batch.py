"""Whether pictures of several cameras in one run are cheaper than a run each."""

from __future__ import annotations

import resource
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from bench.footage import model
from bench.result import Figure, Row

BATCHES = (1, 2, 4, 8)
THREADS = (1, 2)
#: Below this saving a run waits for other cameras' pictures for nothing.
WORTH_IT = 0.10


def measure(quick: bool) -> Row:
    """Every size of a batch with one and two threads, in turns."""
    rounds, seconds = (1, 0.5) if quick else (7, 2.0)
    data = _with_batch_axis()
    sessions = {threads: _session(data, threads) for threads in THREADS}
    costs: dict[tuple[int, int], list[float]] = {(threads, size): [] for threads in THREADS for size in BATCHES}
    rates: dict[tuple[int, int], list[float]] = {key: [] for key in costs}
    for _ in range(rounds):
        for (threads, size), found in costs.items():
            cost, rate = _run(sessions[threads], size, seconds)
            found.append(cost)
            rates[threads, size].append(rate)
    figures = [
        figure
        for (threads, size), found in costs.items()
        for figure in (
            Figure(f"{threads} thread{'s'[: threads - 1]}, {size} a run: processor", "ms/picture", tuple(found)),
            Figure(f"{threads} thread{'s'[: threads - 1]}, {size} a run: pictures", "1/s", tuple(rates[threads, size])),
        )
    ]
    gains = [_gain(costs, size) for size in BATCHES[1:]]
    best = max(gains, key=lambda figure: figure.median)
    verdict = (
        "Pictures are not gathered for the processor."
        if best.median < 100 * WORTH_IT
        else "Gathering pictures for the processor would pay."
    )
    return Row(
        "batch",
        "Pictures of several cameras in one run, on the processor",
        "python -m bench batch",
        "YOLOX-nano 416 with a batch axis, float32, ONNX Runtime's processor provider without spinning; "
        f"{rounds} rounds of {seconds:g} s each, in turns. The saving compares a round's processor time with the same "
        "round's batch of one, one thread. Gathering is worth its wait from "
        f"{100 * WORTH_IT:g} % on.",
        (*gains, *figures),
        (f"Best saving {best.median:.1f} % ({best.name}). {verdict}",),
    )


def _gain(costs: dict[tuple[int, int], list[float]], size: int) -> Figure:
    pairs = zip(costs[1, 1], costs[1, size], strict=True)
    return Figure(f"{size} a run: processor time saved", "%", tuple(100 * (1 - many / one) for one, many in pairs))


def _with_batch_axis() -> bytes:
    """The model with a free first axis: its three reshapes keep the axis instead of naming 1."""
    network = onnx.load(str(model()))
    shapes = {node.input[1] for node in network.graph.node if node.op_type == "Reshape"}
    for tensor in network.graph.initializer:
        if tensor.name in shapes:
            shape = numpy_helper.to_array(tensor).copy()
            shape[0] = 0  # "as it was"
            tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
    for value in (*network.graph.input, *network.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del network.graph.value_info[:]
    return bytes(network.SerializeToString())


def _session(data: bytes, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    for size in BATCHES:
        _once(session, _pictures(size))
    return session


def _pictures(size: int) -> np.ndarray:
    return np.random.default_rng(size).uniform(0, 255, (size, 3, 416, 416)).astype(np.float32)


def _once(session: ort.InferenceSession, pictures: np.ndarray) -> None:
    (found,) = session.run(None, {session.get_inputs()[0].name: pictures})
    assert found.shape[0] == len(pictures)


def _run(session: ort.InferenceSession, size: int, seconds: float) -> tuple[float, float]:
    """Processor milliseconds for each picture, pictures a second."""
    pictures, done = _pictures(size), 0
    before, begun_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    while time.monotonic() - begun_s < seconds or not done:
        _once(session, pictures)
        done += size
    after, elapsed_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - begun_s
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1000 * used_s / done, done / elapsed_s
