"""Draws what an alert is about into its picture, with its words below."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from vedette.contracts.alert import Alert, Severity
from vedette.ports.evidence import Picture

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
#: Blue, green, red.
_COLOURS: Final = {Severity.INFO: (230, 190, 70), Severity.WARNING: (40, 170, 255), Severity.CRITICAL: (60, 60, 240)}
_WHITE: Final = (240, 240, 240)
_GREY: Final = (165, 165, 165)
#: Narrower pictures are drawn larger, so that the words can be read, pixels.
_LEAST_WIDTH: Final = 640


def annotate(picture: Picture, alert: Alert) -> Picture:
    """The picture with the alert's boxes in it and a strip of words below.

    Args:
        picture: uint8 (height, width, 3), blue, green, red; the alert's boxes are in its pixels.
        alert: what happened.
    """
    height, width = picture.shape[:2]
    scale = max(1.0, _LEAST_WIDTH / width)
    size = (round(width * scale), round(height * scale))
    canvas = np.array(picture if scale == 1.0 else cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    unit = size[0] / 1280
    colour = _COLOURS[alert.severity]
    for number, box in enumerate(alert.boxes):
        left, top, right, bottom = (round(value * scale) for value in box)
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, max(2, round(3 * unit)), cv2.LINE_AA)
        words = f"{alert.label or 'object'} {alert.track_ids[number]}" if number < len(alert.track_ids) else alert.label
        _tag(canvas, words, (left, top), colour, unit)
    return np.vstack([canvas, _strip(alert, size[0], unit, colour)])


def _tag(canvas: Picture, words: str, corner: tuple[int, int], colour: tuple[int, int, int], unit: float) -> None:
    size, thick = max(0.45, 0.6 * unit), max(1, round(1.4 * unit))
    (wide, high), base = cv2.getTextSize(_ascii(words), _FONT, size, thick)
    left = min(max(corner[0], 0), max(canvas.shape[1] - wide - 6, 0))
    bottom = max(corner[1], high + base + 4)
    cv2.rectangle(canvas, (left, bottom - high - base - 4), (left + wide + 6, bottom), colour, cv2.FILLED)
    cv2.putText(canvas, _ascii(words), (left + 3, bottom - base), _FONT, size, (16, 16, 16), thick, cv2.LINE_AA)


def _strip(alert: Alert, width: int, unit: float, colour: tuple[int, int, int]) -> Picture:
    size = max(0.5, 0.7 * unit)
    lines = _wrapped(alert.message or f"{alert.rule} on {alert.camera}", width - 32, size)[:3]
    small = size * 0.75
    line, rest = round(36 * max(unit, 0.72)), round(30 * max(unit, 0.72))
    strip = np.full((line * len(lines) + rest + 14, width, 3), 22, np.uint8)
    strip[:, : max(6, round(8 * unit))] = colour
    for number, words in enumerate(lines):
        place = (18, round(line * (number + 0.75)))
        cv2.putText(strip, words, place, _FONT, size, _WHITE, max(1, round(1.5 * unit)), cv2.LINE_AA)
    about = f"{alert.time:%Y-%m-%d %H:%M:%S} UTC   {alert.device}   {alert.application}   {alert.alert_id[:12]}"
    cv2.putText(strip, _ascii(about), (18, line * len(lines) + round(rest * 0.75)), _FONT, small, _GREY, 1, cv2.LINE_AA)
    return strip


def _wrapped(text: str, width: int, size: float) -> list[str]:
    lines: list[str] = []
    for word in _ascii(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and cv2.getTextSize(longer, _FONT, size, 2)[0][0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _ascii(text: str) -> str:
    """All the font has."""
    return text.encode("ascii", "replace").decode()
