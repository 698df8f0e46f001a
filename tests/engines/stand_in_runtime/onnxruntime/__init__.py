# mypy: ignore-errors
"""Stands in for ONNX Runtime with TensorRT: the real one, with a provider more.

A session that asks for TensorRT runs on the processor and says it is TensorRT. Where the options name a directory for
engines and none is there, it is "built": the file named by ``VEDETTE_TEST_BUILD`` is waited for, and says how it ends
(``go``, ``crash``, ``refuse``). An engine that holds anything but ``engine`` is refused, as one of another device.
"""

import os
import signal
import sys
import time
from pathlib import Path

_HERE = str(Path(__file__).resolve().parents[1])
_path = list(sys.path)
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
del sys.modules["onnxruntime"]
import onnxruntime as _real  # noqa: E402

sys.path[:] = _path
_Session = _real.InferenceSession
_TENSORRT = "TensorrtExecutionProvider"


def _build(place):
    order = Path(os.environ["VEDETTE_TEST_BUILD"])
    while not order.exists():
        time.sleep(0.01)
    word = order.read_text()
    if word == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "refuse":
        raise RuntimeError("[ONNXRuntimeError] : 11 : EP_FAIL : no memory for any tactic")
    (place / "TensorrtExecutionProvider_1_fp16_sm87.engine").write_bytes(b"engine")


class InferenceSession(_Session):
    def __init__(self, data, options, *, providers, **keywords):
        self._first = providers[0][0]
        given = dict(providers[0][1])
        if self._first == _TENSORRT and "trt_engine_cache_path" in given:
            place = Path(given["trt_engine_cache_path"])
            if not list(place.glob("*.engine")):
                _build(place)
            if any(file.read_bytes() != b"engine" for file in place.glob("*.engine")):
                raise RuntimeError("[ONNXRuntimeError] : 11 : EP_FAIL : could not deserialize engine from cache")
        super().__init__(data, options, providers=["CPUExecutionProvider"], **keywords)

    def get_providers(self):
        return [self._first, "CPUExecutionProvider"] if self._first == _TENSORRT else super().get_providers()


_real.InferenceSession = InferenceSession
_real.get_available_providers = lambda: [_TENSORRT, "CPUExecutionProvider"]
