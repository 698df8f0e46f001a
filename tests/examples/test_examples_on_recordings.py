"""Each example over its recordings reports what a person saw there, with both model families."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.examples.expected import EXAMPLES, differences, load
from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.run import with_resolved_models
from vedette.compose.backtest import Backtest
from vedette.contracts.alert import Alert
from vedette.local.camera_arguments import parse_camera_arguments
from vedette.local.overrides import with_overrides

MODELS = {
    "yolox": ("yolox_nano.onnx", ()),
    "detr": (
        "deimv2_hgnetv2_femto_coco.onnx",
        ("models.objects.family=detr", "models.objects.file=deimv2_hgnetv2_femto_coco"),
    ),
}

pytestmark = [pytest.mark.footage, pytest.mark.slow]


def backtest(example: str, family: str, data: Path, home: Path, cameras: list[str] | None = None) -> list[Alert]:
    """All alerts of an example over its recordings."""
    path = EXAMPLES / example / "vedette.yaml"
    file, overrides = MODELS[family]
    store = ModelStore(home)
    store.add_file(data / "models" / file)
    manifest = with_resolved_models(with_overrides(load_manifest(path), overrides), path.parent, store)
    recordings = load(example)["recordings"]
    chosen = {name: entry for name, entry in recordings.items() if cameras is None or name in cameras}
    for entry in chosen.values():
        digest = hashlib.sha256((data / "videos" / entry["file"]).read_bytes()).hexdigest()
        assert digest == entry["sha256"], f"{entry['file']} is not the recording the facts are about"
    arguments = parse_camera_arguments(manifest, [f"{n}={data / 'videos' / e['file']}" for n, e in chosen.items()])
    test = Backtest(manifest, path.parent, arguments.cameras, dict(arguments.bindings))
    return list(test.alerts())


@pytest.mark.parametrize("family", sorted(MODELS))
def test_site_watch_reports_what_a_person_saw(family: str, shared_data: Path, tmp_path: Path) -> None:
    alerts = backtest("site_watch", family, shared_data, tmp_path)
    assert differences(load("site_watch"), alerts) == []
    assert len({alert.alert_id for alert in alerts}) == len(alerts)


def test_people_flow_is_the_same_on_every_run(shared_data: Path, tmp_path: Path) -> None:
    first = backtest("people_flow", "yolox", shared_data, tmp_path)
    second = backtest("people_flow", "yolox", shared_data, tmp_path)
    assert differences(load("people_flow"), first) == []
    assert [alert.model_dump_json() for alert in first] == [alert.model_dump_json() for alert in second]
