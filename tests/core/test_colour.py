"""Colours of parts of objects: what is said, and that nothing is said where nothing can be."""

from __future__ import annotations

import colorsys
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.conftest import REPOSITORY
from tests.core.colour_scene import HEAD, RGB, TORSO, Scene, part, render
from vedette.contracts.manifest import ColourRange, SafetyColour
from vedette.core.colour import ColourJudge, ColourMeter, has_colour
from vedette.core.part import Part
from vedette.core.pixels import Pixels
from vedette.core.safety_colours import SAFETY_COLOURS, range_of

DOCS = (REPOSITORY / "docs" / "pipelines.md").read_text()

#: Clothing in good light, red, green and blue of 0..255: the plastics by their RAL tables, fluorescent textiles as
#: cameras show them.
VESTS: dict[SafetyColour, tuple[RGB, ...]] = {
    SafetyColour.HI_VIS_YELLOW: ((205, 245, 60), (220, 240, 70), (190, 235, 90)),
    SafetyColour.HI_VIS_ORANGE: ((250, 95, 30), (240, 80, 40), (255, 110, 45)),
    SafetyColour.HI_VIS_RED: ((235, 40, 45), (225, 50, 60)),
}
HATS: dict[SafetyColour, tuple[RGB, ...]] = {
    SafetyColour.HARD_HAT_YELLOW: ((240, 202, 0), (226, 176, 7), (245, 215, 60)),
    SafetyColour.HARD_HAT_ORANGE: ((244, 100, 24), (232, 100, 20)),
    SafetyColour.HARD_HAT_RED: ((187, 30, 16), (200, 40, 40)),
    SafetyColour.HARD_HAT_BLUE: ((0, 90, 170), (40, 110, 190)),
    SafetyColour.HARD_HAT_GREEN: ((0, 124, 89), (40, 140, 70)),
    SafetyColour.HARD_HAT_WHITE: ((245, 246, 244), (236, 236, 231)),
}
#: What must never be taken for any of them: hair, skin, leather, olive, teal, denim, stone.
PLAIN: tuple[RGB, ...] = (
    (32, 28, 26),
    (215, 185, 140),
    (122, 62, 40),
    (92, 78, 40),
    (60, 125, 120),
    (80, 110, 150),
    (150, 150, 152),
    (215, 165, 135),
    (95, 62, 45),
    (90, 110, 50),
)
#: Of these, brown leather and the greens look as hi-vis orange and yellow, or a yellow hat, do in the shade: that they
#: are none is not always said.
LIKE_SHADED: tuple[RGB, ...] = ((122, 62, 40), (92, 78, 40), (90, 110, 50))
STRAW: RGB = (190, 155, 100)
RUST_BROWN: RGB = (122, 62, 40)
HI_VIS = tuple(SAFETY_COLOURS[colour] for colour in VESTS)
HATS_WITH_COLOUR = tuple(SAFETY_COLOURS[c] for c in HATS if c is not SafetyColour.HARD_HAT_WHITE)

CLOTHES = [(colour, rgb) for colours in (VESTS, HATS) for colour, tones in colours.items() for rgb in tones]
some_clothes = st.sampled_from([entry for entry in CLOTHES if entry[0] is not SafetyColour.HARD_HAT_WHITE])
gains = st.floats(0.94, 1.06)


def surely_no(said: tuple[str, float] | None) -> bool:
    """Whether it was said, with confidence, that a colour is missing."""
    return said is not None and said[0] == "no" and said[1] > 0.6


def scene_of(colour: SafetyColour, rgb: RGB) -> tuple[Scene, tuple[int, int, int, int], ColourJudge]:
    """A person who wears it, the part to look at, and what looks."""
    worn = colour in VESTS
    judge = ColourJudge([SAFETY_COLOURS[colour]], 0.25 if worn else 0.2)
    return (Scene(vest=rgb), TORSO, judge) if worn else (Scene(hat=rgb), HEAD, judge)


@pytest.mark.parametrize(("colour", "rgb"), CLOTHES)
def test_each_colour_is_seen_in_good_light(colour: SafetyColour, rgb: RGB) -> None:
    scene, place, judge = scene_of(colour, rgb)
    if colour is SafetyColour.HARD_HAT_WHITE:
        scene = replace(scene, behind=(120, 118, 112))
    said = judge.observe(part(render(scene), place))
    assert said is not None
    assert said[0] == "yes"
    assert said[1] > 0.5


@settings(deadline=None, max_examples=80)
@given(some_clothes, st.floats(0.6, 1.15), gains, gains, st.integers(0, 99), st.booleans())
def test_exposure_and_white_balance_do_not_flip_a_clear_case(
    worn: tuple[SafetyColour, RGB], light: float, red: float, blue: float, seed: int, full_range: bool
) -> None:
    scene, place, judge = scene_of(*worn)
    seen = render(scene, light=light, balance=(red, 1.0, blue), seed=seed, full_range=full_range)
    said = judge.observe(part(seen, place))
    assert said is None or said[0] == "yes"
    if worn[0] in VESTS and light >= 0.8:
        assert said is not None


@settings(deadline=None, max_examples=80)
@given(some_clothes, st.floats(0.03, 4.0), st.floats(0.3, 1.0), st.integers(0, 99))
def test_no_light_and_no_half_shade_makes_it_missing(
    worn: tuple[SafetyColour, RGB], light: float, shade: float, seed: int
) -> None:
    """What is worn may go unrecognised in the dark or in glare; down to a third of the light it is not denied."""
    scene, place, judge = scene_of(*worn)
    if worn[0] not in VESTS:
        shade = max(shade, 0.5)
    assume(light * shade > 0.25 or light < 0.05)
    said = judge.observe(part(render(scene, light=light, shade=shade, seed=seed), place))
    assert said is None or said[0] == "yes"


@settings(deadline=None, max_examples=80)
@given(st.sampled_from(PLAIN), st.sampled_from((*PLAIN, STRAW)), st.floats(0.02, 1.6), gains, gains, st.integers(0, 99))
def test_plain_clothes_are_never_taken_for_it(
    vest: RGB, hat: RGB, light: float, red: float, blue: float, seed: int
) -> None:
    # In warmer light than this, rust brown is the orange of a vest.
    assume(vest != RUST_BROWN or red <= 1.09 * blue)
    seen = render(Scene(vest=vest, hat=hat), light=light, balance=(red, 1.0, blue), seed=seed)
    for ranges, place in ((HI_VIS, TORSO), ((SAFETY_COLOURS[SafetyColour.HARD_HAT_YELLOW],), HEAD)):
        said = ColourJudge(ranges, 0.2).observe(part(seen, place))
        assert said is None or said[0] == "no"
        if 0.4 <= light <= 1.0 and (vest if place is TORSO else hat) not in (*LIKE_SHADED, STRAW):
            assert surely_no(said)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.4, 1.0), st.floats(0.97, 1.03), st.floats(0.97, 1.03), st.integers(0, 99))
def test_a_straw_hat_is_no_yellow_hard_hat(light: float, red: float, blue: float, seed: int) -> None:
    seen = render(Scene(hat=STRAW), light=light, balance=(red, 1.0, blue), seed=seed)
    said = ColourJudge([SAFETY_COLOURS[SafetyColour.HARD_HAT_YELLOW]], 0.2).observe(part(seen, HEAD))
    assert said is not None
    assert said[0] == "no"
    assert said[1] > 0.3


def test_black_clothes_in_good_light_are_no_vest_and_in_the_dark_nobody_knows() -> None:
    judge = ColourJudge(HI_VIS, 0.25)
    black = Scene(vest=(8, 8, 8))
    assert surely_no(judge.observe(part(render(black), TORSO)))
    for light in (0.03, 0.01, 0.001, 0.0):
        assert judge.observe(part(render(black, light=light), TORSO)) is None


def test_a_night_picture_says_nothing() -> None:
    for vest in ((250, 95, 30), (30, 30, 30), (240, 240, 240)):
        seen = render(Scene(vest=vest), grey=True)
        assert not has_colour(seen)
        assert ColourJudge(HI_VIS, 0.25).observe(part(seen, TORSO)) is None


def test_a_grey_person_in_a_grey_yard_is_not_judged_but_one_in_jeans_is() -> None:
    """Where nothing has colour it cannot be told from a night picture."""
    judge = ColourJudge(HI_VIS, 0.25)
    grey = (120, 120, 120)
    stone = Scene(vest=grey, behind=grey, floor=grey, hat=grey, face=grey)
    jeans = render(stone)
    without = Pixels(jeans.y, np.full_like(jeans.u, 126), np.full_like(jeans.v, 130))
    assert surely_no(judge.observe(part(jeans, TORSO)))
    assert judge.observe(part(without, TORSO)) is None


def test_what_is_washed_out_by_glare_is_not_judged() -> None:
    for vest in ((250, 250, 248), (255, 255, 190)):
        assert ColourJudge(HI_VIS, 0.25).observe(part(render(Scene(vest=vest), light=1.3), TORSO)) is None
    white = ColourJudge(HI_VIS, 0.25).observe(part(render(Scene(vest=(225, 225, 225))), TORSO))
    assert surely_no(white)


def test_a_wall_of_the_same_colour_is_no_vest() -> None:
    orange = (250, 95, 30)
    judge = ColourJudge(HI_VIS, 0.25)
    assert judge.observe(part(render(Scene(vest=orange, behind=orange)), TORSO)) is None
    said = judge.observe(part(render(Scene(vest=(60, 60, 60), behind=orange)), TORSO))
    assert said is not None
    assert said[0] == "no", "the part holds none of the wall"


def test_the_confidence_grows_with_the_distance_from_the_threshold() -> None:
    seen = render(Scene(vest=(250, 95, 30)), noise=0)
    found: list[tuple[str, float] | None] = []
    for columns in range(32, -1, -2):
        half = Pixels(seen.y.copy(), seen.u.copy(), seen.v.copy())
        x, y, _, height = TORSO
        half.u[y // 2 : (y + height) // 2, (x + columns) // 2 : (x + 32) // 2] = 128
        half.v[y // 2 : (y + height) // 2, (x + columns) // 2 : (x + 32) // 2] = 128
        found.append(ColourJudge(HI_VIS, 0.4).observe(part(half, TORSO)))
    signed = [0.0 if each is None else each[1] if each[0] == "yes" else -each[1] for each in found]
    assert signed == sorted(signed, reverse=True)
    assert (signed[0], signed[-1]) == (1.0, -1.0)
    assert None in found
    assert all(each is None or each[1] >= 0.1 for each in found)


def test_a_part_of_too_few_samples_says_nothing() -> None:
    seen = render(Scene(vest=(250, 95, 30)))
    x, y, _, _ = TORSO
    assert ColourJudge(HI_VIS, 0.25).observe(part(seen, (x, y, 8, 8))) is None
    assert ColourJudge(HI_VIS, 0.25).observe(part(seen, (x, y, 10, 12))) is not None


channel = st.floats(0.02, 0.97)


@settings(deadline=None, max_examples=120)
@given(channel, channel, channel, st.booleans())
def test_hue_saturation_and_brightness_are_those_of_the_picture(r: float, g: float, b: float, full_range: bool) -> None:
    """Against the conversion of the standard library."""
    wide_y, black, wide_c = (255, 0, 255) if full_range else (219, 16, 224)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    y, u, v = (
        round(luma * wide_y) + black,
        *(round(c * wide_c) + 128 for c in ((b - luma) / 1.772, (r - luma) / 1.402)),
    )
    luma, cb, cr = (y - black) / wide_y, (u - 128) / wide_c, (v - 128) / wide_c
    rgb = (luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb)
    hue, saturation, brightness = colorsys.rgb_to_hsv(*rgb)
    assume(min(rgb) >= 0 and saturation > 0.05)
    plane = np.full((16, 16), u, np.uint8), np.full((16, 16), v, np.uint8)
    pixels = Pixels(np.full((32, 32), y, np.uint8), *plane, full_range)
    for wide, expected in ((0.02, 1.0), (-0.02, 0.0)):
        low, high = (hue * 360 - 2, hue * 360 + 2) if wide > 0 else (hue * 360 + 3, hue * 360 + 30)
        colour = ColourRange(
            hue=(low % 360, high % 360),
            saturation=(max(0.0, saturation - 0.02), min(1.0, saturation + 0.02)),
            brightness=(max(0.0, brightness - 0.02), min(1.0, brightness + 0.02)),
        )
        assert ColourMeter([colour]).measure(pixels).match == expected


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_parts_of_any_size_are_measured_as_views(width: int, height: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    half = ((height + 1) // 2, (width + 1) // 2)
    pixels = Pixels(
        rng.integers(0, 256, (height, width), dtype=np.uint8),
        rng.integers(0, 256, half, dtype=np.uint8),
        rng.integers(0, 256, half, dtype=np.uint8),
    )
    meter = ColourMeter([range_of(colour) for colour in SafetyColour][:8])
    shares = meter.measure(pixels)
    assert 0.0 <= shares.match <= shares.match + shares.unsure <= 1.0
    copied = Pixels(np.asfortranarray(pixels.y), pixels.u[:, ::-1].copy()[:, ::-1], pixels.v.copy())
    assert meter.measure(copied) == shares
    ColourJudge(HI_VIS, 0.2).observe(Part.whole(pixels))


def test_large_parts_are_sampled_and_agree_with_small_ones() -> None:
    rng = np.random.default_rng(1)
    orange = rng.uniform(size=(540, 960)) < 0.3
    u, v = np.where(orange, 90, 128).astype(np.uint8), np.where(orange, 200, 128).astype(np.uint8)
    large = Pixels(np.full((1080, 1920), 140, np.uint8), u, v)
    shares = ColourMeter(HI_VIS).measure(large)
    assert shares.samples <= 4096
    assert shares.match == pytest.approx(0.3, abs=0.03)


def test_the_named_colours_of_vests_and_hats_are_told_apart() -> None:
    """Fluorescent orange and red meet, as do their hats; all else is apart."""
    tolerated = {frozenset(("hi_vis_orange", "hi_vis_red")), frozenset(("hard_hat_red", "hard_hat_orange"))}
    for kinds in (VESTS, HATS):
        for colour, tones in kinds.items():
            for other in kinds:
                if other is colour or frozenset((colour.value, other.value)) in tolerated:
                    continue
                for rgb in tones:
                    scene, place, judge = scene_of(other, rgb)
                    said = judge.observe(part(render(scene), place))
                    assert said is None or said[0] == "no", (colour, other, rgb)


def test_shade_beside_a_threshold_is_doubt_rather_than_denial() -> None:
    judge = ColourJudge([SAFETY_COLOURS[SafetyColour.HI_VIS_ORANGE]], 0.25)
    scene = Scene(vest=(250, 95, 30))
    said = [judge.observe(part(render(scene, shade=shade), TORSO)) for shade in (1.0, 0.5, 0.2, 0.15, 0.1)]
    values = ["" if each is None else each[0] for each in said]
    assert values[:2] == ["yes", "yes"]
    assert "" in values
    assert values == sorted(values, key=("yes", "", "no").index), "yes, then doubt, then at last denial"


def test_hats_with_colour_do_not_answer_to_bare_heads() -> None:
    for hair in PLAIN:
        said = ColourJudge(HATS_WITH_COLOUR, 0.25).observe(part(render(Scene(hat=hair)), HEAD))
        assert said is None or said[0] == "no", hair


def test_the_documented_ranges_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(h[a-z_]+)` \| (\S+) to (\S+) \| (\S+) to (\S+) \| (\S+) to (\S+) \|$", DOCS, re.MULTILINE)
    documented = {name: tuple(float(number) for number in numbers) for name, *numbers in rows}
    assert documented == {
        name.value: (*colour.hue, *colour.saturation, *colour.brightness) for name, colour in SAFETY_COLOURS.items()
    }
