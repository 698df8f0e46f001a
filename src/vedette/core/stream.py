"""What an opened stream tells about itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class StreamProgress:
    """Counters and facts of one opened stream.

    Written by the thread that reads the stream, one plain assignment at a time; read by others, who may see a
    value a moment old.

    Attributes:
        codec: name, such as ``h264``; empty until known.
        width: pixels; 0 until known.
        height: pixels; 0 until known.
        fps: pictures a second by the stream's own time stamps, measured; 0 until known.
        packets: received.
        key_packets: those of them that begin with a key picture, damaged or not.
        decoded: pictures decoded, undamaged ones only.
        corrupt: pictures or packets thrown away because they were damaged or refer to damaged ones.
        last_packet_s: monotonic time of the last packet, or of the opening.
        waiting_for_key_s: monotonic time since when pictures are thrown away for want of a key frame; None while
            they are good.
        behind_s: how far the latest picture was behind its time stamp, against the quickest one.
        away_s: how long nothing was read lately because pictures that had been passed over were decoded; whoever takes
            it into account sets it back.
        read_limit_s: so long without a packet is a failure of the stream.
        resting: whether only key pictures are decoded because nothing moves.
        decoder: ``ffmpeg``, or the GStreamer element that decodes.
        decoder_failed: GStreamer cannot decode the stream.
    """

    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    packets: int = 0
    key_packets: int = 0
    decoded: int = 0
    corrupt: int = 0
    last_packet_s: float = 0.0
    waiting_for_key_s: float | None = None
    behind_s: float = 0.0
    away_s: float = 0.0
    read_limit_s: float = 1.8
    resting: bool = False
    decoder: str = "ffmpeg"
    decoder_failed: bool = False
