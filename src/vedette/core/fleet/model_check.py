"""Whether a model file is what its description says."""

from __future__ import annotations

from collections.abc import Iterable

from vedette.contracts.errors import CloudError
from vedette.contracts.model_card import CARD_NAME, Framework, ModelCard
from vedette.core.fleet.onnx_header import OnnxHeader, OnnxTensor, read_onnx_header

_HINT = f"Correct {CARD_NAME}; vedette model inspect prints one that fits the file."


def check_model_file(card: ModelCard, data: memoryview, sha256: str) -> ModelCard:
    """Compare, and fill in what the file says of itself.

    Args:
        card: the description.
        data: the whole file.
        sha256: its digest.

    Returns:
        The description with digest and, of an ONNX file, operator set.

    Raises:
        CloudError: V005, they differ; V006, the file is not of this framework.
    """
    if card.sha256 is not None and card.sha256 != sha256:
        raise CloudError(
            f"{card.file} has the SHA-256 {sha256}; {CARD_NAME} pins {card.sha256}.",
            hint="Upload the file that was meant, or pin the new digest.",
            code="V005",
        )
    if card.framework is not Framework.ONNX:
        return card.model_copy(update={"sha256": sha256})
    header = read_onnx_header(data, card.file)
    mistakes = list(_differences(card, header))
    if mistakes:
        raise CloudError(f"{CARD_NAME} does not fit {card.file}: {'; '.join(mistakes)}.", hint=_HINT, code="V005")
    return card.model_copy(update={"sha256": sha256, "opset": header.opset})


def _differences(card: ModelCard, header: OnnxHeader) -> Iterable[str]:
    if card.opset is not None and card.opset != header.opset:
        yield f"`opset` is {card.opset}, the file's {header.opset}"
    there = {tensor.name: tensor for tensor in header.inputs}
    for name in card.inputs:
        if name not in there:
            yield f"the file has no input {name!r}; it has {', '.join(there)}"
    for name, tensor in there.items():
        if name not in card.inputs:
            yield f"`inputs` lacks {name!r}"
        else:
            yield from _tensor_differences(card, name, tensor)


def _tensor_differences(card: ModelCard, name: str, tensor: OnnxTensor) -> Iterable[str]:
    said = card.inputs[name]
    if said.dtype.value != tensor.dtype:
        yield f"`inputs.{name}.dtype` is {said.dtype.value}, the file's {tensor.dtype}"
    fits = len(said.shape) == len(tensor.shape) and all(
        theirs is None or ours == theirs for ours, theirs in zip(said.shape, tensor.shape, strict=True)
    )
    if not fits:
        shape = [side if side is not None else "any" for side in tensor.shape]
        yield f"`inputs.{name}.shape` is {list(said.shape)}, the file's {shape}"
