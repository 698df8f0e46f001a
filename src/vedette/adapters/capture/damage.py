"""Keeps pictures out that are damaged or refer to damaged ones.

The decoder conceals errors and goes on; what it shows then is invented, and so is every picture that refers to it,
up to the next key picture. Measured on H.264 with flipped bits: the decoder flags each picture it concealed and none
of the (many more) that refer to it. So one sign of damage closes the gate, and only a key picture opens it.

Signs: the decoder refuses a packet, flags a picture or logs that what it refers to is missing; the demuxer flags a
packet or reports lost RTP packets; the numbers of H.264 pictures do not follow one another (a camera left some out,
of which FFmpeg says nothing). Arithmetic-coded slices (H.265, most H.264) with flipped bits may decode to something
plausible without any sign. TCP does not flip bits and a lost RTP packet is noticed, so what remains is a camera that
encodes nonsense.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from typing import Any, Final

import av
import av.logging
from av.packet import Packet

from vedette.core.nal import fresh_start, length_size
from vedette.core.picture_numbers import PictureNumbers

#: What FFmpeg says when packets did not come (RTP reader) and when a picture cannot be what was encoded (decoders).
#: Complaints about side information, of which some cameras cause one per picture, are not among them.
_LOST: Final = re.compile(
    r"RTP: missed \d+ packets|bad cseq|max delay reached|jitter buffer full"
    r"|error while decoding|concealing|mmco: unref|illegal memory management|Reference \d+ >= |cabac_init_idc"
    r"|no frame!|decode_slice_header|Missing reference picture|Could not find ref with POC|Frame num (?:gap|change)"
    r"|First slice in a frame missing|reference picture missing|out of range|overflow|unavailable"
    # H.265: the decoder leaves out what it cannot read and shows the rest as if it were whole
    r"|Skipping invalid undecodable NALU|Error constructing the frame RPS|Duplicate POC|outside the valid range"
    r"|Unknown slice type|Invalid number of merging MVP|Invalid collocated_ref_idx|alignment_bit_equal|CABAC_MAX_BIN"
    r"|Too many refs|No ref lists|Zero refs for|Overread slice header|Invalid slice segment address"
    r"|Inter slices in an IRAP|Non-matching NAL types|Ignoring POC change|Error parsing NAL unit|parse header of NALU"
    # fragments of the RTP packets that do not fit together
    r"|Illegal combination of S and E|Too short RTP/",
    re.I,
)
#: What H.264's decoder says where a picture lets go of one that it does not have. Where decoding was begun with a key
#: picture that is no fresh start, that is one from before it, to which nothing after it refers.
_LET_GO: Final = "mmco: unref"
#: How many damaged packets are remembered by their time stamp, in case their picture comes out later.
_REMEMBERED: Final = 32
#: FFmpeg's reader is a packet ahead: a loss that it reports may be of the packet that it hands out, or the one after.
SUSPECT: Final = 2
#: PyAV logs under this name.
_ROOT: Final = "libav"


class LossWatch(logging.Handler):
    """Counts the log lines of this process' FFmpeg that report lost packets.

    One per process (a capture process has one camera). The lines go no further: they may name the camera's URL.

    Attributes:
        losses: lines seen so far.
        begins: whether decoding has begun with a key picture that is no fresh start, a moment ago.
    """

    def __init__(self) -> None:
        super().__init__()
        self.losses = 0
        self.begins = False

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record."""
        text = record.getMessage()
        if _LOST.search(text) and not (self.begins and _LET_GO in text):
            self.losses += 1


class PacketWatch:
    """Which packets of a stream may not be all that the camera encoded, or not as it did.

    Args:
        losses: counts what FFmpeg reports as lost.
        codec: FFmpeg's name of the stream's.
        extradata: of the stream.
    """

    def __init__(self, losses: LossWatch, codec: str, extradata: bytes) -> None:
        self._losses = losses
        self._known = losses.losses
        self._numbers = PictureNumbers(codec, extradata)
        self._length_bytes = length_size(extradata, codec)
        self._suspect = 0
        self.begin()

    def begin(self) -> None:
        """What comes before the next key picture is not decoded."""
        self._keys_to_come, self._losses.begins = 2, True

    def take_loss(self) -> bool:
        """Whether FFmpeg has reported a loss since this was asked last, or about a packet."""
        before, self._known = self._known, self._losses.losses
        return self._known != before

    def suspect(self) -> None:
        """Something was lost before the next packet, or in it."""
        self._suspect = SUSPECT

    def damaged(self, packet: Packet[Any]) -> bool:
        """Whether a packet may be; each is asked about once, in the order in which they come."""
        if packet.is_keyframe and self._keys_to_come:
            self._keys_to_come = 0 if fresh_start(memoryview(packet), self._length_bytes) else self._keys_to_come - 1
            self._losses.begins = self._keys_to_come > 0
        if self.take_loss():
            self.suspect()
        suspect, self._suspect = self._suspect > 0, max(0, self._suspect - 1)
        in_order = self._numbers.in_order(memoryview(packet))
        return packet.is_corrupt or suspect or not in_order

    def forget(self) -> None:
        """Packets were passed over without a word: the next one is not compared with those before."""
        self._numbers.forget()
        self.begin()


_install_lock = threading.Lock()
_installed: LossWatch | None = None


def watch_losses() -> LossWatch:
    """The process' one watch; installed at the first call."""
    global _installed
    with _install_lock:
        if _installed is None:
            _installed = LossWatch()
            logger = logging.getLogger(_ROOT)
            logger.addHandler(_installed)
            logger.propagate = False
            av.logging.set_skip_repeated(False)  # two equal lines are two losses
            av.logging.set_level(av.logging.WARNING)
        return _installed


class DamageGate:
    """Decides picture by picture, in the order of presentation.

    Attributes:
        closed_since_s: monotonic time since when pictures are thrown away; None while it is open.
        thrown_away: pictures not let through.
    """

    def __init__(self, now_s: float) -> None:
        self.closed_since_s: float | None = now_s
        self.thrown_away = 0
        self._damaged: deque[int] = deque(maxlen=_REMEMBERED)
        self._keys: deque[int] = deque(maxlen=_REMEMBERED)
        self._overtaken: deque[int] = deque(maxlen=_REMEMBERED)

    def key(self, pts: int) -> None:
        """A packet with a key picture of this time stamp is decoded next; its picture comes later."""
        self._keys.append(pts)

    def damage(self, now_s: float, pts: int | None = None) -> None:
        """Something was lost or damaged: nothing passes until a key picture.

        Args:
            now_s: monotonic time.
            pts: time stamp of the damaged packet; its picture does not pass even if it is a key picture, and a key
                picture that is decoded but not shown yet proves nothing of what is shown after it.
        """
        if pts is not None:
            self._damaged.append(pts)
            # What is shown before a key picture is no reference of what is shown after it.
            self._overtaken.extend(key for key in self._keys if key < pts)
        if self.closed_since_s is None:
            self.closed_since_s = now_s

    def passes(self, *, key: bool, corrupt: bool, now_s: float, pts: int | None = None) -> bool:
        """Whether a picture may be used.

        Args:
            key: it refers to no other.
            corrupt: the decoder flagged it.
            now_s: monotonic time.
            pts: its time stamp.
        """
        if corrupt or (pts is not None and pts in self._damaged):
            self.damage(now_s)
        elif key and pts not in self._overtaken:
            self.closed_since_s = None
        if self.closed_since_s is not None:
            self.thrown_away += 1
            return False
        return True
