"""The model gate: a file is read once, looked through, and tried in a process of its own before it is used.

What passes: the bytes that were digested, looked through and tried are the bytes that are loaded. Nothing here
imports ONNX Runtime or NumPy, so a caller can start the gate and load them while the canary runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from vedette.adapters.engines.onnxfile import GraphLimits, check_graph
from vedette.adapters.starved import waited_s
from vedette.contracts.errors import ERROR_CODES, ModelError
from vedette.contracts.manifest import Model

#: Arguments after the interpreter that run the canary: no current directory and no user's packages on its path, and no
#: byte code written (the limit on written files would leave it cut off for everyone).
_CANARY: Final = ("-s", "-P", "-B", "-m", "vedette.adapters.engines.canary")
_ANSWER_LIMIT_BYTES: Final = 16 << 10


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What a model may cost before anyone trusts it.

    Attributes:
        file_bytes: largest file.
        seconds: time and processor time the canary has, its start included; time for which it waits for a processor
            does not count.
        memory_bytes: address space of the canary, at least; more for a large file.
        graph: what the file may be made of.
    """

    file_bytes: int = 512 << 20
    seconds: float = 10.0
    memory_bytes: int = 2 << 30
    graph: GraphLimits = field(default_factory=GraphLimits)


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the canary found.

    Attributes:
        input_size: (width, height) of the model's input.
        run_s: seconds one run took on the processor, the second one.
        nodes: operators of the model.
    """

    input_size: tuple[int, int]
    run_s: float
    nodes: int


def read_model(file: Path, model: Model, limits: GateLimits | None = None) -> bytes:
    """The bytes of a model file, if they are those the manifest pins.

    Args:
        file: the file.
        model: for ``sha256``.
        limits: for the largest size.

    Raises:
        ModelError: V301, there is no such file or it cannot be read; V302, too large or empty; V305, another digest.
    """
    limit = (limits or GateLimits()).file_bytes
    try:
        # Not blocking: opening a named pipe would wait for ever.
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise ModelError(f"{file} is not a file.", hint="Name the .onnx file itself.", code="V301")
            data = source.read(limit + 1)
    except OSError as error:
        raise ModelError(
            f"{file} cannot be read: {error.strerror}.",
            hint="Bring the model with `vedette model add`, or correct `file` in the manifest.",
            code="V301",
        ) from error
    if not data:
        raise ModelError(f"{file} is empty.", hint="Copy it again and compare its SHA-256.", code="V302")
    if len(data) > limit:
        raise ModelError(
            f"{file} is larger than the {limit >> 20} MB allowed.", hint="Use a smaller model.", code="V302"
        )
    check_digest(data, model, str(file))
    return data


def check_digest(data: bytes, model: Model, name: str) -> None:
    """Refuse bytes that are not those the manifest pins.

    Raises:
        ModelError: V305.
    """
    if model.sha256 is None:
        return
    found = hashlib.sha256(data).hexdigest()
    if found != model.sha256:
        raise ModelError(
            f"{name} has the SHA-256 {found}; the manifest pins {model.sha256}.",
            hint="Bring the model again with `vedette model add`; if the change is meant, pin the new digest.",
            code="V305",
        )


class Gate:
    """One model on trial. ``start`` returns while the canary works; ``result`` waits for its answer.

    Args:
        data: the whole file.
        model: what the manifest says of it.
        limits: what it may cost.
    """

    def __init__(self, data: bytes, model: Model, limits: GateLimits | None = None) -> None:
        self._data = data
        self._model = model
        self._limits = limits or GateLimits()
        self._nodes = 0
        self._deadline_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._answer = -1

    def start(self) -> Self:
        """Look through the file, then start the canary.

        Raises:
            ModelError: V302, the file holds what is not allowed.
        """
        self._nodes = check_graph(self._data, self._model.file, self._limits.graph)
        header = {
            "model": self._model.model_dump(mode="json"),
            "memory_bytes": memory_bytes(self._data, self._limits),
            "cpu_s": int(self._limits.seconds) + 1,
        }
        question = os.memfd_create("vedette-canary-question", os.MFD_CLOEXEC)
        try:
            self._answer = os.memfd_create("vedette-canary-answer", os.MFD_CLOEXEC)
            _write_all(question, json.dumps(header).encode() + b"\n")
            _write_all(question, self._data)
            os.lseek(question, 0, os.SEEK_SET)
            self._deadline_s = time.monotonic() + self._limits.seconds
            self._process = subprocess.Popen(
                [sys.executable, *_CANARY],
                stdin=question,
                stdout=self._answer,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(question)
        return self

    def result(self) -> GateReport:
        """Wait for the canary.

        Raises:
            ModelError: V302, it crashed, took too long or too much memory; V303 or V304, what it found.
        """
        if self._process is None:
            raise RuntimeError("the gate was not started")
        try:
            code = self._ended(self._process)
            answer = os.pread(self._answer, _ANSWER_LIMIT_BYTES, 0)
        except subprocess.TimeoutExpired:
            raise self._refused(
                f"did not finish a trial run within {self._limits.seconds:g} s",
                "It may hold a loop without end; use a smaller or repaired model.",
            ) from None
        finally:
            self.close()
        return self._judge(code, answer)

    def _ended(self, process: subprocess.Popen[bytes]) -> int:
        """How it ended; it is given longer where the machine gives it no processor."""
        while True:
            left_s = self._deadline_s + waited_s(process.pid) - time.monotonic()
            try:
                return process.wait(max(0.0, left_s))
            except subprocess.TimeoutExpired:
                if left_s <= 0:
                    raise

    def close(self) -> None:
        """End the canary if it still runs; idempotent."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._answer >= 0:
            os.close(self._answer)
            self._answer = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _judge(self, code: int, answer: bytes) -> GateReport:
        """What the canary's exit and words mean; it ran a hostile file, so its words are checked."""
        try:
            document: dict[str, Any] = json.loads(answer)
            if document["ok"] is True:
                width, height = document["size"]
                return GateReport((int(width), int(height)), float(document["run_s"]), self._nodes)
            if document["code"] in ERROR_CODES:
                raise ModelError(str(document["message"]), hint=str(document["hint"]), code=str(document["code"]))
        except (ValueError, KeyError, TypeError):
            pass
        if code == -signal.SIGXCPU or (code == -signal.SIGKILL and time.monotonic() >= self._deadline_s):
            raise self._refused(f"used more than {self._limits.seconds:g} s of processor time", "Use a smaller model.")
        if code < 0:
            raise self._refused(
                f"crashed the trial process ({signal.Signals(-code).name})", "Export it again; do not trust this file."
            )
        raise self._refused(
            f"ended the trial process without an answer (exit code {code})",
            "It may need more memory than allowed; `vedette doctor` shows whether ONNX Runtime works here.",
        )

    def _refused(self, what: str, hint: str) -> ModelError:
        return ModelError(f"{self._model.file} {what}.", hint=hint, code="V302")


def memory_bytes(data: bytes, limits: GateLimits | None = None) -> int:
    """Memory that a model may take: at its trial, and whenever it runs on the processor."""
    return max((limits or GateLimits()).memory_bytes, (1 << 30) + 6 * len(data))


def check_model(data: bytes, model: Model, limits: GateLimits | None = None) -> GateReport:
    """The whole gate for one model.

    Raises:
        ModelError: V302 to V304, why it is refused.
    """
    with Gate(data, model, limits).start() as gate:
        return gate.result()


def python_path() -> str:
    """Where packages lie for this process, as a child in another directory has to be told."""
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry and not entry.endswith(".zip"))


def _environment() -> dict[str, str]:
    """What the canary gets to know: where packages lie, and how to stay small. No tokens, no home."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "PYTHONPATH": python_path(), "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"}


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
