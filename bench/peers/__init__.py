"""Other programs that do the users' work, each over its own library, beside which ours is measured.

A program of ``bench/peers/programs`` runs under its peer's interpreter with a task as JSON and prints JSON lines; see
``programs/work.py``. ``python -m bench.peers install`` makes the environments; ``bench/PEERS.md`` says how each was set
up and why.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".peers"


@dataclass(frozen=True)
class Task:
    """What a program is asked to do.

    Attributes:
        urls: RTSP addresses, or one file.
        model: YOLOX-nano as ONNX.
        fps: pictures a second of each camera to analyse; 0 for every picture of a file, as fast as it goes.
        seconds: after which the program ends by itself.
    """

    urls: tuple[str, ...]
    model: str
    fps: float
    seconds: float

    def json(self) -> str:
        """The program's argument."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Peer:
    """Another program.

    Attributes:
        name: of its environment and its requirements (``NAME.txt``), unless ``environment`` says another.
        title: for the report.
        program: file in ``programs``.
        environment: whose environment it uses.
        system: commands and modules of the operating system that it needs: ``ffmpeg``, ``gi``.
    """

    name: str
    title: str
    program: str
    environment: str
    system: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Its environment."""
        return ENVIRONMENTS / self.environment

    def missing(self) -> str:
        """Why it cannot run here; empty where it can."""
        if not (self.folder / ".installed").exists():
            return f"not installed; python -m bench.peers install {self.name}"
        for needed in self.system:
            if not _there(needed):
                return f"the operating system has no {needed}; see bench/PEERS.md"
        return ""

    def command(self, task: Task) -> list[str]:
        """What starts it."""
        return [str(self.folder / "bin" / "python"), str(HERE / "programs" / self.program), task.json()]

    def packages(self) -> str:
        """For PYTHONPATH: Debian's modules, where the program needs them."""
        return str(DEBIAN) if "gi" in self.system else ""


DEBIAN = Path("/usr/lib/python3/dist-packages")

PEERS: tuple[Peer, ...] = (
    Peer("opencv", "OpenCV + ONNX Runtime", "opencv_loop.py", "opencv"),
    Peer("pyav", "PyAV + ONNX Runtime, tuned", "pyav_loop.py", "pyav"),
    Peer("trackers", "supervision + trackers", "supervision_loop.py", "trackers"),
    Peer("gstreamer", "GStreamer appsink", "gstreamer_loop.py", "gstreamer", ("gi",)),
    Peer("ffmpeg", "FFmpeg raw pipes (Frigate's ingest)", "ffmpeg_pipes.py", "opencv", ("ffmpeg",)),
    Peer("roboflow", "Roboflow InferencePipeline", "roboflow_pipeline.py", "roboflow"),
)


def named(names: Sequence[str]) -> tuple[Peer, ...]:
    """The peers of these names, all for none.

    Raises:
        SystemExit: one is not known.
    """
    known = {peer.name: peer for peer in PEERS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no peer is called {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(known[name] for name in names) or PEERS


def _there(needed: str) -> bool:
    if needed == "gi":
        return (DEBIAN / "gi").is_dir() or importlib.util.find_spec("gi") is not None
    return shutil.which(needed) is not None
