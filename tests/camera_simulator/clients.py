"""Clients of the simulator for tests: FFmpeg through PyAV, and a bare RTSP socket."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass, field

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer

FAST = {"analyzeduration": "0", "probesize": "32", "timeout": "3000000"}


@dataclass
class Picture:
    """A decoded picture: 90 kHz ticks as FFmpeg reports them, RGB pixels."""

    pts: int | None
    image: npt.NDArray[np.uint8]
    arrived_s: float = field(default_factory=time.monotonic)


def rgb(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """A frame's pixels: uint8 (height, width, 3), RGB."""
    return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def open_stream(url: str, transport: str = "tcp", *, credentials: str = "", **options: str) -> InputContainer:
    address = url.replace("rtsp://", f"rtsp://{credentials}@") if credentials else url
    return av.open(address, "r", options={"rtsp_transport": transport, **FAST, **options})


def read_pictures(url: str, count: int, transport: str = "tcp", *, credentials: str = "") -> list[Picture]:
    with open_stream(url, transport, credentials=credentials) as container:
        pictures: list[Picture] = []
        for frame in container.decode(video=0):
            pictures.append(Picture(frame.pts, rgb(frame)))
            if len(pictures) == count:
                break
        return pictures


class RtspSocket:
    """Speaks RTSP by hand."""

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        match = re.match(r"rtsp://([^:/]+):(\d+)/(.*)", url)
        assert match is not None
        self.url = url
        self.socket = socket.create_connection((match[1], int(match[2])), timeout=timeout_s)
        self.buffer = b""
        self.sequence = 0
        self.session = ""

    def __enter__(self) -> RtspSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, method: str, url: str | None = None, **headers: str) -> None:
        self.sequence += 1
        lines = [f"{method} {url or self.url} RTSP/1.0", f"CSeq: {self.sequence}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if self.session:
            lines.append(f"Session: {self.session}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def request(self, method: str, url: str | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        self.send(method, url, **headers)
        return self.read_response()

    def read_response(self) -> tuple[int, dict[str, str], bytes]:
        while True:
            self._need(1)
            if self.buffer[:1] != b"$":
                break
            self.read_frame()
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *rest = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        size = int(headers.get("content-length", "0"))
        self._need(size)
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        if "session" in headers:
            self.session = headers["session"].partition(";")[0]
        return int(first.split()[1]), headers, body

    def read_frame(self) -> tuple[int, bytes]:
        """Return channel and packet of the next interleaved frame."""
        self._need(4)
        assert self.buffer[:1] == b"$", self.buffer[:40]
        channel, size = self.buffer[1], int.from_bytes(self.buffer[2:4])
        self._need(4 + size)
        packet, self.buffer = self.buffer[4 : 4 + size], self.buffer[4 + size :]
        return channel, packet

    def read_rtp(self) -> bytes:
        """Return the next RTP packet (channel 0)."""
        while True:
            channel, packet = self.read_frame()
            if channel == 0:
                return packet

    def read_until_closed(self) -> None:
        """Read media until the camera ends the connection; raises ConnectionResetError then."""
        while True:
            self.read_frame()

    def play(self) -> None:
        status, headers, _ = self.request("SETUP", self.url + "/trackID=0", Transport="RTP/AVP/TCP;interleaved=0-1")
        assert status == 200, headers
        assert self.request("PLAY")[0] == 200

    def _need(self, size: int) -> None:
        while len(self.buffer) < size:
            self._more()

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError("the camera closed the connection")
        self.buffer += data


def rtp_time(packet: bytes) -> int:
    return int.from_bytes(packet[4:8])


def rtp_sequence(packet: bytes) -> int:
    return int.from_bytes(packet[2:4])
