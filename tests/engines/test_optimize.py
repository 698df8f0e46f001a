"""``vedette model optimize`` with real footage: what agrees is stored, what does not is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vedette.adapters.models.store import ModelStore
from vedette.cli.main import main

pytestmark = [pytest.mark.footage, pytest.mark.slow]


def _optimize(data: Path, store: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[Any, dict[str, Any]]:
    model, video = data / "models" / "yolox_nano.onnx", data / "videos" / "person-parking-lot-7sec.mp4"
    command = ["model", "optimize", str(model), "-c", str(video), "--json", "--store", str(store)]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--precision", "fp16", *more])
    return ended.value.code, json.loads(capsys.readouterr().out)


def test_a_copy_that_agrees_is_stored_with_where_it_came_from(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"another model that is stored under this one's name")
    ModelStore(tmp_path).add_file(other, name="yolox_nano", licence="proprietary")
    code, document = _optimize(shared_data, tmp_path, capsys)
    assert not code
    assert document["agreement"]["original"] > 0
    assert document["bytes"]["optimized"] < 0.6 * document["bytes"]["original"]
    entry = ModelStore(tmp_path).find("yolox_nano_fp16")
    assert entry is not None
    assert entry.source.startswith("fp16 of yolox_nano 695e750a")
    assert "person-parking-lot-7sec.mp4" in entry.source
    assert entry.licence == "Apache-2.0"


def test_a_copy_that_agrees_less_than_asked_for_is_not_stored(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vedette.core.agreement.SAME_OBJECT_IOU", 1.01)  # no object is the same any more
    code, document = _optimize(shared_data, tmp_path, capsys)
    assert code == 1
    assert document["stored"] is None
    assert not ModelStore(tmp_path).entries()
