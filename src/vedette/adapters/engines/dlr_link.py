"""The worker's process as the engine sees it: started, asked, given up when it does not answer."""

from __future__ import annotations

import importlib.util
import json
import mmap
import os
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.errors import ModelError

#: Longest time to load a model: TensorRT makes its engine then, which takes minutes on a small device.
OPEN_LIMIT_S: Final = 600.0
#: Longest time of one run.
RUN_LIMIT_S: Final = 10.0
_MAX_MESSAGE: Final = 1 << 20
_ALIGN: Final = 64
#: Types that a worker may answer with.
_DTYPES: Final = frozenset({"float32", "float64", "float16", "int32", "int64", "int8", "uint8", "bool"})
_MAX_TENSOR_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output: name, shape, NumPy's name of its type."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


class DlrProcess:
    """One worker, from start to end. Used by one thread at a time.

    Args:
        interpreter: Python that has the DLR runtime.
        directory: what Neo made, unpacked.
        device: ``cpu`` or ``gpu``.
        inputs: what the model takes.
        name: what to call the model in messages.
        run_limit_s: longest time of one run.
        open_limit_s: longest time to load.

    Attributes:
        outputs: what the model gives.

    Raises:
        ModelError: V302, it cannot be started or loaded, or does not answer as it should.
    """

    def __init__(
        self,
        interpreter: str,
        directory: Path,
        device: str,
        inputs: Sequence[Tensor],
        name: str,
        *,
        run_limit_s: float = RUN_LIMIT_S,
        open_limit_s: float = OPEN_LIMIT_S,
    ) -> None:
        self._name, self._inputs, self._run_limit_s = name, tuple(inputs), run_limit_s
        self._number = 0
        self._memory: mmap.mmap | None = None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket = ours
        command = [interpreter, "-s", str(worker_program()), "--socket", str(theirs.fileno())]
        command += ["--model", str(directory), "--device", device]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
            )
        except OSError as error:
            ours.close()
            raise ModelError(
                f"{name}: the interpreter of the DLR worker, {interpreter}, cannot be started: {error.strerror}.",
                hint="Set `dlrPython` of vedette.Inference.",
                code="V302",
            ) from error
        finally:
            theirs.close()
        try:
            self._open(open_limit_s)
        except ModelError:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs of one run, copies.

        Raises:
            ModelError: V302, the run failed, the worker ended or does not answer: this object is of no use any more,
                unless the runtime itself refused the run.
        """
        for tensor in self._inputs:
            np.copyto(self._views[tensor.name], feeds[tensor.name], casting="same_kind")
        self._number += 1
        answer = self._ask({"op": "run", "id": self._number}, self._run_limit_s)
        if answer.get("id") != self._number:
            raise self._broken(f"answered run {answer.get('id')!r}, not {self._number}")
        return [np.array(view) for view in self._results]

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _open(self, limit_s: float) -> None:
        said = {t.name: {"shape": list(t.shape), "dtype": t.dtype} for t in self._inputs}
        answer = self._ask({"op": "open", "inputs": said}, limit_s)
        try:
            self.outputs = tuple(_tensor(entry) for entry in answer["outputs"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._broken(f"described its outputs in a way that is not understood: {error}") from error
        offsets, size = [], 0
        for tensor in (*self._inputs, *self.outputs):
            offsets.append(size)
            size += -(-tensor.nbytes // _ALIGN) * _ALIGN
        descriptor = os.memfd_create("vedette-tensors", os.MFD_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            memory = self._memory = mmap.mmap(descriptor, size)
            count = len(self._inputs)
            places = {t.name: at for t, at in zip(self._inputs, offsets[:count], strict=True)}
            question = {"op": "memory", "size": size, "inputs": places, "outputs": offsets[count:]}
            self._ask(question, self._run_limit_s, descriptor)
        finally:
            os.close(descriptor)
        views = [_view(memory, t, at) for t, at in zip((*self._inputs, *self.outputs), offsets, strict=True)]
        self._views = dict(zip((t.name for t in self._inputs), views[:count], strict=True))
        self._results = views[count:]

    def _ask(self, question: dict[str, Any], limit_s: float, descriptor: int | None = None) -> dict[str, Any]:
        body = json.dumps(question).encode()
        deadline_s = time.monotonic() + limit_s
        try:
            self._socket.settimeout(limit_s)
            message = struct.pack(">I", len(body)) + body
            if descriptor is None:
                self._socket.sendall(message)
            else:
                socket.send_fds(self._socket, [message], [descriptor])
            (size,) = struct.unpack(">I", self._exactly(4, deadline_s))
            if size > _MAX_MESSAGE:
                raise self._broken(f"answered with {size} bytes")
            answer = json.loads(self._exactly(size, deadline_s))
        except TimeoutError:
            raise self._broken(f"did not answer within {limit_s:g} s") from None
        except OSError as error:
            raise self._broken(f"cannot be asked: {error.strerror}") from error
        except ValueError as error:
            raise self._broken(f"answered what is not understood: {error}") from error
        if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
            raise self._broken("answered what is not understood")
        if not answer["ok"]:
            raise ModelError(
                f"{self._name}: the DLR runtime refused: {answer.get('error')}", hint="Check the model.", code="V302"
            )
        return answer

    def _exactly(self, size: int, deadline_s: float) -> bytes:
        found = bytearray()
        while len(found) < size:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            chunk = self._socket.recv(size - len(found))
            if not chunk:
                raise self._broken("ended")
            found += chunk
        return bytes(found)

    def _broken(self, what: str) -> ModelError:
        self.close()
        return WorkerLostError(f"{self._name}: its DLR worker {what}.", hint="It is started again.", code="V302")


class WorkerLostError(ModelError):
    """The worker is gone, or as good as gone; another one may do better."""


def worker_program() -> Path:
    """Where the worker's program is.

    Raises:
        ModelError: V302, it was left out of the installation.
    """
    found = importlib.util.find_spec("dlr_worker")
    if found is None or found.origin is None:
        raise ModelError("the program dlr_worker is not installed.", hint="Install vedette again.", code="V302")
    return Path(found.origin).with_name("worker.py")


def _tensor(entry: Mapping[str, Any]) -> Tensor:
    shape = tuple(int(side) for side in entry["shape"])
    if entry["dtype"] not in _DTYPES or any(side < 0 for side in shape):
        raise ValueError(f"{entry['dtype']} {list(shape)}")
    tensor = Tensor(str(entry["name"]), shape, str(entry["dtype"]))
    if tensor.nbytes > _MAX_TENSOR_BYTES:
        raise ValueError(f"an output of {tensor.nbytes} bytes")
    return tensor


def _view(memory: mmap.mmap, tensor: Tensor, offset: int) -> NDArray[Any]:
    count = tensor.nbytes // np.dtype(tensor.dtype).itemsize
    return np.frombuffer(memory, tensor.dtype, count, offset).reshape(tensor.shape)


def _environment() -> dict[str, str]:
    """What the runtime needs to find its libraries; nothing of this interpreter's own packages."""
    kept = ("PATH", "LD_LIBRARY_PATH", "HOME", "CUDA_VISIBLE_DEVICES")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, "LANG": "C.UTF-8"}
