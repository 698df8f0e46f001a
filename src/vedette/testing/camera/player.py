"""The camera's clock: which picture is due when, with which RTP time, as which packets.

No sockets and no event loop here: :meth:`Player.advance` takes the time and hands out what is due, so that tests run
it with a clock of their own. Ticks are of the 90 kHz clock, counted from the player's start; a picture's RTP time is
``rtp_base + ticks``.

Two timelines may exist. The *scene* is the camera's own file; it moves on whatever happens, and its loop starts are
published. A *replacement* (switch, frozen, black) is sent in its place while it lasts. Back on the scene, receivers
get the pictures since its latest key picture at once, squeezed into the moment, so that they can decode on and RTP time
never runs back.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from vedette.testing.camera.effects import Effects
from vedette.testing.camera.media import CLOCK_HZ, AccessUnit, Media
from vedette.testing.camera.rtp import PAYLOAD_TYPES, packetise, rtp_packet

_LATE_TICKS: Final = 2 * CLOCK_HZ
"""A player that was stopped for longer (a suspended process) goes to the present instead of sending what it missed."""

_SPOILED_KEPT: Final = 10_000


@dataclass(slots=True)
class Sent:
    """One picture as packets.

    Attributes:
        number: counts the pictures of this camera, across loops.
        key: whether decoding can start here.
        rtp_time: its RTP time stamp, 32 bits.
        packets: RTP packets of a healthy camera.
        wire: what is really sent: the same list where nothing damages it.
    """

    number: int
    key: bool
    rtp_time: int
    packets: list[bytes]
    wire: list[bytes]


@dataclass(frozen=True, slots=True)
class LoopStart:
    """A loop's first picture goes out; for the meaning of times see ``wall_time_s``.

    Attributes:
        camera: the camera's name.
        loop: 0 for the first.
        wall_time_s: Unix time at which the picture with media time 0 is sent.
        monotonic_s: the same instant on the monotonic clock.
        rtp_time: RTP time stamp of that picture, 32 bits.
        duration_s: length of a loop.
        source: name of the file.
        reason: ``start``, or ``rebase`` where the running loop's RTP time changed (restart, time stamp jump).
    """

    camera: str
    loop: int
    wall_time_s: float
    monotonic_s: float
    rtp_time: int
    duration_s: float
    source: str
    reason: str


@dataclass(slots=True)
class _Timeline:
    """One clip playing in a loop from tick ``start``.

    Pictures are sent at decoding time; ``lead`` (the reordering delay) moves presentation behind sending, so that no
    picture is stamped earlier than it is sent.
    """

    media: Media
    start: int
    loop: int = 0
    index: int = 0
    extra: int = 0
    latest_key: int | None = None

    @property
    def lead(self) -> int:
        return -self.media.units[0].dts

    @property
    def unit(self) -> AccessUnit:
        return self.media.units[self.index]

    def stamp(self, unit: AccessUnit) -> int:
        return self.start + self.loop * self.media.duration + self.lead + unit.pts

    @property
    def due(self) -> int:
        return self.start + self.loop * self.media.duration + self.lead + self.unit.dts + self.extra

    def step(self) -> None:
        if self.unit.key:
            self.latest_key = self.index
        self.index += 1
        if self.index == len(self.media.units):
            self.index, self.loop, self.latest_key = 0, self.loop + 1, None


@dataclass(slots=True)
class Player:
    """Plays one camera's pictures.

    Args:
        camera: name, for loop records.
        media: the scene.
        now_s: monotonic time of the first picture.
        rtp_start: first RTP time stamp; random where None.
        on_sent: called with each picture when it is due.
        on_loop: called at each loop start (reason ``start`` or ``rebase``), with ``wall`` giving its Unix time.
        wall: Unix time.
    """

    camera: str
    media: Media
    now_s: float
    on_sent: Callable[[Sent], None]
    on_loop: Callable[[LoopStart], None]
    wall: Callable[[], float]
    rtp_start: int | None = None
    effects: Effects = field(default_factory=Effects)
    packets_sent: int = 0
    octets_sent: int = 0
    ssrc: int = 0
    gop: deque[Sent] = field(default_factory=deque)
    spoiled: deque[int] = field(default_factory=lambda: deque(maxlen=_SPOILED_KEPT))
    stamps: str = "jump"
    _base: int = 0
    _sequence: int = 0
    _number: int = 0
    _last_stamp: int = -1
    _epoch_s: float = 0.0
    _scene: _Timeline = field(init=False)
    _replacement: _Timeline | None = None
    _loop: LoopStart | None = None
    _random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._epoch_s = self.now_s
        self._scene = _Timeline(self.media, 0)
        self._renumber()
        if self.rtp_start is not None:
            self._base = (self.rtp_start - self._scene.lead) & 0xFFFFFFFF

    @property
    def playing(self) -> Media:
        """What receivers get now: the scene or its replacement."""
        return (self._replacement or self._scene).media

    @property
    def next_sequence(self) -> int:
        """Sequence number of the next packet, 16 bits."""
        return self._sequence & 0xFFFF

    def rtp_at(self, now_s: float) -> int:
        """Return the RTP time of what the camera sees at ``now_s`` (for sender reports), 32 bits."""
        lead = (self._replacement or self._scene).lead
        return (self._base + self._ticks(now_s) + lead) & 0xFFFFFFFF

    def latest_key_unit(self) -> AccessUnit:
        """Return the scene's key picture that was due last."""
        index = self._scene.latest_key
        return self.media.units[0 if index is None else index]

    def next_due_s(self) -> float:
        """Return the monotonic time at which :meth:`advance` has something to do."""
        due = self._scene.due
        if self._replacement is not None:
            due = min(due, self._replacement.due)
        return self._epoch_s + due / CLOCK_HZ

    def advance(self, now_s: float) -> None:
        """Send everything due at ``now_s``."""
        now = self._ticks(now_s)
        late = now - self._scene.due > _LATE_TICKS
        while self._scene.due <= now:
            self._pass_scene(now_s, silent=late or self._replacement is not None)
        if self._replacement is not None:
            if now - self._replacement.due > _LATE_TICKS:
                self._replacement = _Timeline(self._replacement.media, now)
            while self._replacement.due <= now:
                unit = self._replacement.unit
                self._send(self._replacement, unit, self._replacement.stamp(unit))
                self._step(self._replacement)
        elif late:
            self._fast_forward()

    def replace(self, media: Media, now_s: float) -> None:
        """Send ``media`` from its first picture on instead of the scene."""
        self._replacement = _Timeline(media, max(self._ticks(now_s), self._last_stamp + 1))
        self.advance(now_s)

    def resume_scene(self, now_s: float) -> None:
        """Go back to the scene, where it has got to by now."""
        if self._replacement is None:
            return
        self.advance(now_s)
        self._replacement = None
        self._fast_forward()

    def restart(self) -> None:
        """Take new RTP numbers, as after a reboot."""
        self._renumber()
        self.gop.clear()
        self._rebased()
        if self._replacement is None:
            self._fast_forward()

    def shift_time(self, ticks: int) -> None:
        """Let RTP time jump by ``ticks``."""
        self._base = (self._base + ticks) & 0xFFFFFFFF
        self._rebased()

    def _ticks(self, now_s: float) -> int:
        return int((now_s - self._epoch_s) * CLOCK_HZ + 1e-3)

    def _renumber(self) -> None:
        self.ssrc = self._random.getrandbits(32)
        self._base = self._random.getrandbits(32)
        self._sequence = self._random.getrandbits(16)
        self.packets_sent = self.octets_sent = 0

    def _pass_scene(self, now_s: float, *, silent: bool) -> None:
        unit, scene = self._scene.unit, self._scene
        if scene.index == 0:
            self._publish_loop(now_s)
        if not silent:
            self._send(scene, unit, scene.stamp(unit))
        self._step(scene)

    def _step(self, timeline: _Timeline) -> None:
        timeline.step()
        timeline.extra = round(self.effects.delay_s() * CLOCK_HZ)

    def _publish_loop(self, now_s: float) -> None:
        scene = self._scene
        self._loop = LoopStart(
            camera=self.camera,
            loop=scene.loop,
            wall_time_s=self.wall(),
            monotonic_s=now_s,
            rtp_time=(self._base + scene.stamp(scene.media.units[0])) & 0xFFFFFFFF,
            duration_s=scene.media.duration_s,
            source=scene.media.name,
            reason="start",
        )
        self.on_loop(self._loop)

    def _rebased(self) -> None:
        if self._loop is None:
            return
        scene = self._scene
        begin = scene.start + self._loop.loop * scene.media.duration + scene.lead
        self._loop = LoopStart(
            camera=self._loop.camera,
            loop=self._loop.loop,
            wall_time_s=self._loop.wall_time_s,
            monotonic_s=self._loop.monotonic_s,
            rtp_time=(self._base + begin) & 0xFFFFFFFF,
            duration_s=self._loop.duration_s,
            source=self._loop.source,
            reason="rebase",
        )
        self.on_loop(self._loop)

    def _fast_forward(self) -> None:
        """Send the scene's pictures since its latest key picture, stamped right after the last one sent."""
        scene = self._scene
        if scene.latest_key is None:
            self.gop.clear()
            return
        missed = scene.media.units[scene.latest_key : scene.index]
        ranks = {unit.pts: rank for rank, unit in enumerate(sorted(missed, key=lambda unit: unit.pts))}
        first = self._last_stamp + 1
        for unit in missed:
            self._send(scene, unit, first + ranks[unit.pts])

    def _send(self, timeline: _Timeline, unit: AccessUnit, stamp: int) -> None:
        codec = timeline.media.codec
        payloads = packetise(codec, unit, parameter_sets=self.effects.sets_in_band)
        rtp_time = self._rtp_time(stamp)
        packets = [
            rtp_packet(
                payload.data,
                kind=PAYLOAD_TYPES[codec],
                marker=number == len(payloads),
                sequence=self._sequence + number - 1,
                timestamp=rtp_time,
                ssrc=self.ssrc,
            )
            for number, payload in enumerate(payloads, 1)
        ]
        wire = packets
        if self.effects.damaging:
            wire, spoiled = self.effects.damage(packets, payloads, key=unit.key)
            if spoiled:
                self.spoiled.append(rtp_time)
        self._sequence = (self._sequence + len(packets)) & 0xFFFF
        self.packets_sent += len(packets)
        self.octets_sent += sum(len(payload.data) for payload in payloads)
        self._last_stamp = max(self._last_stamp, stamp)
        sent = Sent(self._number, unit.key, rtp_time, packets, wire)
        self._number += 1
        if unit.key:
            self.gop.clear()
        self.gop.append(sent)
        self.on_sent(sent)

    def _rtp_time(self, stamp: int) -> int:
        if self.stamps == "zero":
            return 0
        if self.stamps == "shuffle":
            stamp += self._random.randrange(-CLOCK_HZ // 2, CLOCK_HZ // 2)
        return (self._base + stamp) & 0xFFFFFFFF
