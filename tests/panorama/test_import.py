"""Projects as people have them become applications; what cannot is said, with what to do."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.panorama.projects import ACCOUNT, KINDS, make_project, write
from tests.panorama.tiny import mean_model
from vedette.adapters.manifest import check_manifest, load_manifest
from vedette.adapters.panorama_project import read_json, read_project, what_archive
from vedette.cli.main import main
from vedette.contracts.errors import ConfigurationError, VedetteError
from vedette.core.fleet.onnx_header import OnnxTensor
from vedette.core.panorama_import.dockerfile import read_dockerfile
from vedette.core.panorama_import.mapping import import_project, typed
from vedette.core.panorama_import.models import DeclaredInput, fit
from vedette.core.panorama_import.names import allowed_name
from vedette.core.panorama_import.overrides import read_overrides
from vedette.core.panorama_import.sources import read_sources


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["import-panorama", *arguments])
    return int(ended.value.code or 0)


def imported(project: Path, out: Path, *more: str) -> tuple[Any, dict[str, list[str]]]:
    """The manifest, and what the report says of each part."""
    assert run(str(project), "--out", str(out), *more) == 0
    rows: dict[str, list[str]] = {}
    for line in (out / "PANORAMA-IMPORT.md").read_text().splitlines():
        if line.startswith("| ") and not line.startswith("| what"):
            what, how, _ = (cell.strip() for cell in line.strip("| ").split(" | ", 2))
            rows.setdefault(what, []).append(how)
    return load_manifest(out), rows


def edit(path: Path, change: Any) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"preview"}))
def test_every_kind_becomes_an_application(kind: str, tmp_path: Path) -> None:
    project = make_project(kind, tmp_path)
    before = {path: path.read_bytes() for path in project.rglob("*.py")}
    manifest, _ = imported(project, tmp_path / "out")
    assert [mistake for mistake in check_manifest(tmp_path / "out") if mistake.level == "error"] == []
    assert manifest.panorama is not None
    assert manifest.panorama.entry[:2] == KINDS[kind].command
    assert set(manifest.panorama.models) == set(KINDS[kind].models)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "code").glob("*.py")} == {
        path.name: content for path, content in before.items()
    }


def test_what_stands_where(tmp_path: Path) -> None:
    manifest, rows = imported(make_project("several_models", tmp_path), tmp_path / "out")
    code = manifest.panorama
    assert code.inputs == {"video_in": ("front_door",)}
    assert code.parameters["threshold"].parameter == "detection_threshold"
    assert manifest.parameters["detection_threshold"].default == 0.45
    assert manifest.parameters["detection_threshold"].title == "Detection threshold"
    assert code.outputs == ("video_out",)
    assert [entry.shape for entry in manifest.models["brightness"].tensors] == [(4, 16, 16, 3)]
    assert manifest.models["brightness"].tensors[0].type == "uint8"
    assert code.python == "3.7"
    assert "an ONNX file with the inputs images" in rows["model node detector"][0]
    report = (tmp_path / "out" / "PANORAMA-IMPORT.md").read_text()
    assert "torch.onnx.export(model, (torch.zeros([1, 3, 416, 416]),)" in report


def test_ports_arguments_and_packages(tmp_path: Path) -> None:
    manifest, _ = imported(make_project("http_server", tmp_path), tmp_path / "server")
    (route,) = manifest.panorama.routes
    assert (route.port, route.host_port, route.address) == (8080, 8001, "127.0.0.1")
    manifest, rows = imported(make_project("opengpu", tmp_path), tmp_path / "gpu")
    assert manifest.panorama.entry == ("bash", "/panorama/start.sh", "fast")
    assert (tmp_path / "gpu" / "requirements.txt").read_text().split("\n")[1:3] == ["opencv-python", "numpy"]
    assert "hardware_access" in rows


def test_packages_that_come_with_others_are_not_missed(tmp_path: Path) -> None:
    project = make_project("storage", tmp_path)
    package = next((project / "packages").glob("*-code-*"))
    (package / "requirements.txt").write_text("boto3==1.24.0\nopencv-python\n")
    source = package / "src" / "app.py"
    source.write_text("import boto3, botocore.exceptions, cv2, numpy, shapely\n" + source.read_text())
    _, rows = imported(project, tmp_path / "out")
    (missing,) = rows["imported packages"]
    assert missing.startswith("shapely are imported")
    assert "opencv-python-headless" in (tmp_path / "out" / "PANORAMA-IMPORT.md").read_text()


def test_the_preview_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(make_project("preview", tmp_path)), "--out", str(tmp_path / "out")) == 1
    said = capsys.readouterr().err
    assert "src/app.py is written for the preview" in said
    assert not (tmp_path / "out").exists()


def test_a_model_that_fits_is_pinned_and_copied(tmp_path: Path) -> None:
    project = make_project("subclass", tmp_path)
    model = tmp_path / "mine.onnx"
    model.write_bytes(mean_model((1, 3, 416, 416), name="x"))
    manifest, rows = imported(project, tmp_path / "out", "--model", f"detector={model}")
    made = manifest.models["detector"]
    assert made.tensors[0].tensor == "x"
    assert (tmp_path / "out" / made.file).read_bytes() == model.read_bytes()
    assert "mine.onnx" in rows["model node detector"][0]


def test_a_model_that_does_not_fit_is_said(tmp_path: Path) -> None:
    project = make_project("subclass", tmp_path)
    model = tmp_path / "mine.onnx"
    model.write_bytes(mean_model((1, 3, 320, 320)))
    _, rows = imported(project, tmp_path / "out", "--model", f"detector={model}", "--model", f"other={model}")
    assert "declared images float32 [1, 3, 416, 416], the file has data float32" in rows["model node detector"][0]
    assert "there is detector" in rows["--model other=…"][0]


@pytest.mark.parametrize("option", ["detector", "=x.onnx", "detector="])
def test_a_model_option_that_is_none(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(make_project("subclass", tmp_path)), "--model", option) in (1, 2)
    assert "NODE=FILE.onnx" in capsys.readouterr().err


def test_what_you_changed_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project, out = make_project("storage", tmp_path), tmp_path / "out"
    assert run(str(project), "--out", str(out)) == 0
    assert run(str(project), "--out", str(out)) == 1
    assert "--force" in capsys.readouterr().err
    (out / "vedette.yaml").write_text((out / "vedette.yaml").read_text() + "# mine\n")
    (out / "notes.txt").write_text("mine")
    (project / "packages" / f"{ACCOUNT}-storage-code-1.0" / "src" / "app.py").write_text("import panoramasdk\n")
    assert run(str(project), "--out", str(out), "--force") == 0
    assert "is left as it is" in capsys.readouterr().out
    assert (out / "vedette.yaml").read_text().endswith("# mine\n")
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "code" / "app.py").read_text() == "import panoramasdk\n"


def test_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project("several_cameras", tmp_path)
    override = {
        "nodeGraphOverrides": {
            "envelopeVersion": "2021-01-01",
            "nodeOverrides": [{"replace": "front_door", "with": [{"name": "cam-1"}, {"name": "cam 2"}]}],
        }
    }
    write(project / "graphs" / "several-cameras" / "override.json", override)
    assert (
        run(
            str(project), "--out", str(tmp_path / "out"), "--override", "graphs/several-cameras/override.json", "--json"
        )
        == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["bindings"] == {"front_door": ["cam-1", "cam-2"]}
    assert any("--bind front_door=cam-1,cam-2" in command for command in document["next"])
    assert {row["outcome"] for row in document["rows"]} <= {"mapped", "needs you", "dropped"}


def test_values_of_an_override_take_the_place_of_the_graph(tmp_path: Path) -> None:
    project = make_project("subclass", tmp_path)
    override = {
        "nodeGraphOverrides": {
            "nodes": [{"name": "mine", "interface": "float32", "value": 0.8}],
            "nodeOverrides": [{"replace": "detection_threshold", "with": [{"name": "mine"}]}],
            "networkRoutingRules": [{"node": "code_node", "containerPort": 80, "hostPort": 8005}],
        }
    }
    write(project / "o.json", override)
    manifest, _ = imported(project, tmp_path / "out", "--override", str(project / "o.json"))
    assert manifest.parameters["detection_threshold"].default == 0.8
    assert manifest.panorama.routes[0].host_port == 8005


# -- what real projects contain --------------------------------------------------------------------------------------


def _graph_of(project: Path) -> Path:
    return next((project / "graphs").rglob("graph.json"))


def test_accounts_that_differ_and_placeholders(tmp_path: Path) -> None:
    project = make_project("subclass", tmp_path)
    graph = _graph_of(project)
    graph.write_text(graph.read_text().replace("{YourAwsAccountId}", "999999999999"))
    manifest, _ = imported(project, tmp_path / "out")
    assert "detector" in manifest.models


def test_a_package_whose_folder_is_called_otherwise(tmp_path: Path) -> None:
    project = make_project("subclass", tmp_path)
    folder = project / "packages" / f"{ACCOUNT}-subclass-code-1.0"
    folder.rename(folder.with_name("shelf"))
    imported(project, tmp_path / "out")
    assert (tmp_path / "out" / "code" / "app.py").exists()


def test_parameters_without_value_and_ports_without_edge(tmp_path: Path) -> None:
    project = make_project("subclass", tmp_path)

    def change(document: Any) -> None:
        for node in document["nodeGraph"]["nodes"]:
            node.pop("value", None)
        document["nodeGraph"]["edges"] = [
            edge for edge in document["nodeGraph"]["edges"] if "video_in" not in edge["consumer"]
        ]
        document["nodeGraph"]["surprise"] = 1

    edit(_graph_of(project), change)
    manifest, rows = imported(project, tmp_path / "out")
    assert manifest.parameters["detection_threshold"].default == 0.0
    assert "no camera is connected" in rows["media port video_in"][0]
    assert "field `surprise`" in rows


def test_a_parameter_port_with_a_default_and_no_edge(tmp_path: Path) -> None:
    project = make_project("storage", tmp_path)
    package = next((project / "packages").glob("*-code-*")) / "package.json"
    port = {"name": "limit", "type": "int32", "default": 7}
    edit(package, lambda document: document["nodePackage"]["interfaces"][0]["inputs"].append(port))
    manifest, _ = imported(project, tmp_path / "out")
    assert (manifest.panorama.parameters["limit"].type, manifest.panorama.parameters["limit"].value) == ("int32", 7)


def test_a_camera_with_an_address_and_a_password(tmp_path: Path) -> None:
    project = make_project("storage", tmp_path)
    write(
        project / "packages" / f"{ACCOUNT}-dock-1.0" / "package.json",
        {
            "nodePackage": {
                "name": "dock",
                "version": "1.0",
                "assets": [
                    {
                        "name": "rtsp",
                        "implementations": [{"type": "system", "assetUri": "source/video/camera/rtsp/source_rtsp"}],
                    }
                ],
                "interfaces": [
                    {
                        "name": "dock_interface",
                        "category": "media_source",
                        "asset": "rtsp",
                        "inputs": [
                            {"name": "username", "type": "string", "default": "admin"},
                            {"name": "password", "type": "string", "default": "hunter2"},
                            {"name": "streamUrl", "type": "string", "default": "rtsp://10.0.0.9/one"},
                        ],
                        "outputs": [{"name": "video_out", "type": "media"}],
                    }
                ],
            }
        },
    )

    def change(document: Any) -> None:
        body = document["nodeGraph"]
        body["nodes"].append({"name": "$dock 1", "interface": f"{ACCOUNT}::dock.dock_interface", "launch": "onSignal"})
        body["edges"].append({"producer": "$dock 1.video_out", "consumer": "code_node.video_in"})

    edit(_graph_of(project), change)
    manifest, rows = imported(project, tmp_path / "out")
    assert manifest.panorama.inputs["video_in"] == ("front_door", "dock-1")
    assert "launch onSignal of $dock 1" in rows
    written = "".join(path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert "hunter2" not in written


def test_a_descriptor_that_was_packaged(tmp_path: Path) -> None:
    project = make_project("subclass", tmp_path)
    package = project / "packages" / f"{ACCOUNT}-detector-1.0"
    (package / "descriptor.json").rename(project / "assets" / "abc.json")
    asset = {
        "name": "detector_asset",
        "implementations": [{"type": "model", "assetUri": "m.tar.gz", "descriptorUri": "abc.json"}],
    }
    edit(package / "package.json", lambda document: document["nodePackage"].update(assets=[asset]))
    with tarfile.open(project / "assets" / "m.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("detector.pth"))
    manifest, _ = imported(project, tmp_path / "out")
    assert manifest.models["detector"].tensors[0].shape == (1, 3, 416, 416)
    assert "a PyTorch model (detector.pth)" in (tmp_path / "out" / "PANORAMA-IMPORT.md").read_text()


def test_several_descriptors_in_one_package(tmp_path: Path) -> None:
    project = make_project("subclass", tmp_path)
    package = project / "packages" / f"{ACCOUNT}-detector-1.0"
    second = json.loads((package / "descriptor.json").read_text())
    second["mlModelDescriptor"]["inputs"][0]["shape"] = [8, 3, 416, 416]
    write(package / "descriptor_detector_8.json", second)
    (package / "descriptor.json").rename(package / "descriptor_detector.json")
    edit(
        package / "package.json",
        lambda document: document["nodePackage"]["interfaces"].append(
            document["nodePackage"]["interfaces"][0] | {"name": "eight", "asset": "detector_8_asset"}
        ),
    )
    edit(
        _graph_of(project),
        lambda document: document["nodeGraph"]["nodes"].append(
            {"name": "batch", "interface": f"{ACCOUNT}::detector.eight"}
        ),
    )
    manifest, _ = imported(project, tmp_path / "out")
    assert manifest.models["batch"].tensors[0].shape == (8, 3, 416, 416)


def test_another_graph_beside_it(tmp_path: Path) -> None:
    project = make_project("storage", tmp_path)
    graph = _graph_of(project)
    (graph.parent / "graph_with_hdmi.json").write_text(graph.read_text())
    _, rows = imported(project, tmp_path / "out")
    assert any(row.startswith("graph graphs/storage/graph_with_hdmi.json") for row in rows)
    (graph.parent / "more").mkdir()
    graph.rename(graph.parent / "more" / "graph.json")
    (graph.parent / "graph_with_hdmi.json").rename(graph)
    assert run(str(project), "--out", str(tmp_path / "out2")) == 1


# -- projects of strangers -------------------------------------------------------------------------------------------


def refused(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(str(project), "--out", str(tmp_path / "refused")) == 1
    assert not (tmp_path / "refused").exists()
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is no JSON"),
        (b"[]", "holds no object"),
        (b"\xff\xfe\x00", "is no UTF-8 text"),
        (b"[" * 100_000 + b"]" * 100_000, "is nested too deeply"),
        (b'{"a": "' + b"x" * (5 << 20) + b'"}', "is larger than"),
    ],
)
def test_files_that_are_no_documents(
    content: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project("storage", tmp_path)
    _graph_of(project).write_bytes(content)
    assert said in refused(project, tmp_path, capsys)


def test_links_that_lead_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project("storage", tmp_path)
    (next((project / "packages").glob("*-code-*")) / "src" / "secret.py").symlink_to("/etc/passwd")
    assert "leads out of the project" in refused(project, tmp_path, capsys)


def test_a_pipe_where_a_file_is_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project("storage", tmp_path)
    os.mkfifo(next((project / "packages").glob("*-code-*")) / "src" / "pipe.py")
    assert "is not a file" in refused(project, tmp_path, capsys)


def test_copies_that_would_leave_the_folder(tmp_path: Path) -> None:
    project = make_project("storage", tmp_path)
    package = next((project / "packages").glob("*-code-*"))
    (package / "Dockerfile").write_text("FROM x\nCOPY src/app.py /panorama/../../../../evil.py\nCOPY src /panorama/\n")
    imported(project, tmp_path / "out")
    assert not (tmp_path / "evil.py").exists()
    assert not list(tmp_path.rglob("evil.py"))


def test_archives_are_named_and_never_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.tar.gz"
    with tarfile.open(bomb, "w:gz", compresslevel=9) as archive:
        for number in range(4):
            info = tarfile.TarInfo(f"../../{number}.bin")
            info.size = 100 << 20
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    assert "files (" in what_archive(bomb)
    assert list(tmp_path.iterdir()) == [bomb]
    (tmp_path / "broken.tar.gz").write_bytes(b"\x1f\x8b nonsense")
    assert "cannot be read" in what_archive(tmp_path / "broken.tar.gz")


ARCHIVES = {
    "a TensorFlow SavedModel": ["model/saved_model.pb", "model/variables/variables.index"],
    "an MXNet model": ["ssd-symbol.json", "ssd-0000.params"],
    "a PyTorch model": ["yolo.pt"],
    "a frozen TensorFlow graph": ["frozen.pb"],
    "what SageMaker Neo compiled": ["compiled.so", "compiled_model.json"],
    "the file system of a container": ["./usr/bin/", "./etc/"],
    "an ONNX model": ["m.onnx"],
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_what_an_archive_holds(what: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name in ARCHIVES[what]:
            archive.addfile(tarfile.TarInfo(name))
    assert what_archive(tmp_path / "a.tar.gz").startswith(what)


ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["media", "float32", "code_node.x", "a"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "interface", "nodes", "edges", "producer", "consumer", "inputs", "type", "assets"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_document_that_was_changed_anywhere(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever stands in a project's files: an application or an explained refusal, never anything else."""
    project = tmp_path / "several-models"
    if not project.exists():
        make_project("several_models", tmp_path)
    files = sorted(path for path in project.rglob("*.json"))
    path = data.draw(st.sampled_from(files))
    original = path.read_text()
    document = json.loads(original)
    parent: Any = None
    key: Any = None
    node: Any = document
    while isinstance(node, dict | list) and node and (parent is None or data.draw(st.booleans())):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        parent, key = node, data.draw(st.sampled_from(keys))
        node = node[key]
    assert parent is not None
    parent[key] = data.draw(ANY)
    path.write_text(json.dumps(document))
    try:
        result = import_project(read_project(project), {}, None)
        assert result.manifest["panorama"]["entry"]
    except VedetteError as error:
        assert error.message  # noqa: PT017 - either is right
    finally:
        path.write_text(original)


# -- the parts -------------------------------------------------------------------------------------------------------


@given(st.text(max_size=80), st.sets(st.text(max_size=3), max_size=4))
def test_names_are_allowed_and_new(name: str, taken: set[str]) -> None:
    import re

    from vedette.contracts.base import IDENTIFIER_PATTERN

    found = allowed_name(name, taken)
    assert re.fullmatch(IDENTIFIER_PATTERN, found)
    assert found not in taken
    assert allowed_name(name, taken) == found


@pytest.mark.parametrize(
    ("kind", "value", "expected", "right"),
    [
        ("float32", 1, 1.0, True),
        ("float32", "x", 0.0, False),
        ("float32", True, 0.0, False),
        ("float32", float("inf"), 0.0, False),
        ("float32", float("nan"), 0.0, False),
        ("float32", 10**400, 0.0, False),
        ("int32", 3.0, 3, True),
        ("int32", 3.5, 0, False),
        ("int32", 1 << 40, 0, False),
        ("boolean", 1, False, False),
        ("boolean", True, True, True),
        ("string", 5, "", False),
        ("string", None, "", True),
    ],
)
def test_values_are_of_their_type(kind: str, value: Any, expected: Any, right: bool) -> None:
    found, problem = typed(kind, value)
    assert (found, type(found)) == (expected, type(expected))
    assert (problem == "") is right


def test_inputs_are_matched_by_name_then_by_what_they_are() -> None:
    declared = [DeclaredInput("data", "float32", (1, 3, 8, 8)), DeclaredInput("size", "int64", (2,))]
    assert fit(declared, [OnnxTensor("size", "int64", (2,)), OnnxTensor("x", "float32", (None, 3, 8, 8))]) == (
        {"data": "x", "size": "size"},
        [],
    )
    _, mistakes = fit(declared[:1], [OnnxTensor("x", "float32", (1, 3, 8, 8)), OnnxTensor("y", "float32", (1,))])
    assert mistakes == ["the file has an input more: y float32 [1]"]
    _, mistakes = fit(declared[:1], [OnnxTensor("data", "uint8", (1, 3, 8, 8))])
    assert "declared data float32" in mistakes[0]


def test_a_dockerfile_is_read() -> None:
    found = read_dockerfile(
        "FROM public.ecr.aws/panorama/panorama-application:1.2.0-py3.8 as base\n# c\nWORKDIR /panorama\n"
        'COPY ["src", "."]\nADD ./extra/run.sh /panorama/bin/run.sh\nCOPY x /etc/x\n'
        "RUN apt-get update && apt-get install -y libgl1 && \\\n"
        "    pip3 install --no-cache-dir -r requirements.txt boto3==1.17\n"
        "RUN python3 -m pip install 'numpy<1.24' -U pip\nENV A=b\n"
    )
    assert found.python == "3.8"
    assert found.copies == (("src", "/"), ("extra/run.sh", "bin/run.sh"))
    assert found.packages == ("boto3==1.17", "numpy<1.24")
    assert [command.split()[0] for command in found.other] == ["apt-get", "apt-get"]
    assert found.elsewhere == ("COPY x /etc/x",)


def test_sources_are_looked_through() -> None:
    advice = read_sources(
        {
            "app.py": "import panoramasdk, boto3, cv2, helper\nimport numpy as np\nx = np.float\ny = a.tostring()\n",
            "helper.py": "import os\n",
            "old.py": "print 'x'\n",
        }
    )
    assert advice.uses_sdk
    assert set(advice.imports) == {"boto3", "cv2", "numpy"}
    assert advice.cloud == {"boto3": "app.py"}
    assert set(advice.old_numpy.values()) == {"np.float", ".tostring()"}
    assert list(advice.syntax) == ["old.py"]


def test_an_override_that_is_none(tmp_path: Path) -> None:
    write(tmp_path / "o.json", {"nodeGraph": {}})
    with pytest.raises(ConfigurationError, match="nodeGraphOverrides"):
        read_overrides(read_json(tmp_path / "o.json", tmp_path))
