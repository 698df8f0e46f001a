"""The session description (RFC 8866) a client gets for one camera."""

from __future__ import annotations

import base64

from vedette.testing.camera.bitstream import nal_type
from vedette.testing.camera.media import CLOCK_HZ, Media
from vedette.testing.camera.rtp import PAYLOAD_TYPES

TRACK = "trackID=0"
"""Control address of the only track, relative to the camera's URL."""


def describe(media: Media, *, name: str, host: str, session: int, parameter_sets: bool = True) -> bytes:
    """Return the session description of ``media``.

    Args:
        media: what the camera plays now.
        name: the camera's name, as title.
        host: address the client connected to.
        session: a number that changes whenever the stream does.
        parameter_sets: whether they are given here (they are in band as well).
    """
    kind = PAYLOAD_TYPES[media.codec]
    encoding = {"h264": "H264", "h265": "H265", "jpeg": "JPEG"}[media.codec]
    lines = [
        "v=0",
        f"o=- {session} 1 IN IP{6 if ':' in host else 4} {host}",
        f"s={name}",
        f"c=IN IP{6 if ':' in host else 4} {'::' if ':' in host else '0.0.0.0'}",  # noqa: S104 not a bind address
        "t=0 0",
        "a=tool:Vedette camera simulator",
        "a=type:broadcast",
        "a=control:*",
        "a=range:npt=now-",
        f"m=video 0 RTP/AVP {kind}",
        f"a=rtpmap:{kind} {encoding}/{CLOCK_HZ}",
        *_format_lines(media, kind, parameter_sets=parameter_sets),
        f"a=framerate:{media.frame_rate:.3f}",
        f"a=control:{TRACK}",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()


def _format_lines(media: Media, kind: int, *, parameter_sets: bool) -> list[str]:
    sets = media.parameter_sets
    if media.codec == "h264":
        values = ["packetization-mode=1"]
        profile = next((nal[1:4].hex() for nal in sets if nal_type("h264", nal) == 7), "")
        if profile:
            values.append(f"profile-level-id={profile}")
        if parameter_sets and sets:
            values.append("sprop-parameter-sets=" + ",".join(map(_base64, sets)))
    elif media.codec == "h265":
        names = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
        values = []
        for number, field in names.items():
            found = [_base64(nal) for nal in sets if nal_type("h265", nal) == number]
            if found and parameter_sets:
                values.append(f"{field}={','.join(found)}")
    else:
        return []
    return [f"a=fmtp:{kind} {'; '.join(values)}"] if values else []


def _base64(nal: bytes) -> str:
    return base64.b64encode(nal).decode()
