"""``vedette app draw``: what an application speaks of, seen."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vedette.adapters.pictures.background import read_background
from vedette.adapters.pictures.places import draw_places, empty_picture
from vedette.cli.main import main
from vedette.core.places import Place, PlaceKind, places_of
from vedette.local.data import data_directory

RULE = (60, 120, 255)
BLACK = np.zeros((540, 960, 3), np.uint8)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def coloured(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a picture has a colour, bool (height, width)."""
    return np.asarray((np.abs(picture.astype(int) - colour) < 12).all(axis=2))


@pytest.mark.parametrize(
    ("direction", "right", "left"),
    [((1.0, 0.0), True, False), ((-1.0, 0.0), False, True), (None, True, True)],
)
def test_a_line_shows_the_ways_that_count(direction: tuple[float, float] | None, right: bool, left: bool) -> None:
    line = Place(PlaceKind.RULE, "", ((0.5, 0.2), (0.5, 0.8)), direction)
    found = coloured(draw_places(BLACK, [line], ""), RULE)
    assert found[270, 470:490].any()
    assert found[:, 500:530].any() is np.bool_(right)
    assert found[:, 430:460].any() is np.bool_(left)


def test_an_area_is_where_its_corners_are_and_lets_the_picture_through() -> None:
    grey = np.full((540, 960, 3), 128, np.uint8)
    area = Place(PlaceKind.RULE, "", ((0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0)))
    drawn = draw_places(grey, [area], "").astype(int)
    assert coloured(drawn, RULE)[270, 300:700].all()
    inside, outside = drawn[400, 480], drawn[200, 480]
    assert (outside == 128).all()
    assert 0 < np.abs(inside - 128).max() < 60


@pytest.mark.parametrize("size", [(4, 4), (90, 3000), (2160, 3840)])
def test_any_size_of_picture_is_drawn_on(size: tuple[int, int]) -> None:
    place = Place(PlaceKind.MASK, "\u00fcber " * 40, ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
    drawn = draw_places(np.zeros((*size, 3), np.uint8), [place] * 30, "title")
    assert 960 <= drawn.shape[1] <= 1920


def test_every_place_of_an_application_is_there() -> None:
    from vedette.adapters.manifest import load_manifest

    manifest = load_manifest(data_directory("examples") / "retail_analytics")
    titles = [place.title for place in places_of(manifest, "shop")]
    assert titles == ["staff: occupancy", "behind-chairs: occupancy", "counter: queue", "long-line: count"]
    (visitors,) = (place for place in places_of(manifest, "door") if place.is_line)
    assert visitors.direction == (-1.0, 0.0)


def test_cameras_are_drawn_side_by_side_or_as_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example, output = data_directory("examples") / "site_watch", tmp_path / "places.png"
    assert run("app", "draw", str(example), "-o", str(output)) == 0
    assert "4 cameras" in capsys.readouterr().err
    assert read_background(output).shape == (1080, 1920, 3)
    cv2.imwrite(str(tmp_path / "hall.png"), empty_picture())
    assert run("app", "draw", str(example), "--camera", f"hall={tmp_path / 'hall.png'}", "-o", str(output)) == 0
    assert read_background(output).shape == (540, 960, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--camera", "hal=x.png"), "did you mean 'hall'?"),
        (("--camera", "hall"), "NAME=FILE"),
        (("--camera", "hall=missing.png"), "missing.png cannot be read"),
        (("-o", "places.txt"), "must be one of .png"),
        (("-o", "no/such/folder/places.png"), "cannot be written"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("app", "draw", str(data_directory("examples") / "people_flow"), *arguments) != 0
    assert said in capsys.readouterr().err
