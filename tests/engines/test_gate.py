from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from vedette.adapters.engines.gate import Gate, GateLimits, check_model, read_model
from vedette.adapters.engines.onnxfile import GraphLimits, check_graph
from vedette.adapters.starved import PATIENCE_S
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model, ModelFamily
from vedette.testing import models

YOLOX = Model(family=ModelFamily.YOLOX, file="tiny.onnx", labels=("a", "b"))
GOOD = models.bright_rectangle()


def refusal(data: bytes, model: Model = YOLOX, **limits: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        check_model(data, model, GateLimits(**limits))
    assert caught.value.hint, "a refusal says what to do next"
    assert "Traceback" not in str(caught.value)
    return caught.value


def own_memory_kb() -> int:
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])


@pytest.mark.parametrize("family", models.DETECTORS)
def test_a_good_model_passes(family: ModelFamily) -> None:
    report = check_model(models.bright_rectangle(family), YOLOX.model_copy(update={"family": family}))
    assert report.input_size == (64, 64)
    assert 0 < report.run_s < 1
    assert report.nodes > 10


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (GOOD[: len(GOOD) // 2], "not a readable ONNX file"),
        (GOOD[:-1], "not a readable ONNX file"),
        (b"", "no graph"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not a readable ONNX file"),
        (np.random.default_rng(0).bytes(5000), "not a readable ONNX file"),
    ],
)
def test_files_that_are_no_models(data: bytes, words: str) -> None:
    error = refusal(data)
    assert error.code == "V302"
    assert words in error.message


def test_memory_bomb_harms_only_the_canary() -> None:
    before = own_memory_kb()
    error = refusal(models.bright_rectangle(fault=models.four_gibibytes))
    assert error.code == "V302"
    assert "memory" in error.message
    assert own_memory_kb() - before < 100_000


def used_by_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_loop_without_end_is_ended() -> None:
    before_s, started_s = used_by_children_s(), time.monotonic()
    error = refusal(models.bright_rectangle(fault=models.hang_always), seconds=3.0)
    assert used_by_children_s() - before_s < 5
    assert time.monotonic() - started_s < 3 + PATIENCE_S + 3
    assert error.code == "V302"
    assert "3 s" in error.message


def test_values_that_are_no_numbers() -> None:
    for family in models.DETECTORS:
        model = YOLOX.model_copy(update={"family": family})
        assert refusal(models.bright_rectangle(family, fault=models.nan_always), model).code == "V304"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": ("a",)}, "2 classes"),
        ({"labels": "coco"}, "80 labels"),
        ({"input_size": (32, 32)}, "manifest says 32x32"),
        ({"family": ModelFamily.DETR}, "DETR-like"),
    ],
)
def test_models_that_do_not_fit_the_manifest(change: dict[str, Any], words: str) -> None:
    error = refusal(GOOD, YOLOX.model_copy(update=change))
    assert error.code == "V303"
    assert words in str(error)


def test_a_detr_like_model_with_more_classes_than_labels() -> None:
    data = models.constant_detr(np.array([[5]]), np.ones((1, 1, 4), np.float32), np.ones((1, 1), np.float32))
    assert refusal(data, YOLOX.model_copy(update={"family": ModelFamily.DETR})).code == "V303"


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "symlink.bin", "hardlink.bin"])
def test_external_weights_are_refused_unread(location: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\0" * 64)
    (tmp_path / "symlink.bin").symlink_to(secret)
    os.link(secret, tmp_path / "hardlink.bin")
    (tmp_path / "model.onnx").write_bytes(models.external_weights(location))
    before_ns = secret.stat().st_atime_ns
    error = refusal(read_model(tmp_path / "model.onnx", YOLOX))
    assert error.code == "V302"
    assert "external data" in error.message
    assert secret.stat().st_atime_ns == before_ns


def hidden(where: str) -> bytes:
    """External data in every place where a tensor can be."""
    outside = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    outside.ClearField("float_data")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="x")
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    graph = helper.make_graph([], "g", [], [])
    node = helper.make_node("Constant", [], ["y"])
    attribute = onnx.AttributeProto(name="value")
    if where == "attribute":
        attribute.t.CopyFrom(outside)
    elif where == "attribute list":
        attribute.tensors.append(outside)
    elif where == "sparse attribute":
        attribute.sparse_tensor.CopyFrom(helper.make_sparse_tensor(outside, indices, [1]))
    elif where == "sparse attribute list":
        attribute.sparse_tensors.append(helper.make_sparse_tensor(outside, indices, [1]))
    elif where == "sparse indices":
        graph.sparse_initializer.append(helper.make_sparse_tensor(indices, outside, [1]))
    elif where == "sparse initialiser":
        graph.sparse_initializer.append(helper.make_sparse_tensor(outside, indices, [1]))
    elif where == "nested graph":
        attribute.g.initializer.append(outside)
    elif where == "nested graph list":
        attribute.graphs.add().initializer.append(outside)
    elif where == "location alone":
        outside.ClearField("external_data")
        graph.initializer.append(outside)
    elif where == "entry alone":
        outside.ClearField("data_location")
        graph.initializer.append(outside)
    node.attribute.append(attribute)
    graph.node.append(node)
    content: bytes = helper.make_model(graph).SerializeToString()
    return content


@pytest.mark.parametrize(
    "where",
    [
        "attribute",
        "attribute list",
        "sparse attribute",
        "sparse attribute list",
        "sparse indices",
        "sparse initialiser",
        "nested graph",
        "nested graph list",
        "location alone",
        "entry alone",
    ],
)
def test_external_weights_are_found_wherever_they_hide(where: str) -> None:
    with pytest.raises(ModelError, match="external data"):
        check_graph(hidden(where), "m.onnx")


def test_what_else_is_refused() -> None:
    custom = helper.make_model(helper.make_graph([helper.make_node("X", [], ["y"], domain="evil")], "g", [], []))
    with pytest.raises(ModelError, match="'evil'"):
        check_graph(custom.SerializeToString(), "m.onnx")
    nested_domain = onnx.ModelProto()
    attribute = nested_domain.graph.node.add(op_type="If").attribute.add(name="then_branch")
    attribute.g.node.add(op_type="X", domain="com.microsoft")
    with pytest.raises(ModelError, match=r"com\.microsoft"):
        check_graph(nested_domain.SerializeToString(), "m.onnx")
    functions = onnx.load_from_string(GOOD)
    functions.functions.add(name="f", domain="")
    with pytest.raises(ModelError, match="functions"):
        check_graph(functions.SerializeToString(), "m.onnx")
    training = onnx.load_from_string(GOOD)
    training.training_info.add()
    with pytest.raises(ModelError, match="training"):
        check_graph(training.SerializeToString(), "m.onnx")


def test_size_depth_and_work_are_limited() -> None:
    with pytest.raises(ModelError, match="more than 5 nodes"):
        check_graph(GOOD, "m.onnx", GraphLimits(nodes=5))
    with pytest.raises(ModelError, match="more than 50 fields"):
        check_graph(GOOD, "m.onnx", GraphLimits(fields=50))
    deep = onnx.ModelProto()
    graph = deep.graph
    for _ in range(12):
        graph = graph.node.add(op_type="If").attribute.add(name="then_branch").g
    with pytest.raises(ModelError, match="deeper than 8"):
        check_graph(deep.SerializeToString(), "m.onnx")


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=12), st.sampled_from(["put", "insert", "cut"]))
def test_a_mutated_file_never_crashes_the_reader(at: int, noise: bytes, how: str) -> None:
    tail = at + len(noise) if how in ("put", "cut") else at
    data = GOOD[:at] + (b"" if how == "cut" else noise) + GOOD[tail:]
    with contextlib.suppress(ModelError):
        check_graph(data, "m.onnx")


@pytest.mark.parametrize("seed", range(6))
def test_a_mutated_file_is_judged_not_obeyed(seed: int) -> None:
    """What the reader lets pass goes to the canary; whatever happens there is a refusal or a report."""
    rng = np.random.default_rng(seed)
    data = bytearray(GOOD)
    for _ in range(4):
        data[rng.integers(0, len(data))] = rng.integers(0, 256)
    with contextlib.suppress(ModelError):
        assert check_model(bytes(data), YOLOX, GateLimits(seconds=5)).nodes > 0


def test_the_file_itself(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    for content, code in ((None, "V301"), (b"", "V302"), (b"x" * 2000, "V302")):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ModelError) as caught:
            read_model(file, YOLOX, GateLimits(file_bytes=1000))
        assert caught.value.code == code
        assert caught.value.hint
        assert str(file) in caught.value.message
    with pytest.raises(ModelError, match="V301"):
        read_model(tmp_path, YOLOX)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ModelError, match="V301"):
        read_model(pipe, YOLOX)
    file.write_bytes(GOOD)
    assert read_model(file, YOLOX) == GOOD
    with pytest.raises(ModelError, match="V305"):
        read_model(file, YOLOX.model_copy(update={"sha256": "0" * 64}))


def test_a_gate_that_is_left_leaves_no_process() -> None:
    with Gate(models.bright_rectangle(fault=models.hang_always), YOLOX).start() as gate:
        process = gate._process
        assert process is not None
    assert process.poll() is not None


def test_the_canary_is_confined() -> None:
    """No network of this machine, no core files, no new privileges, no more memory than it was given."""
    script = (
        "from vedette.adapters.engines.confine import confine; confine(3 << 30, 5, 4096)\n"
        "import ctypes, resource, pathlib, tempfile\n"
        "print([resource.getrlimit(r)[1] for r in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_CORE)])\n"
        "print('NoNewPrivs:\\t1' in pathlib.Path('/proc/self/status').read_text())\n"
        "print([line.split(':')[0].strip() for line in open('/proc/self/net/dev') if ':' in line])\n"
        "file = tempfile.TemporaryFile(buffering=0)\n"
        "try: print(file.write(b'x' * 8192))\n"
        "except OSError: print('limited')\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, text=True, timeout=60)
    limits, privileges, network, written = done.stdout.splitlines()
    assert limits == str([3 << 30, 5, 0])
    assert privileges == "True"
    if os.geteuid() == 0:  # others may have no user namespaces here
        assert network == "['lo']"
    assert written in ("4096", "limited")


def test_a_process_that_bounds_its_memory_gets_no_more() -> None:
    script = (
        "from vedette.adapters.engines.confine import bound_memory; bound_memory(64 << 20)\n"
        "kept = bytearray(16 << 20)\n"
        "try: bytearray(128 << 20); print('more')\n"
        "except MemoryError: print('bounded')\n"
        "bound_memory(256 << 20); bytearray(128 << 20); print('again')\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["bounded", "again"], done.stderr
