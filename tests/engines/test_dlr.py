"""Models compiled by Neo: the worker behind the port of detectors, with a stand-in for the runtime."""

from __future__ import annotations

import ast
import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.engines.pictures import picture
from vedette.adapters.engines.dlr import RESTART_WAITS_S, DlrDetector, DlrSession
from vedette.adapters.engines.dlr_link import worker_program
from vedette.adapters.engines.neo_archive import is_neo_archive, unpack_neo
from vedette.adapters.engines.onnx import OnnxDetector
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model, ModelFamily
from vedette.testing.models import DETECTORS, bright_rectangle

STAND_IN = Path(__file__).parent / "stand_in"

CARD = """api: vedette-model/v1
name: tiny
version: 1.0.0
framework: pytorch
framework_version: "1.8"
family: {family}
file: tiny.pth
inputs:
  images: {{shape: [1, 3, 192, 192]}}
{more}labels: [a, b]
targets: [jetson-xavier]
"""
SIZES = "  orig_target_sizes: {shape: [1, 2], layout: other, dtype: int64}\n"


def compiled(
    family: ModelFamily = ModelFamily.YOLOX, behaviour: str = "", others: Mapping[str, bytes | None] | None = None
) -> bytes:
    """What Neo makes, with our description in it; the stand-in finds the ONNX original in it."""
    more = SIZES if family is ModelFamily.DETR else ""
    files: dict[str, bytes | None] = {
        "compiled.params": bright_rectangle(family, size=(192, 192)),
        "compiled.so": b"\x7fELF",
        "model.yaml": CARD.format(family=family.value, more=more).encode(),
        **(others or {}),
    }
    if behaviour:
        files["behaviour.json"] = behaviour.encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            if content is not None:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def tiny(family: ModelFamily = ModelFamily.YOLOX, **settings: Any) -> Model:
    return Model(family=family, file="tiny.tar.gz", labels=("a", "b"), **settings)


@pytest.fixture
def interpreter(tmp_path: Path) -> str:
    """A Python that has the runtime."""
    script = tmp_path / "python-with-dlr"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={STAND_IN} exec {sys.executable} "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def make(interpreter: str) -> Iterator[Any]:
    made: list[DlrDetector] = []

    def start(data: bytes, model: Model | None = None, **settings: Any) -> DlrDetector:
        made.append(DlrDetector(data, model or tiny(), interpreter, **settings))
        return made[-1]

    yield start
    for detector in made:
        detector.close()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("family", DETECTORS)
def test_objects_are_those_of_the_original(make: Any, family: ModelFamily) -> None:
    neo = make(compiled(family), tiny(family))
    onnx = OnnxDetector(bright_rectangle(family, size=(192, 192)), tiny(family))
    for box in ((20, 30, 90, 80), (200, 100, 300, 170), None):
        one, other = neo.detect(picture(320, 180, box)), onnx.detect(picture(320, 180, box))
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.classes, other.classes)
    assert neo.trial() > 0
    assert neo.labels == ("a", "b")


def test_outputs_without_names_are_numbered(make: Any) -> None:
    detector = make(compiled(behaviour="no names"))
    assert [tensor.name for tensor in detector.dlr.signature.outputs] == ["output_0"]
    assert len(detector.detect(picture(64, 64, (10, 10, 30, 30)))) == 1


def test_an_archive_of_somebody_elses_needs_the_size_in_the_manifest(make: Any) -> None:
    data = compiled(others={"model.yaml": None})
    with pytest.raises(ModelError, match="does not say what its input is") as caught:
        make(data)
    assert caught.value.code == "V303"
    assert len(make(data, tiny(input_size=(192, 192))).detect(picture(64, 64, (10, 10, 30, 30)))) == 1


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("hang", "did not answer within 1 s"),
        ("crash", "its DLR worker ended"),
        ("refuse", "the DLR runtime refused: ValueError: bad shape"),
        ("other shape", "refused: ValueError: an output became float32 [1, 3, 7]"),
    ],
)
def test_a_run_that_goes_wrong_is_an_error_and_the_next_one_works(make: Any, behaviour: str, words: str) -> None:
    detector = make(compiled(behaviour=behaviour), run_limit_s=1.0)
    first, shown = detector.dlr.worker_pid, picture(64, 64, (10, 10, 30, 30))
    with pytest.raises(ModelError) as caught:
        detector.detect(shown)
    assert caught.value.code == "V302"
    assert words in caught.value.message
    assert detector.stats().invalid == 1
    (Path(detector._directory.name) / "behaviour.json").unlink()
    assert len(detector.detect(shown)) == 1
    lost = behaviour in ("hang", "crash")
    assert gone(first) is lost
    assert (detector.dlr.worker_pid != first) is lost


def test_a_worker_that_is_killed_again_and_again_is_started_less_and_less_often(
    interpreter: str, tmp_path: Path
) -> None:
    clock = [0.0]
    target = tmp_path / "unpacked"
    target.mkdir()
    session = DlrSession(
        unpack_neo(compiled(behaviour="crash"), "m", target), tiny(), interpreter, monotonic=lambda: clock[0]
    )
    feeds = {"images": np.zeros((1, 3, 192, 192), np.float32)}
    starts = []
    for _ in range(60):
        clock[0] += 1.0
        try:
            session.run(None, feeds)
        except ModelError as error:
            if "worker ended" in error.message:
                starts.append(clock[0])
    session.close()
    waits = np.diff(starts)
    assert waits.tolist() == [max(1.0, wait) for wait in RESTART_WAITS_S[: len(waits)]]


def test_a_closed_detector_leaves_nothing_behind(interpreter: str) -> None:
    detector = DlrDetector(compiled(), tiny(), interpreter)
    pid, directory = detector.dlr.worker_pid, Path(detector._directory.name)
    detector.close()
    assert pid is not None
    assert gone(pid)
    assert not directory.exists()
    with pytest.raises(ModelError):
        detector.detect(picture(64, 64))


def test_a_model_that_fails_its_trial_leaves_nothing_behind(make: Any) -> None:
    detector = make(compiled(behaviour="refuse"))
    pid, directory = detector.dlr.worker_pid, Path(detector._directory.name)
    with pytest.raises(ModelError, match="bad shape"):
        detector.trial()
    assert gone(pid)
    assert not directory.exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x1f\x8bjunk", "cannot be unpacked"),
        (compiled()[:-40], "cannot be unpacked"),
        (compiled(others={"compiled.params": None, "compiled.so": None}), "holds no compiled model"),
        (compiled(others={"model.yaml": b"api: 1"}), "holds a model.yaml with mistakes"),
    ],
)
def test_what_is_no_compiled_model_is_refused(data: bytes, words: str, tmp_path: Path) -> None:
    assert is_neo_archive(data)
    with pytest.raises(ModelError) as caught:
        unpack_neo(data, "tiny.tar.gz", tmp_path)
    assert words in caught.value.message


def test_an_archive_writes_nowhere_else(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    unpack_neo(compiled(others={"../../evil.so": b"x"}), "m", inner)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        link = tarfile.TarInfo("compiled.so")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(ModelError, match="no plain file"):
        unpack_neo(packed.getvalue(), "m", tmp_path)


def test_a_model_that_does_not_load_and_an_interpreter_that_is_not_there(make: Any) -> None:
    with pytest.raises(ModelError, match="cannot deserialize the engine for gpu"):
        make(compiled(behaviour="no load"))
    with pytest.raises(ModelError, match="dlrPython"):
        DlrDetector(compiled(), tiny(), "/no/such/python")
    with pytest.raises(ModelError, match="No module named 'dlr'"):
        DlrDetector(compiled(), tiny(), sys.executable)


ANSWERS = {
    "no JSON": b"\x00\x00\x00\x03abc",
    "huge": b"\x7f\xff\xff\xff",
    "a list": b"\x00\x00\x00\x02[]",
    "not ok": b'\x00\x00\x00\x0a{"ok": 17}',
    "no outputs": b'\x00\x00\x00\x0c{"ok": true}',
    "odd outputs": None,
}


@pytest.mark.parametrize("what", ANSWERS)
def test_a_worker_that_talks_nonsense_is_given_up(what: str, tmp_path: Path) -> None:
    body = json.dumps({"ok": True, "outputs": [{"name": "o", "shape": [10**9], "dtype": "float32"}]}).encode()
    answer = ANSWERS[what] or len(body).to_bytes(4, "big") + body
    script = tmp_path / "nonsense"
    script.write_text(
        f"#!{sys.executable}\nimport os, sys, time\nfd = int(sys.argv[sys.argv.index('--socket') + 1])\n"
        f"os.read(fd, 9999)\nos.write(fd, {answer!r})\ntime.sleep(600)\n"
    )
    script.chmod(0o755)
    with pytest.raises(ModelError) as caught:
        DlrDetector(compiled(), tiny(), str(script))
    assert caught.value.code == "V302"
    assert any(word in caught.value.message for word in ("not understood", "bytes"))


def test_the_worker_is_written_for_python_3_6() -> None:
    """Syntax only; it imports nothing but the standard library, NumPy and the runtime."""
    folder = worker_program().parent
    assert folder == REPOSITORY / "src" / "dlr_worker"
    allowed = {"argparse", "array", "json", "mmap", "os", "socket", "struct", "sys", "typing", "numpy", "dlr"}
    for file in folder.glob("*.py"):
        tree = ast.parse(file.read_text(), feature_version=(3, 6))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert names <= allowed, file
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.NamedExpr)]
