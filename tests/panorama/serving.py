"""A host for code under test: made-up pictures, a model in NumPy, and what the code puts."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import panoramasdk
from vedette.adapters.panorama.server import Interface, PanoramaServer
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import PortType, TensorInput
from vedette.core.port_values import PortValue
from vedette.ports.panorama import EndOfPictures, OutputPicture, StreamPicture

#: Runs the code under test; another version with an older NumPy can be given.
PYTHON = os.environ.get("VEDETTE_PANORAMA_PYTHON", sys.executable)
SDK = Path(panoramasdk.__file__).parent.parent
LIMIT_S = 60.0
WALL_S = 1_700_000_000.25


@dataclass(frozen=True)
class MadeUp:
    """A picture that is its number everywhere."""

    stream: str
    number: int
    size: tuple[int, int] = (16, 8)
    torn: bool = False

    @property
    def info(self) -> FrameInfo:
        width, height = self.size
        t_s = float(self.number)
        return FrameInfo(self.stream, "e", self.number, t_s, t_s, WALL_S + t_s, width, height)

    def fill(self, target: Any) -> bool:
        target[:] = self.number % 256
        return not self.torn


class Feed:
    """Gives batches in order; None ends."""

    def __init__(self) -> None:
        self.batches: queue.Queue[Sequence[StreamPicture] | None] = queue.Queue()

    def give(self, *pictures: MadeUp) -> None:
        self.batches.put(pictures)

    def end(self) -> None:
        self.batches.put(None)

    def wait(self, timeout_s: float) -> Sequence[StreamPicture]:
        try:
            batch = self.batches.get(timeout=timeout_s) if timeout_s > 0 else self.batches.get_nowait()
        except queue.Empty:
            return ()
        if batch is None:
            self.batches.put(None)
            raise EndOfPictures
        return batch


class Doubler:
    """Model ``double``: twice what it is given, and its shape; ``nothing``: no output; ``slow``: when it is let go.

    ``words`` and ``broken`` give what cannot be handed on.
    """

    nodes: Mapping[str, tuple[TensorInput, ...]] = {
        name: (TensorInput(name="data", shape=(1, 3, 4, 4)),)
        for name in ("double", "nothing", "slow", "words", "broken")
    }

    def __init__(self) -> None:
        self.go = threading.Event()

    def run(self, node: str, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
        if node not in self.nodes:
            raise KeyError(f"no model node is called {node!r}")
        if node == "slow" and not self.go.wait(LIMIT_S):
            raise ValueError("nobody let it go")
        (data,) = inputs.values()
        if node == "broken":
            raise TypeError("a mistake of ours")
        if node == "words":
            return (np.array(["a"]),)
        if data.ndim < 3:
            raise ValueError(f"the input data has {data.ndim} axes")
        return () if node == "nothing" else (data * 2, np.array(data.shape, np.int64), data[:0])


class Sink:
    """Keeps what was put."""

    def __init__(self) -> None:
        self.pictures_wanted = False
        self.taken: queue.Queue[tuple[str, list[OutputPicture], list[Any]]] = queue.Queue()

    def put(self, port: str, pictures: Sequence[OutputPicture]) -> None:
        pixels = [None if one.pixels is None else np.array(one.pixels) for one in pictures]
        self.taken.put((port, list(pictures), pixels))

    def next(self) -> tuple[str, list[OutputPicture], list[Any]]:
        return self.taken.get(timeout=LIMIT_S)


@dataclass
class Rig:
    """A served process."""

    folder: Path
    server: PanoramaServer
    feed: Feed
    sink: Sink
    model: Doubler
    values: dict[str, PortValue]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, code: str, python: str = PYTHON) -> subprocess.Popen[str]:
        """Run code as an application does: with nothing of ours but the SDK."""
        script = self.folder / f"app{len(self.processes)}.py"
        script.write_text(textwrap.dedent(code))
        process = subprocess.Popen(
            [python, "-B", str(script)],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SDK), "VEDETTE_PANORAMA_SOCKET": str(self.folder / "p.sock")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def run(self, code: str) -> str:
        """Run code to its end; what it printed."""
        process = self.start(code)
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, err
        return out


@contextmanager
def rig(folder: Path, uris: Mapping[str, str] | None = None) -> Iterator[Rig]:
    """A host with a media port ``video_in``, one parameter of each type, and an output ``video_out``."""
    feed, sink, model = Feed(), Sink(), Doubler()
    values: dict[str, PortValue] = {"threshold": 0.45, "count": 3, "on": True, "name": "gate"}
    types = {
        "threshold": PortType.FLOAT32,
        "count": PortType.INT32,
        "on": PortType.BOOLEAN,
        "name": PortType.STRING,
    }
    interface = Interface(
        {"video_in": feed},
        {"video_in": uris or {"a": "rtsp://10.0.0.7/a", "b": "rtsp://10.0.0.8/b"}},
        types,
        values.__getitem__,
        ("video_out",),
        model,
        sink,
    )
    server = PanoramaServer(folder / "p.sock", interface)
    server.start()
    made = Rig(folder, server, feed, sink, model, values)
    try:
        yield made
    finally:
        model.go.set()
        server.close()
        for process in made.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with children that it may have forked
            process.communicate()
