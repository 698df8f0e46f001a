"""Files that people take for a model by mistake."""

from __future__ import annotations

from typing import Final

from vedette.contracts.errors import ModelError

_NOT_MODELS: Final = (
    (b"version https://git-lfs", "a Git LFS pointer, not the model itself"),
    (b"<", "a web page, not a model"),
    (b"{", "JSON, not a model"),
    (b"PK\x03\x04", "a ZIP archive, not a model"),
    (b"\x1f\x8b", "a gzip archive, not a model"),
)


def refuse_what_is_no_model(start: bytes) -> None:
    """Look at the beginning of a file. Whether it is a good model, the gate decides.

    Raises:
        ModelError: V302, it is something else; what, stands in the message.
    """
    for prefix, what in _NOT_MODELS:
        if start.lstrip().startswith(prefix) and (prefix != b"<" or b"<html" in start[:2000].lower()):
            raise ModelError(f"the file is {what}.", hint="Fetch the ONNX file itself.", code="V302")
