"""Looking at parts of objects: which, how often, and what a failing model costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.stage import batch
from tests.engines.pictures import picture
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import CodesAttribute
from vedette.contracts.tracks import Attribute
from vedette.core.part import Part
from vedette.core.pixels import Pixels
from vedette.pipeline.attributes import MAX_LOOKS, MAX_REMEMBERED, AttributeLook, AttributeStep, part_of

PICTURE = picture(1000, 1000)


class Spy:
    """Notes the size of every part it is shown, and says what a test wants."""

    def __init__(self, say: Callable[[Pixels], tuple[str, float] | None] = lambda _: ("yes", 0.9)) -> None:
        self.sizes: list[tuple[int, int]] = []
        self._say = say

    def observe(self, part: Part) -> tuple[str, float] | None:
        self.sizes.append((part.pixels.width, part.pixels.height))
        return self._say(part.pixels)


def step(spy: Spy, name: str = "hat", **settings: object) -> AttributeStep:
    return AttributeStep(name, CodesAttribute.model_validate({"type": "codes", **settings}), spy)


def test_each_object_is_looked_at_now_and_then() -> None:
    spy = Spy()
    look = AttributeLook([step(spy, every_s=0.5)])
    found = [look.look(PICTURE, batch(0.1 * n, {1: (0.3, 0.5), 2: (0.6, 0.5)})) for n in range(11)]
    assert len(spy.sizes) == 6, "0.0, 0.5 and 1.0 s, two objects"
    assert found[0] == ((Attribute("hat", "yes", 0.9),), (Attribute("hat", "yes", 0.9),))
    assert found[1] == ((), ())


def test_only_the_classes_asked_for() -> None:
    spy = Spy()
    look = AttributeLook([step(spy, labels=["person"])])
    found = look.look(PICTURE, batch(0.0, {1: (0.3, 0.5), 2: (0.6, 0.5)}, labels={2: "car"}))
    assert [len(each) for each in found] == [1, 0]


def test_the_part_is_a_share_of_the_box() -> None:
    spy = Spy()
    look = AttributeLook([step(spy, crop=[0.0, 0.0, 1.0, 0.3])])
    look.look(PICTURE, batch(0.0, {1: (0.5, 0.5)}))  # a box of 40 x 100
    assert spy.sizes == [(40, 30)]


def test_a_part_that_is_small_or_outside_says_nothing() -> None:
    spy = Spy()
    look = AttributeLook([step(spy, min_size_px=41)])
    assert look.look(PICTURE, batch(0.0, {1: (0.5, 0.5)})) == ((),)
    settings = CodesAttribute(type="codes")
    assert part_of(PICTURE, (-30.0, 100.0, 20.0, 200.0), settings) is None
    assert part_of(PICTURE, (-10.0, 100.0, 40.0, 200.0), settings) is not None
    assert spy.sizes == []


def test_an_object_that_the_edge_cuts_is_passed_over_where_wholes_are_asked_for() -> None:
    whole, any_ = CodesAttribute(type="codes", only_whole=True), CodesAttribute(type="codes")
    for box in ((0, 400, 50, 500), (400, 3, 450, 100), (960, 400, 998, 500), (400, 900, 450, 1000)):
        assert part_of(PICTURE, box, whole) is None
        assert part_of(PICTURE, box, any_) is not None
    assert part_of(PICTURE, (20, 20, 70, 980), whole) is not None


def test_in_a_crowd_everyone_has_a_turn() -> None:
    spy = Spy()
    look = AttributeLook([step(spy, every_s=0.0)])
    crowd = {number: (0.1 + 0.015 * number, 0.5) for number in range(1, 41)}
    seen: set[int] = set()
    for n in range(3):
        found = look.look(PICTURE, batch(0.2 * n, crowd))
        seen |= {number for number, each in zip(crowd, found, strict=True) if each}
        assert len(spy.sizes) == MAX_LOOKS * (n + 1)
    assert seen == set(crowd)


def test_a_failing_model_costs_its_attribute_and_is_reported() -> None:
    def fail(_: Pixels) -> tuple[str, float]:
        raise ModelError("returned nonsense.", code="V304")

    look = AttributeLook([step(Spy(fail), "hat"), step(Spy(), "vest")])
    found = look.look(PICTURE, batch(0.0, {1: (0.5, 0.5)}))
    assert found == ((Attribute("vest", "yes", 0.9),),)
    assert "hat" in look.problem
    assert "V304" in look.problem


def test_memory_is_bounded() -> None:
    look = AttributeLook([step(Spy(), every_s=0.0)])
    for n in range(200):
        look.look(PICTURE, batch(0.2 * n, {n * 10 + i: (0.5, 0.5) for i in range(10)}))
    assert len(look._looked_s[0]) <= MAX_REMEMBERED


def test_after_time_went_back_objects_are_looked_at_again() -> None:
    spy = Spy()
    look = AttributeLook([step(spy, every_s=10)])
    look.look(PICTURE, batch(100.0, {1: (0.5, 0.5)}))
    look.look(PICTURE, batch(3.0, {1: (0.5, 0.5)}, epoch="e2"))
    assert len(spy.sizes) == 2


@given(
    st.tuples(*[st.floats(-2000, 3000)] * 2, *[st.floats(0, 3000)] * 2),
    st.tuples(st.floats(-0.5, 0.9), st.floats(-0.5, 0.9), st.floats(0.05, 1.5), st.floats(0.05, 1.5)),
)
def test_any_part_of_any_box_lies_in_the_picture_or_is_none(
    box: tuple[float, float, float, float], crop: tuple[float, float, float, float]
) -> None:
    x, y, width, height = box
    settings = CodesAttribute(type="codes", min_size_px=4)
    x1, y1, w, h = crop
    if x1 + w <= 1.5 and y1 + h <= 1.5:
        settings = settings.model_copy(update={"crop": (x1, y1, x1 + w, y1 + h)})
    part = part_of(PICTURE, (x, y, x + width, y + height), settings)
    if part is not None:
        assert min(part.pixels.width, part.pixels.height) >= 4


def test_a_crop_that_is_no_part_is_refused() -> None:
    with pytest.raises(ValueError, match="no part of a box"):
        CodesAttribute(type="codes", crop=(0.5, 0.0, 0.5, 1.0))
