"""Receivers of a camera's media: over the RTSP connection itself, or over UDP."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vedette.testing.camera.rtp import interleaved

_UDP_SLICE: Final = 24
"""Packets sent in a row over UDP; a key picture sent at once would overrun the receiver's default socket buffer."""

_UDP_PAUSE_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """One receiver, as seen from outside.

    Attributes:
        camera: the camera's name.
        peer: address and port of its RTSP connection.
        transport: ``tcp`` or ``udp``.
        user_agent: as the client names itself, empty where it does not.
        playing: whether it asked for media (and did not pause).
        packets: RTP packets sent to it.
        since_s: monotonic time of its SETUP.
    """

    camera: str
    peer: str
    transport: str
    user_agent: str
    playing: bool
    packets: int
    since_s: float


class Client:
    """One session's media.

    Attributes:
        playing: between PLAY and PAUSE.
        last_number: number of the last picture it got, -1 for none.
    """

    transport_name: str = ""

    def __init__(self, peer: str, user_agent: str) -> None:
        self.peer = peer
        self.user_agent = user_agent
        self.playing = False
        self.last_number = -1
        self.packets = 0
        self.since_s = time.monotonic()

    def send(self, packets: list[bytes], shared: dict[int, bytes], *, burst: bool = False) -> None:
        """Send the packets of one or more pictures.

        Args:
            packets: RTP packets.
            shared: framed forms of these packets by channel, filled and used by all clients of a stream.
            burst: the catching-up after PLAY, which may be larger than the backlog allowed otherwise.
        """
        raise NotImplementedError

    def send_report(self, packet: bytes) -> None:
        """Send one RTCP packet."""
        raise NotImplementedError

    def stop(self) -> None:
        """Send nothing any more."""
        self.playing = False

    def info(self, camera: str) -> ClientInfo:
        """Return what is known about this receiver."""
        return ClientInfo(
            camera, self.peer, self.transport_name, self.user_agent, self.playing, self.packets, self.since_s
        )


class TcpClient(Client):
    """Media between the RTSP answers, on the same connection.

    Args:
        transport: the connection.
        channels: for RTP and for RTCP.
        limit_bytes: backlog at which the client counts as too slow.
        too_slow: called then; ends the connection.
        peer: for information.
        user_agent: for information.
    """

    transport_name = "tcp"

    def __init__(
        self,
        transport: asyncio.Transport,
        channels: tuple[int, int],
        *,
        limit_bytes: int,
        too_slow: Callable[[], None],
        peer: str,
        user_agent: str,
    ) -> None:
        super().__init__(peer, user_agent)
        self._transport = transport
        self._channels = channels
        self._limit_bytes = limit_bytes
        self._burst_bytes = 0
        self._too_slow = too_slow

    def send(self, packets: list[bytes], shared: dict[int, bytes], *, burst: bool = False) -> None:
        """Send the packets of one or more pictures; see :meth:`Client.send`."""
        channel = self._channels[0]
        data = shared.get(channel)
        if data is None:
            data = shared[channel] = interleaved(packets, channel)
        backlog = self._transport.get_write_buffer_size()
        if backlog == 0:
            self._burst_bytes = 0
        if burst:
            self._burst_bytes += len(data)
        elif backlog + len(data) > self._limit_bytes + self._burst_bytes:
            self.playing = False
            self._too_slow()
            return
        self._transport.write(data)
        self.packets += len(packets)

    def send_report(self, packet: bytes) -> None:
        """Send one RTCP packet."""
        self._transport.write(interleaved([packet], self._channels[1]))


class UdpClient(Client):
    """Media as datagrams to the peer's address.

    Args:
        transports: the server's sockets for RTP and for RTCP.
        host: address of the RTSP peer; media goes nowhere else.
        ports: the client's, for RTP and for RTCP.
        limit_bytes: packets waiting beyond this are dropped, as a network would.
        peer: for information.
        user_agent: for information.
    """

    transport_name = "udp"

    def __init__(
        self,
        transports: tuple[asyncio.DatagramTransport, asyncio.DatagramTransport],
        host: str,
        ports: tuple[int, int],
        *,
        limit_bytes: int,
        peer: str,
        user_agent: str,
    ) -> None:
        super().__init__(peer, user_agent)
        self._transports = transports
        self._rtp = (host, ports[0])
        self._rtcp = (host, ports[1])
        self._limit_bytes = limit_bytes
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._pump: asyncio.TimerHandle | None = None

    def send(self, packets: list[bytes], shared: dict[int, bytes], *, burst: bool = False) -> None:  # noqa: ARG002 datagrams are not framed
        """Send the packets of one or more pictures; see :meth:`Client.send`."""
        for packet in packets:
            if not burst and self._waiting_bytes > self._limit_bytes:
                break
            self._waiting.append(packet)
            self._waiting_bytes += len(packet)
        if self._pump is None:
            self._send_slice()

    def send_report(self, packet: bytes) -> None:
        """Send one RTCP packet."""
        if not self._transports[1].is_closing():
            self._transports[1].sendto(packet, self._rtcp)

    def stop(self) -> None:
        """Send nothing any more."""
        super().stop()
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None

    def _send_slice(self) -> None:
        self._pump = None
        if self._transports[0].is_closing():
            return
        for _ in range(min(_UDP_SLICE, len(self._waiting))):
            packet = self._waiting.popleft()
            self._waiting_bytes -= len(packet)
            self._transports[0].sendto(packet, self._rtp)
            self.packets += 1
        if self._waiting:
            self._pump = asyncio.get_running_loop().call_later(_UDP_PAUSE_S, self._send_slice)
