"""A model on this machine with its description: ``model.yaml`` and the file beside it."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vedette.adapters.models.catalogue import recognise
from vedette.contracts.errors import CloudError, ModelError
from vedette.contracts.model_card import (
    CARD_NAME,
    MAX_CARD_MODEL_BYTES,
    Framework,
    InputTensor,
    Layout,
    ModelCard,
    Target,
    TensorType,
)
from vedette.core.fleet.family_guess import Guess, guess_family
from vedette.core.fleet.model_check import check_model_file
from vedette.core.fleet.model_yaml import parse_model_card
from vedette.core.fleet.onnx_header import OnnxHeader, read_onnx_header

#: Suffix → what wrote the file.
FRAMEWORKS: Final = {
    ".onnx": Framework.ONNX,
    ".pth": Framework.PYTORCH,
    ".pt": Framework.PYTORCH,
    ".pb": Framework.TENSORFLOW,
    ".tflite": Framework.TFLITE,
    ".params": Framework.MXNET,
    ".h5": Framework.KERAS,
    ".weights": Framework.DARKNET,
}
#: Targets of a description that was made here: those that run every ONNX model.
_USUAL_TARGETS: Final = (Target.X86_64, Target.ARM64, Target.JETSON_ORIN)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What can be told of a model file alone.

    Attributes:
        path: of the file.
        size: bytes.
        sha256: digest.
        framework: by its suffix; None where it is unknown.
        header: of an ONNX file.
        guess: its family.
    """

    path: Path
    size: int
    sha256: str
    framework: Framework | None
    header: OnnxHeader | None
    guess: Guess


def model_file(path: Path) -> ModelFile:
    """Read a model file.

    Raises:
        ModelError: V301, it is not there, empty or cannot be read.
        CloudError: V006, an ONNX file that is none.
    """
    with _mapped(path) as view:
        sha256 = hashlib.sha256(view).hexdigest()
        framework = FRAMEWORKS.get(path.suffix.lower())
        header = read_onnx_header(view, path.name) if framework is Framework.ONNX else None
        size = len(view)
    return ModelFile(path, size, sha256, framework, header, guess_family(header) if header else Guess(None))


def find_card(path: Path) -> Path | None:
    """The ``model.yaml`` of a directory, or beside a file; None where there is none."""
    card = (path if path.is_dir() else path.parent) / CARD_NAME
    return card if card.is_file() else None


def described_model(path: Path) -> tuple[ModelCard, Path]:
    """The description of a directory or file, checked against the file, and where the file is.

    Raises:
        CloudError: V005, mistakes or no description; V006, the file is not what it should be.
        ModelError: V301, the file is missing or cannot be read.
    """
    if not path.exists():  # a description beside it would be of another file
        raise ModelError(f"{path}: no such file or directory.", hint="Give a model file or its directory.", code="V301")
    where = find_card(path)
    if where is None:
        raise CloudError(
            f"there is no {CARD_NAME} in {path if path.is_dir() else path.parent}.",
            hint=f"Type: vedette model inspect {path} --write",
            code="V005",
        )
    card = parse_model_card(where.read_bytes(), str(where))
    file = where.with_name(card.file)
    if path.is_file() and path.name not in (card.file, CARD_NAME):
        raise CloudError(f"{where} describes {card.file}, not {path.name}.", hint="Correct `file`.", code="V005")
    with _mapped(file) as view:
        if len(view) > MAX_CARD_MODEL_BYTES:
            raise CloudError(
                f"{file} has {len(view) / 1e6:.0f} MB; at most {MAX_CARD_MODEL_BYTES / 1e6:.0f} MB are taken.",
                code="V006",
            )
        return check_model_file(card, view, hashlib.sha256(view).hexdigest()), file


def card_for(found: ModelFile, name: str, version: str) -> ModelCard | None:
    """A description that fits an ONNX file; None where the file does not tell enough.

    Raises:
        pydantic.ValidationError: name or version are not allowed.
    """
    if found.header is None or found.guess.family is None:
        return None
    known = recognise(found.sha256)
    inputs = {}
    for tensor in found.header.inputs:
        if tensor.dtype not in TensorType._value2member_map_ or not tensor.shape:
            return None
        shape = tuple(side if side is not None else 1 for side in tensor.shape)
        layout = (
            Layout.NCHW
            if len(shape) == 4 and shape[1] in (1, 3, 4)
            else Layout.NHWC
            if len(shape) == 4
            else Layout.OTHER
        )
        inputs[tensor.name] = InputTensor(shape=shape, layout=layout, dtype=TensorType(tensor.dtype))
    return ModelCard.model_validate(
        {
            "api": "vedette-model/v1",
            "name": name,
            "version": version,
            "framework": Framework.ONNX,
            "opset": found.header.opset,
            "family": found.guess.family,
            "file": found.path.name,
            "sha256": found.sha256,
            "inputs": inputs,
            "labels": found.guess.labels,
            "targets": _USUAL_TARGETS,
            "licence": known.licence if known is not None else "unknown",
        }
    )


@contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            view = memoryview(mapped)
            try:
                yield view
            finally:
                view.release()
    except ValueError as error:
        raise ModelError(f"{path} is empty.", hint="Copy it again.", code="V301") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.", code="V301") from error
