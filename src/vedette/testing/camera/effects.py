"""What damage does to packets on their way out: bit errors, loss, missing key pictures."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from vedette.testing.camera.faults import AnyFault, Corrupt, Jitter, Loss, NoKeyframes, ParameterSets
from vedette.testing.camera.rtp import RTP_HEADER_BYTES, Payload


@dataclass(slots=True)
class Effects:
    """The packet-level faults of one camera; each with its own seeded random numbers."""

    corrupt: Corrupt | None = None
    loss: Loss | None = None
    jitter: Jitter | None = None
    no_keyframes: bool = False
    sets_in_band: bool = True
    _random: dict[str, random.Random] = field(default_factory=dict)

    @property
    def damaging(self) -> bool:
        """Whether packets differ from what a healthy camera sends."""
        return bool(self.corrupt or self.loss or self.no_keyframes)

    def start(self, fault: AnyFault) -> None:
        """Let ``fault`` act, where it is one of this kind."""
        match fault:
            case Corrupt():
                self.corrupt = fault
                self._random["corrupt"] = random.Random(fault.seed)  # noqa: S311 repeatable damage, no secret
            case Loss():
                self.loss = fault
                self._random["loss"] = random.Random(fault.seed)  # noqa: S311 - as above
            case Jitter():
                self.jitter = fault
                self._random["jitter"] = random.Random(fault.seed)  # noqa: S311 - as above
            case NoKeyframes():
                self.no_keyframes = True
            case ParameterSets():
                self.sets_in_band = fault.only == "band"

    def stop(self, kind: str) -> None:
        """End the fault of this kind, where it is one."""
        match kind:
            case "corrupt":
                self.corrupt = None
            case "loss":
                self.loss = None
            case "jitter":
                self.jitter = None
            case "no_keyframes":
                self.no_keyframes = False
            case "parameter_sets":
                self.sets_in_band = True

    def delay_s(self) -> float:
        """Return how late the next picture is sent, seconds."""
        if self.jitter is None:
            return 0.0
        return self._random["jitter"].uniform(0, self.jitter.up_to_ms / 1000)

    def damage(self, packets: list[bytes], payloads: list[Payload], *, key: bool) -> tuple[list[bytes], bool]:
        """Return the packets that are really sent, and whether picture data in them is wrong.

        Args:
            packets: RTP packets of one picture.
            payloads: their payloads, in the same order.
            key: whether it is a key picture.
        """
        if self.no_keyframes and key:
            return [], False
        spoiled = False
        if self.corrupt is not None:
            packets, spoiled = self._flip_bits(packets, payloads, self.corrupt)
        if self.loss is not None:
            draw, probability = self._random["loss"], self.loss.probability
            kept = [packet for packet in packets if draw.random() >= probability]
            spoiled |= len(kept) < len(packets)
            packets = kept
        return packets, spoiled

    def _flip_bits(self, packets: list[bytes], payloads: list[Payload], fault: Corrupt) -> tuple[list[bytes], bool]:
        draw = self._random["corrupt"]
        hit = {nal for nal in sorted({p.nal for p in payloads if p.nal >= 0}) if draw.random() < fault.probability}
        result = list(packets)
        spoiled = False
        for nal in sorted(hit):
            of_nal = [i for i, p in enumerate(payloads) if p.nal == nal and len(p.data) > p.fragile_from]
            if not of_nal:
                continue
            spoiled = True
            for _ in range(fault.bits):
                index = draw.choice(of_nal)
                changed = bytearray(result[index])
                begin = RTP_HEADER_BYTES + payloads[index].fragile_from
                changed[draw.randrange(begin, len(changed))] ^= 1 << draw.randrange(8)
                result[index] = bytes(changed)
        return result, spoiled
