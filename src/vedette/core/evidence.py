"""What evidence of an alert is cut from, and which evidence gives way to new. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from vedette.contracts.alert import Alert, Severity
from vedette.contracts.manifest import Manifest
from vedette.contracts.packets import EncodedPacket, PictureNote
from vedette.core.preroll import Item

#: Packets kept beyond what clips want: a group of pictures, and the time from a picture to its alert's record.
MARGIN_S: Final = 6.0
#: Rules that report a moment that is over look back so far at most.
LONGEST_LOOK_BACK_S: Final = 30.0
#: Alerts that name no picture (those of timers) take the one nearest in time, if it is near.
NEAR_S: Final = 1.5
#: Pictures whose time is nearer than this are the same, where their numbers are not known.
_SAME_S: Final = 0.02

_RANK: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


def pre_roll_s(manifest: Manifest) -> float:
    """Seconds of packets that a camera of the application has to keep; 0 where it asks for no evidence."""
    asked = manifest.evidence
    if asked is None:
        return 0.0
    before_s = asked.clip.before_s if asked.clip is not None else 0.0
    # Who came in is reported once it has stayed for `hold_s`, as of the picture in which it came in.
    back_s = max((rule.hold_s for name, rule in manifest.rules.items() if asked.wants(name)), default=0.0)
    return before_s + min(back_s, LONGEST_LOOK_BACK_S) + MARGIN_S


@dataclass(frozen=True, slots=True)
class ClipCut:
    """The packets of one clip, in decoding order, of one stream; the first is a key packet.

    Attributes:
        packets: every one with ``pts``.
        media_times_s: of each packet's picture; where a picture was not decoded during capture, by its ``pts``.
        alert_index: the packet of the alert's picture.
    """

    packets: tuple[EncodedPacket, ...]
    media_times_s: tuple[float, ...]
    alert_index: int


@dataclass(frozen=True, slots=True)
class Found:
    """An alert's picture among packets.

    Attributes:
        packets: of its stream, in decoding order, all with ``pts``; begins with a key packet.
        times_s: ``media_time_s`` of each.
        index: the packet of the picture.
        note: of the picture.
        last_s: ``media_time_s`` up to which every picture has come. Packets come in the order in which they are
            decoded, so that the latest one may be of a picture that is shown after others that are still to come.
        interrupted: whether another stream has begun after it.
    """

    packets: tuple[EncodedPacket, ...]
    times_s: tuple[float, ...]
    index: int
    note: PictureNote
    last_s: float
    interrupted: bool


def find_picture(items: Sequence[Item], alert: Alert) -> Found | None:
    """The alert's picture and its stream's packets; None where it is not among them (yet).

    Args:
        items: as a camera's process sends them.
        alert: whose picture is looked for.
    """
    note = _note_of(items, alert)
    if note is None:
        return None
    mine = [item for item in items if isinstance(item, EncodedPacket) and item.stream.epoch == note.epoch]
    packets = [packet for packet in mine if packet.pts is not None]
    while packets and not packets[0].key:
        del packets[0]
    index = next((number for number, packet in enumerate(packets) if packet.pts == note.pts), None)
    if index is None:
        return None
    shown_s = (item.media_time_s for item in items if isinstance(item, PictureNote) and item.epoch == note.epoch)
    later = next((item for item in reversed(items) if isinstance(item, EncodedPacket)), None)
    return Found(
        packets=tuple(packets),
        times_s=_times(packets, items, note),
        index=index,
        note=note,
        last_s=max(shown_s),
        interrupted=later is not None and later.stream.epoch != note.epoch,
    )


def cut(found: Found, before_s: float, after_s: float) -> ClipCut:
    """The packets of a clip: from the last key picture that leaves ``before_s``, to ``after_s`` after the picture.

    Where there is less, what there is.
    """
    moment_s = found.note.media_time_s
    keys = [number for number, packet in enumerate(found.packets) if packet.key and number <= found.index]
    early = [number for number in keys if found.times_s[number] <= moment_s - before_s]
    first = early[-1] if early else keys[0]
    last = max(number for number, time_s in enumerate(found.times_s) if time_s <= moment_s + after_s + _SAME_S)
    last = max(last, found.index)
    # Pictures that are shown before one that is in the clip belong to it, though they were sent after it.
    shown_s = max(found.times_s[first : last + 1])
    last = max(number for number, time_s in enumerate(found.times_s) if time_s <= shown_s)
    return ClipCut(
        packets=found.packets[first : last + 1],
        media_times_s=found.times_s[first : last + 1],
        alert_index=found.index - first,
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """Evidence of one alert on the disk.

    Attributes:
        name: of its folder; folders sort by the time of their alerts.
        size_bytes: of its files.
        severity: of the alert.
        pending: whether it is still being made.
    """

    name: str
    size_bytes: int
    severity: Severity
    pending: bool = False


def give_way(kept: Iterable[Kept], limit_bytes: int) -> list[Kept]:
    """What has to go so that the rest fits: the least severe first, of these the oldest; nothing that is pending."""
    there = list(kept)
    over = sum(one.size_bytes for one in there) - limit_bytes
    gone: list[Kept] = []
    for one in sorted((k for k in there if not k.pending), key=lambda k: (_RANK[k.severity], k.name)):
        if over <= 0:
            break
        gone.append(one)
        over -= one.size_bytes
    return gone


def _note_of(items: Sequence[Item], alert: Alert) -> PictureNote | None:
    notes = [item for item in items if isinstance(item, PictureNote)]
    if alert.epoch:
        return next((n for n in notes if (n.epoch, n.frame_no) == (alert.epoch, alert.frame_no)), None)
    moment_s = alert.time.timestamp()
    nearest = min(notes, key=lambda note: abs(note.wall_s - moment_s), default=None)
    return nearest if nearest is not None and abs(nearest.wall_s - moment_s) <= NEAR_S else None


def _times(packets: Sequence[EncodedPacket], items: Sequence[Item], note: PictureNote) -> tuple[float, ...]:
    """Time of each packet's picture: by its note, else by its distance from the alert's picture."""
    told = {item.pts: item.media_time_s for item in items if isinstance(item, PictureNote) and item.epoch == note.epoch}
    times = []
    for packet in packets:
        assert packet.pts is not None
        away = float((packet.pts - note.pts) * packet.stream.time_base)
        times.append(told.get(packet.pts, note.media_time_s + away))
    return tuple(times)
