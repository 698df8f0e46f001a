"""What ONNX Runtime is told of a graphics processor, and what happens where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from pydantic import ValidationError

from vedette.adapters.engines import session as sessions
from vedette.adapters.engines.accelerators import CPU, CUDA, TENSORRT, Accelerator, check_precision, provider_options
from vedette.adapters.engines.onnx import OnnxDetector
from vedette.contracts.config import InferenceConfig
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model, ModelFamily, Precision, Provider
from vedette.testing import models


def test_tensorrt_is_told_where_its_engines_lie_and_what_it_may_compute_with() -> None:
    there = Path("/var/lib/vedette/engines/abc")
    options = provider_options(TENSORRT, Accelerator(1, 0, 512 << 20, Precision.FLOAT16, there))
    assert options == {
        "device_id": "1",
        "trt_fp16_enable": "True",
        "trt_int8_enable": "False",
        "trt_max_workspace_size": "536870912",
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(there),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(there),
    }
    plain = provider_options(TENSORRT, Accelerator())
    assert plain == {"device_id": "0", "trt_fp16_enable": "False", "trt_int8_enable": "False"}
    assert provider_options(TENSORRT, Accelerator(precision=Precision.INT8))["trt_int8_enable"] == "True"


def test_cuda_keeps_to_its_memory() -> None:
    limited = provider_options(CUDA, Accelerator(memory_bytes=1 << 30))
    assert limited["gpu_mem_limit"] == "1073741824"
    assert limited["cudnn_conv_use_max_workspace"] == "0"
    assert "gpu_mem_limit" not in provider_options(CUDA, Accelerator())
    assert provider_options(CPU, Accelerator(memory_bytes=1 << 30)) == {}


def test_every_option_is_text() -> None:
    given = Accelerator(2, 1 << 30, 1 << 30, Precision.INT8, Path("/e"))
    for provider in (CUDA, TENSORRT):
        assert all(type(value) is str for value in provider_options(provider, given).values())


def test_int8_needs_a_file_with_scales() -> None:
    with pytest.raises(ModelError, match=r"V303.*holds no DequantizeLinear operator.*model optimize"):
        check_precision(models.bright_rectangle(), "tiny.onnx", Precision.INT8)
    check_precision(b"..DequantizeLinear..", "tiny.onnx", Precision.INT8)
    check_precision(models.bright_rectangle(), "tiny.onnx", Precision.FLOAT16)


@pytest.mark.parametrize("require", ["cpu", "cuda"])
def test_precision_is_for_tensorrt(require: str) -> None:
    with pytest.raises(ValidationError, match=r"`precision: float16` is for `require: tensorrt`.*model optimize"):
        Model.model_validate({"family": "yolox", "file": "a.onnx", "require": require, "precision": "float16"})


@pytest.mark.parametrize("values", [{"gpu": -1}, {"gpuMemoryMb": -1}, {"engineWorkspaceMb": "much"}])
def test_nonsense_in_the_configuration_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InferenceConfig.model_validate({"stateDirectory": "/var/lib/vedette", **values})


class _Refusing:
    """ONNX Runtime with a graphics processor whose providers refuse; the rest of it is the real one."""

    def __init__(self, refused: set[str]) -> None:
        self._refused = refused
        self.asked: list[list[str]] = []

    def get_available_providers(self) -> list[str]:
        return [TENSORRT, CUDA, CPU]

    def __getattr__(self, name: str) -> Any:
        return getattr(onnxruntime, name)

    def InferenceSession(self, data: bytes, options: Any, *, providers: Any, **keywords: Any) -> Any:  # noqa: N802
        names = [name for name, _ in providers]
        self.asked.append(names)
        if names[0] in self._refused:
            raise RuntimeError("[ONNXRuntimeError] : 11 : EP_FAIL : CUDA failure 2: out of memory.")
        return onnxruntime.InferenceSession(data, options, providers=[CPU], **keywords)


def test_a_provider_that_refuses_hands_over_to_the_next_and_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = _Refusing({TENSORRT, CUDA})
    monkeypatch.setattr(sessions, "onnxruntime", runtime)
    session, degraded = sessions.open_session(models.bright_rectangle(), "tiny.onnx", Provider.TENSORRT)
    assert runtime.asked == [[TENSORRT, CUDA, CPU], [CUDA, CPU], [CPU]]
    assert session.get_providers() == [CPU]
    assert degraded == (
        "V306 tiny.onnx requires tensorrt; this ONNX Runtime runs it with CPU "
        "(TensorrtExecutionProvider: CUDA failure 2: out of memory)."
    )
    assert capsys.readouterr().out == "", "the library's own way out prints"


def test_a_file_that_no_provider_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "onnxruntime", _Refusing(set()))
    with pytest.raises(ModelError, match="V302"):
        sessions.open_session(b"nonsense", "tiny.onnx", Provider.TENSORRT)


def test_onnx_runtime_itself_knows_the_options() -> None:
    """Where this ONNX Runtime has a provider, it reads its options; others are refused by name."""
    there = [name for name in (TENSORRT, CUDA) if name in onnxruntime.get_available_providers()]
    if not there:
        pytest.skip("this ONNX Runtime has no provider for graphics processors")
    for name in there:
        options = provider_options(name, Accelerator(0, 1 << 30, 1 << 30, Precision.FLOAT16, Path("/tmp")))
        onnxruntime.SessionOptions().add_provider(name, options)


def test_a_detector_takes_the_manifests_precision() -> None:
    model = Model(family=ModelFamily.YOLOX, file="tiny.onnx", require=Provider.TENSORRT, precision=Precision.INT8)
    with pytest.raises(ModelError, match="V303"):
        OnnxDetector(models.bright_rectangle(), model)
