"""Looking at outputs: nothing while nobody looks, what the code left of its picture and what it drew, one browser."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.edge.running import wait_until
from tests.panorama.serving import LIMIT_S, MadeUp
from vedette.adapters.panorama.viewing import ViewServer, drawn_over, reachable, tiled, view_socket, watch
from vedette.cli.page_server import PageServer
from vedette.contracts.errors import StorageError
from vedette.ports.panorama import Label, OutputPicture, Rect

SIZE = (160, 90)


def put(number: int, stream: str = "gate", *, rects: tuple[Rect, ...] = (), pixels: Any = None) -> OutputPicture:
    made = MadeUp(stream, number, SIZE)
    if pixels is None:
        pixels = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
    return OutputPicture(stream, made.info, rects, (), pixels)


@pytest.fixture
def shown(short_tmp: Path) -> Iterator[tuple[ViewServer, Path]]:
    path = view_socket(short_tmp, "counter")
    with closing(ViewServer(path)) as server:
        yield server, path


def look(path: Path) -> tuple[str, Any]:
    for found in watch(path):
        if found is not None:
            return found[0], cv2.imdecode(np.frombuffer(found[1], np.uint8), cv2.IMREAD_COLOR)
    raise AssertionError


def test_nobody_looks_and_nothing_is_made(shown: tuple[ViewServer, Path]) -> None:
    server, path = shown
    assert not server.wanted
    server.show("video_out", [put(1)])
    reachable(path)


def test_what_is_seen(shown: tuple[ViewServer, Path]) -> None:
    server, path = shown
    seen: list[tuple[str, Any]] = []
    thread = threading.Thread(target=lambda: seen.append(look(path)))
    thread.start()
    wait_until(lambda: server.wanted, LIMIT_S, "somebody looks")
    server.show("video_out", [put(1, rects=(Rect(0.25, 0.25, 0.75, 0.75),))])
    thread.join(LIMIT_S)
    ((port, picture),) = seen
    assert port == "video_out"
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    edge = picture[SIZE[1] // 2, SIZE[0] // 4].astype(int)
    middle = picture[SIZE[1] // 2, SIZE[0] // 2].astype(int)
    assert edge[1] - edge[0] > 60, "the rectangle is green"
    assert abs(middle - 120).max() < 12
    wait_until(lambda: not _still_wanted(server), LIMIT_S, "who went away is forgotten")


def _still_wanted(server: ViewServer) -> bool:
    server.show("video_out", [put(2)])
    return server.wanted


def test_a_label_is_written_inside_the_picture() -> None:
    ground = np.full((90, 160, 3), 200, np.uint8)
    for x, y in ((0.0, 0.0), (1.0, 1.0), (0.5, 0.5)):
        drawn = drawn_over(ground, (), (Label("é person", x, y),))
        assert (drawn != ground).any()
    assert (ground == 200).all(), "the picture of the code stays as it is"


def test_several_cameras_side_by_side() -> None:
    pictures = [np.full((90, 160, 3), 40 * (index + 1), np.uint8) for index in range(5)]
    whole = tiled(pictures)
    levels = set(np.unique(whole).tolist())
    assert {40, 80, 120, 160, 200} <= levels
    assert tiled(pictures[:1]) is pictures[0]


def test_nobody_shows_anything(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no pictures are shown"):
        reachable(tmp_path / "view.sock")


def test_a_browser_gets_a_moving_picture() -> None:
    def pictures() -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    with PageServer("<p>page</p>", streams={"/out.mjpg": pictures}) as server:
        threading.Thread(target=server.serve, daemon=True).start()
        host, token = server.url.removeprefix("http://").split("/")
        connection = http.client.HTTPConnection(host, timeout=LIMIT_S)
        connection.request("GET", f"/{token}")
        answer = connection.getresponse()
        cookie = str(answer.headers["Set-Cookie"]).partition(";")[0]
        answer.read()
        connection.request("GET", "/out.mjpg", headers={"Cookie": cookie})
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("multipart/x-mixed-replace")
        body = answer.read()
        assert body.count(b"Content-Type: image/jpeg") == 2
        assert b"\r\n\r\none\r\n" in body
        connection.close()
        server.shutdown()
