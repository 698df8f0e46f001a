"""Points, zones and lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.contracts.manifest import Anchor
from vedette.core.geometry import anchors, inside, normal, passes, sides

unit = st.floats(0, 1, width=32)
point = st.tuples(unit, unit)
SQUARE = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]
ELL = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.4), (0.4, 0.4), (0.4, 0.9), (0.1, 0.9)]


def test_anchors_are_normalised_points_of_the_box() -> None:
    box = [[100, 50, 300, 250]]
    assert anchors(box, Anchor.BOTTOM_CENTER, 1000, 500).tolist() == [[0.2, 0.5]]
    assert anchors(box, Anchor.CENTER, 1000, 500).tolist() == [[0.2, 0.3]]
    assert anchors(box, Anchor.TOP_CENTER, 1000, 500).tolist() == [[0.2, 0.1]]
    assert anchors([], Anchor.CENTER, 10, 10).shape == (0, 2)


@pytest.mark.parametrize("polygon", [SQUARE, SQUARE[::-1], SQUARE[2:] + SQUARE[:2]])
def test_edges_and_corners_belong_to_the_zone(polygon: list[tuple[float, float]]) -> None:
    edge = np.array([*SQUARE, (0.5, 0.2), (0.5, 0.8), (0.2, 0.5), (0.8, 0.5)])
    assert inside(edge, polygon).all()
    outside = np.array([(0.1, 0.2), (0.9, 0.2), (0.1, 0.8), (0.5, 0.19), (0.5, 0.81), (0.19, 0.5), (0.81, 0.5)])
    assert not inside(outside, polygon).any()


def test_a_hollow_of_the_zone_is_outside() -> None:
    assert inside(np.array([(0.2, 0.8), (0.8, 0.2), (0.3, 0.3)]), ELL).all()
    assert not inside(np.array([(0.6, 0.6), (0.41, 0.41)]), ELL).any()


@given(st.lists(point, min_size=3, max_size=9), st.lists(point, min_size=1, max_size=20), st.integers(0, 8))
def test_winding_and_first_corner_do_not_matter(
    polygon: list[tuple[float, float]], points: list[tuple[float, float]], shift: int
) -> None:
    where = np.array(points, np.float64)
    expected = inside(where, polygon)
    turned = polygon[shift % len(polygon) :] + polygon[: shift % len(polygon)]
    assert (inside(where, turned) == expected).all()
    assert (inside(where, polygon[::-1]) == expected).all()


@given(st.lists(point, min_size=3, max_size=3), st.lists(unit, min_size=3, max_size=3))
def test_weighted_means_of_the_corners_of_a_triangle_are_inside(
    corners: list[tuple[float, float]], weights: list[float]
) -> None:
    share = (np.array(weights) + 0.05) / (np.sum(weights) + 0.15)
    assert inside((share @ np.array(corners, np.float64))[None, :], corners).all()
    far = np.array([(1.5, 0.5), (-0.5, 0.5), (0.5, 1.5), (0.5, -0.5)])
    assert not inside(far, corners).any()


@given(point, st.tuples(point, point))
def test_the_side_turns_with_the_line(where: tuple[float, float], line: tuple[tuple[float, float], ...]) -> None:
    if line[0] == line[1]:
        return
    here = np.array([where], np.float64)
    assert sides(here, line)[0] == pytest.approx(-sides(here, line[::-1])[0], abs=1e-6)


def test_the_normal_points_to_the_positive_side() -> None:
    for line in ([(0.5, 0), (0.5, 1)], [(1, 0.3), (0, 0.3)], [(0.1, 0.9), (0.7, 0.2)]):
        middle = np.array(line).mean(axis=0) + 0.1 * np.array(normal(line))
        assert sides(middle[None, :], line)[0] == pytest.approx(0.1)


def test_a_step_passes_only_between_the_ends() -> None:
    line = [(0.5, 0.2), (0.5, 0.6)]
    assert passes((0.4, 0.4), (0.6, 0.4), line, 0.0)
    assert passes((0.6, 0.4), (0.4, 0.4), line, 0.0)
    assert passes((0.4, 0.61), (0.6, 0.61), line, 0.02)
    assert not passes((0.4, 0.61), (0.6, 0.61), line, 0.0)
    assert not passes((0.4, 0.8), (0.6, 0.8), line, 0.02)
    assert not passes((0.4, 0.4), (0.45, 0.4), line, 0.0)
    assert not passes((0.4, 0.4), (0.4, 0.5), line, 0.0)
    assert passes((0.5, 0.4), (0.6, 0.4), line, 0.0)
