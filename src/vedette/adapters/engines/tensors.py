"""Models that an application's own code runs: arrays in, arrays out, nothing prepared and nothing decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.engines.accelerators import Accelerator
from vedette.adapters.engines.families import Signature, TensorInfo
from vedette.adapters.engines.session import first_line, open_session, out_of_memory, signature_of
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model, TensorInput

#: ONNX Runtime's names of types → NumPy's.
_TYPES: Final = {
    "tensor(bool)": "bool",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    **{f"tensor({kind}{bits})": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}
#: Numbers of a made-up input at most; what declares more is no input of a picture.
MAX_NUMBERS: Final = 1 << 28


class TensorModel:
    """A loaded model with the inputs that the manifest declares. Safe to call from several threads.

    Half precision stays inside: code gives and gets float32 where the manifest says float32 and the model takes
    float16, as on an appliance that was told ``FP16``.

    Args:
        session: has ``run(None, {name: array})``, which gives the outputs; safe to call from several threads.
        signature: its inputs and outputs.
        model: what the manifest says of it.
        degraded: why it does not run where the manifest requires; empty where it does.

    Attributes:
        inputs: as declared.
        degraded: see above.

    Raises:
        ModelError: V303, the model does not have these inputs.
    """

    def __init__(self, session: Any, signature: Signature, model: Model, degraded: str = "") -> None:
        self._session = session
        self._model = model
        self.degraded = degraded
        self.inputs = model.tensors
        self._tensors = _matched(model, signature)
        for output in signature.outputs:
            if output.dtype not in _TYPES:
                raise _mismatch(model, f"its output {output} holds no numbers", "Export it with arrays as outputs.")

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[NDArray[np.generic], ...]:
        """All outputs, in the model's order.

        Args:
            inputs: declared name → array; the only one may go without a name. A leading axis of length 1 may be
                missing. They are copied first, so that nobody changes them during the run.

        Raises:
            ValueError: an input is missing, unknown, or of another shape or type.
            ModelError: V302, the run failed.
        """
        given = self._named(inputs)
        feeds = {
            tensor.name: _fitted(declared, tensor, given[declared.name])
            for declared, tensor in zip(self.inputs, self._tensors, strict=True)
        }
        try:
            outputs = self._session.run(None, feeds)
        except Exception as error:  # the library raises a class per failure, none of them documented
            if out_of_memory(error):
                raise MemoryError from error
            raise ModelError(
                f"{self._model.file} failed when it ran: {first_line(error)}.",
                hint="Check that the code gives what the model was made for.",
                code="V302",
            ) from error
        return tuple(
            output.astype(np.float32) if output.dtype == np.float16 and self._single else output for output in outputs
        )

    @property
    def _single(self) -> bool:
        return any(entry.type == "float32" for entry in self.inputs)

    def _named(self, inputs: Mapping[str, NDArray[np.generic]]) -> Mapping[str, NDArray[np.generic]]:
        names = [entry.name for entry in self.inputs]
        if "" in inputs:
            if len(inputs) > 1 or len(names) > 1:
                raise ValueError(f"the model has the inputs {', '.join(names)}; give a dict of name and array")
            return {names[0]: inputs[""]}
        unknown, missing = sorted(set(inputs) - set(names)), [name for name in names if name not in inputs]
        if unknown:
            raise ValueError(f"the model has no input {unknown[0]!r}; it has {', '.join(names)}")
        if missing:
            raise ValueError(f"the input {missing[0]!r} is missing; the model has {', '.join(names)}")
        return inputs


def load_tensors(data: bytes, model: Model) -> TensorModel:
    """Load a model that has passed the gate.

    Raises:
        ModelError: V302, cannot be loaded; V303, it does not have the inputs that the manifest declares.
    """
    session, degraded = open_session(data, model.file, model.require, Accelerator(precision=model.precision))
    return TensorModel(session, signature_of(session), model, degraded)


def made_up(model: Model, generator: np.random.Generator | None = None) -> dict[str, NDArray[np.generic]]:
    """Inputs of the declared shapes and types, zeros or noise.

    Raises:
        ModelError: V303, they would be too large.
    """
    made: dict[str, NDArray[np.generic]] = {}
    for entry in model.tensors:
        if np.prod([float(side) for side in entry.shape]) > MAX_NUMBERS:
            raise _mismatch(model, f"the input {entry.name} {list(entry.shape)} is too large", "Correct its `shape`.")
        dtype = np.dtype(entry.type.value)
        if generator is None:
            made[entry.name] = np.zeros(entry.shape, dtype)
        elif dtype.kind == "f":
            made[entry.name] = generator.random(entry.shape, np.float32).astype(dtype)
        else:
            # Bytes are pictures; other whole numbers may be positions, of which there may be few.
            made[entry.name] = generator.integers(0, 256 if dtype == np.uint8 else 2, entry.shape).astype(dtype)
    return made


def _matched(model: Model, signature: Signature) -> Sequence[TensorInfo]:
    """The model's own input of each declared one, in their order."""
    known = {tensor.name: tensor for tensor in signature.inputs}
    there = f"it has {', '.join(map(str, signature.inputs))}"
    found = []
    for entry in model.tensors:
        name = entry.tensor or entry.name
        tensor = known.pop(name, None)
        if tensor is None:
            raise _mismatch(model, f"it has no input {name!r}; {there}", "Name the model's own input with `tensor`.")
        if not _same_shape(entry, tensor):
            raise _mismatch(
                model,
                f"the manifest declares the input {entry.name} {list(entry.shape)}; {there}",
                "Correct `shape`, or export the model for this shape.",
            )
        if entry.type.value != _TYPES.get(tensor.dtype) and (entry.type, tensor.dtype) != _HALF:
            raise _mismatch(
                model,
                f"the manifest declares the input {entry.name} as {entry.type.value}; {there}",
                "Correct `type`, or export the model for this type.",
            )
        found.append(tensor)
    if known:
        raise _mismatch(model, f"the manifest does not declare its input {next(iter(known.values()))}", "Add it.")
    return found


_HALF: Final = ("float32", "tensor(float16)")


def _same_shape(entry: TensorInput, tensor: TensorInfo) -> bool:
    """Whether the model takes the declared shape; leading axes of length 1 count as there or not."""
    shape = entry.shape
    if len(shape) > len(tensor.shape):
        extra = len(shape) - len(tensor.shape)
        if any(side != 1 for side in shape[:extra]):
            return False
        shape = shape[extra:]
    shape = (1,) * (len(tensor.shape) - len(shape)) + shape
    return all(own is None or own == side for own, side in zip(tensor.shape, shape, strict=True))


def _fitted(declared: TensorInput, tensor: TensorInfo, array: NDArray[np.generic]) -> NDArray[np.generic]:
    """A copy of what the code gave, as the model takes it.

    Numbers of another size or of a narrower kind are converted, as the appliance's runtime did (DLR makes an array of
    the model's own type of whatever it is given): NumPy makes float64 of float32 easily.
    """
    wanted = declared.shape
    if _without_ones(array.shape) != _without_ones(wanted) or array.ndim > max(len(wanted), len(tensor.shape)):
        raise ValueError(
            f"the input {declared.name!r} has the shape {list(array.shape)}; the model takes {list(wanted)}"
        )
    if not np.can_cast(array.dtype, np.dtype(declared.type.value), "same_kind"):
        raise ValueError(
            f"the input {declared.name!r} is {array.dtype.name}; the model takes {declared.type.value} "
            f"(use `.astype(np.{declared.type.value})`)"
        )
    shape = (1,) * (len(tensor.shape) - len(_without_ones(wanted))) + _without_ones(wanted)
    return np.array(array, dtype=_TYPES[tensor.dtype], order="C").reshape(shape)


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without its leading axes of length 1."""
    first = next((index for index, side in enumerate(shape) if side != 1), len(shape))
    return tuple(shape[first:])


def _mismatch(model: Model, text: str, hint: str) -> ModelError:
    return ModelError(f"{model.file}: {text}.", hint=hint, code="V303")
