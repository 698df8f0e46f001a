"""What would make a stream better for analysis, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from vedette.adapters.capture.probe import Probe

#: Advice begins beyond these. Detectors look at 416 to 640 pixels; more than about 720 lines is thrown away before.
KEY_INTERVAL_ADVISED_S: Final = 2.0
ANALYSIS_HEIGHT_PX: Final = 720
ANALYSIS_FPS: Final = 5.0
FPS_ADVISED: Final = 30.0
FIRST_PICTURE_ADVISED_S: Final = 1.0
#: A pause between two pictures of so many usual intervals, and at least so long, is called one.
PAUSE_INTERVALS: Final = 3.0
PAUSE_S: Final = 0.2

_PLANAR: Final = ("yuv420p", "yuvj420p")


@dataclass(frozen=True, slots=True)
class Advice:
    """One remark.

    Attributes:
        topic: what it is about, one word.
        level: ``warn`` where something will work worse, ``note`` where it may.
        text: for people: what was found, what it means, what to do.
    """

    topic: str
    level: Literal["warn", "note"]
    text: str


def advise(probe: Probe) -> list[Advice]:
    """What would make the stream better for analysis; the worst first."""
    found = [*_about_time(probe), *_about_coding(probe), *_about_load(probe)]
    return sorted(found, key=lambda advice: advice.level != "warn")


def _about_time(probe: Probe) -> list[Advice]:
    found: list[Advice] = []
    interval_s = max(probe.key_interval_max_s or 0.0, probe.key_wait_s or 0.0)
    if probe.live and interval_s > KEY_INTERVAL_ADVISED_S:
        more = "" if probe.key_wait_s is None else "more than "
        text = (
            f"A key picture comes only every {more}{interval_s:.1f} s: after "
            "a lost packet or a reconnection nothing is analysed until the next one. Set the camera's key-frame "
            "(I-frame) interval to 1 or 2 seconds, and switch off adaptive modes such as H.264+ or Smart Codec. "
            "Pipelines with `motion` leave most pictures undecoded while nothing moves, but only where `floor_s` is at "
            "least the interval."
        )
        found.append(Advice("key-interval", "warn", text))
    elif probe.live and interval_s <= 0 and probe.codec != "MJPEG":
        found.append(Advice("key-interval", "note", "Too short a look to measure key pictures; try --seconds 20."))
    usual_s = 1 / probe.fps if probe.fps > 0 else 0.0
    if probe.live and probe.longest_pause_s > max(PAUSE_INTERVALS * usual_s, PAUSE_S):
        text = (
            f"Pictures came unevenly, the longest pause was {probe.longest_pause_s:.2f} s. "
            "Look for packet loss, Wi-Fi, or a camera that lowers its rate in the dark."
        )
        found.append(Advice("pauses", "note", text))
    if probe.damaged:
        text = f"{probe.damaged} packets or pictures were damaged. Look for packet loss; use --transport tcp."
        found.append(Advice("damage", "warn", text))
    if probe.live and probe.first_picture_s > FIRST_PICTURE_ADVISED_S:
        text = (
            f"The first picture took {probe.first_picture_s:.1f} s: the camera waits for its next key picture. "
            "Every reconnection takes as long; a shorter key-frame interval helps."
        )
        found.append(Advice("first-picture", "note", text))
    return found


def _about_coding(probe: Probe) -> list[Advice]:
    found: list[Advice] = []
    if probe.codec == "H.265":
        text = (
            "H.265 costs more to decode than H.264 where the device has no hardware decoder for it. It saves "
            "bandwidth, which seldom matters on the site's own network: prefer H.264 for the stream that is analysed."
        )
        found.append(Advice("codec", "note", text))
    elif probe.codec == "MJPEG":
        text = "MJPEG needs five to ten times the bandwidth of H.264; prefer H.264 where the camera has it."
        found.append(Advice("codec", "note", text))
    elif probe.codec != "H.264":
        text = f"{probe.codec} is decoded, but not tested on devices. Prefer H.264."
        found.append(Advice("codec", "warn", text))
    if probe.b_frames and probe.live:
        delay = f" (about {(probe.b_frames + 1) / probe.fps * 1000:.0f} ms)" if probe.fps else ""
        text = (
            f"Up to {probe.b_frames} B-frames in a row: pictures wait for later ones before they are decoded{delay}. "
            "Switch B-frames off, or choose the Baseline or Main profile without them."
        )
        found.append(Advice("b-frames", "warn", text))
    if probe.pixel_format not in _PLANAR:
        text = (
            f"Pixel format {probe.pixel_format} is converted picture by picture; 4:2:0 with 8 bits needs no conversion."
        )
        found.append(Advice("pixel-format", "note", text))
    if probe.sound:
        found.append(
            Advice("sound", "note", f"The stream has sound ({probe.sound}); it is ignored and never recorded.")
        )
    return found


def _about_load(probe: Probe) -> list[Advice]:
    found: list[Advice] = []
    if min(probe.width, probe.height) > ANALYSIS_HEIGHT_PX:
        text = (
            f"{probe.width}x{probe.height} is far more than a detector looks at (usually 640 pixels wide or less) and "
            "every picture of it is decoded first. Use the camera's sub stream, about 640x360 or 1280x720, for "
            "analysis (`vedette camera discover` lists it)."
        )
        found.append(Advice("size", "warn", text))
    if probe.fps > FPS_ADVISED * 1.05:
        text = f"{probe.fps:.0f} pictures a second is more than analysis needs; 10 to 15 keep the device cooler."
        found.append(Advice("fps", "note", text))
    elif 0 < probe.fps < ANALYSIS_FPS * 0.95:
        text = (
            f"{probe.fps:.1f} pictures a second is little: fast objects cross a line between two pictures. "
            f"Set at least {ANALYSIS_FPS:.0f}."
        )
        found.append(Advice("fps", "warn", text))
    return found
