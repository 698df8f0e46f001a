"""``vedette build`` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from vedette.cli.main import main
from vedette.local.component_tree import read_tree


def typed(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["build", *map(str, arguments)])
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--accelerator", "cuda", "--target", "jetson-orin"], "V709", "--runtime-wheel FILE --sha256 HEX"),
        (["--target", "jetson-nano"], "V709", "container"),
        (["--python-version", "3.9"], "V709", "3.11, 3.12, 3.13"),
        (["--runtime-wheel", "x.whl"], "V701", "--sha256"),
        (["--sha256", "00"], "V701", "belong together"),
        (["--runtime-wheel", "x.whl", "--sha256", "xyz"], "V701", "64 hexadecimal digits"),
        (["--clips", "."], "V701", "name its directory"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is_written(
    arguments: list[str], code: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(*arguments, "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert code in error
    assert told in error
    assert not (tmp_path / "out").exists()


def test_an_application_is_added_to_a_tree(
    tmp_path: Path, application_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert typed("--no-libraries", "--out", out) == 0
    ours = {one.name for one in read_tree(out)}
    capsys.readouterr()
    assert typed(application_folder, "--no-libraries", "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["components"]] == ["vedette.app.visits", "vedette.candidate.visits"]
    assert told["notes"] == []
    assert told["components"][0]["parts"].keys() == {"code", "models", "tests"}
    assert {one.name for one in read_tree(out)} == ours | {"vedette.app.visits", "vedette.candidate.visits"}


def changed(folder: Path, target: Path, **fields: object) -> Path:
    """The application with other fields in its manifest."""
    import shutil

    shutil.copytree(folder, target)
    document = yaml.safe_load((target / "vedette.yaml").read_text()) | fields
    (target / "vedette.yaml").write_text(yaml.safe_dump(document))
    return target


def test_models_are_packed_as_the_manifest_means_them_or_not_at_all(
    tmp_path: Path, application_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEDETTE_HOME", str(tmp_path / "home"))
    model = {"family": "yolox", "file": "nets/rectangle.onnx", "labels": ["thing", "other"]}
    wrong = changed(application_folder, tmp_path / "wrong", models={"objects": {**model, "sha256": "0" * 64}})
    assert typed(wrong, "--no-libraries", "--out", tmp_path / "out") == 1
    assert "V305" in capsys.readouterr().err
    away = changed(application_folder, tmp_path / "away", models={"objects": {**model, "file": "of_the_fleet"}})
    assert typed(away, "--no-libraries", "--out", tmp_path / "out") == 1
    assert "V301" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert typed(away, "--no-libraries", "--no-models", "--out", tmp_path / "out") == 0
    assert "model of_the_fleet is not in it" in capsys.readouterr().out


def test_recordings_are_those_the_tests_mean(
    tmp_path: Path, application_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = changed(application_folder, tmp_path / "visits")
    recording = folder / "tests" / "visit.mkv"
    (tmp_path / "clips").mkdir()
    recording.rename(tmp_path / "clips" / "visit.mkv")
    assert typed(folder, "--no-libraries", "--out", tmp_path / "without") == 0
    assert "recording visit.mkv is not here" in capsys.readouterr().out
    assert typed(folder, "--no-libraries", "--clips", tmp_path / "clips", "--out", tmp_path / "with", "--json") == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []
    (tmp_path / "clips" / "visit.mkv").write_bytes(b"another")
    assert typed(folder, "--no-libraries", "--clips", tmp_path / "clips", "--out", tmp_path / "with") == 1
    assert "is another recording" in capsys.readouterr().err


def test_a_test_cannot_name_a_file_outside(
    tmp_path: Path, application_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = changed(application_folder, tmp_path / "visits")
    test = yaml.safe_load((folder / "tests" / "visit.yaml").read_text())
    test["clips"]["gate"]["file"] = "../../secret.mkv"
    (folder / "tests" / "visit.yaml").write_text(yaml.safe_dump(test))
    assert typed(folder, "--no-libraries", "--out", tmp_path / "out") == 1
    assert "a path below the test's folder" in capsys.readouterr().err
