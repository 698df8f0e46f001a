"""A device's label as a picture: its QR code, name and serial number. Nothing on it is secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from vedette.contracts.errors import UsageError

#: Pixels: of a module of the code, of the quiet zone around it, of the label's width.
_SCALE: Final = 6
_MARGIN: Final = 24
_MIN_WIDTH: Final = 520
_LINE: Final = 34
_MAX_SIDE: Final = 6000
_LINES: Final = 32


def require_libraries() -> None:
    """See that pictures can be made.

    Raises:
        UsageError: V702, a library is not installed.
    """
    _libraries()


def qr_code(text: str) -> bytes:
    """A QR code as PNG.

    Raises:
        UsageError: V702, a library is not installed.
    """
    return _png(_code(text))


def label(text: str, lines: tuple[str, ...]) -> bytes:
    """A QR code with lines of text below it, PNG; letters beyond ASCII become ``?``.

    Args:
        text: of the code.
        lines: below it.

    Raises:
        UsageError: V702, a library is not installed.
    """
    cv2, np = _libraries()
    code = _code(text)
    shown = [line.encode("ascii", "replace").decode()[:_LINES] for line in lines]
    width = max(_MIN_WIDTH, code.shape[1] + 2 * _MARGIN)
    height = code.shape[0] + 2 * _MARGIN + _LINE * len(shown)
    picture = np.full((height, width), 255, np.uint8)
    left = (width - code.shape[1]) // 2
    picture[_MARGIN : _MARGIN + code.shape[0], left : left + code.shape[1]] = code
    for at, line in enumerate(shown):
        foot = code.shape[0] + _MARGIN + _LINE * (at + 1)
        cv2.putText(picture, line, (_MARGIN, foot), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 0, 2, cv2.LINE_AA)
    return _png(picture)


def read_codes(path: Path) -> tuple[str, ...]:
    """The texts of all codes in a picture, such as a photograph of a label.

    Raises:
        UsageError: V701 the file is no picture, V702 a library is not installed.
    """
    cv2, np = _libraries()
    import zxingcpp

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}.", hint="Give a photograph of the label.") from None
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if picture is None or max(picture.shape) > _MAX_SIDE:
        raise UsageError(
            f"{path} is no picture" + ("." if picture is None else f" of at most {_MAX_SIDE} pixels a side."),
            hint="Give a photograph of the label, PNG or JPEG.",
        )
    return tuple(str(one.text) for one in zxingcpp.read_barcodes(picture))


def _code(text: str) -> Any:
    _, np = _libraries()
    import zxingcpp

    made = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    return np.asarray(zxingcpp.write_barcode_to_image(made, scale=_SCALE), np.uint8)


def _png(picture: Any) -> bytes:
    cv2, _ = _libraries()
    done, data = cv2.imencode(".png", picture)
    assert done
    return bytes(data)


def _libraries() -> tuple[Any, Any]:
    try:
        import cv2
        import numpy
        import zxingcpp  # noqa: F401 - only looked for
    except ModuleNotFoundError as error:
        raise UsageError(
            f"labels and QR codes need {error.name}.", hint='Type: pip install "vedette[edge]"', code="V702"
        ) from None
    return cv2, numpy
