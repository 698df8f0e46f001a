"""Named safety colours as ranges of hue, saturation and brightness (HSV of the picture's own red, green and blue).

High-visibility clothing: EN ISO 20471 fixes the chromaticity of fluorescent yellow, orange-red and red and a luminance
factor of at least 0.70, 0.40 and 0.25. That puts them, under daylight or white lamps, at hues of about 60 to 90, 5 to
25 and 345 to 5 degrees, far more saturated and brighter than anything natural of the same hue: skin (10 to 25 degrees,
saturation to 0.55), wood and leather (15 to 40, dark), grass (70 to 110, dark). What separates orange from brown is
brightness and saturation, which is why every range has lower bounds of both (leather reaches a saturation of 0.7; light
changes the brightness of a thing, not its saturation). Hard hats: EN 397 fixes no colour; the ranges are
those of the usual plastics (RAL 1018 to 1023 yellow, 2004 and 2009 orange, 3020 red, 5005 to 5017 blue, 6024 to 6032
green), widened for highlights and for white balance that is off by some degrees.
"""

from __future__ import annotations

from typing import Final

from vedette.contracts.manifest import ColourRange, SafetyColour


def _range(hue: tuple[float, float], saturation: float, brightness: float) -> ColourRange:
    return ColourRange(hue=hue, saturation=(saturation, 1.0), brightness=(brightness, 1.0))


#: What a camera shows of each colour.
SAFETY_COLOURS: Final[dict[SafetyColour, ColourRange]] = {
    SafetyColour.HI_VIS_YELLOW: _range((56, 95), 0.45, 0.55),
    SafetyColour.HI_VIS_ORANGE: _range((4, 28), 0.72, 0.50),
    SafetyColour.HI_VIS_RED: _range((342, 6), 0.60, 0.50),
    SafetyColour.HARD_HAT_YELLOW: _range((43, 66), 0.48, 0.50),
    SafetyColour.HARD_HAT_ORANGE: _range((10, 36), 0.62, 0.55),
    SafetyColour.HARD_HAT_RED: _range((342, 10), 0.58, 0.40),
    SafetyColour.HARD_HAT_BLUE: _range((198, 240), 0.50, 0.30),
    SafetyColour.HARD_HAT_GREEN: _range((110, 172), 0.40, 0.25),
    SafetyColour.HARD_HAT_WHITE: ColourRange(hue=(0, 360), saturation=(0.0, 0.16), brightness=(0.78, 1.0)),
}


def range_of(colour: SafetyColour | ColourRange) -> ColourRange:
    """The range of a named colour; one of one's own as it is."""
    return SAFETY_COLOURS[colour] if isinstance(colour, SafetyColour) else colour
