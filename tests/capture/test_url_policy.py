from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.contracts.errors import ConfigurationError
from vedette.core.url_policy import CheckedUrl, camera_policy, check_address, check_url, webhook_policy

NAMES = {
    "camera.site": ("10.20.0.7",),
    "both.site": ("10.20.0.7", "169.254.169.254"),
    "rebind.evil": ("169.254.169.254",),
    "local.evil": ("127.0.0.1",),
    "mapped.evil": ("::ffff:169.254.169.254",),
    "localhost": ("::1", "127.0.0.1"),
    "hooks.example.org": ("203.0.113.7", "2001:db8::7"),
}


def resolve(name: str) -> tuple[str, ...]:
    if name not in NAMES:
        raise OSError(-2, "Name or service not known")
    return NAMES[name]


def camera(url: str, *networks: str) -> CheckedUrl:
    return check_url(url, camera_policy(networks), resolve)


def refused(url: str, *networks: str) -> str:
    with pytest.raises(ConfigurationError, match="V105") as caught:
        camera(url, *networks)
    return str(caught.value)


def test_a_camera_url_is_taken_apart() -> None:
    found = camera("rtsp://admin:p%40ss@camera.site/h264?channel=1")
    assert found == CheckedUrl("rtsp", "camera.site", 554, ("10.20.0.7",), "/h264?channel=1", "admin", "p@ss")
    assert found.shown == "rtsp://camera.site/h264?channel=1"
    assert "p@ss" not in repr(found)
    assert camera("rtsps://camera.site:8322/").port == 8322
    assert camera("RTSP://10.1.2.3").addresses == ("10.1.2.3",)
    assert camera("rtsp://[2001:db8::5]:8554/x").shown == "rtsp://[2001:db8::5]:8554/x"
    assert camera("rtsp://u:a@b@camera.site/x").password == "a@b"


def test_files_and_devices() -> None:
    assert camera("videos/gate 1.mp4") == CheckedUrl("file", target="videos/gate 1.mp4")
    assert camera("file:///data/gate%201.mp4").target == "/data/gate 1.mp4"
    assert camera("v4l2:///dev/video0").target == "/dev/video0"
    assert camera("v4l2:///dev/v4l/by-id/usb-X_1.0-video-index0").scheme == "v4l2"
    for url in ("v4l2:///etc/passwd", "v4l2:///dev/video0/../sda", "v4l2://dev/video0", "file://host/x", "file://"):
        refused(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "https://10.0.0.1/",
        "concat:/etc/passwd|/etc/hosts",
        "subfile,,start,0,end,9,,:/etc/passwd",
        "data:text/plain,abc",
        "pipe:0",
        "tcp://10.0.0.1:22",
        "srtp://10.0.0.1",
        "gopher://10.0.0.1",
        "FILE+x:///etc/passwd",
        "rtmp://10.0.0.1/live",
        "rtsp:/etc/passwd",
        "rtsp:10.0.0.1/x",
        "rtsp://",
        "rtsp:///path",
        "rtsp://:554/x",
        "rtsp://@/x",
        "",
        "rtsp://10.0.0.1\n/x",
        "rtsp://10.0.0.1/\x00",
        "rtsp://10.0.0.1\\@169.254.169.254/x",
        "rtsp://10.0.0.1 /x",
        "rtsp://10.0.0.1:0/x",
        "rtsp://10.0.0.1:65536/x",
        "rtsp://10.0.0.1:5a4/x",
        "rtsp://10.0.0.1:٥٥٤/x",
        "rtsp://10.0.0.1:-1/x",
        "rtsp://[::1/x",
        "rtsp://[::1]x/x",
        "rtsp://[fe80::1%25eth0]/x",
        "rtsp://ｌocalhost/x",
        "rtsp://①②⑦.0.0.1/x",
        "rtsp://exa mple/x",
        "rtsp://-bad-/x",
        f"rtsp://{'a' * 64}.example/x",
    ],
)
def test_what_is_no_camera_address_is_refused(url: str) -> None:
    refused(url)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "2852039166",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.16689662",
        "0xa9.254.43518",
        "169.254.169.254.",
        "127.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "0.1.2.3",
        "255.255.255.255",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "[::]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[2002:a9fe:a9fe::]",
        "[fe80::1]",
        "[ff02::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "rebind.evil",
        "both.site",
        "mapped.evil",
    ],
)
def test_forbidden_hosts_are_refused_in_every_spelling(host: str) -> None:
    for userinfo in ("", "user:pw@", "camera.site:80@", "10.0.0.1@"):
        message = refused(f"rtsp://{userinfo}{host}/latest/meta-data")
        assert "user:pw" not in message


def test_loopback_is_for_cameras_and_not_for_webhooks() -> None:
    for host in ("127.0.0.1", "[::1]", "127.8.8.8", "local.evil", "localhost"):
        assert camera(f"rtsp://{host}:8554/cam").addresses
        with pytest.raises(ConfigurationError, match="V105"):
            check_url(f"rtsp://{host}/", camera_policy(loopback=False), resolve)
        with pytest.raises(ConfigurationError, match="V105"):
            check_url(f"http://{host}/hook", webhook_policy(), resolve)
        assert check_url(f"http://{host}/hook", webhook_policy(loopback=True), resolve).port == 80


def test_webhooks() -> None:
    found = check_url("https://hooks.example.org/a?b=c#frag", webhook_policy(), resolve)
    assert (found.port, found.target, len(found.addresses)) == (443, "/a?b=c", 2)
    for url in ("https://user:pw@hooks.example.org/", "rtsp://hooks.example.org/", "hooks.example.org", "file:///x"):
        with pytest.raises(ConfigurationError, match="V105") as caught:
            check_url(url, webhook_policy(), resolve)
        assert "pw" not in str(caught.value)


def test_networks_limit_where_cameras_may_be() -> None:
    assert camera("rtsp://camera.site/x", "10.20.0.0/16")
    assert "outside" in refused("rtsp://camera.site/x", "10.21.0.0/16", "192.168.0.0/24")
    assert "outside" in refused("rtsp://[::ffff:10.99.0.1]/x", "10.20.0.0/16")
    assert camera("rtsp://[::ffff:10.20.0.1]/x", "10.20.0.0/16")


def test_a_password_with_a_slash_gets_advice_and_stays_secret() -> None:
    message = refused("rtsp://admin:top/secret@10.0.0.5/stream")
    assert "percent-encode" in message
    assert "top/secret" not in message
    assert "percent-encode" in refused("rtsp://admin:#secret@10.0.0.5/stream")


def test_a_name_that_does_not_resolve_is_no_refusal() -> None:
    with pytest.raises(OSError, match="not known"):
        camera("rtsp://away.site/x")


@given(st.integers(0, 2**32 - 1) | st.integers(0, 2**128 - 1))
def test_no_address_of_the_metadata_range_ever_passes(number: int) -> None:
    link_local = 0xA9FE0000 | (number & 0xFFFF)
    for spelled in (
        str(ipaddress.IPv4Address(link_local)),
        f"::ffff:{ipaddress.IPv4Address(link_local)}",
        str(ipaddress.IPv6Address((0xFE80 << 112) | (number & ((1 << 64) - 1)))),
        str(ipaddress.IPv6Address((0x2002 << 112) | (link_local << 80))),
    ):
        assert check_address(spelled, camera_policy())


@given(st.text(max_size=60))
def test_any_text_is_checked_or_refused_and_nothing_else(text: str) -> None:
    for url in (text, f"rtsp://{text}", f"rtsp://{text}@10.0.0.1/"):
        try:
            found = camera(url)
        except (ConfigurationError, OSError):
            continue
        for address in found.addresses:
            assert not ipaddress.ip_address(address).is_link_local
