"""Metres on the ground from points of the picture, against a pinhole camera whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from vedette.contracts.manifest import GroundPlane
from vedette.core.ground import Ground, distances_to_segments

CORNERS = np.array([[0.0, 4.0], [6.0, 4.0], [6.0, 20.0], [0.0, 20.0]])


def camera(height_m: float, tilt: float, focal: float, yaw: float, x_m: float) -> np.ndarray:
    """Projects metres of the ground (x right, y away) to normalised points: a 3x3 homography."""
    ct, st_, cy, sy = np.cos(tilt), np.sin(tilt), np.cos(yaw), np.sin(yaw)
    # World to camera: turn about the vertical, then look down by the tilt; the camera stands at (x_m, 0, height_m).
    right = np.array([cy, -sy, 0.0])
    forward = np.array([sy * ct, cy * ct, -st_])
    down = np.array([-sy * st_, -cy * st_, -ct])
    rotation = np.stack((right, down, forward))
    shift = -rotation @ np.array([x_m, 0.0, height_m])
    ground = np.column_stack((rotation[:, 0], rotation[:, 1], shift))
    matrix: np.ndarray = np.array([[focal, 0, 0.5], [0, focal * 1.7, 0.5], [0, 0, 1]]) @ ground
    return matrix


def project(matrix: np.ndarray, places: np.ndarray) -> np.ndarray:
    seen = np.column_stack((places, np.ones(len(places)))) @ matrix.T
    points: np.ndarray = seen[:, :2] / seen[:, 2:]
    return points


cameras = st.builds(
    camera,
    st.floats(2.0, 12.0),
    st.floats(0.15, 1.2),
    st.floats(0.3, 1.2),
    st.floats(-0.4, 0.4),
    st.floats(-3.0, 9.0),
)


def plane(picture: np.ndarray, metres: np.ndarray = CORNERS) -> GroundPlane:
    return GroundPlane.model_validate({"picture": picture.tolist(), "metres": metres.tolist()})


def on_ground(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The inverse of ``project``."""
    return project(np.linalg.inv(matrix), points)


@given(cameras, st.floats(0.05, 0.95), st.floats(0.6, 1.0), st.floats(-5000, 5000))
def test_any_place_is_found_again(matrix: np.ndarray, x: float, y: float, origin: float) -> None:
    """All points lie below the horizon, which is above the middle of every camera that looks down."""
    seen = np.array([[0.1, 0.95], [0.9, 0.95], [0.7, 0.62], [0.3, 0.62]])
    corners = on_ground(matrix, seen)
    assume(bool((np.abs(corners) < 200).all()))
    ground = Ground(plane(seen, corners + origin))
    point = np.array([[x, y]])
    place = on_ground(matrix, point)
    assert np.abs(ground.metres(point) - origin - place).max() < 1e-5 * (1 + np.abs(place).max())


def test_the_horizon_is_nowhere() -> None:
    matrix = camera(5, 0.2, 0.8, 0, 3)
    far_corners = CORNERS + np.array((0.0, 6.0))
    ground = Ground(plane(project(matrix, far_corners), far_corners))
    assert np.isnan(ground.metres(np.array([[0.5, 0.02]]))).all()
    far = ground.metres(project(matrix, np.array([[3.0, 200.0]])))
    assert abs(far[0, 1] - 200) < 0.1


def test_seen_straight_from_above_it_is_a_scale() -> None:
    square = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]])
    ground = Ground(plane(square, np.array([[0, 0], [8, 0], [8, 8], [0, 8]], float)))
    assert np.abs(ground.metres(np.array([[0.5, 0.5], [0.2, 0.1]])) - [[4, 4], [1, 0]]).max() < 1e-9


MISTAKES = [
    ([[0, 0], [0.5, 0], [1, 0], [0, 1]], CORNERS.tolist(), "`picture` lie on one line"),
    ([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 0], [1, 0], [2, 0], [0, 5]], "`metres` lie on one line"),
    ([[0, 0], [1, 1], [1, 0], [0, 1]], CORNERS.tolist(), "same order"),
]


@pytest.mark.parametrize(("picture", "metres", "words"), MISTAKES)
def test_points_that_fix_no_plane_are_refused(picture: object, metres: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        GroundPlane.model_validate({"picture": picture, "metres": metres})


@given(st.integers(0, 2**32 - 1))
def test_distance_to_a_segment_is_that_of_its_nearest_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, segments = rng.normal(0, 5, (4, 2)), rng.normal(0, 5, (3, 2, 2))
    shares = np.linspace(0, 1, 2001)[:, None]
    got = distances_to_segments(points, segments)
    for i, point in enumerate(points):
        for j, (a, b) in enumerate(segments):
            brute = np.hypot(*(a + shares * (b - a) - point).T).min()
            assert got[i, j] <= brute + 1e-9
            assert abs(got[i, j] - brute) < 0.02


def test_distance_from_nowhere_is_no_number() -> None:
    nowhere = np.array([[np.nan, np.nan]])
    assert np.isnan(distances_to_segments(nowhere, np.zeros((1, 2, 2)))).all()
    assert distances_to_segments(np.array([[3.0, 4.0]]), np.zeros((1, 2, 2)))[0, 0] == 5.0


def test_whatever_the_contract_lets_through_is_seen_from_one_side() -> None:
    rng = np.random.default_rng(5)
    accepted = 0
    for points in rng.uniform(0, 1, (3000, 8, 2)):
        try:
            known = plane(points[:4], points[4:])
        except ValidationError:
            continue
        accepted += 1
        assert np.abs(Ground(known).metres(np.array(known.picture)) - known.metres).max() < 1e-6
    assert accepted > 100
