"""What discovery finds, and which of a camera's streams to use for what."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Texts that devices send are cut here.
TEXT_LIMIT: Final = 120
#: What detectors look at, about: the sub stream nearest to it is proposed for analysis.
ANALYSIS_AREA_PX: Final = 640 * 360


@dataclass(frozen=True, slots=True)
class Announcement:
    """A device that answered the search.

    Attributes:
        sender: IP address that the answer came from.
        xaddrs: addresses of its device service, as it says; not to be trusted.
        name: from its scopes; empty where it says none.
        hardware: likewise.
        endpoint: its own identifier; several devices may share an IP address.
    """

    sender: str
    xaddrs: tuple[str, ...]
    name: str = ""
    hardware: str = ""
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class StreamProfile:
    """One of a camera's streams, as the camera describes it.

    Attributes:
        name: the camera's word for it.
        codec: ``H264``, ``JPEG``, …; empty where it does not say.
        width: pixels; 0 where it does not say.
        height: pixels; 0 where it does not say.
        fps: upper limit; 0 where it does not say.
        key_interval: pictures from one key picture to the next; 0 where it does not say.
        url: address without credentials; empty where there is none that may be used.
        problem: why there is none.
    """

    name: str
    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    key_interval: int = 0
    url: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera.

    Attributes:
        address: IP address.
        service: its ONVIF address; empty where it gave none that may be used.
        name: for people.
        manufacturer: as it says.
        model: as it says.
        firmware: as it says.
        profiles: its streams, in its order.
        main: address of the largest stream, for evidence; empty where there is none.
        sub: address of the stream that suits analysis, if there is a smaller one.
        needs_password: it does not tell its streams without credentials, or not with these.
        problem: why something is missing, for people.
    """

    address: str
    service: str = ""
    name: str = ""
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    profiles: tuple[StreamProfile, ...] = ()
    main: str = ""
    sub: str = ""
    needs_password: bool = False
    problem: str = ""


def propose(profiles: Sequence[StreamProfile]) -> tuple[str, str]:
    """Addresses of the main stream (the largest) and of the sub stream (the smaller one nearest to 640x360)."""
    usable = [profile for profile in profiles if profile.url]
    if not usable:
        return "", ""
    main = max(usable, key=_area)
    smaller = [profile for profile in usable if 0 < _area(profile) < _area(main)]
    sub = min(smaller, key=_distance, default=None)
    return main.url, sub.url if sub is not None else ""


def clean(text: object) -> str:
    """A device's text without control characters, which could command a terminal, and of bounded length."""
    if text is None:
        return ""
    shown = "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in str(text)[:1000])
    return " ".join(shown.split())[:TEXT_LIMIT]


def _area(profile: StreamProfile) -> int:
    return profile.width * profile.height


def _distance(profile: StreamProfile) -> float:
    """How many times larger or smaller than what detectors look at."""
    ratio = _area(profile) / ANALYSIS_AREA_PX
    return max(ratio, 1 / ratio)
