"""Makes the picture and the clip of one alert, as its privacy allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vedette.adapters.evidence.store import EvidenceStore, digest_of, folder_name
from vedette.adapters.journal.sqlite import SqliteJournalReader
from vedette.compose.privacy import Maskers
from vedette.contracts.errors import EvidenceError
from vedette.contracts.evidence import CLIP_FILE, SNAPSHOT_FILE, Clip, EvidenceRecord, Shortfall, Snapshot
from vedette.contracts.plan import Plan
from vedette.contracts.privacy import Privacy
from vedette.contracts.tracks import TrackBatch
from vedette.core.evidence import Found, cut

if TYPE_CHECKING:
    from vedette.adapters.evidence.drawings import Drawings
    from vedette.adapters.evidence.masker import PeopleMasker

#: Quality of snapshots.
JPEG_QUALITY: Final = 88
#: Batches read from the journal at once, and in all for one alert.
_BATCHES: Final = 500
_MOST_BATCHES: Final = 20_000
#: Less video than asked for by more than this is said.
_SHORT_S: Final = 0.5


class EvidenceMaker:
    """Makes files beside a record. What people may see is decided before anything is written.

    Args:
        store: where to.
        journal: what the camera's pipelines saw.
        maskers: makes people unrecognisable.
    """

    def __init__(self, store: EvidenceStore, journal: Path, maskers: Maskers) -> None:
        self._store = store
        self._journal = journal
        self._maskers = maskers

    def snapshot(self, record: EvidenceRecord, found: Found, plan: Plan) -> EvidenceRecord:
        """The record with the alert's picture.

        Raises:
            EvidenceError: V901, it cannot be made; V902 to V904, it may not be shown.
            OSError: the disk does not take it.
        """
        import cv2

        from vedette.adapters.evidence.annotate import annotate
        from vedette.adapters.evidence.video import picture_at

        masker = self._masker(record, found, found.note.media_time_s, found.note.media_time_s, plan)
        picture = picture_at(found.packets, found.index)
        if masker is not None:
            picture = masker.cover(picture, found.note.media_time_s, found.note.epoch)
            record = _told(record, masker)
        drawings = self._drawings(record, found, found.note.media_time_s, found.note.media_time_s, plan)
        if drawings is not None:
            picture = drawings.draw(picture, found.note.epoch, found.note.media_time_s)
        height, width = picture.shape[:2]
        encoded, content = cv2.imencode(
            ".jpg", annotate(picture, record.alert), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        if not encoded:
            raise EvidenceError("the picture cannot be encoded.")
        path = self._path(record, SNAPSHOT_FILE)
        path.write_bytes(content.tobytes())
        made = Snapshot(
            file=SNAPSHOT_FILE,
            bytes=path.stat().st_size,
            sha256=digest_of(path),
            width=width,
            height=height,
            media_time_s=found.note.media_time_s,
        )
        return record.model_copy(update={"snapshot": made})

    def clip(self, record: EvidenceRecord, found: Found, plan: Plan, tick: Callable[[], None]) -> EvidenceRecord:
        """The record with the video around the alert.

        Args:
            record: of the alert.
            found: its picture and packets.
            plan: of the device.
            tick: called at each picture that is decoded; covering people may take minutes.

        Raises:
            EvidenceError: V901, it cannot be made; V902 to V904, it may not be shown.
            OSError: the disk does not take it.
        """
        from vedette.adapters.evidence.video import write_clip

        asked = record.asked.clip
        assert asked is not None
        piece = cut(found, asked.before_s, asked.after_s)
        masker = self._masker(record, found, min(piece.media_times_s), max(piece.media_times_s), plan)
        drawings = self._drawings(record, found, min(piece.media_times_s), max(piece.media_times_s), plan)
        path = self._path(record, CLIP_FILE)
        if masker is None and drawings is None:
            written, codec = write_clip(piece, path), found.packets[0].stream.codec
        else:
            from vedette.adapters.evidence.covered_clip import write_covered_clip
            from vedette.adapters.evidence.drawings import Uncovered

            written, codec = write_covered_clip(piece, masker or Uncovered(), path, drawings, tick=tick), "h264"
            if masker is not None:
                record = _told(record, masker)
        alert_s = max(0.0, found.note.media_time_s - written.first_media_time_s)
        made = Clip(
            file=CLIP_FILE,
            bytes=path.stat().st_size,
            sha256=digest_of(path),
            codec=codec,
            reencoded=written.reencoded,
            duration_s=round(written.duration_s, 3),
            alert_s=round(alert_s, 3),
            pre_roll_s=round(alert_s, 3),
            pictures=written.pictures,
            covered_s=round(written.covered_s, 3),
        )
        short = [_short("before", asked.before_s, alert_s), _short("after", asked.after_s, made.duration_s - alert_s)]
        told = (*record.shortfalls, *(one for one in short if one is not None))
        return record.model_copy(update={"clip": made, "shortfalls": told})

    def _masker(
        self, record: EvidenceRecord, found: Found, from_s: float, to_s: float, plan: Plan
    ) -> PeopleMasker | None:
        if record.privacy is Privacy.NONE:
            return None
        from vedette.core.masking import CONTEXT_S

        wall_s = found.note.wall_s - found.note.media_time_s
        batches = self._batches(record.camera, wall_s + from_s - CONTEXT_S, wall_s + to_s + CONTEXT_S)
        return self._maskers.make(record.privacy, plan, record.camera, batches)

    def _drawings(
        self, record: EvidenceRecord, found: Found, from_s: float, to_s: float, plan: Plan
    ) -> Drawings | None:
        """What the application's Panorama code drew on the camera's pictures; None where that is nothing."""
        codes = [code for code in plan.panorama if code.application == record.alert.application]
        if not codes:
            return None
        from vedette.adapters.evidence.drawings import HELD_S, Drawings

        wall_s = found.note.wall_s - found.note.media_time_s
        outputs = {pipeline for code in codes for pipeline in code.pipelines.values()}
        batches = self._batches(record.camera, wall_s + from_s - HELD_S, wall_s + to_s + HELD_S)
        drawings = Drawings([batch for batch in batches if batch.pipeline in outputs])
        return drawings if drawings else None

    def _batches(self, camera: str, from_s: float, to_s: float) -> Sequence[TrackBatch]:
        """What all pipelines saw of a camera between two moments of Unix time."""
        found: list[TrackBatch] = []
        reader = SqliteJournalReader(self._journal, None)
        try:
            if not reader.identity():
                return found
            at = reader.position(from_s - 1.0)
            while rows := reader.read(at, _BATCHES):
                for at, row in rows:  # noqa: B007 - the last one is where reading goes on
                    if not isinstance(row, TrackBatch) or row.frame.camera != camera:
                        continue
                    if from_s <= row.frame.wall_s <= to_s:
                        found.append(row)
                if len(found) > _MOST_BATCHES:
                    raise EvidenceError("too much was seen around the alert to cover everyone.", code="V902")
            return found
        finally:
            reader.close()

    def _path(self, record: EvidenceRecord, file: str) -> Path:
        return self._store.directory / folder_name(record.alert) / file


def _told(record: EvidenceRecord, masker: PeopleMasker) -> EvidenceRecord:
    """The record with what went wrong with the models; what tracks say is covered all the same."""
    known = {shortfall.why for shortfall in record.shortfalls}
    new = [Shortfall(what="privacy", why=why[:600], code="V904") for why in masker.problems if why[:600] not in known]
    return record.model_copy(update={"shortfalls": (*record.shortfalls, *new)})


def _short(which: str, asked_s: float, there_s: float) -> Shortfall | None:
    if asked_s - there_s <= _SHORT_S:
        return None
    why = f"{max(there_s, 0.0):.1f} s of video {which} the alert's picture are there, {asked_s:g} s were asked for."
    return Shortfall(what="clip", why=why, code="V901")
