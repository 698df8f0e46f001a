"""Four cameras and more under the whole edge side, their faults, and what the journal says of each camera."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from bench.processes import descendants
from tests.edge.running import Watched, running, wait_until
from vedette.adapters.journal.sqlite import SqliteJournalReader
from vedette.contracts.camera import CameraStatus
from vedette.contracts.manifest import Manifest
from vedette.contracts.tracks import TrackBatch
from vedette.local.simulated import SimulatedCameras
from vedette.testing.camera import ControlClient
from vedette.testing.models import bright_rectangle
from vedette.testing.synthetic import make_clip

USER: Final = "viewer"
#: Characters that must be escaped in an address, and a mark to look for wherever a password must not be.
CANARY: Final = "C4nary/p@ss#w:rd"
OTHER_CANARY: Final = "An0ther-C4nary%"
FPS: Final = 5.0
_READ: Final = 10_000


class Analysed:
    """The batches of the journal by camera, read on as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._after = 0
        self._batches: dict[str, list[TrackBatch]] = {}
        # Batches bear Unix time, the simulator's records monotonic time.
        self._wall_minus_monotonic_s = time.time() - time.monotonic()

    def batches(self, camera: str) -> list[TrackBatch]:
        """All batches of a camera so far."""
        if self._path.exists():
            with closing(SqliteJournalReader(self._path)) as journal:
                journal.identity()
                for number, batch in journal.read(self._after, _READ):
                    self._after = number
                    if not isinstance(batch, TrackBatch):
                        continue
                    self._batches.setdefault(batch.frame.camera, []).append(batch)
        return self._batches.get(camera, [])

    def ended_s(self, camera: str) -> list[float]:
        """When the analysis of each picture of a camera ended, monotonic seconds."""
        return [batch.analysed_wall_s - self._wall_minus_monotonic_s for batch in self.batches(camera)]

    def first_after_s(self, camera: str, t_s: float, timeout_s: float, caught_up_s: float = 0.0) -> float:
        """When the first picture of a camera was analysed after ``t_s``, monotonic seconds.

        Args:
            camera: which.
            t_s: monotonic time.
            timeout_s: for the wait.
            caught_up_s: how much older than ``t_s`` the picture may be: a camera that was silent sends what its
                clients missed.
        """
        found: list[float] = []

        def came() -> bool:
            found[:] = [
                end_s
                for batch, end_s in zip(self.batches(camera), self.ended_s(camera), strict=True)
                if end_s > t_s and batch.frame.t_s > t_s - caught_up_s
            ][:1]
            return bool(found)

        wait_until(came, timeout_s, f"a picture of {camera} analysed")
        return found[0]

    def pace(self, camera: str, from_s: float, to_s: float) -> Pace:
        """How evenly a camera was analysed within a span."""
        times_s = [t for t in self.ended_s(camera) if from_s <= t <= to_s]
        assert len(times_s) >= 2, f"{camera}: {len(times_s)} pictures analysed in {to_s - from_s:.1f} s"
        gaps_s = [b - a for a, b in itertools.pairwise(times_s)]
        edges_s = (times_s[0] - from_s, to_s - times_s[-1])
        return Pace(len(gaps_s) / (times_s[-1] - times_s[0]), max(*gaps_s, *edges_s))


@dataclass(frozen=True, slots=True)
class Pace:
    """Pictures analysed a second, and the longest time without one, seconds."""

    fps: float
    longest_gap_s: float


@dataclass
class Site:
    """Simulated cameras and the edge side that watches them.

    Attributes:
        names: the cameras.
        simulators: camera → the commands of its simulator.
        watched: the edge side.
        analysed: what the journal says.
        folder: everything the edge side writes.
        deployed_s: when it was told to start, monotonic seconds.
    """

    names: tuple[str, ...]
    simulators: Mapping[str, ControlClient]
    watched: Watched
    analysed: Analysed
    folder: Path
    deployed_s: float

    def fault(self, camera: str, kind: str, **parameters: Any) -> float:
        """Let a camera misbehave; the monotonic time from which it does."""
        return float(self.simulators[camera].call("fault", camera=camera, kind=kind, **parameters)["t0_s"])

    def clear(self, camera: str) -> float:
        """End a camera's faults; the monotonic time from which it is well."""
        cleared = self.simulators[camera].call("clear", camera=camera)["cleared"]
        return max((float(record["t1_s"]) for record in cleared), default=time.monotonic())

    def end_of_fault(self, camera: str, timeout_s: float) -> float:
        """Wait until a fault with a time limit has ended; the monotonic time at which it did."""
        ends: list[float] = []

        def ended() -> bool:
            records = self.simulators[camera].call("faults", camera=camera)["faults"]
            ends[:] = [record["t1_s"] for record in records if record["t1_s"] is not None]
            return len(ends) == len(records)

        wait_until(ended, timeout_s, f"the end of the fault of {camera}")
        return max(ends)

    def refused_logins(self, camera: str) -> int:
        """Requests with credentials that the camera has refused so far."""
        cameras = self.simulators[camera].call("list")["cameras"]
        return int(next(entry["refused_logins"] for entry in cameras if entry["camera"] == camera))

    def until_status(self, camera: str, met: Callable[[CameraStatus], bool], since_s: float, limit_s: float) -> float:
        """Wait for a status of a camera heard after ``since_s``; how long after that it came, seconds."""
        found: list[float] = []

        def came() -> bool:
            found[:] = [t for t, s in list(self.watched.history) if s.camera == camera and t >= since_s and met(s)][:1]
            return bool(found)

        wait_until(came, limit_s, f"status of {camera}; it is {self.watched.statuses.get(camera)}")
        return found[0] - since_s

    def back_s(self, camera: str, t_s: float, timeout_s: float, *, muted: bool = True) -> float:
        """How long after the end of its fault at ``t_s`` a camera is in analysis again, seconds.

        Args:
            camera: which.
            t_s: end of the fault, monotonic seconds.
            timeout_s: for the wait.
            muted: nothing came while the fault lasted; so whatever is analysed now was sent after it.
        """
        return self.analysed.first_after_s(camera, t_s, timeout_s, math.inf if muted else 0.0) - t_s

    def wait_analysed(self, cameras: tuple[str, ...], timeout_s: float) -> None:
        """Until something was analysed of each camera."""
        wait_until(
            lambda: all(self.analysed.batches(name) for name in cameras),
            timeout_s,
            f"pictures of {sorted(cameras)} analysed; {self.watched.statuses}",
        )

    def processes(self) -> set[int]:
        """Every process of the components."""
        return descendants(self.watched.mains())

    def set_password(self, camera: str, password: str) -> None:
        """Change the secret of a camera where the components ask for it."""
        path = self.folder / "secrets.json"
        secrets = json.loads(path.read_text())
        secrets[f"vedette/camera/{camera}"]["password"] = password
        staging = path.with_suffix(".new")
        staging.touch(0o600)
        staging.write_text(json.dumps(secrets))
        staging.replace(path)

    def exposed(self) -> Iterator[tuple[str, str]]:
        """Where a password must not be: (where, text) of logs, states, process lists, open files of the edge side."""
        for path in sorted(self.folder.rglob("*")):
            private = path.name == "secrets.json" or path.parent.name == "secrets"
            if path.is_file() and not path.is_symlink() and not private:
                yield str(path), path.read_bytes().decode(errors="replace")
        for _, status in list(self.watched.history):
            yield f"status of {status.camera}", status.model_dump_json()
        for name, component in self.watched.edge.core.states().items():
            yield f"state of {name}", str(component)
        for pid in self.processes():
            for entry in ("cmdline", "environ"):
                try:
                    yield f"/proc/{pid}/{entry}", Path(f"/proc/{pid}/{entry}").read_bytes().decode(errors="replace")
                except OSError:
                    continue


def manifest_for(names: tuple[str, ...], folder: Path, fps: float = FPS) -> Manifest:
    """One application that analyses all cameras with a tiny model that finds the bright rectangle."""
    model = folder / "rectangle.onnx"
    model.write_bytes(bright_rectangle(size=(64, 64)))
    return Manifest.model_validate(
        {
            "api": "vedette/v1",
            "name": "faults",
            "cameras": {name: {} for name in names},
            "models": {"things": {"family": "yolox", "file": str(model), "labels": ["thing", "other"]}},
            "pipelines": {"all": {"model": "things", "cameras": list(names), "fps": fps}},
            "rules": {
                "crossed": {"type": "line_crossed", "line": [[0.5, 0.0], [0.5, 1.0]], "anchor": "center"},
            },
        }
    )


@contextmanager
def site(
    groups: Mapping[str, tuple[str, ...]],
    folder: Path,
    *,
    before: Callable[[Mapping[str, ControlClient]], None] = lambda _clients: None,
) -> Iterator[Site]:
    """Simulated cameras with a password and the edge side over them.

    Args:
        groups: password → its cameras; each group is a simulator process, each camera has a port of its own.
        folder: short; everything is written there.
        before: called with the simulators before the edge side starts.
    """
    clip = folder / "clip.mp4"
    clip.write_bytes(make_clip(frames=100, fps=25, gop=25))
    names = tuple(name for group in groups.values() for name in group)
    manifest = manifest_for(names, folder)
    with ExitStack() as stack:
        clients: dict[str, ControlClient] = {}
        urls: dict[str, str] = {}
        for number, (password, group) in enumerate(groups.items()):
            password_file = folder / f"password-{number}"
            password_file.write_text(password)
            control = folder / f"control-{number}"
            simulated = stack.enter_context(
                SimulatedCameras(
                    dict.fromkeys(group, clip),
                    log_file=folder / f"simulator-{number}.log",
                    control=control,
                    separate_ports=True,
                    user=USER,
                    password_file=password_file,
                )
            )
            for name in group:
                clients[name] = stack.enter_context(ControlClient(control))
                urls[name] = simulated.urls[name].replace("rtsp://", f"rtsp://{USER}:{quote(password, safe='')}@")
        before(clients)
        root = folder / "run"
        deployed_s = time.monotonic()
        watched = stack.enter_context(running(manifest, urls, root))
        yield Site(names, clients, watched, Analysed(root / "state" / "journal.db"), root, deployed_s)


def spread(values_s: list[float]) -> str:
    """Percentiles for people."""
    ordered = sorted(values_s)
    return (
        f"n={len(ordered)} p50={percentile(ordered, 0.5):.2f} s p95={percentile(ordered, 0.95):.2f} s "
        f"max={ordered[-1]:.2f} s"
    )


def percentile(values_s: list[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed."""
    ordered = sorted(values_s)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


__all__ = ["CANARY", "FPS", "OTHER_CANARY", "USER", "Analysed", "Pace", "Site", "percentile", "site", "spread"]
