"""Projects of every kind, imported and run unmodified on real footage: what they find equals a direct run."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import cv2
import numpy as np
import onnxruntime
import pytest

from tests.edge.running import wait_until
from tests.panorama.projects import APPS, make_project
from vedette.adapters.capture.pyav import PyAvSource
from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.main import main
from vedette.cli.run import with_resolved_models
from vedette.compose.backtest import Backtest
from vedette.compose.backtest_panorama import BacktestPanorama
from vedette.contracts.errors import HookError
from vedette.contracts.tracks import TrackBatch
from vedette.core.pixels import Pixels
from vedette.core.url_policy import camera_policy, check_url
from vedette.local.camera_arguments import parse_camera_arguments, parse_device_arguments
from vedette.local.edge import Edge, EdgeSettings, RunApplication

THRESHOLD = 0.45
#: The footage is compressed once and decoded twice; boxes go through five decimals of the SDK, and one of the journal.
TOLERANCE_PX = 0.1


def _yolox() -> ModuleType:
    spec = importlib.util.spec_from_file_location("app_yolox", APPS / "yolox.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def brightness_model() -> bytes:
    """Mean of four small pictures in bytes: (4, 16, 16, 3) uint8 → (4,) float32."""
    import onnx

    info, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            node("Cast", ["pictures"], ["numbers"], to=onnx.TensorProto.FLOAT),
            node("ReduceMean", ["numbers"], ["means"], axes=[1, 2, 3], keepdims=0),
        ],
        "brightness",
        [info("pictures", onnx.TensorProto.UINT8, [4, 16, 16, 3])],
        [info("means", onnx.TensorProto.FLOAT, [4])],
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content


def imported(kind: str, folder: Path, models: dict[str, Path]) -> Path:
    """A project as an application, by the command."""
    out = folder / kind
    options = [option for node, path in models.items() for option in ("--model", f"{node}={path}")]
    with pytest.raises(SystemExit) as ended:
        main(["import-panorama", str(make_project(kind, folder / "projects")), "--out", str(out), *options])
    assert not ended.value.code
    return out


def drawn(application: Path, recordings: list[str]) -> tuple[list[TrackBatch], Backtest]:
    """Everything that an application puts, picture by picture."""
    manifest = with_resolved_models(load_manifest(application), application, ModelStore.default())
    arguments = parse_camera_arguments(manifest, recordings)
    test = Backtest(manifest, application, arguments.cameras, dict(arguments.bindings))
    (plan,) = test.plan.panorama
    batches: list[TrackBatch] = []
    with BacktestPanorama(plan, python=Path(sys.executable)) as code:
        for camera in arguments.cameras:
            source = PyAvSource(
                check_url(camera.url, camera_policy(), lambda _: []),
                camera=camera.name,
                fps=plan.settings.fps,
                realtime=False,
            )
            for info, pixels in source:
                copy = Pixels(pixels.y.copy(), pixels.u.copy(), pixels.v.copy(), pixels.full_range)
                batches += code.step(info, copy)
            source.close()
        batches += code.finish()
    return batches, test


def direct(recording: Path, model: Path) -> Iterator[list[tuple[str, Any]]]:
    """The same model over the same pictures, without anything of ours."""
    yolox: Any = _yolox()
    session = onnxruntime.InferenceSession(str(model))
    with av.open(str(recording)) as container:
        for frame in container.decode(container.streams.video[0]):
            image = cv2.cvtColor(frame.to_ndarray(format="yuv420p"), cv2.COLOR_YUV2BGR_I420)
            data, ratio = yolox.prepare(image)
            output = session.run(None, {"images": data[None]})[0]
            yield [(yolox.CLASSES[label], box) for label, _, box in yolox.decode(output, ratio, THRESHOLD)]


@pytest.fixture(scope="module")
def footage(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    data: Path = request.getfixturevalue("shared_data")
    return data / "videos" / "person-parking-lot-7sec.mp4", data / "models" / "yolox_nano.onnx"


@pytest.fixture(scope="module")
def expected(footage: tuple[Path, Path]) -> list[list[tuple[str, Any]]]:
    return list(direct(*footage))


@pytest.mark.parametrize("kind", ["subclass", "composition", "worker", "several_models"])
def test_detections_equal_those_of_a_direct_run(
    kind: str, short_tmp: Path, footage: tuple[Path, Path], expected: list[list[tuple[str, Any]]]
) -> None:
    recording, model = footage
    models = {"detector": model}
    if kind == "several_models":
        models["brightness"] = short_tmp / "brightness.onnx"
        models["brightness"].write_bytes(brightness_model())
    short_tmp.chmod(0o755)
    batches, _ = drawn(imported(kind, short_tmp, models), [f"front_door={recording}"])
    assert [batch.frame.frame_no for batch in batches] == list(range(len(expected)))
    assert sum(map(len, expected)) > 50, "there is something to compare"
    for batch, wanted in zip(batches, expected, strict=True):
        assert batch.pipeline == f"{kind.replace('_', '-')}/video_out"
        height, width = batch.frame.height, batch.frame.width
        boxes = [np.clip(box, 0, [width, height, width, height]) for _, box in wanted]
        if kind == "several_models":  # whole pixels, and another name for each
            boxes = [box.astype(int) for box in boxes]
            names = {"bright", "dark"}
            assert set(batch.labels) <= names
        else:
            assert sorted(batch.labels) == sorted(name for name, _ in wanted)
        found, right = sorted(batch.boxes), sorted(tuple(map(float, box)) for box in boxes)
        assert len(found) == len(right)
        if found:
            assert np.abs(np.array(found) - np.array(right)).max() <= TOLERANCE_PX


def test_several_cameras_on_one_input(short_tmp: Path, footage: tuple[Path, Path]) -> None:
    short_tmp.chmod(0o755)
    recording, _ = footage
    application = imported("several_cameras", short_tmp, {})
    batches, _ = drawn(application, [f"front_door={recording}", f"back_door={recording}"])
    cameras = {batch.frame.camera for batch in batches}
    assert cameras == {"front_door", "back_door"}
    assert len(batches) == 2 * 84, "each picture once, none twice as a cached one"
    assert {label for batch in batches for label in batch.labels} == {f"camera {camera}" for camera in cameras}


def test_code_that_ends_or_never_asks_is_said(short_tmp: Path, footage: tuple[Path, Path]) -> None:
    short_tmp.chmod(0o755)
    application = imported("storage", short_tmp, {})
    (application / "code" / "app.py").write_text("import panoramasdk\nraise SystemExit('no licence')\n")
    with pytest.raises(HookError) as caught:
        drawn(application, [f"front_door={footage[0]}"])
    assert caught.value.code == "V808"
    assert "no licence" in caught.value.message


@pytest.mark.processes
@pytest.mark.timeout(240)
def test_live_side_by_side(short_tmp: Path, footage: tuple[Path, Path]) -> None:
    """A server behind a route, a script that starts an older Python, and one that keeps files, on one camera."""
    short_tmp.chmod(0o755)
    kinds = ("http_server", "opengpu", "storage")
    folders = {kind: imported(kind, short_tmp, {}) for kind in kinds}
    rule = "rules:\n  moved: {type: zone_entered, pipeline: video_out, zone: [[0, 0], [1, 0], [1, 1], [0, 1]]}\n"
    for folder in folders.values():
        (folder / "vedette.yaml").write_text((folder / "vedette.yaml").read_text() + rule)
    manifests = {kind: load_manifest(folder) for kind, folder in folders.items()}
    bound = parse_device_arguments(list(manifests.values()), [f"front_door={footage[0]}"], loop=True)
    settings = EdgeSettings(
        applications=tuple(
            RunApplication(manifest, bound.bindings[manifest.name], directory=folders[kind])
            for kind, manifest in manifests.items()
        ),
        cameras=bound.cameras,
        secrets=bound.secrets,
        root=short_tmp / "run",
        alerts_file=short_tmp / "watched.jsonl",
        thing_name="test-device",
    )

    def pictures() -> int:
        try:
            with urllib.request.urlopen("http://127.0.0.1:8001/", timeout=5) as answer:
                return int(json.load(answer)["pictures"])
        except OSError:
            return 0

    def alerts() -> set[str]:
        lines = settings.alerts_file.read_text().splitlines() if settings.alerts_file.exists() else []
        return {json.loads(line)["application"] for line in lines}

    with Edge(settings) as edge:
        wait_until(lambda: pictures() > 5, 120, "the server answers and counts")
        wait_until(lambda: "opengpu" in alerts(), 60, "what moves raises an alert")
        homes = settings.state_directory / "panorama"
        counter = homes / "storage" / "storage" / "counter"
        wait_until(counter.exists, 60, "the file that stays")
        assert counter.read_text() == "1"
        assert "start 1" in (homes / "storage" / "logs" / "app.log").read_text()
        assert (homes / "opengpu" / "storage" / "cache").is_dir()
        assert "mode fast" in edge.core.log_path("vedette.AppHost").read_text()
        assert os.stat(counter).st_uid == os.stat(homes / "storage" / "storage").st_uid
