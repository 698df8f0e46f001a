"""Models that Panorama code calls: what fits, what is refused and how it is called, several calls at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.panorama.tiny import mean_model, picture, tensors
from vedette.adapters.engines.gate import check_model
from vedette.adapters.engines.tensors import load_tensors
from vedette.adapters.models.store import ModelStore
from vedette.compose.panorama_models import PanoramaModels
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model


def load(folder: Path, data: bytes) -> PanoramaModels:
    (folder / "mean.onnx").write_bytes(data)
    found = PanoramaModels({"node": (str(folder / "mean.onnx"), tensors())}, ModelStore(folder / "store"))
    found.load()
    return found


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> PanoramaModels:
    return load(tmp_path_factory.mktemp("models"), mean_model())


def test_through_the_gate_and_run(runner: PanoramaModels) -> None:
    found = runner
    outputs = found.run("node", {"data": picture(0.25)})
    assert type(outputs) is tuple
    assert len(outputs) == 2
    np.testing.assert_array_equal(outputs[0], np.full((1, 3), 0.25, np.float32))
    assert outputs[1].tolist() == [1, 3, 8, 8]
    assert [entry.name for entry in found.nodes["node"]] == ["data"]


@pytest.mark.parametrize(
    "given",
    [
        {"": picture()},
        {"data": picture(shape=(3, 8, 8))},
        {"": picture(shape=(3, 8, 8))},
        {"data": picture()[:, :, ::1, ::-1]},
    ],
)
def test_without_a_name_without_the_batch_and_not_in_order(runner: PanoramaModels, given: dict[str, Any]) -> None:
    assert runner.run("node", given)[0].shape == (1, 3)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.int32])
def test_numbers_of_another_size_are_converted(runner: PanoramaModels, dtype: Any) -> None:
    """NumPy makes float64 of float32 easily, and the appliance took it."""
    given = picture().astype(dtype)
    mean, _ = runner.run("node", {"data": given})
    assert np.allclose(mean, given.astype(np.float32).mean(axis=(2, 3)), atol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dat": picture()}, "the model has no input 'dat'; it has data"),
        ({}, "the input 'data' is missing"),
        ({"data": picture(shape=(1, 8, 8, 3))}, r"has the shape \[1, 8, 8, 3\]; the model takes \[1, 3, 8, 8\]"),
        ({"data": picture(shape=(2, 3, 8, 8))}, r"has the shape \[2, 3, 8, 8\]"),
        (
            {"data": picture(dtype=np.complex64)},
            r"is complex64; the model takes float32 \(use `.astype\(np.float32\)`\)",
        ),
        ({"data": picture(), "": picture()}, "give a dict"),
    ],
)
def test_what_does_not_fit_is_said(runner: PanoramaModels, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        runner.run("node", given)


def test_an_unknown_node(runner: PanoramaModels) -> None:
    with pytest.raises(KeyError, match="no model node is called 'nod'; there is node"):
        runner.run("nod", {"data": picture()})


def test_half_precision_stays_inside() -> None:
    data = mean_model(half=True)
    check_model(data, tensors())
    outputs = load_tensors(data, tensors()).run({"data": picture(0.5)})
    assert outputs[0].dtype == np.float32
    assert outputs[0][0, 0] == 0.5
    own = load_tensors(data, tensors(type="float16")).run({"data": picture(0.5, np.float16)})
    assert own[0].dtype == np.float16


def test_another_name_and_a_side_that_is_not_fixed() -> None:
    data = mean_model(("batch", 3, "height", "width"), name="images")
    model = tensors(tensor="images", shape=[4, 3, 6, 6])
    outputs = load_tensors(data, model).run({"data": picture(shape=(4, 3, 6, 6))})
    assert outputs[1].tolist() == [4, 3, 6, 6]
    with pytest.raises(ValueError, match=r"the model takes \[4, 3, 6, 6\]"):
        load_tensors(data, model).run({"data": picture(shape=(2, 3, 6, 6))})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (tensors(name="dat"), r"it has no input 'dat'; it has data tensor\(float\) \[1, 3, 8, 8\]"),
        (tensors(shape=[1, 3, 9, 9]), r"declares the input data \[1, 3, 9, 9\]; it has data"),
        (tensors(shape=[8, 8, 3]), r"declares the input data \[8, 8, 3\]"),
        (tensors(type="uint8"), "declares the input data as uint8"),
    ],
)
def test_a_manifest_that_declares_something_else_is_refused(model: Model, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_tensors(mean_model(), model)
    assert caught.value.code == "V303"


def test_the_gate_finds_that_too() -> None:
    with pytest.raises(ModelError, match="it has no input 'dat'") as caught:
        check_model(mean_model(), tensors(name="dat"))
    assert caught.value.code == "V303"


def test_an_input_that_is_not_declared_is_named() -> None:
    with pytest.raises(ModelError, match=r"does not declare its input size tensor\(int64\) \[2\]"):
        load_tensors(mean_model(second=True), tensors())


def test_a_file_that_is_no_model_does_not_get_through(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load(tmp_path, b"not a model")
    assert caught.value.code == "V302"
    missing = PanoramaModels({"node": ("/nowhere/m.onnx", tensors())}, ModelStore(tmp_path / "store"))
    with pytest.raises(ModelError) as caught:
        missing.load()
    assert caught.value.code == "V301"


def test_what_two_nodes_share_is_loaded_once(tmp_path: Path) -> None:
    (tmp_path / "mean.onnx").write_bytes(mean_model())
    entry = (str(tmp_path / "mean.onnx"), tensors())
    found = PanoramaModels({"a": entry, "b": entry}, ModelStore(tmp_path / "store"))
    found.load()
    assert found._loaded["a"] is found._loaded["b"]
    np.testing.assert_array_equal(found.run("a", {"": picture(1)})[0], found.run("b", {"": picture(1)})[0])


def test_a_run_that_does_not_end_is_found(runner: PanoramaModels, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    class Slow:
        def run(self, _inputs: object) -> tuple[()]:
            begun.set()
            go.wait(60)
            return ()

    monkeypatch.setitem(runner._loaded, "node", Slow())
    thread = threading.Thread(target=runner.run, args=("node", {"": picture()}))
    assert runner.hung(0.0) == ""
    thread.start()
    assert begun.wait(60)
    assert runner.hung(0.0) == "node"
    assert runner.hung() == ""
    go.set()
    thread.join()
    assert runner.hung(0.0) == ""


def test_many_at_once_each_get_their_own(runner: PanoramaModels) -> None:
    found = runner
    wrong: list[float] = []

    def call(number: int) -> None:
        for round_ in range(50):
            value = number + round_ / 64
            if found.run("node", {"": picture(value)})[0][0, 0] != value:
                wrong.append(value)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert found.running == 0
