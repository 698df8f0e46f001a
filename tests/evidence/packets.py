"""Packets as a camera's process keeps them, of clips made up in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from vedette.adapters.capture.pyav import PyAvSource
from vedette.contracts.alert import Alert
from vedette.contracts.frames import FrameInfo
from vedette.contracts.packets import EncodedPacket, PictureNote
from vedette.core.preroll import Item
from vedette.core.url_policy import camera_policy, check_url
from vedette.testing.synthetic import Image, make_clip

FPS, WIDTH, HEIGHT = 10, 160, 120


class Recorder:
    """Implements ``PacketSink``; keeps everything."""

    wanted = True

    def __init__(self) -> None:
        self.items: list[Item] = []

    def packet(self, packet: EncodedPacket) -> None:
        self.items.append(packet)

    def picture(self, note: PictureNote) -> None:
        self.items.append(note)


def brightness(number: int) -> int:
    """Grey of picture ``number``: every picture of the clips is another one."""
    return 20 + 3 * (number % 70)


def numbered(number: int, width: int, height: int) -> Image:
    """A picture that tells its number by its grey."""
    return np.full((height, width, 3), brightness(number), np.uint8)


def recorded(path: Path, seconds: float = 6.0, **clip: Any) -> tuple[list[Item], list[FrameInfo]]:
    """Packets and notes of a clip, and its pictures."""
    size = {"width": WIDTH, "height": HEIGHT, "gop": FPS, "crf": 12, **clip}
    path.write_bytes(make_clip(frames=round(seconds * FPS), fps=FPS, draw=numbered, **size))
    recorder = Recorder()
    address = check_url(str(path), camera_policy(), lambda _: [])
    source = PyAvSource(address, camera="gate", realtime=False, packets=recorder)
    return recorder.items, [info for info, _ in source]


def alert_of(info: FrameInfo, **more: Any) -> Alert:
    """An alert about a picture."""
    fields: dict[str, Any] = {
        "alert_id": f"{info.frame_no:032x}",
        "device": "edge-1",
        "application": "shop",
        "camera": "door",
        "device_camera": "gate",
        "rule": "enters",
        "severity": "warning",
        "time": datetime.fromtimestamp(info.wall_s, UTC),
        "media_time_s": info.media_time_s,
        "label": "thing",
        "track_ids": (1,),
        "boxes": ((20.0, 20.0, 60.0, 80.0),),
        "epoch": info.epoch,
        "frame_no": info.frame_no,
        "message": "Thing 1 entered the zone on door.",
    }
    return Alert.model_validate(fields | more)
