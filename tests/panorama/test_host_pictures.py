"""Pictures from real frame stores: colours, sizes, order, the freshest of each camera, stores that go and come."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.frames.pattern import info
from vedette.adapters.frames import FrameStoreWriter
from vedette.adapters.panorama.colour import given_size, write_bgr
from vedette.adapters.panorama.live import LivePictures
from vedette.core.pixels import Pixels, i420_size


def pixels(width: int, height: int, seed: int = 1, *, full_range: bool = False, apart: bool = False) -> Pixels:
    """Smooth noise, so that scaling and subsampling change little."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    colours = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    ycc = cv2.cvtColor(colours, cv2.COLOR_BGR2YCrCb).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    planes = [ycc[..., 0], *(cv2.resize(ycc[..., index], half, interpolation=cv2.INTER_AREA) for index in (2, 1))]
    if not full_range:
        planes = [planes[0] * (219 / 255) + 16, *((plane - 128) * (224 / 255) + 128 for plane in planes[1:])]
    y, u, v = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes)
    if apart:
        return Pixels(y, u, v, full_range)
    buffer = np.concatenate([plane.ravel() for plane in (y, u, v)])
    assert buffer.size == i420_size(width, height)
    return Pixels.from_buffer(buffer, width, height, full_range=full_range)


def original(width: int, height: int, seed: int = 1) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


@pytest.mark.parametrize("size", [(640, 360), (641, 361), (322, 183)])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_colours_are_right_whatever_the_size_and_range(size: tuple[int, int], full_range: bool, apart: bool) -> None:
    width, height = size
    target = np.zeros((height, width, 3), np.uint8)
    write_bgr(pixels(width, height, full_range=full_range, apart=apart), target)
    difference = np.abs(target.astype(int) - original(width, height))
    assert np.mean(difference) < 2.5


def test_the_target_is_written_itself_and_an_even_picture_is_as_opencv_has_it() -> None:
    memory = np.zeros(64 * 48 * 3 + 64, np.uint8)
    target = memory[64:].reshape(48, 64, 3)
    source = pixels(64, 48)
    write_bgr(source, target)
    packed = np.concatenate([plane.ravel() for plane in (source.y, source.u, source.v)]).reshape(72, 64)
    np.testing.assert_array_equal(target, cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_I420))
    assert not memory[:64].any()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (1920, 1080)),
        ((1920, 1088), (1920, 1088)),
        ((3840, 2160), (1920, 1080)),
        ((2592, 1944), (1440, 1080)),
        ((2560, 1440), (1920, 1080)),
        ((1080, 3840), (304, 1080)),
        ((768, 432), (768, 432)),
    ],
)
def test_more_than_two_megapixels_are_scaled_at_their_own_aspect(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert given_size(*size) == expected


def test_a_large_picture_is_scaled() -> None:
    target = np.zeros((1080, 1920, 3), np.uint8)
    write_bgr(pixels(3840, 2160), target)
    assert np.mean(np.abs(target.astype(int) - original(1920, 1080))) < 2.5


def put(store: FrameStoreWriter, number: int, seed: int = 1, width: int = 64, height: int = 48) -> None:
    assert store.publish(info(number, width, height), pixels(width, height, seed))


def test_every_camera_that_has_a_new_picture_in_the_order_of_the_port(short_tmp: Path) -> None:
    stores = {name: FrameStoreWriter(short_tmp / f"{name}.sock", name) for name in ("b", "a", "c")}
    source = LivePictures(["b", "a", "c"], 1000, short_tmp)
    try:
        assert source.wait(0) == []
        for number in range(1, 100):  # until both are there at once, and nothing newer is on its way
            put(stores["a"], number)
            put(stores["b"], number)
            found = source.wait(5)
            if [picture.info.frame_no for picture in found] == [number, number]:
                break
        assert [picture.stream for picture in found] == ["b", "a"]
        put(stores["c"], 1, seed=3)
        (one,) = source.wait(5)
        assert (one.stream, one.size, one.info.frame_no) == ("c", (64, 48), 1)
        target = np.zeros((48, 64, 3), np.uint8)
        assert one.fill(target)
        assert np.mean(np.abs(target.astype(int) - original(64, 48, 3))) < 8
        assert source.problems() == {}
    finally:
        source.close()
        for store in stores.values():
            store.close()


def test_the_freshest_wins(short_tmp: Path) -> None:
    store = FrameStoreWriter(short_tmp / "a.sock", "a")
    source = LivePictures(["a"], 1000, short_tmp)
    try:
        source.wait(0)
        for number in range(1, 9):
            put(store, number)
        numbers: list[int] = []
        while 8 not in numbers:
            pictures = source.wait(5)
            assert pictures, numbers
            numbers += [one.info.frame_no for one in pictures]
        # One or another may have been on its way when the others came.
        assert len(numbers) <= 4
        assert numbers == sorted(set(numbers))
        assert source.wait(0.05) == [], "none is given twice"
    finally:
        source.close()
        store.close()


def test_a_store_that_goes_and_comes_is_found_again(short_tmp: Path) -> None:
    source = LivePictures(["a"], 1000, short_tmp)
    try:
        assert source.wait(0) == []
        assert list(source.problems()) == ["a"]
        store = FrameStoreWriter(short_tmp / "a.sock", "a")
        put(store, 1)
        (first,) = source.wait(5)
        assert first.info.frame_no == 1
        store.close()
        store = FrameStoreWriter(short_tmp / "a.sock", "a")
        put(store, 2)
        (second,) = source.wait(5)
        assert second.info.frame_no == 2
        store.close()
    finally:
        source.close()


def test_what_is_not_written_goes_back(short_tmp: Path) -> None:
    store = FrameStoreWriter(short_tmp / "a.sock", "a", lease_s=30)
    source = LivePictures(["a"], 1000, short_tmp)
    try:
        source.wait(0)
        for number in range(1, 30):
            put(store, number)
            assert [one.info.frame_no for one in source.wait(5)] == [number]
    finally:
        source.close()
        store.close()
