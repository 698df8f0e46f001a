"""Opening a camera or a file with FFmpeg, and saying in words what went wrong."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

import av
import av.error
from av.container import InputContainer

from vedette.contracts.camera import Transport
from vedette.contracts.errors import CameraError
from vedette.core.url_policy import CheckedUrl, camera_policy, check_url

#: An FFmpeg call that takes longer is interrupted. Below the 2 s after which the supervisor kills the process, so
#: that a silent camera usually costs a reconnection and not a process.
OPEN_LIMIT_S: Final = 1.8
READ_LIMIT_S: Final = 1.8
#: A camera that is far away, or slow to answer, is given the time of so many answers to open, where that is longer:
#: connecting, OPTIONS, DESCRIBE, SETUP and PLAY, the refusals that ask for the password, and one to spare.
OPENING_ANSWERS: Final = 8
OPEN_LIMIT_MAX_S: Final = 10.0
#: FFmpeg's own limit for its sockets, behind those.
SOCKET_LIMIT_S: Final = 4.0
#: Time UDP packets are waited for to be put in order.
REORDER_US: Final = 200_000
UDP_BUFFER_BYTES: Final = 2 << 20
#: A camera that cannot send fast enough leaves out RTP packets over TCP as well. FFmpeg looks for gaps in the sequence
#: only where it may hold packets back; two are the fewest, and are held back only where one is missing.
TCP_HELD_BACK: Final = 2

_LIVE: Final = {
    # The stream description says what the stream is: reading two seconds of it first only costs two seconds.
    "analyzeduration": "0",
    "probesize": "32",
    "allowed_media_types": "video",  # no session for the sound: it would be received and thrown away
    "timeout": str(int(SOCKET_LIMIT_S * 1e6)),
    "max_delay": str(REORDER_US),
    "buffer_size": str(UDP_BUFFER_BYTES),
}
_PROTOCOLS: Final = {
    "rtsp": "rtp,rtsp,tcp,udp",
    "rtsps": "rtp,rtsp,rtsps,srtp,tls,tcp,udp,crypto",
    "file": "file",
    "v4l2": "file",
}


def media_url(address: CheckedUrl) -> str:
    """What FFmpeg is given: the checked address itself, never a name that could resolve to another.

    Holds the credentials; it must stay in this process' memory.
    """
    if address.scheme == "file":
        return "file:" + os.path.abspath(address.target)
    if address.scheme == "v4l2":
        return address.target
    host = address.addresses[0]
    host = f"[{host}]" if ":" in host else host
    userinfo = ""
    if address.username or address.password:
        userinfo = f"{quote(address.username, safe='')}:{quote(address.password, safe='')}@"
    return f"{address.scheme}://{userinfo}{host}:{address.port}{address.target}"


def opening_limit_s(answer_s: float) -> float:
    """How long opening may take at a camera that took so long to answer one request."""
    return min(max(OPEN_LIMIT_S, OPENING_ANSWERS * answer_s), OPEN_LIMIT_MAX_S)


def open_container(
    address: CheckedUrl,
    transport: Transport,
    read_limit_s: float = READ_LIMIT_S,
    open_limit_s: float = OPEN_LIMIT_S,
) -> InputContainer:
    """Open a camera, file or device.

    Raises:
        CameraError: V201 not reachable, V202 credentials refused, V203 not decodable, V204 file or device not usable.
    """
    options = {"protocol_whitelist": _PROTOCOLS[address.scheme]}
    container_format = None
    limits: tuple[float, float] | None = None
    if address.scheme == "file":
        if not Path(address.target).is_file():
            raise CameraError(
                f"camera file {address.target!r} does not exist or is no file.",
                hint="Give the path of a video file that this user may read.",
                code="V204",
            )
    elif address.scheme == "v4l2":
        container_format = "v4l2"
        limits = (open_limit_s, read_limit_s)
    else:
        options |= _live_options(transport)
        limits = (open_limit_s, read_limit_s)
    begun_s = time.monotonic()
    try:
        container = av.open(
            media_url(address),
            mode="r",
            format=container_format,
            options=options,
            timeout=limits,
            metadata_errors="ignore",
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        late = limits is not None and time.monotonic() - begun_s >= limits[0]
        # Interrupted, FFmpeg calls half an answer invalid. The cause's text holds the URL with its password.
        raise explain(TimeoutError() if late else error, address, open_limit_s) from None
    if not container.streams.video:
        container.close()
        raise CameraError(f"{address.shown} has no video.", hint="Check the path of the address.", code="V203")
    return container


def sound_codec(address: CheckedUrl, transport: Transport) -> str:
    """Name of the sound that a network camera offers; empty where there is none or the camera does not say.

    Opens a session of its own: the sessions that pictures are read from leave the sound out.
    """
    options = _live_options(transport) | {
        "protocol_whitelist": _PROTOCOLS[address.scheme],
        "allowed_media_types": "audio",
    }
    try:
        with av.open(media_url(address), mode="r", options=options, timeout=(OPEN_LIMIT_S, READ_LIMIT_S)) as container:
            return container.streams.audio[0].codec_context.name if container.streams.audio else ""
    except (av.error.FFmpegError, ValueError, OSError, AttributeError):  # the last: a coding FFmpeg has no decoder for
        return ""


def file_address(path: Path) -> CheckedUrl:
    """The address of a file, read as a camera is.

    Raises:
        ConfigurationError: V105, it is none that can be used.
    """
    return check_url(str(path.resolve()), camera_policy(), _no_names)


def _no_names(host: str) -> list[str]:
    """A file has no name to look up."""
    raise OSError(f"{host} is not looked up")


def explain(error: Exception, address: CheckedUrl, limit_s: float = OPEN_LIMIT_S) -> CameraError:
    """An FFmpeg error as one of ours, without the URL it was given."""
    shown = address.shown
    if address.scheme in ("file", "v4l2"):
        what = "device" if address.scheme == "v4l2" else "file"
        return CameraError(
            f"{what} {shown!r} cannot be opened as a camera: {_words(error)}.",
            hint="Check that it is a video this user may read.",
            code="V204",
        )
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return CameraError(
            f"{shown} refused the credentials.",
            hint="Check the user name and password in the camera's secret.",
            code="V202",
        )
    if isinstance(error, av.error.HTTPNotFoundError):
        return CameraError(
            f"{shown}: the camera answers but has no stream at this path.",
            hint="`vedette camera discover` lists the camera's own addresses.",
        )
    if isinstance(error, av.error.ExitError | av.error.TimeoutError | TimeoutError):
        return CameraError(f"{shown}: no packet for {limit_s:g} s.", hint="Check the camera and its network.")
    if isinstance(error, av.error.DecoderNotFoundError | av.error.PatchWelcomeError):
        return CameraError(f"{shown} cannot be decoded: {_words(error)}.", code="V203")
    return CameraError(f"{shown}: {_words(error)}.", hint="Check the camera and its network.")


def _live_options(transport: Transport) -> dict[str, str]:
    if transport is Transport.UDP:
        return _LIVE | {"rtsp_transport": "udp"}
    return _LIVE | {"rtsp_transport": "tcp", "reorder_queue_size": str(TCP_HELD_BACK)}


def foreign_peer(address: CheckedUrl) -> str:
    """The peer of a socket of this process that is none of the checked addresses; empty where there is none.

    FFmpeg follows RTSP redirects by itself. What it is connected to is looked at after opening, before any picture
    is used; the knock before opening refuses redirects it sees.
    """
    allowed = set(address.addresses)
    for entry in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{entry}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry))) as peek:
                if peek.family in (socket.AF_INET, socket.AF_INET6):
                    peer = str(peek.getpeername()[0])
                    if peer not in allowed:
                        return peer
        except OSError:  # closed meanwhile, or not connected
            continue
    return ""


def _words(error: Exception) -> str:
    """The system's words for an error number; FFmpeg's exceptions append the URL, which is left out."""
    strerror = getattr(error, "strerror", None)
    return str(strerror).lower() if strerror else type(error).__name__
