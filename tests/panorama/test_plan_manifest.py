"""The section ``panorama`` of a manifest: what each mistake is called, and which files belong to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.adapters.manifest import Mistake, attached_application, check_manifest
from vedette.adapters.panorama import code_files
from vedette.adapters.panorama.code_files import check_code, code_digests
from vedette.contracts.errors import ConfigurationError, HookError

HEAD = """\
api: vedette/v1
name: shop
cameras: {hall: {}}
models:
  net: {family: tensors, file: net.onnx, tensors: [{name: data, shape: [1, 3, 8, 8]}]}
  people: {family: yolox, file: yolox_nano}
pipelines: {main: {model: people, cameras: [hall]}}
parameters: {threshold: {default: 0.5}, title: {default: Hall}}
rules: {seen: {type: nothing_seen, for_s: 5, pipeline: main}}
panorama:
  entry: [python3, /panorama/app.py]
  inputs: {video_in: [hall]}
  outputs: [video_out]
  models: {node: net}
"""


def folder_with(tmp_path: Path, text: str) -> Path:
    (tmp_path / "code").mkdir(exist_ok=True)
    (tmp_path / "code/app.py").write_text("import panoramasdk\n")
    (tmp_path / "vedette.yaml").write_text(text)
    return tmp_path


def errors(tmp_path: Path, text: str) -> list[Mistake]:
    return [one for one in check_manifest(folder_with(tmp_path, text)) if one.level == "error"]


def test_a_good_one_has_no_mistakes(tmp_path: Path) -> None:
    assert check_manifest(folder_with(tmp_path, HEAD)) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "message", "suggestion"),
    [
        ("[hall]}\n  outputs", "[hal]}\n  outputs", "panorama.inputs.video_in[0]", "no camera is called 'hal'", "hall"),
        ("{node: net}", "{node: nett}", "panorama.models.node", "no model is called 'nett'", "net"),
        ("{node: net}", "{node: people}", "panorama.models.node", "model 'people' is not of the family tensors", ""),
        ("model: people", "model: net", "pipelines.main.model", "is used by `panorama` code only", ""),
        ("[video_out]", "[main]", "panorama.outputs[0]", "a pipeline is called 'main' too", ""),
        ("pipeline: main", "pipeline: video_ou", "rules.seen.pipeline", "no pipeline is called", "video_out"),
        (", pipeline: main", "", "rules.seen", "`pipeline` is missing", ""),
        ("/app.py", "/ap.py", "panorama.entry[1]", "there is no file code/ap.py", "/panorama/app.py"),
        ("[python3,", "[pyton3,", "panorama.entry[0]", "found 'pyton3'", "python3"),
        ("  outputs", "  code: cod\n  outputs", "panorama.code", "there is no folder cod", ""),
        ("  outputs", "  requirements: r.txt\n  outputs", "panorama.requirements", "there is no file r.txt", ""),
        ("  outputs", "  code: ../x\n  outputs", "panorama.code", "is not beside the manifest", ""),
        ("  outputs", "  routes: [{port: 0, host_port: 8000}]\n  outputs", "panorama.routes[0].port", "0", ""),
    ],
)
def test_each_mistake_has_its_place_and_what_was_meant(
    tmp_path: Path, old: str, new: str, path: str, message: str, suggestion: str
) -> None:
    assert old in HEAD
    found = errors(tmp_path, HEAD.replace(old, new, 1))
    assert [(one.path, one.suggestion) for one in found] == [(path, f"`{suggestion}`" if suggestion else "")]
    assert message in found[0].message


@pytest.mark.parametrize(
    ("entry", "path", "message"),
    [
        ("{type: float32, parameter: threshold}", "", ""),
        ("{type: float32, value: 1}", "", ""),
        ("{type: string, parameter: title}", "", ""),
        ("{type: int32, parameter: threshold}", "parameter", "found parameter 'threshold', which is 0.5"),
        ("{type: boolean, value: 1}", "value", "found 1"),
        ("{type: float32, value: abc}", "value", "found 'abc'"),
        ("{type: float32, parameter: tresh}", "parameter", "no parameter is called 'tresh'"),
    ],
)
def test_a_parameter_port_gives_what_its_type_allows(tmp_path: Path, entry: str, path: str, message: str) -> None:
    found = errors(tmp_path, f"{HEAD}  parameters: {{port: {entry}}}\n")
    if not message:
        assert found == []
    else:
        assert [one.path for one in found] == [f"panorama.parameters.port.{path}"]
        assert message in found[0].message


def test_pictures_and_network_together_are_pointed_out(tmp_path: Path) -> None:
    found = check_manifest(folder_with(tmp_path, f"{HEAD}  network: ['api.example.org:443']\n"))
    assert [(one.path, one.level) for one in found] == [("panorama.network", "warning")]
    found = check_manifest(folder_with(tmp_path, f"{HEAD}  network: ['169.254.169.254:80']\n"))
    assert [one.path for one in found if one.level == "error"] == ["panorama.network[0]"]


def test_every_file_of_the_code_is_recorded_and_any_change_is_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, HEAD)
    (folder / "code/data").mkdir()
    (folder / "code/data/labels.txt").write_text("person\n")
    (folder / "code/__pycache__").mkdir()
    (folder / "code/__pycache__/app.pyc").write_bytes(b"x")
    attached = attached_application(folder).code
    assert sorted(attached) == ["code/app.py", "code/data/labels.txt"]
    check_code("shop", folder, "code", attached)
    (folder / "code/data/labels.txt").write_text("persons\n")
    with pytest.raises(HookError, match=r"V801.*code/data/labels\.txt is not as attached"):
        check_code("shop", folder, "code", attached)
    (folder / "code/new.py").write_text("")
    with pytest.raises(HookError, match=r"code/data/labels\.txt, code/new\.py are not as attached"):
        check_code("shop", folder, "code", attached)


def test_links_that_lead_out_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, HEAD)
    (folder / "code/out").symlink_to("/etc/hostname")
    with pytest.raises(ConfigurationError, match=r"V101 .*out is a link to a file outside"):
        code_digests(folder, "code")
    (folder / "code/out").unlink()
    (folder / "code/out").symlink_to("/etc")
    with pytest.raises(ConfigurationError, match="is a link to a folder"):
        code_digests(folder, "code")


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path, HEAD)
    (folder / "code/two.py").write_text("")
    monkeypatch.setattr(code_files, "MAX_FILES", 1)
    with pytest.raises(ConfigurationError, match=r"holds more than 1 files.*panorama\.requirements"):
        code_digests(folder, "code")
