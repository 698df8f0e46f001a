"""Goods in front of a background: rendered scenes with light that changes, goods that stop, cameras that pause."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from vedette.adapters.engines.moving import MAX_OBJECTS, MAX_VIEWS, MovingDetector, MovingSequence
from vedette.adapters.manifest import load_manifest
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import Moving
from vedette.core.detections import Detections
from vedette.core.pixels import Pixels
from vedette.core.views import View
from vedette.pipeline.look import Looker
from vedette.testing.belt import Belt, BeltSettings, make_truth

WIDTH, HEIGHT, FPS = 320, 180, 10
#: Left, top and brightness of each.
Goods = Sequence[tuple[float, float, float]]
BOX = (70, 50)


def ground(seed: int = 1) -> np.ndarray:
    """A belt: brighter below, with a texture that stays."""
    random = np.random.default_rng(seed)
    return np.linspace(70, 110, HEIGHT)[:, None] + random.normal(0, 6, (HEIGHT, WIDTH))


GROUND = ground()


def picture(number: int, goods: Goods = (), light: float = 1.0) -> Pixels:
    """A picture with noise: goods as left, top and brightness, each ``BOX`` large."""
    scene = GROUND.copy()
    for left, top, bright in goods:
        x, y = round(left), round(top)
        scene[max(0, y) : y + BOX[1], max(0, x) : max(0, x + BOX[0])] = bright
    noise = np.random.default_rng([7, number]).normal(0, 2.5, scene.shape)
    grey = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    return Pixels(np.clip(scene * light + noise, 0, 255).astype(np.uint8), grey, grey, full_range=True)


def boxes(found: Detections) -> list[tuple[int, ...]]:
    return [tuple(round(float(value)) for value in box) for box in found.boxes]


class Camera:
    """A detector and the time of its pictures."""

    def __init__(self, **settings: float) -> None:
        self.sequence: MovingSequence = MovingDetector(Moving.model_validate(settings), "parcel").open()
        self.number = 0
        self.t_s = 100.0

    def see(self, goods: Goods = (), light: float = 1.0) -> Detections:
        found = self.sequence.detect_next(picture(self.number, goods, light), (), "all", self.t_s)
        self.number, self.t_s = self.number + 1, self.t_s + 1 / FPS
        return found

    def run(self, seconds: float, goods: Goods = (), light: float = 1.0) -> list[Detections]:
        return [self.see(goods, light) for _ in range(round(seconds * FPS))]


@pytest.fixture
def camera() -> Camera:
    known = Camera()
    assert all(len(found) == 0 for found in known.run(4))
    return known


def near(box: tuple[int, ...], left: float, top: float, by: int = 4) -> bool:
    wanted = (left, top, left + BOX[0], top + BOX[1])
    return all(abs(value - other) <= by for value, other in zip(box, wanted, strict=True))


@pytest.mark.parametrize("bright", [20, 210])
def test_what_comes_is_found_where_it_is_and_nothing_is_where_it_was(camera: Camera, bright: float) -> None:
    for left in range(0, WIDTH - BOX[0], 8):
        (box,) = boxes(camera.see([(left, 60, bright)]))
        assert near(box, left, 60)
    assert all(len(found) == 0 for found in camera.run(1))


def test_two_goods_are_two_objects_and_the_larger_difference_is_surer(camera: Camera) -> None:
    found = camera.see([(20, 60, 220), (180, 60, 112)])
    by_left = sorted(zip(boxes(found), found.scores.tolist(), strict=True))
    assert [near(box, left, 60) for (box, _), left in zip(by_left, (20, 180), strict=True)] == [True, True]
    assert by_left[0][1] == 1.0
    assert 0.5 <= by_left[1][1] < 1.0


def test_goods_smaller_than_asked_for_are_none() -> None:
    large = Camera(min_size=0.4)
    large.run(4)
    assert len(large.see([(20, 60, 220)])) == 0


@pytest.mark.parametrize(("before", "after"), [(1.0, 0.7), (0.7, 1.0), (1.0, 1.5)])
def test_a_lamp_that_goes_on_or_off_is_no_object_and_goods_are_found_in_the_new_light(
    before: float, after: float
) -> None:
    lamp = Camera()
    lamp.run(4, light=before)
    assert [len(found) for found in lamp.run(2, light=after)] == [0] * 20
    (box,) = boxes(lamp.see([(100, 60, 10)], after))
    assert near(box, 100, 60)


def test_light_that_fades_over_a_minute_is_followed(camera: Camera) -> None:
    assert all(len(camera.see(light=1.0 - 0.5 * step / 600)) == 0 for step in range(600))


def test_a_soft_shadow_is_no_object(camera: Camera) -> None:
    across = np.arange(WIDTH)
    for number in range(30):
        seen = picture(number)
        shade = 1 - 0.3 * np.exp(-(((across - 10 * number) / 60.0) ** 2))
        dark = Pixels((seen.y * shade).astype(np.uint8), seen.u, seen.v, full_range=True)
        camera.t_s += 0.1
        assert len(camera.sequence.detect_next(dark, (), "all", camera.t_s)) == 0


def test_a_belt_that_stops_keeps_its_goods_and_shows_no_ghost_when_it_goes_on(camera: Camera) -> None:
    camera.run(15)
    for left in range(0, 120, 8):
        camera.see([(left, 60, 210)])
    stood = [boxes(found) for found in camera.run(40, [(120, 60, 210)])]
    assert [len(found) for found in stood] == [1] * 400
    assert all(near(box, 120, 60) for (box,) in stood)
    for left in range(128, 240, 8):
        (box,) = boxes(camera.see([(left, 60, 210)]))
        assert near(box, left, 60)
    assert [len(found) for found in camera.run(1)] == [0] * 10


def test_what_stands_for_longer_becomes_background_and_the_belt_under_it_is_known_again() -> None:
    still = Camera(absorb_s=8)
    still.run(12)
    stood = [len(found) for found in still.run(12, [(120, 60, 210)])]
    assert stood[:70] == [1] * 70
    assert stood[-20:] == [0] * 20
    (other,) = boxes(still.see([(120, 60, 210), (10, 60, 20)]))
    assert near(other, 10, 60)
    assert [len(found) for found in still.run(1)] == [0] * 10, "the belt that was there before"
    (again,) = boxes(still.see([(120, 60, 210)]))
    assert near(again, 120, 60)


def test_goods_that_stood_there_when_it_began_leave_a_ghost_of_some_seconds_only() -> None:
    late = Camera()
    late.run(3, [(120, 60, 210)])
    ghost = [len(found) for found in late.run(8)]
    assert ghost[0] == 1
    assert ghost[-20:] == [0] * 20
    (box,) = boxes(late.see([(120, 60, 210)]))
    assert near(box, 120, 60)


def test_a_pause_of_the_camera_changes_nothing_where_the_scene_is_the_same(camera: Camera) -> None:
    camera.see([(20, 60, 210)])
    camera.t_s += 3600
    (box,) = boxes(camera.see([(200, 60, 210)]))
    assert near(box, 200, 60)
    assert len(camera.see()) == 0


def test_a_camera_that_was_moved_is_learned_anew_without_a_false_object(camera: Camera) -> None:
    shown = [
        camera.sequence.detect_next(
            Pixels(
                np.clip(picture(n).y[::-1, ::-1].astype(int) + 60 * (np.arange(WIDTH) // 8 % 2), 0, 255).astype(
                    np.uint8
                ),
                picture(n).u,
                picture(n).v,
                full_range=True,
            ),
            (),
            "all",
            camera.t_s + n / FPS,
        )
        for n in range(60)
    ]
    assert all(len(found) == 0 or found.boxes[:, 2].max() <= WIDTH for found in shown)
    assert [len(found) for found in shown[-20:]] == [0] * 20


def test_a_clock_that_goes_back_begins_anew(camera: Camera) -> None:
    camera.t_s = 1.0
    assert len(camera.see([(20, 60, 210)])) == 0
    camera.run(4)
    assert len(camera.see([(20, 60, 210)])) == 1


def test_hidden_areas_are_not_seen(camera: Camera) -> None:
    left_half = (((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),)
    sequence = MovingDetector(Moving(), "parcel").open()
    for number in range(40):
        sequence.detect_next(picture(number), left_half, "all", number / FPS)
    found = sequence.detect_next(picture(41, [(30, 60, 210), (200, 60, 210)]), left_half, "all", 4.1)
    (box,) = boxes(found)
    assert near(box, 200, 60)


def test_memory_is_bounded_whatever_comes() -> None:
    sequence = MovingDetector(Moving(min_size=0.001, min_change=4), "parcel").open()
    for view in range(3 * MAX_VIEWS):
        sequence.detect_next(picture(view), (), view, 1.0)
    assert len(sequence._views) == MAX_VIEWS
    for number in range(40):
        sequence.detect_next(picture(number), (), "all", number / FPS)
    spots = np.random.default_rng(3).random((HEIGHT // 6, WIDTH // 6)) < 0.3
    dots = np.kron(spots, np.pad(np.ones((3, 3)), ((0, 3), (0, 3))))
    seen = picture(50)
    y = seen.y.copy()
    y[: dots.shape[0], : dots.shape[1]][dots > 0] = 255
    found = sequence.detect_next(Pixels(y, seen.u, seen.v, full_range=True), (), "all", 5.0)
    assert 0 < len(found) <= MAX_OBJECTS


@pytest.mark.parametrize("make", [lambda h, w: np.zeros((h, w)), lambda h, w: np.full((h, w), 255.0)])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (33, 2), (4001, 7)])
def test_odd_pictures_are_no_crash(make: Callable[[int, int], np.ndarray], width: int, height: int) -> None:
    sequence = MovingDetector(Moving(), "parcel").open()
    half = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
    for number in range(40):
        pixels = Pixels(make(height, width).astype(np.uint8), half, half)
        assert len(sequence.detect_next(pixels, (), "all", number / FPS)) == 0


def test_each_camera_has_its_own_background() -> None:
    looker = Looker(MovingDetector(Moving(), "parcel"))
    assert looker.in_order
    one, other = looker.for_camera(), looker.for_camera()
    for number in range(40):
        one.look(picture(number), View(), number / FPS)
        other.look(picture(number, [(20, 60, 210)]), View(), number / FPS)
    assert len(one.look(picture(41, [(20, 60, 210)]), View(), 4.1)) == 1
    assert len(other.look(picture(41, [(20, 60, 210)]), View(), 4.1)) == 0


FRAMES_S = 25


def _belt(settings: BeltSettings) -> Iterator[tuple[float, Pixels]]:
    belt = Belt(settings)
    for number in range(0, 25 * FRAMES_S, 5):
        y, rest = np.split(belt.frame(number), [360])
        u, v = (plane.reshape(180, 320) for plane in np.split(rest, 2))
        yield number / FRAMES_S, Pixels(y, u, v)


def test_every_part_of_a_rendered_belt_is_one_object_through_shadow_and_flicker() -> None:
    settings = BeltSettings(seed=3)
    truth = make_truth(settings)
    parts = [*truth.parts, *truth.repetition(-1), *truth.repetition(1)]
    sequence = MovingDetector(Moving(), "part").open()
    judged, wrong = 0, []
    for t_s, pixels in _belt(settings):
        found = boxes(sequence.detect_next(pixels, (), "all", t_s))
        if t_s < 6:
            continue
        whole = [box for part in parts if (box := part.box_at(t_s)) is not None and box[2] - box[0] > 60]
        cut = [box for part in parts if (box := part.box_at(t_s)) is not None and box[2] - box[0] <= 60]
        inner = [box for box in found if not any(box[0] < e[2] and e[0] < box[2] for e in cut)]
        middles = sorted((box[0] + box[2]) / 2 for box in inner)
        expected = sorted((box[0] + box[2]) / 2 for box in whole)
        if len(middles) != len(expected) or any(
            abs(one - other) > 16 for one, other in zip(middles, expected, strict=True)
        ):
            wrong.append(t_s)
        judged += len(whole)
    assert judged > 200
    assert len(wrong) <= 6, "in the depth of the shadow a part is as dark as the lit belt, and comes apart"


MANIFEST = """
api: vedette/v1
name: goods
cameras: {{ belt: {{}} }}
models: {{ goods: {{{model}}} }}
pipelines: {{ belt: {{ model: goods, cameras: [belt], fps: 10{extra} }} }}
rules: {{ passed: {{ type: line_crossed, line: [[0.5, 0], [0.5, 1]], labels: [{label}] }} }}
actions: {{ log: {{ type: file, path: alerts.jsonl }} }}
"""


@pytest.mark.parametrize(
    ("model", "label", "said"),
    [
        ("family: moving, labels: [parcel, box]", "parcel", "one label"),
        ("family: moving, file: a.onnx", "object", "comes with the program"),
        ("family: moving, moving: {min_change: 300}", "object", "min_change"),
        ("family: codes, moving: {min_size: 0.1}", "qr_code", "for the family moving"),
        ("family: moving", "person", "object"),
    ],
)
def test_a_manifest_that_asks_for_what_there_is_not(tmp_path: Path, model: str, label: str, said: str) -> None:
    (tmp_path / "vedette.yaml").write_text(MANIFEST.format(model=model, label=label, extra=""))
    with pytest.raises(ConfigurationError) as caught:
        load_manifest(tmp_path)
    assert said in str(caught.value)


def test_tiles_are_of_no_use_to_it(tmp_path: Path) -> None:
    extra = ", tiles: {columns: 2, rows: 1}"
    (tmp_path / "vedette.yaml").write_text(MANIFEST.format(model="family: moving", label="object", extra=extra))
    with pytest.raises(ConfigurationError) as caught:
        load_manifest(tmp_path)
    assert "tiles" in str(caught.value)
