from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.examples.expected import EXAMPLES
from vedette.adapters.manifest import load_manifest
from vedette.contracts.errors import ConfigurationError, UsageError, VedetteError
from vedette.contracts.manifest import Manifest
from vedette.local.camera_arguments import CameraArguments, parse_camera_arguments, parse_device_arguments


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
        ("rtsp://me@home:s&p@/ss#%w@10.0.0.7:554/s", "rtsp://10.0.0.7:554/s", ("me@home", "s&p@/ss#%w")),
        ("rtsp://u:p?x@cam/s", "rtsp://cam/s", ("u", "p?x")),
        ("rtsp://u:p#x@cam", "rtsp://cam", ("u", "p#x")),
        ("rtsp://u:12/34@cam/s", "rtsp://cam/s", ("u", "12/34")),
        ("rtsp://u:p@ss/word@cam.lan/s", "rtsp://cam.lan/s", ("u", "p@ss/word")),
        ("rtsp://u:p@cam/s@2x", "rtsp://cam/s@2x", ("u", "p")),
        ("rtsp://cam/s@2x", "rtsp://cam/s@2x", None),
        ("rtsp://cam.lan:554/user=a@b", "rtsp://cam.lan:554/user=a@b", None),
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


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=20))
def test_no_pasted_password_stays_in_the_address(password: str) -> None:
    """As people type it: nothing escaped. Only the host's own characters could be mistaken for one."""
    assume("%" not in password and "." not in password and "\\" not in password)
    result = parse(f"hall=rtsp://viewer:{password}@10.0.0.7:554/stream")
    assert result.cameras[0].url == "rtsp://10.0.0.7:554/stream"
    assert result.secrets["vedette/camera/hall"]["password"] == password


def test_credentials_of_a_sub_stream_are_the_camera_s() -> None:
    result = parse("hall=rtsp://a/1", sub=("hall=rtsp://u:p@a/2",))
    assert result.cameras[0].sub_url == "rtsp://a/2"
    assert result.secrets == {"vedette/camera/hall": {"username": "u", "password": "p"}}
    with pytest.raises(UsageError, match="one user name"):
        parse("hall=rtsp://u:other@a/1", sub=("hall=rtsp://u:p@a/2",))


@pytest.mark.parametrize(
    "argument", ["rtsp://u:canary@h/x", "rtsp://u:canary@h/x?a=b", "rtsp://u:can=ary@h", "hall=http://u:canary@h/x"]
)
def test_a_mistake_does_not_repeat_the_password(argument: str) -> None:
    with pytest.raises((UsageError, ConfigurationError)) as caught:
        parse(argument)
    assert "canary" not in str(caught.value)
    assert "ary@" not in str(caught.value)


def test_only_files_that_can_be_read_are_taken(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path, words in ((empty, "empty"), (tmp_path, "directory"), (Path("/dev/null"), "device")):
        with pytest.raises(UsageError, match=words):
            parse(f"hall={path}")
    assert parse("hall=/dev/video0").cameras[0].url == "v4l2:///dev/video0"


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
        (("hall=/nowhere/at/all.mp4",), (), UsageError, "no such file"),
        (("hall=http://a/1",), (), ConfigurationError, "scheme"),
        (("hall=rtsp://",), (), ConfigurationError, "no host"),
        (("hall=rtsp://[::1/x",), (), ConfigurationError, "IPv6"),
        (("hall=rtsp://a:99999/x",), (), ConfigurationError, "port"),
        (("hall=rtsp://a/1",), ("lane=rtsp://a/2",), UsageError, "no --camera of that name"),
    ],
)
def test_mistakes_say_what_is_allowed(
    arguments: tuple[str, ...], sub: tuple[str, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        parse(*arguments, sub=sub)


# --- several applications --------------------------------------------------------------------------------------------


def app(name: str, *cameras: str) -> Manifest:
    return Manifest.model_validate(
        {
            "api": "vedette/v1",
            "name": name,
            "cameras": {camera: {} for camera in cameras},
            "models": {"m": {"family": "yolox", "file": "m"}},
            "pipelines": {"p": {"model": "m", "cameras": list(cameras)}},
        }
    )


SHOP, SAFETY = app("shop", "gate", "hall"), app("safety", "gate", "dock")
GATE, YARD = "gate=rtsp://10.0.0.7/a", "yard=rtsp://10.0.0.8/a"


def test_a_camera_serves_all_that_name_it_so() -> None:
    found = parse_device_arguments([SHOP, SAFETY], [GATE, "hall=rtsp://10.0.0.9/a"])
    assert [camera.name for camera in found.cameras] == ["gate", "hall"]
    assert found.bindings == {"shop": {"gate": ("gate",), "hall": ("hall",)}, "safety": {"gate": ("gate",)}}


def test_a_camera_under_another_name_is_bound() -> None:
    found = parse_device_arguments([SHOP, SAFETY], [GATE, YARD], binds=["safety.dock=yard", "safety.gate=yard,gate"])
    assert found.bindings == {"shop": {"gate": ("gate",)}, "safety": {"gate": ("yard", "gate"), "dock": ("yard",)}}
    two = parse_device_arguments([SHOP, SAFETY], [GATE, GATE], binds=["safety.dock=gate-2"])
    assert two.bindings == {
        "shop": {"gate": ("gate", "gate-2")},
        "safety": {"gate": ("gate", "gate-2"), "dock": ("gate-2",)},
    }


@pytest.mark.parametrize(
    ("cameras", "binds", "code", "words"),
    [
        ([YARD], [], "V104", "no application has a camera 'yard'; cameras: dock, gate, hall"),
        (["gat=x"], [], "V104", "did you mean 'gate'"),
        (["hall=rtsp://10.0.0.7/a"], [], "V104", "the cameras of application safety: dock, gate"),
        (
            [GATE],
            ["safety.dock=yard"],
            "V104",
            "--bind safety.dock=yard: there is no --camera of that name; given: gate",
        ),
        ([GATE], ["safty.dock=gate"], "V701", "no application is called 'safty'; .*did you mean 'safety'"),
        ([GATE], ["safety.dok=gate"], "V104", "no camera 'dok'; .*did you mean 'dock'"),
        ([GATE], ["dock=gate"], "V701", "APP.CAMERA=NAME"),
        ([GATE], ["safety.dock="], "V701", "APP.CAMERA=NAME"),
        ([GATE], ["safety.dock=gate", "safety.dock=gate"], "V701", "given twice"),
    ],
)
def test_bindings_that_make_no_sense(cameras: list[str], binds: list[str], code: str, words: str) -> None:
    with pytest.raises(VedetteError, match=words) as caught:
        parse_device_arguments([SHOP, SAFETY], cameras, binds=binds)
    assert caught.value.code == code


def test_a_name_made_for_a_second_camera_does_not_hide_another() -> None:
    with pytest.raises(UsageError, match="'gate-2' is the name of another camera already"):
        parse_device_arguments([app("a", "gate", "gate-2")], [GATE, GATE, "gate-2=rtsp://10.0.0.9/a"])
