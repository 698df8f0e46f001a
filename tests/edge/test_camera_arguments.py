from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.expected import EXAMPLES
from vedette.adapters.manifest import load_manifest
from vedette.contracts.errors import ConfigurationError, UsageError
from vedette.local.camera_arguments import CameraArguments, parse_camera_arguments


def parse(*arguments: str, sub: tuple[str, ...] = ()) -> CameraArguments:
    manifest = load_manifest(EXAMPLES / "site_watch" / "vedette.yaml")
    return parse_camera_arguments(manifest, arguments, sub_streams=sub)


@pytest.mark.parametrize(
    ("address", "url", "secret"),
    [
        ("rtsp://10.0.0.7/s", "rtsp://10.0.0.7/s", None),
        ("rtsp://10.0.0.7:554/s@1?x=a@b", "rtsp://10.0.0.7:554/s@1?x=a@b", None),
        ("rtsp://[fd00::7]:554/s@1", "rtsp://[fd00::7]:554/s@1", None),
        ("rtsp://u:p@10.0.0.7/s", "rtsp://10.0.0.7/s", ("u", "p")),
        ("rtsp://u:p%40s@10.0.0.7/s", "rtsp://10.0.0.7/s", ("u", "p@s")),
        ("rtsp://u:p@s@10.0.0.7/s", "rtsp://10.0.0.7/s", ("u", "p@s")),
        ("rtsp://u:p/s@10.0.0.7:554/s", "rtsp://10.0.0.7:554/s", ("u", "p/s")),
        ("rtsp://u@10.0.0.7/s", "rtsp://10.0.0.7/s", ("u", "")),
    ],
)
def test_credentials_are_taken_out_of_the_address(address: str, url: str, secret: tuple[str, str] | None) -> None:
    result = parse(f"hall={address}")
    assert result.cameras[0].url == url
    found = result.secrets.get("vedette/camera/hall")
    assert (found and (found["username"], found["password"])) == secret


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=20))
def test_no_password_stays_in_the_address(password: str) -> None:
    from urllib.parse import quote

    result = parse(f"hall=rtsp://viewer:{quote(password, safe='')}@10.0.0.7:554/stream")
    assert result.cameras[0].url == "rtsp://10.0.0.7:554/stream"
    assert result.secrets["vedette/camera/hall"]["password"] == password


def test_several_cameras_for_one_name_and_a_sub_stream() -> None:
    result = parse("hall=rtsp://a/1", "hall=rtsp://b/1", "lane=rtsp://c/1", sub=("hall=rtsp://a/2",))
    assert [camera.name for camera in result.cameras] == ["hall", "hall-2", "lane"]
    assert result.bindings == {"hall": ("hall", "hall-2"), "lane": ("lane",)}
    assert [camera.sub_url for camera in result.cameras] == ["rtsp://a/2", None, None]


@pytest.mark.parametrize(
    ("arguments", "sub", "error", "words"),
    [
        ((), (), ConfigurationError, "no camera is bound"),
        (("gate=rtsp://a/1",), (), ConfigurationError, "floor, hall, lane, shelf"),
        (("hall",), (), UsageError, "NAME=URL"),
        (("hall=/nowhere/at/all.mp4",), (), UsageError, "no file"),
        (("hall=rtsp://a/1",), ("lane=rtsp://a/2",), UsageError, "no --camera of that name"),
    ],
)
def test_mistakes_say_what_is_allowed(
    arguments: tuple[str, ...], sub: tuple[str, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        parse(*arguments, sub=sub)
