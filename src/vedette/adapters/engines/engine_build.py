"""Engines of TensorRT are built in a process of their own, while the model runs somewhere else.

Building takes minutes and much memory, and what it runs may crash: none of this is to hold up pictures.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from vedette.adapters.engines.accelerators import TENSORRT, Accelerator
from vedette.adapters.engines.engine_cache import EngineCache, EngineKey, device_marks, tensorrt_version
from vedette.adapters.engines.gate import python_path
from vedette.contracts.manifest import Model, Provider

#: The slowest boards take a quarter of an hour for models of this kind; after twice that nothing comes any more.
BUILD_LIMIT_S: Final = 1800.0
_BUILDER: Final = (sys.executable, "-s", "-P", "-m", "vedette.adapters.engines.engine_builder")
_ANSWER_LIMIT_BYTES: Final = 16 << 10


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """How a model is to be loaded now.

    Attributes:
        require: where it can run at once.
        accelerator: with the directory of its engine, where there is one.
        build: what makes the engine, not started yet; None where there is nothing to build.
    """

    require: Provider
    accelerator: Accelerator
    build: EngineBuild | None = None


class EngineBuild:
    """One engine that is being built.

    Args:
        data: the whole model; has passed the gate.
        model: what the manifest says of it.
        accelerator: limits.
        folder: of all engines.
        key: of this one.
        monotonic: clock of the limit.
    """

    def __init__(
        self,
        data: bytes,
        model: Model,
        accelerator: Accelerator,
        folder: Path,
        key: EngineKey,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data = data
        self._header: dict[str, Any] = {
            "model": model.model_dump(mode="json"),
            "key": {name: getattr(key, name) for name in EngineKey.__dataclass_fields__},
            "memory_bytes": accelerator.memory_bytes,
            "folder": str(folder),
        }
        self._monotonic = monotonic
        self._process: subprocess.Popen[bytes] | None = None
        self._answer = self._life = -1
        self._until_s = 0.0

    def start(self) -> None:
        """Start the process; it ends when this one does."""
        question = os.memfd_create("vedette-engine-question", os.MFD_CLOEXEC)
        theirs, self._life = os.pipe2(os.O_CLOEXEC)
        try:
            self._answer = os.memfd_create("vedette-engine-answer", os.MFD_CLOEXEC)
            with os.fdopen(os.dup(question), "wb") as writer:
                writer.write(json.dumps(self._header | {"life": theirs}).encode() + b"\n" + self._data)
            os.lseek(question, 0, os.SEEK_SET)
            self._until_s = self._monotonic() + BUILD_LIMIT_S
            self._process = subprocess.Popen(
                _BUILDER,
                stdin=question,
                stdout=self._answer,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs,),
                env={**os.environ, "PYTHONPATH": python_path()},
                cwd="/",
                start_new_session=True,
            )
            self._data = b""
        finally:
            os.close(question)
            os.close(theirs)

    def poll(self) -> str | None:
        """None while it builds; empty where the engine is whole; else why there is none."""
        assert self._process is not None, "not started"
        code = self._process.poll()
        if code is None:
            if self._monotonic() < self._until_s:
                return None
            self.close()
            return f"TensorRT built for more than {BUILD_LIMIT_S / 60:g} minutes"
        with contextlib.suppress(ValueError, KeyError, OSError):
            return str(json.loads(os.pread(self._answer, _ANSWER_LIMIT_BYTES, 0))["why"])
        return f"the process that builds the engine ended ({signal.Signals(-code).name if code < 0 else code})"

    def close(self) -> None:
        """End the process if it still runs; idempotent. What is half built is removed by the next build."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for descriptor in (self._answer, self._life):
            if descriptor >= 0:
                os.close(descriptor)
        self._answer = self._life = -1


def plan_engine(data: bytes, model: Model, accelerator: Accelerator, folder: Path) -> EnginePlan:
    """Whether TensorRT can run a model at once, and what else until it can.

    Args:
        data: the whole model.
        model: what the manifest says of it.
        accelerator: limits and precision.
        folder: of all engines.
    """
    from vedette.adapters.engines.session import available_providers  # loads ONNX Runtime

    if model.require is not Provider.TENSORRT or TENSORRT not in available_providers():
        return EnginePlan(model.require, accelerator)
    key = EngineKey(
        hashlib.sha256(data).hexdigest(),
        model.precision,
        accelerator.workspace_bytes,
        _runtime_version(),
        tensorrt_version(),
        accelerator.gpu,
        device_marks(),
    )
    cache = EngineCache(folder)
    if cache.whole(key):
        return EnginePlan(Provider.TENSORRT, replace(accelerator, engines=cache.place(key)))
    return EnginePlan(Provider.CUDA, accelerator, EngineBuild(data, model, accelerator, folder, key))


def _runtime_version() -> str:
    """Of whichever wheel of ONNX Runtime is installed, without importing it."""
    from importlib import metadata  # loads a mail parser

    for name in ("onnxruntime-gpu", "onnxruntime"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return f"{name} {metadata.version(name)}"
    return ""
