"""Whatever way someone takes and whenever pictures are analysed: the head is covered, or the picture is not known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette.contracts.frames import FrameInfo
from vedette.contracts.tracks import TrackBatch
from vedette.core import masking
from vedette.core.masking import Cover, TrackMasking
from vedette.core.people import Watch

WIDTH, HEIGHT = 1280, 720
WATCH = Watch("shop/people", hits=2)
Box = tuple[float, float, float, float]


def batch(
    t: float,
    *objects: tuple[int, Box, str],
    pipeline: str = "shop/people",
    epoch: str = "e1",
    truncated: bool = False,
    spared: bool = False,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> TrackBatch:
    frame = FrameInfo("cam", epoch, round(t * 25), t, t, 1e9 + t, *size)
    return TrackBatch(
        pipeline,
        frame,
        tuple(number for number, _, _ in objects),
        tuple(box for _, box, _ in objects),
        tuple(label for _, _, label in objects),
        (0.9,) * len(objects),
        truncated=truncated,
        spared=spared,
    )


def steady(*objects: tuple[int, Box, str], seconds: float = 4.0, fps: float = 5.0, **more: object) -> list[TrackBatch]:
    return [batch(i / fps, *objects, **more) for i in range(round(seconds * fps) + 1)]  # type: ignore[arg-type]


def holds(cover: Cover, box: Box, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bool:
    """Whether one of the regions holds the part of the box (pixels) that is in the picture."""
    x1, y1, x2, y2 = np.clip(np.array(box) / (*size, *size), 0, 1)
    if x2 <= x1 or y2 <= y1:
        return True
    found = cover.boxes
    slack = 1e-9
    return bool(
        (
            (found[:, 0] <= x1 + slack)
            & (found[:, 1] <= y1 + slack)
            & (found[:, 2] >= x2 - slack)
            & (found[:, 3] >= y2 - slack)
        ).any()
    )


def found(masks: TrackMasking, t: float, epoch: str = "e1") -> Cover:
    cover = masks.at(epoch, t)
    assert cover is not None
    return cover


# --- paths -----------------------------------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), fps=st.floats(1.7, 25), skipped=st.floats(0, 0.5), hits=st.integers(1, 4))
def test_the_head_is_covered_on_every_path(seed: int, fps: float, skipped: float, hits: int) -> None:
    """Random pictures are not analysed; the detector's boxes tremble."""
    random = np.random.default_rng(seed)
    height = random.uniform(60, 400)
    width = height * random.uniform(0.25, 0.7)
    comes, goes = sorted(random.uniform(1.0, 9.0, 2))
    room = np.array((WIDTH - width, HEIGHT - height))
    # Round and round, to and fro: as fast and as jerky as may be, or less.
    rate = np.exp(random.uniform(np.log(0.2), np.log(12), 2))
    most = np.minimum(masking.SPEED * height / rate, masking.ACCELERATION * height / rate**2) / math.sqrt(2)
    swing = np.minimum(most, room / 2) * random.uniform(0.5, 1, 2)
    middle = random.uniform(swing, room - swing)
    phase = random.uniform(0, 2 * math.pi, 2)

    def body(t: float) -> Box:
        x, y = (middle + swing * np.sin(rate * t + phase)).tolist()
        return x, y, x + width, y + height

    looks = [t for t in np.arange(0, 12, 1 / fps) if random.uniform() >= skipped]
    seen = 0
    batches = []
    for t in looks:
        there = comes <= t <= goes
        seen += there
        x1, y1, x2, y2 = body(t)
        dx1, dy1, dx2, dy2 = random.uniform(-0.055, 0.055, 4) * height
        box = (x1 + dx1, y1 + dy1, x2 + dx2, y2 + dy2)
        batches.append(batch(t, *([(1, box, "person")] if there and seen >= hits else [])))
    batches = [batches[i] for i in random.permutation(len(batches))]
    masks = TrackMasking(batches, [Watch("shop/people", hits=hits)])
    if seen < hits:
        return
    for t in random.uniform(comes, goes, 60):
        cover = masks.at("e1", t)
        if cover is not None:
            x1, y1, x2, _ = body(t)
            head = (x1, y1, x2, y1 + height * masking.HEAD_SHARE)
            assert holds(cover, head), (t, cover.boxes * (WIDTH, HEIGHT, WIDTH, HEIGHT), head)


@given(st.floats(0, 60), st.floats(0, 60))
def test_no_more_is_grown_than_someone_can_go_and_come_back(before: float, after: float) -> None:
    away = float(masking.stray(np.array([before]), np.array([after]))[0])
    assert 0 <= away <= masking.SPEED * 2 * min(before, after) + 1e-9


def test_a_steady_body_is_not_covered_below_the_chest() -> None:
    masks = TrackMasking(steady((1, (600, 200, 700, 500), "person")), [WATCH])
    cover = found(masks, 2.0)
    assert holds(cover, (600, 190, 700, 300))
    assert cover.boxes[:, 3].max() * HEIGHT < 400
    assert cover.boxes[:, 0].min() * WIDTH > 540
    assert cover.boxes[:, 2].max() * WIDTH < 760


def test_between_two_sights_the_way_is_followed() -> None:
    looks = [batch(t, (1, (200 + 300 * t, 200, 300 + 300 * t, 500), "person")) for t in (0, 0.5, 1, 1.5, 2.0, 2.5)]
    cover = found(TrackMasking(looks, [WATCH]), 0.75)
    assert holds(cover, (425, 200, 525, 300))


# --- what kind of thing, in what position ----------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["dog", "car", "teddy bear", "Handbag"])
def test_things_are_left_as_they_are(label: str) -> None:
    masks = TrackMasking(steady((1, (600, 200, 700, 500), label)), [WATCH])
    assert len(found(masks, 2.0).boxes) == 0


@pytest.mark.parametrize("label", ["scratch", "Kunde", "", "no-vest"])
def test_what_is_not_known_is_covered_whole(label: str) -> None:
    masks = TrackMasking(steady((1, (600, 200, 700, 500), label)), [WATCH])
    assert holds(found(masks, 2.0), (600, 200, 700, 500))


@pytest.mark.parametrize("label", ["face", "Head"])
def test_a_head_is_covered_whole(label: str) -> None:
    masks = TrackMasking(steady((1, (600, 200, 630, 240), label)), [WATCH])
    assert holds(found(masks, 2.0), (600, 200, 630, 240))


def test_someone_who_lies_is_covered_whole() -> None:
    masks = TrackMasking(steady((1, (300, 500, 700, 620), "person")), [WATCH])
    assert holds(found(masks, 2.0), (300, 500, 700, 620))


def test_someone_of_whom_only_the_head_is_in_the_picture_is_covered_whole() -> None:
    masks = TrackMasking(steady((1, (600, 650, 660, 720), "person")), [WATCH])
    assert holds(found(masks, 2.0), (600, 650, 660, 720))


def test_someone_who_falls_is_covered_whole_on_the_way() -> None:
    looks = steady((1, (600, 200, 700, 500), "person"), seconds=1.0)
    looks += [batch(t, (1, (450, 400, 750, 500), "person")) for t in (1.2, 1.4, 1.6, 1.8)]
    assert holds(found(TrackMasking(looks, [WATCH]), 1.1), (600, 300, 700, 450))


def test_a_person_once_is_a_person_for_ever() -> None:
    looks = [batch(i / 5, (7, (600, 200, 700, 500), "person" if i == 3 else "dog")) for i in range(20)]
    assert holds(found(TrackMasking(looks, [WATCH]), 2.0), (600, 200, 700, 500))


def test_the_picture_of_another_size_is_covered_at_the_same_place() -> None:
    small = steady((1, (300, 100, 350, 250), "person"), size=(640, 360))
    assert holds(found(TrackMasking(small, [WATCH]), 2.0), (600, 200, 700, 300))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_box_that_is_no_box_covers_everything(bad: float) -> None:
    masks = TrackMasking(steady((1, (bad, 200, 700, 500), "person")), [WATCH])
    assert holds(found(masks, 2.0), (0, 0, WIDTH, HEIGHT))


# --- what is known when ----------------------------------------------------------------------------------------------


def test_someone_is_covered_before_the_tracker_tells() -> None:
    looks = [batch(i / 5, *([(1, (600, 200, 700, 500), "person")] if i >= 10 else [])) for i in range(30)]
    masks = TrackMasking(looks, [WATCH])
    assert holds(found(masks, 1.65), (600, 200, 700, 300))
    assert len(found(masks, 0.5).boxes) == 0


def test_someone_is_covered_after_the_last_sight() -> None:
    looks = [batch(i / 5, *([(1, (600, 200, 700, 500), "person")] if i <= 10 else [])) for i in range(30)]
    assert holds(found(TrackMasking(looks, [WATCH]), 2.3), (600, 200, 700, 300))


def test_nothing_is_known_where_pictures_are_too_far_apart() -> None:
    looks = [batch(t, (1, (600, 200, 700, 500), "person")) for t in (0, 0.5, 1.0, 3.0, 3.5, 4.0)]
    masks = TrackMasking(looks, [WATCH])
    assert masks.at("e1", 0.4) is not None
    assert masks.at("e1", 2.0) is None
    assert masks.at("e1", 3.2) is not None


def test_nothing_is_known_until_someone_new_would_have_been_told() -> None:
    masks = TrackMasking(steady(seconds=2.0), [Watch("shop/people", hits=3)])
    assert masks.at("e1", 1.5) is not None
    assert masks.at("e1", 1.7) is None
    assert masks.at("e1", 2.5) is None


def test_nothing_is_known_of_another_epoch_or_time() -> None:
    masks = TrackMasking(steady(), [WATCH])
    assert masks.at("e2", 2.0) is None
    assert masks.at("e1", -1.0) is None
    assert masks.at("e1", math.nan) is None
    assert TrackMasking([], [WATCH]).at("e1", 2.0) is None
    assert TrackMasking(steady(), []).at("e1", 2.0) is None


def test_pictures_with_too_many_objects_say_nothing() -> None:
    assert TrackMasking(steady(truncated=True), [WATCH]).at("e1", 2.0) is None


def test_pictures_at_which_nobody_looked_say_nothing() -> None:
    assert TrackMasking(steady(spared=True), [WATCH]).at("e1", 2.0) is None
    person: tuple[int, Box, str] = (1, (500, 200, 600, 500), "person")
    times = [number / 5 for number in range(50)]
    looked = [batch(t, *((person,) if t >= 5 else ()), spared=0.3 < t < 4.9) for t in times]
    masks = TrackMasking(looked, [WATCH])
    assert masks.at("e1", 0.0) is not None
    assert [masks.at("e1", t) for t in (1.0, 2.0, 3.0, 4.0)] == [None] * 4, "who came in between was seen by nobody"
    cover = masks.at("e1", 5.2)
    assert cover is not None
    assert len(cover.boxes)


def test_pictures_of_a_pipeline_that_looks_for_parts_say_nothing_of_people() -> None:
    parts = steady((1, (100, 100, 150, 150), "bottle"), pipeline="line/parts")
    assert TrackMasking(parts, [WATCH]).at("e1", 2.0) is None


def test_people_of_every_pipeline_are_covered() -> None:
    looks = steady() + steady((1, (100, 200, 200, 500), "person"), pipeline="gate/others")
    assert holds(found(TrackMasking(looks, [WATCH]), 2.0), (100, 200, 200, 300))


def test_what_is_not_looked_at_is_filled() -> None:
    region = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    cover = found(TrackMasking(steady(), [Watch("shop/people", region=region)]), 2.0)
    assert cover.cells is not None
    assert cover.cells[:, 32:].all()
    assert not cover.cells[:, :20].any()


def test_what_one_pipeline_does_not_look_at_another_may() -> None:
    left = Watch("shop/left", region=((0, 0), (0.6, 0), (0.6, 1), (0, 1)))
    whole = steady(pipeline="shop/left") + steady(pipeline="shop/people")
    assert found(TrackMasking(whole, [left, WATCH]), 2.0).cells is None
    only_left = steady(pipeline="shop/left") + steady(pipeline="shop/people", seconds=1.0)
    assert found(TrackMasking(only_left, [left, WATCH]), 2.0).cells is not None
