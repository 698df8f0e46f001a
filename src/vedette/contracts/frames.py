"""What is known of one decoded picture besides its pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """Identity and time of one decoded picture.

    Attributes:
        camera: the device's name of the camera.
        epoch: ingest epoch, new for every connection to the camera (or opening of the file). ``(camera, epoch,
            frame_no)`` names a picture for ever.
        frame_no: number of the decoded picture within the epoch, from 0, counting pictures not sampled too.
        t_s: the time line rules and trackers use: seconds, strictly increasing within an epoch, comparable
            between epochs of one boot. Live: the monotonic clock at arrival, smoothed by the stream's own time
            stamps. File as fast as possible: the file's own time stamps.
        media_time_s: seconds since the first picture of the epoch, by the stream's own time stamps.
        wall_s: Unix time of the picture by the device's clock.
        width: width of the picture, pixels.
        height: height of the picture, pixels.
        gap_reason: why the pictures before this one are missing; only on the first picture after an interruption,
            else empty. Text for people, such as ``"STALLED: no packet for 2.0 s"``.
        still_s: seconds before this picture in which nothing moved, as key pictures and the sizes of packets told,
            so that nothing else was decoded; 0 where the pictures before it were.
    """

    camera: str
    epoch: str
    frame_no: int
    t_s: float
    media_time_s: float
    wall_s: float
    width: int
    height: int
    gap_reason: str = ""
    still_s: float = 0.0
