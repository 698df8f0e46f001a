"""A device with ``vedette.AppHost`` as a process, frame stores that are filled by hand, and one application."""

from __future__ import annotations

import json
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.frames.pattern import picture
from tests.hooks.host import Component, make_state
from tests.panorama.tiny import mean_model
from tests.state.test_plan import cam
from vedette.adapters.frames import FrameStoreWriter
from vedette.adapters.journal.sqlite import SqliteJournalReader
from vedette.adapters.manifest import attached_application
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Manifest
from vedette.contracts.plan import Plan
from vedette.contracts.tracks import TrackBatch
from vedette.core.parameters import with_parameters
from vedette.core.plan import make_plan

SIZE = (64, 48)
#: Takes pictures, asks the model for the mean of each, draws a rectangle that says it.
DRAWING = """
    import sys, time
    import numpy as np
    import panoramasdk

    class Application(panoramasdk.node):
        def __init__(self):
            self.count = 0

        def step(self):
            threshold = self.inputs.threshold.get()
            for media in (streams := self.inputs.video_in.get()):
                small = np.ascontiguousarray(media.image[:8, :8].transpose(2, 0, 1), np.float32) / 255
                mean, shape = self.call({"data": small[None]}, "net_node")
                media.add_rect(0.25, 0.25, 0.75, 0.75)
                media.add_label(f"thing {float(threshold):.2f}", 0.25, 0.25)
                media.add_label(f"mean {mean[0, 0]:.6f}", 0.9, 0.9)
            self.outputs.video_out.put(streams)
            self.count += 1
            if self.count == 1:
                print("first picture", sys.version_info[:2], flush=True)

    application = Application()
    while True:
        application.step()
"""


class Device:
    """What a test works with."""

    def __init__(self, root: Path, **configuration: Any) -> None:
        self.root = root
        self.state = root / "state"
        self.folder = root / "shop"
        make_state(self.state)
        self.host = Component(
            "vedette.AppHost", root / "host", self.state, panoramaPython={"shop": sys.executable}, **configuration
        )
        self.stores: dict[str, FrameStoreWriter] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def camera(self, name: str = "hall", fps: float = 20.0) -> None:
        """A camera that delivers pictures from now on."""
        store = self.stores[name] = FrameStoreWriter(self.state / "run" / "frames" / f"{name}.sock", name)

        def film() -> None:
            number = 0
            while not self._stop.wait(1 / fps):
                number += 1
                now_s = time.monotonic()
                info = FrameInfo(name, "e1", number, now_s, number / fps, time.time(), *SIZE)
                store.publish(info, picture(number, *SIZE))

        thread = threading.Thread(target=film, daemon=True)
        thread.start()
        self._threads.append(thread)

    def write(self, code: str = DRAWING, model: bytes | None = None, **panorama: Any) -> None:
        """The application's files; it has a rule where its code has outputs."""
        rule = {"type": "zone_entered", "zone": [[0, 0], [1, 0], [1, 1], [0, 1]], "pipeline": "video_out"}
        (self.folder / "code").mkdir(parents=True, exist_ok=True)
        for part in (self.root, self.folder, self.folder / "code"):
            part.chmod(0o755)
        (self.folder / "code" / "app.py").write_text(textwrap.dedent(code))
        (self.folder / "net.onnx").write_bytes(mean_model() if model is None else model)
        self.manifest = Manifest.model_validate(
            {
                "api": "vedette/v1",
                "name": "shop",
                "cameras": {"hall": {}},
                "models": {
                    "net": {
                        "family": "tensors",
                        "file": "net.onnx",
                        "tensors": [{"name": "data", "shape": [1, 3, 8, 8]}],
                    }
                },
                "parameters": {"threshold": {"default": 0.5}},
                "panorama": {
                    "entry": ["python3", "/panorama/app.py"],
                    "inputs": {"video_in": ["hall"]},
                    "parameters": {"threshold": {"type": "float32", "parameter": "threshold"}},
                    "outputs": ["video_out"],
                    "models": {"net_node": "net"},
                    **panorama,
                },
                "rules": {"seen": rule} if panorama.get("outputs") != [] else {},
            }
        )

    def plan(self, revision: int = 1, **values: Any) -> None:
        """Attach it as its component would, and write the plan."""
        (self.folder / "vedette.yaml").write_text(self.manifest.model_dump_json(exclude_unset=True))
        application = attached_application(self.folder, manifest=self.manifest)
        changed = application.model_copy(update={"manifest": with_parameters(application.manifest, values)})
        self.put_plan(make_plan([changed], [cam("hall")], revision))

    def put_plan(self, plan: Plan) -> None:
        temporary = self.state / ".plan.tmp"
        temporary.write_text(plan.model_dump_json())
        temporary.replace(self.state / "plan.json")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.host.status().get("panorama", {}).get("shop", {})
        return found

    def batches(self) -> list[TrackBatch]:
        """Everything in the journal, in order."""
        if not (self.state / "journal.db").exists():
            return []
        with closing(SqliteJournalReader(self.state / "journal.db", repair=False)) as journal:
            return [row for _, row in journal.read(0, 100_000) if isinstance(row, TrackBatch)]

    def log(self) -> str:
        return self.host.log.read_text() if self.host.log.exists() else ""

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.host.close()
        for store in self.stores.values():
            store.close()


@contextmanager
def device(root: Path, **configuration: Any) -> Iterator[Device]:
    """A device; what its component logged is shown where a test fails."""
    made = Device(root, **configuration)
    try:
        yield made
    finally:
        made.close()
        print(made.log()[-4000:])
        print(json.dumps(made.status(), indent=1))
