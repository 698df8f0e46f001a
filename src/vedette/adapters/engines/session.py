"""Opens an ONNX Runtime session the way this project wants it: from bytes, one thread per run, small."""

from __future__ import annotations

import logging
from typing import Any, Final

import onnxruntime

from vedette.adapters.engines.accelerators import CPU, PROVIDERS, Accelerator, check_precision, provider_options
from vedette.adapters.engines.families import Signature, TensorInfo
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Provider

logger = logging.getLogger(__name__)

_ERROR_TEXT_LIMIT: Final = 300


def available_providers() -> tuple[str, ...]:
    """Execution providers that this ONNX Runtime was built with; whether they load is another matter."""
    return tuple(onnxruntime.get_available_providers())


def open_session(data: bytes, name: str, require: Provider, accelerator: Accelerator | None = None) -> tuple[Any, str]:
    """A session, and why it does not run where it was asked to (empty where it does).

    One intra-op thread: for these models two take twice the processor time for the same run; cameras are served in
    parallel by runs side by side instead. Measured on YOLOX-nano and DEIMv2-femto: without memory patterns a session
    takes 5 to 8 MB less and no time more; without the arena, runs side by side take 60 MB more.

    Where a provider refuses (a wrong driver, too little memory of the device), the next one is tried with its own
    options. The library's own way would drop every option, and print.

    Args:
        data: the whole model; never a path, because then the library would follow references to other files.
        name: what to call it in messages.
        require: where it has to run.
        accelerator: what it may take of a graphics processor.

    Raises:
        ModelError: V302, the library refuses it; V303, it has not the numbers that ``precision`` names.
        MemoryError: loading it takes more memory than there is.
    """
    accelerator = accelerator or Accelerator()
    check_precision(data, name, accelerator.precision)
    there = available_providers()
    wanted = [provider for provider in PROVIDERS[require] if provider in there] or [CPU]
    why = ""
    while True:
        try:
            session = _open(data, wanted, accelerator)
            break
        except Exception as error:  # the library raises a class per failure, none of them documented
            if len(wanted) > 1:
                why = why or first_line(error)
                wanted = wanted[1:]
                continue
            if out_of_memory(error):
                raise MemoryError from error
            raise ModelError(
                f"{name} cannot be loaded: {first_line(error)}.",
                hint="Export it again, for an operator set that this ONNX Runtime knows.",
                code="V302",
            ) from error
    first = PROVIDERS[require][0]
    if first in session.get_providers():
        return session, ""
    reason = f"{first}: {why}" if why else f"{first} is not available"
    degraded = (
        f"V306 {name} requires {require.value}; this ONNX Runtime runs it with "
        f"{session.get_providers()[0].removesuffix('ExecutionProvider')} ({reason})."
    )
    logger.warning("%s", degraded)
    return session, degraded


def _open(data: bytes, wanted: list[str], accelerator: Accelerator) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    providers = [(provider, provider_options(provider, accelerator)) for provider in wanted]
    return onnxruntime.InferenceSession(data, options, providers=providers, enable_fallback=0)


def signature_of(session: Any) -> Signature:
    """Inputs and outputs of a session."""
    return Signature(
        tuple(_info(entry) for entry in session.get_inputs()), tuple(_info(entry) for entry in session.get_outputs())
    )


def first_line(error: BaseException) -> str:
    """A library's error in one line that ends without a full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    # "[ONNXRuntimeError] : 1 : FAIL : what happened" keeps what happened.
    return text.removeprefix("[ONNXRuntimeError] : ").split(" : ", 2)[-1][:_ERROR_TEXT_LIMIT].rstrip(". ")


def out_of_memory(error: BaseException) -> bool:
    """Whether a library's error says that memory ran out."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError) or "allocate memory" in text or "bad_alloc" in text or "bad allocation" in text
    )


def _info(entry: Any) -> TensorInfo:
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in entry.shape)
    return TensorInfo(entry.name, entry.type, shape)
