"""One simulated camera on the event loop: its player, its receivers, its faults."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Protocol

from vedette.testing.camera.clients import Client, ClientInfo, UdpClient
from vedette.testing.camera.faults import (
    AWAY,
    PICTURE,
    AnyFault,
    ClockSkew,
    FaultRecord,
    SessionLimit,
    Switch,
    TimestampJump,
)
from vedette.testing.camera.media import CLOCK_HZ, Media
from vedette.testing.camera.player import LoopStart, Player, Sent
from vedette.testing.camera.rtp import sender_report

_REPORT_INTERVAL_S: Final = 5.0
_RECORDS_KEPT: Final = 1_000
_log = logging.getLogger(__name__)


class Peer(Protocol):
    """A connection that has named this camera."""

    def drop(self, how: str) -> None:
        """End the connection: ``rst`` or ``fin``."""

    def wake(self) -> None:
        """Look again at requests that were left unanswered."""


class Camera:
    """A camera that plays whether watched or not.

    Args:
        name: last part of its address.
        media: its file.
        rtp_start: first RTP time stamp; random where None.
        instant_start: a new client gets the pictures since the latest key picture at once; otherwise it waits for
            the next key picture.
        on_loop: called at each loop start.
        on_change: called whenever clients or faults changed.
        gate: awaited when the camera goes away or comes back, to close and open its port.

    Attributes:
        refused_logins: requests with an ``Authorization`` header that were answered with 401.
    """

    def __init__(
        self,
        name: str,
        media: Media,
        *,
        rtp_start: int | None = None,
        instant_start: bool = True,
        on_loop: Callable[[LoopStart], None],
        on_change: Callable[[], None],
        gate: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = name
        self.media = media
        self.faults: dict[str, AnyFault] = {}
        self.peers: set[Peer] = set()
        self.clients: list[Client] = []
        self.loops: deque[LoopStart] = deque(maxlen=_RECORDS_KEPT)
        self.records: deque[FaultRecord] = deque(maxlen=_RECORDS_KEPT)
        self.refused_logins = 0
        self._rtp_start = rtp_start
        self._instant_start = instant_start
        self._on_loop = on_loop
        self._on_change = on_change
        self._gate = gate
        self._player: Player | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._report_timer: asyncio.TimerHandle | None = None
        self._ends: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    @property
    def player(self) -> Player:
        """The running player."""
        if self._player is None:
            raise RuntimeError(f"camera {self.name} is not started")
        return self._player

    @property
    def away(self) -> bool:
        """Whether connections are refused."""
        return bool(AWAY & self.faults.keys())

    @property
    def deaf(self) -> bool:
        """Whether requests stay unanswered."""
        return "deaf" in self.faults

    @property
    def mute(self) -> bool:
        """Whether no media is sent."""
        return self.away or self.deaf or "silent" in self.faults

    def start(self) -> None:
        """Begin to play; the running event loop keeps the time."""
        self._player = Player(
            camera=self.name,
            media=self.media,
            now_s=time.monotonic(),
            on_sent=self._deliver,
            on_loop=self._publish,
            wall=time.time,
            rtp_start=self._rtp_start,
        )
        self._tick()
        self._report()

    def stop(self) -> None:
        """End playing and every connection."""
        for timer in (self._timer, self._report_timer, *self._ends.values()):
            if timer is not None:
                timer.cancel()
        for peer in list(self.peers):
            peer.drop("fin")

    def clients_info(self) -> list[ClientInfo]:
        """Return what is known about each receiver."""
        return [client.info(self.name) for client in self.clients]

    def session_refused(self) -> bool:
        """Say whether one more session would pass the limit."""
        limit = self.faults.get("session_limit")
        return isinstance(limit, SessionLimit) and len(self.clients) >= limit.sessions

    def add_client(self, client: Client) -> None:
        """Take a new session's receiver."""
        self.clients.append(client)
        self._on_change()

    def remove_client(self, client: Client) -> None:
        """Forget a session's receiver."""
        client.stop()
        if client in self.clients:
            self.clients.remove(client)
            self._on_change()

    def next_packet(self, client: Client) -> tuple[int, int]:
        """Return sequence number and RTP time of the first packet the client will get."""
        missed = self._missed(client)
        for sent in missed:
            if sent.packets:
                return int.from_bytes(sent.packets[0][2:4]), sent.rtp_time
        return self.player.next_sequence, self.player.rtp_at(time.monotonic())

    def play(self, client: Client) -> None:
        """Start sending to ``client``: a report, what it needs to decode, then everything new."""
        client.playing = True
        if not self.mute and not self._swallowed(client):
            client.send_report(self._sender_report())
        self._catch_up(client)
        self._on_change()

    async def inject(self, fault: AnyFault, media: Media | None = None) -> FaultRecord:
        """Let a fault act from now on.

        Args:
            fault: what to do.
            media: the pictures of a ``switch``, ``frozen`` or ``black``.

        Returns:
            The record whose ``t0_s`` is the instant from which the fault acts.
        """
        for kind in [fault.kind, *(PICTURE if fault.kind in PICTURE else ())]:
            if kind in self.faults:
                await self._end(kind)
        self.faults[fault.kind] = fault
        self.player.effects.start(fault)
        record = FaultRecord(self.name, fault.kind, time.monotonic(), None, time.time())
        self.records.append(record)
        match fault:
            case TimestampJump():
                self._jump(fault, 1)
            case _ if media is not None:
                self.player.replace(media, time.monotonic())
        self._drop_peers(fault, media)
        if fault.kind in AWAY:
            await self._gate()
        if fault.seconds is not None:
            loop = asyncio.get_running_loop()
            self._ends[fault.kind] = loop.call_later(fault.seconds, self._end_later, fault)
        self._reschedule()
        self._on_change()
        _log.info("camera %s: fault %s", self.name, fault.kind)
        return record

    async def clear(self, kind: str | None = None) -> list[FaultRecord]:
        """End one fault, or all; returns their records with ``t1_s`` set."""
        kinds = [kind] if kind is not None else list(self.faults)
        return [record for k in kinds if (record := await self._end(k)) is not None]

    def _end_later(self, fault: AnyFault) -> None:
        if self.faults.get(fault.kind) is fault:
            task: asyncio.Task[object] = asyncio.get_running_loop().create_task(self._end(fault.kind))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _end(self, kind: str) -> FaultRecord | None:
        fault = self.faults.pop(kind, None)
        if fault is None:
            return None
        timer = self._ends.pop(kind, None)
        if timer is not None:
            timer.cancel()
        self.player.effects.stop(kind)
        match fault:
            case TimestampJump():
                self._jump(fault, -1)
            case _ if kind in PICTURE:
                self.player.resume_scene(time.monotonic())
                if isinstance(fault, Switch):
                    self._drop_peers(fault, self.media)
            case _ if kind == "restart":
                self.player.restart()
        if kind in AWAY:
            await self._gate()
        if not self.deaf:
            for peer in list(self.peers):
                peer.wake()
        for client in list(self.clients):
            self._catch_up(client)
        self._reschedule()
        return self._close_record(kind)

    def _close_record(self, kind: str) -> FaultRecord | None:
        closed = None
        for position, record in enumerate(self.records):
            if record.kind == kind and record.t1_s is None:
                closed = self.records[position] = replace(record, t1_s=time.monotonic())
        self._on_change()
        _log.info("camera %s: fault %s cleared", self.name, kind)
        return closed

    def _jump(self, fault: TimestampJump, sign: int) -> None:
        if fault.mode == "jump":
            ticks = fault.ticks if fault.ticks is not None else round(fault.jump_s * CLOCK_HZ)
            self.player.shift_time(sign * ticks)
        else:
            self.player.stamps = fault.mode if sign > 0 else "jump"

    def _drop_peers(self, fault: AnyFault, media: Media | None) -> None:
        if isinstance(fault, Switch):
            before = self.media if media is not self.media else None
            changed = before is None or media is None or before.codec != media.codec
            drop = changed if fault.drop_clients is None else fault.drop_clients
        else:
            drop = fault.kind in AWAY or getattr(fault, "drop_clients", False)
        if not drop:
            return
        how = "fin" if not (fault.kind in AWAY and getattr(fault, "how", "rst") == "rst") else "rst"
        for peer in list(self.peers):
            peer.drop(how)

    def _missed(self, client: Client) -> list[Sent]:
        if client.last_number < 0 and not self._instant_start:
            return []
        keys = not self.player.effects.no_keyframes  # one that was sent before the fault is not sent again
        return [sent for sent in self.player.gop if sent.number > client.last_number and (keys or not sent.key)]

    def _catch_up(self, client: Client) -> None:
        if self.mute or not client.playing or self._swallowed(client):
            return
        missed = self._missed(client)
        if not missed:
            return
        damaged = self.player.effects.damaging
        packets = [packet for sent in missed for packet in (sent.wire if damaged else sent.packets)]
        client.last_number = missed[-1].number
        if packets:
            client.send(packets, {}, burst=True)

    def _deliver(self, sent: Sent) -> None:
        if self.mute or not self.clients:
            return
        shared: dict[int, bytes] = {}
        for client in list(self.clients):
            if not client.playing or self._swallowed(client):
                continue
            if client.last_number < 0 and not sent.key and not self._instant_start:
                continue
            client.last_number = sent.number
            if sent.wire:
                client.send(sent.wire, shared)

    def _swallowed(self, client: Client) -> bool:
        return isinstance(client, UdpClient) and "udp_blackhole" in self.faults

    def _publish(self, start: LoopStart) -> None:
        self.loops.append(start)
        self._on_loop(start)

    def _tick(self) -> None:
        now_s = time.monotonic()
        self.player.advance(now_s)
        self._reschedule()

    def _reschedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        delay_s = self.player.next_due_s() - time.monotonic()
        self._timer = loop.call_later(max(0.0, delay_s), self._tick)

    def _report(self) -> None:
        loop = asyncio.get_running_loop()
        self._report_timer = loop.call_later(_REPORT_INTERVAL_S, self._report)
        if self.mute:
            return
        packet = self._sender_report()
        for client in self.clients:
            if client.playing and not self._swallowed(client):
                client.send_report(packet)

    def _sender_report(self) -> bytes:
        skew = self.faults.get("clock_skew")
        wall_s = time.time() + (skew.skew_s if isinstance(skew, ClockSkew) else 0.0)
        player = self.player
        return sender_report(
            ssrc=player.ssrc,
            wall_time_s=max(0.0, wall_s),
            rtp_time=player.rtp_at(time.monotonic()),
            packets=player.packets_sent,
            octets=player.octets_sent,
        )
