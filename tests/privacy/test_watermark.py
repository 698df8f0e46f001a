"""The search finds the mark in every form in which someone might send a picture, and never where there is none."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from tests.privacy.watermark import HEIGHT, WIDTH, Luma, contains_mark, mark, shows_mark
from vedette.testing.synthetic import Image, make_clip

Form = Callable[[Luma], bytes]


def encoded(extension: str, *settings: int) -> Form:
    def encode(luma: Luma) -> bytes:
        return bytes(cv2.imencode(extension, luma, list(settings))[1].tobytes())

    return encode


def video(codec: str, container: str) -> Form:
    def encode(luma: Luma) -> bytes:
        def draw(_number: int, _width: int, _height: int) -> Image:
            return np.repeat(luma[:, :, None], 3, axis=2)

        return make_clip(frames=10, width=WIDTH, height=HEIGHT, codec=codec, container=container, crf=30, draw=draw)  # type: ignore[arg-type]

    return encode


JPEG = encoded(".jpg", cv2.IMWRITE_JPEG_QUALITY, 50)
FORMS: dict[str, Form] = {
    "JPEG": JPEG,
    "poor JPEG": encoded(".jpg", cv2.IMWRITE_JPEG_QUALITY, 20),
    "PNG": encoded(".png"),
    "WebP": encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 40),
    "half the size": lambda luma: JPEG(cv2.resize(luma, None, fx=0.5, fy=0.5).astype(np.uint8)),
    "a part of it": lambda luma: JPEG(luma[37:150, 51:170]),
    "MP4": video("h264", "mp4"),
    "H.264": video("h264", "h264"),
    "H.265": video("h265", "hevc"),
    "luma": lambda luma: luma.tobytes(),
    "colours": lambda luma: np.repeat(luma[:, :, None], 3, axis=2).tobytes(),
    "base64 in JSON": lambda luma: json.dumps({"picture": base64.b64encode(JPEG(luma)).decode()}).encode(),
    "base64 in a URL": lambda luma: b"/?p=" + base64.urlsafe_b64encode(JPEG(luma)) + b"&x=1",
    "base64 in mail": lambda luma: base64.encodebytes(JPEG(luma)),
    "base64 in JSON in lines": lambda luma: json.dumps({"p": base64.encodebytes(JPEG(luma)).decode()}).encode(),
    "hexadecimal": lambda luma: JPEG(luma).hex().encode(),
    "zlib": lambda luma: zlib.compress(luma.tobytes()),
    "gzip of base64": lambda luma: gzip.compress(base64.b64encode(JPEG(luma))),
    "base64 of zlib": lambda luma: base64.b64encode(zlib.compress(luma.tobytes())),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_mark_is_found_in_every_form_and_nothing_else_is(form: str) -> None:
    encode = FORMS[form]
    around = b"POST /hook HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(range(77))
    assert contains_mark(around + encode(mark()) + b" and more")
    plain = np.random.default_rng(3).integers(60, 120, (HEIGHT // 8, WIDTH // 8)).astype(np.uint8)
    assert not contains_mark(around + encode(np.kron(plain, np.ones((8, 8), np.uint8))) + b" and more")


def test_something_bright_in_front_does_not_hide_the_mark() -> None:
    luma = mark()
    luma[60:180, 100:220] = 235
    assert contains_mark(JPEG(luma))


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", bytes(100_000), bytes(range(256)) * 500, b"\xff\xd8\xff" * 50, b"x" * 50_000, b"ftyp" * 20],
)
def test_what_is_no_picture_is_searched_without_a_hit(payload: bytes) -> None:
    assert contains_mark(payload) == ""


def test_noise_and_edges_are_no_mark() -> None:
    random = np.random.default_rng(11)
    for _ in range(10):
        assert not shows_mark(random.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8))
    assert not shows_mark(np.tile(np.linspace(0, 255, WIDTH), (HEIGHT, 1)).astype(np.uint8))
