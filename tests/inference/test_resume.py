from __future__ import annotations

from vedette.contracts.frames import FrameInfo
from vedette.contracts.tracks import TrackBatch
from vedette.pipeline.resume import with_lost_objects


def batch(t_s: float, **objects: float) -> TrackBatch:
    """Objects ``n<number>=x``: a box of ten pixels at x."""
    return TrackBatch(
        "app/p",
        FrameInfo("cam", "e", int(t_s * 10), t_s, t_s, t_s, 100, 100),
        tuple(int(name[1:]) for name in objects),
        tuple((x, 0.0, x + 10, 10.0) for x in objects.values()),
        ("thing",) * len(objects),
        (0.9,) * len(objects),
        next_track_id=9,
    )


def test_who_was_missed_in_the_last_picture_is_remembered_where_last_seen() -> None:
    earlier = [batch(9.9, n1=30, n2=60), batch(9.8, n1=20), batch(5.0, n7=50), batch(12.0, n8=1)]
    merged = with_lost_objects(batch(10.0, n2=61), earlier, lost_s=3.0)
    assert dict(zip(merged.track_ids, (box[0] for box in merged.boxes), strict=True)) == {1: 30, 2: 61}
    assert (merged.frame.t_s, merged.next_track_id) == (10.0, 9)


def test_nothing_earlier_changes_nothing() -> None:
    last = batch(10.0, n2=61)
    assert with_lost_objects(last, [], 3.0) == last
    assert with_lost_objects(last, [last], 3.0) == last
