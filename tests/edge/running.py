"""A whole edge side in a test: simulated cameras, LocalCore, the real components."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.examples.expected import EXAMPLES
from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.run import with_resolved_models
from vedette.contracts.alert import Alert
from vedette.contracts.camera import CameraState, CameraStatus
from vedette.contracts.manifest import Action, Manifest, ParameterValue
from vedette.local.camera_arguments import parse_device_arguments
from vedette.local.core import LocalMessage
from vedette.local.edge import Edge, EdgeSettings, RunApplication

START_LIMIT_S = 60.0


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll until the condition holds; fails with ``what`` where it does not in time."""
    limit_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < limit_s, f"{what}: not within {timeout_s:.0f} s"
        time.sleep(0.02)


@dataclass
class Watched:
    """A running edge side and what it says."""

    edge: Edge
    alerts_file: Path
    statuses: dict[str, CameraStatus] = field(default_factory=dict)
    history: list[tuple[float, CameraStatus]] = field(default_factory=list)
    analysed: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def listen(self, message: LocalMessage) -> None:
        """Keep the latest of each camera, and every status with its time."""
        with self._lock:
            if message.topic.endswith("/status"):
                status = CameraStatus.model_validate(message.json())
                self.statuses[status.camera] = status
                self.history.append((time.monotonic(), status))
            elif message.topic.startswith("vedette/inference/"):
                for name, figures in message.json().get("cameras", {}).items():
                    self.analysed[name] = int(figures.get("analysed", 0))

    def mains(self) -> set[int]:
        """The components' first processes."""
        return {status.pid for status in self.edge.core.states().values() if status.pid}

    def alerts(self) -> list[Alert]:
        """Every alert so far, in the order of the file."""
        if not self.alerts_file.exists():
            return []
        return [Alert.model_validate_json(line) for line in self.alerts_file.read_bytes().splitlines()]

    def wait_streaming(self, cameras: set[str], timeout_s: float = START_LIMIT_S) -> None:
        """Until all of the cameras stream and are analysed."""
        wait_until(
            lambda: all(
                name in self.statuses
                and self.statuses[name].state is CameraState.STREAMING
                and self.analysed.get(name, 0) > 0
                for name in cameras
            ),
            timeout_s,
            f"cameras {sorted(cameras)} streaming and analysed; {self.statuses}, {self.analysed}",
        )


def site_watch(data: Path, home: Path, actions: Mapping[str, Action] | None = None) -> Manifest:
    """The four-camera example with its model resolved."""
    path = EXAMPLES / "site_watch" / "vedette.yaml"
    store = ModelStore(home)
    store.add_file(data / "models" / "yolox_nano.onnx")
    manifest = with_resolved_models(load_manifest(path), path.parent, store)
    return manifest if actions is None else manifest.model_copy(update={"actions": dict(actions)})


@contextmanager
def running(
    applications: Manifest | Sequence[Manifest],
    cameras: Mapping[str, str],
    root: Path,
    *,
    loop: bool = False,
    parameters: Mapping[str, Mapping[str, ParameterValue]] | None = None,
    secrets: Mapping[str, Mapping[str, str]] | None = None,
    **settings: Any,
) -> Iterator[Watched]:
    """The edge side over the given cameras (name → address or file)."""
    manifests = [applications] if isinstance(applications, Manifest) else list(applications)
    bound = parse_device_arguments(manifests, [f"{name}={url}" for name, url in cameras.items()], loop=loop)
    chosen = EdgeSettings(
        applications=tuple(
            RunApplication(each, bound.bindings[each.name], (parameters or {}).get(each.name, {})) for each in manifests
        ),
        cameras=bound.cameras,
        secrets={**(secrets or {}), **bound.secrets},
        root=root,
        alerts_file=root / "watched.jsonl",
        thing_name="test-device",
        **settings,
    )
    with Edge(chosen) as edge:
        watched = Watched(edge, chosen.alerts_file)
        edge.core.subscribe_local("vedette/#", watched.listen)
        yield watched
