"""What ONNX Runtime is told of a graphics processor: memory, precision, and where TensorRT keeps what it built.

Names and values of the options are those of ONNX Runtime's documents
(https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html and
CUDA-ExecutionProvider.html). Nothing here imports ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Precision, Provider

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
TENSORRT: Final = "TensorrtExecutionProvider"
#: Execution providers to ask for, by what the manifest requires; the processor runs what others cannot.
PROVIDERS: Final[dict[Provider, tuple[str, ...]]] = {
    Provider.CPU: (CPU,),
    Provider.CUDA: (CUDA, CPU),
    Provider.TENSORRT: (TENSORRT, CUDA, CPU),
}
#: Operators that a file of 8-bit numbers has; TensorRT takes the scales from them.
_QUANTIZED: Final = b"DequantizeLinear"


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What a session may take of a graphics processor.

    Attributes:
        gpu: number of the device.
        memory_bytes: limit of the CUDA provider's memory arena of one session; 0 is none.
        workspace_bytes: memory TensorRT may try out while it builds; 0 leaves it to TensorRT.
        precision: numbers TensorRT may compute with.
        engines: directory where TensorRT finds and puts what it built; None builds anew for each session.
    """

    gpu: int = 0
    memory_bytes: int = 0
    workspace_bytes: int = 0
    precision: Precision = Precision.FLOAT32
    engines: Path | None = None


def provider_options(provider: str, accelerator: Accelerator) -> dict[str, str]:
    """Options of one execution provider, as ONNX Runtime takes them: all text.

    The arena of CUDA grows by what is asked for, not by doubling, and convolutions are chosen by cuDNN's heuristic: the
    exhaustive search, which is the default, takes seconds and much memory at the first run of each shape.
    """
    if provider == CUDA:
        options = {
            "device_id": str(accelerator.gpu),
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "HEURISTIC",
        }
        if accelerator.memory_bytes:
            options |= {"gpu_mem_limit": str(accelerator.memory_bytes), "cudnn_conv_use_max_workspace": "0"}
        return options
    if provider == TENSORRT:
        options = {
            "device_id": str(accelerator.gpu),
            "trt_fp16_enable": _flag(accelerator.precision in {Precision.FLOAT16, Precision.INT8}),
            "trt_int8_enable": _flag(accelerator.precision is Precision.INT8),
        }
        if accelerator.workspace_bytes:
            options["trt_max_workspace_size"] = str(accelerator.workspace_bytes)
        if accelerator.engines is not None:
            options |= {
                "trt_engine_cache_enable": "True",
                "trt_engine_cache_path": str(accelerator.engines),
                "trt_timing_cache_enable": "True",
                "trt_timing_cache_path": str(accelerator.engines),
            }
        return options
    return {}


def check_precision(data: bytes, name: str, precision: Precision) -> None:
    """Refuse 8-bit numbers for a file that has no scales for them: TensorRT would compute with scales of nothing.

    Args:
        data: the whole model.
        name: what to call it in messages.
        precision: what the manifest says.

    Raises:
        ModelError: V303.
    """
    if precision is Precision.INT8 and _QUANTIZED not in data:
        raise ModelError(
            f"{name} has `precision: int8` in the manifest and holds no {_QUANTIZED.decode()} operator.",
            hint="Make a calibrated copy with `vedette model optimize --precision int8`, or set float16 or float32.",
            code="V303",
        )


def _flag(value: bool) -> str:
    return "True" if value else "False"
