from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.discovery.responder import FakeAnnouncer, FakeCamera, envelope, probe_match, profile
from vedette.adapters.discovery import soap
from vedette.adapters.discovery.found import Announcement, FoundCamera, StreamProfile, clean, propose
from vedette.adapters.discovery.onvif import AskSettings, ask_all, ask_device
from vedette.adapters.discovery.search import DEVICE_LIMIT, SENDER_LIMIT, XADDR_LIMIT, _receive, parse_answer, search
from vedette.cli.camera_discover import discover

PASSWORD = "right-Horse-7"


def ask(
    camera: FakeCamera,
    *xaddrs: str,
    user: str | None = None,
    password: str = "",
    networks: tuple[str, ...] = (),
    limit_s: float = 8.0,
) -> FoundCamera:
    settings = AskSettings(user, password, networks, lambda _name: (), limit_s)
    return asyncio.run(ask_device(Announcement("127.0.0.1", xaddrs or (camera.xaddr,)), settings))


def test_a_camera_tells_make_model_and_streams() -> None:
    with FakeCamera() as fake:
        found = ask(fake)
    assert found.problem == ""
    assert (found.address, found.service) == ("127.0.0.1", fake.xaddr)
    assert (found.manufacturer, found.firmware) == ("Acme", "1.2.3")
    assert found.model == "Eye 31m 4", "a control character of the device must not reach a terminal"
    assert found.profiles[0] == StreamProfile("main-stream", "H264", 2560, 1440, 25.0, 50, "rtsp://127.0.0.1/main")
    assert found.profiles[1].fps == 15.0
    assert (found.main, found.sub) == ("rtsp://127.0.0.1/main", "rtsp://127.0.0.1/sub")
    assert not found.needs_password
    assert not any(operation.endswith("+") for operation in fake.asked)


def test_credentials_are_sent_only_where_asked_for_and_as_a_digest() -> None:
    with FakeCamera(PASSWORD, hour=3) as fake:
        found = ask(fake, user="viewer", password=PASSWORD)
        assert found.problem == ""
        assert found.sub == "rtsp://127.0.0.1/sub"
        assert found.needs_password
        assert "GetDeviceInformation" in fake.asked, "first without"
        assert "GetDeviceInformation+" in fake.asked
        assert "GetSystemDateAndTime+" not in fake.asked
        assert not any(PASSWORD in request for request in fake.requests)
    with FakeCamera() as fake:
        ask(fake, user="viewer", password=PASSWORD)
        assert not any(operation.endswith("+") for operation in fake.asked), "an open camera gets no digest to guess at"


@pytest.mark.parametrize(
    ("user", "password", "words"), [(None, "", "--user"), ("viewer", "wrong", "refused this user and password")]
)
def test_a_refusal_is_explained(user: str | None, password: str, words: str) -> None:
    with FakeCamera(PASSWORD) as fake:
        found = ask(fake, user=user, password=password)
    assert words in found.problem
    assert found.needs_password
    assert found.profiles == ()


def test_http_authentication_is_answered_by_digest() -> None:
    challenge = {"WWW-Authenticate": 'Digest realm="c", qop="auth", nonce="abc", algorithm=MD5'}
    with FakeCamera() as fake:
        fake.answers["GetProfiles"] = (401, challenge, b"")
        found = ask(fake, user="viewer", password=PASSWORD)
        assert fake.asked.count("GetProfiles") + fake.asked.count("GetProfiles+") >= 2
    assert "refused this user" in found.problem


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://169.254.169.254/latest",
        "rtsp://203.0.113.9/stream",
        "rtsp://[fd00:ec2::254]/stream",
        "http://127.0.0.1/stream",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_stream_elsewhere_is_not_passed_on(url: str) -> None:
    with FakeCamera() as fake:
        fake.streams["main"] = url
        found = ask(fake, networks=("192.0.2.0/24",))
    assert found.profiles[0].url == ""
    assert "refused" in found.profiles[0].problem
    assert found.main == "rtsp://127.0.0.1/sub"


def test_a_stream_in_the_local_network_and_credentials_in_it() -> None:
    with FakeCamera() as fake:
        fake.streams["main"] = "rtsp://admin:hunter22@192.0.2.77:8554/main?subtype=0&token=letmein1"
        found = ask(fake, networks=("192.0.2.0/24",))
    assert found.main == "rtsp://192.0.2.77:8554/main?subtype=0&token=***"
    assert "hunter22" not in repr(found)


@pytest.mark.parametrize(
    "xaddr", ["http://169.254.169.254/onvif/device_service", "http://203.0.113.9/x", "ftp://127.0.0.1/", "nonsense", ""]
)
def test_a_service_elsewhere_is_not_asked(xaddr: str) -> None:
    with FakeCamera() as fake:
        found = ask(fake, xaddr, networks=("192.0.2.0/24",))
        assert "refused" in found.problem
        assert fake.asked == []
        assert ask(fake, xaddr, fake.xaddr).problem == "", "the next of its addresses is used"


def test_a_media_service_elsewhere_is_not_asked() -> None:
    with FakeCamera() as fake, FakeCamera() as other:
        fake.media = f"http://169.254.169.254:{other.port}/onvif/media"
        assert "link-local" in ask(fake).problem
        assert other.asked == []


def test_loopback_belongs_to_devices_on_loopback_only() -> None:
    settings = AskSettings(None, "", ("192.0.2.0/24",), lambda _name: ())
    with FakeCamera() as fake:
        found = asyncio.run(ask_device(Announcement("192.0.2.9", (fake.xaddr,)), settings))
        assert "this machine itself" in found.problem
        assert fake.asked == []


def test_redirects_are_not_followed() -> None:
    with FakeCamera() as fake, FakeCamera() as other:
        fake.answers["GetDeviceInformation"] = (307, {"Location": other.xaddr}, b"")
        assert "redirects" in ask(fake).problem
        assert other.asked == []


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>router login</html>", "failed"),
        (200, b"", ""),
        (500, b"oops", "ONVIF"),
        (200, b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
        (200, envelope("<trt:GetProfilesResponse/>"), "no video streams"),
        (200, envelope("<trt:Nonsense><a/></trt:Nonsense>"), ""),
    ],
)
def test_nonsense_is_survived(status: int, body: bytes, words: str) -> None:
    with FakeCamera() as fake:
        fake.answers["GetProfiles"] = (status, {}, body)
        found = ask(fake)
    assert found.problem
    assert words in found.problem
    assert found.manufacturer == "Acme", "what was learnt before stays"
    assert found.main == ""


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soap, "ANSWER_LIMIT_BYTES", 1 << 20)
    with FakeCamera() as fake:
        fake.answers["GetProfiles"] = (200, {}, b" " * (3 << 20))
        assert "longer than" in ask(fake).problem


def test_a_device_that_says_nothing_costs_its_time_only() -> None:
    with socket.create_server(("127.0.0.2", 0)) as mute, FakeCamera() as fake:
        silent = f"http://127.0.0.2:{mute.getsockname()[1]}/onvif/device_service"
        settings = AskSettings(None, "", (), lambda _name: (), 2.0)
        devices = [Announcement("127.0.0.2", (silent,)), Announcement("127.0.0.1", (fake.xaddr,))]
        heard: list[str] = []
        good, bad = asyncio.run(ask_all(devices, settings, lambda camera: heard.append(camera.address)))
    assert good.main
    assert "did not answer" in bad.problem
    assert heard == ["127.0.0.1", "127.0.0.2"], "the slow one keeps no other waiting"


def test_a_closed_port_is_explained() -> None:
    with FakeCamera() as fake:
        pass
    assert "cannot be connected" in ask(fake).problem


def test_nothing_is_fetched_for_the_service_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    peers: set[Any] = set()
    connect = socket.socket.connect

    def watched(self: socket.socket, address: Any) -> None:
        peers.add(address[0] if isinstance(address, tuple) else "local")
        connect(self, address)

    names: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: Any, *arguments: Any, **options: Any) -> Any:
        names.append(str(host))
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr("onvif.client._DOCUMENT_CACHE", {})
    with FakeCamera() as fake:
        assert ask(fake).main
    assert peers <= {"127.0.0.1", "local"}
    assert set(names) <= {"127.0.0.1"}


def test_the_best_streams_are_proposed() -> None:
    def stream(width: int, height: int, url: str) -> StreamProfile:
        return StreamProfile(url, width=width, height=height, url=url)

    assert propose([]) == ("", "")
    assert propose([stream(640, 480, "a")]) == ("a", "")
    assert propose([stream(640, 480, "a"), stream(640, 480, "b")]) == ("a", "")
    assert propose([stream(320, 180, "a"), stream(3840, 2160, "b"), stream(704, 576, "c")]) == ("b", "c")
    assert propose([stream(0, 0, "a"), stream(1280, 720, "")]) == ("a", "")


def test_texts_of_devices_are_cleaned() -> None:
    assert clean("a\x1b[31m\nb\u202ec") == "a [31m b c"
    assert len(clean("x" * 10_000)) == 120
    assert clean(None) == ""


SCOPES = "onvif://www.onvif.org/type/video onvif://www.onvif.org/name/Hall%20north onvif://www.onvif.org/hardware/E4"


def test_the_search_finds_who_answers() -> None:
    progress: list[tuple[float, int]] = []
    junk = (b"", b"\xff\x00 no xml", b"<a/>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"<" * 60_000)
    answers = (
        *junk,
        probe_match("x", "http://127.0.0.1/a http://127.0.0.1/b", scopes=SCOPES),
        probe_match("y", "http://127.0.0.1/c"),
        probe_match("z", "http://127.0.0.1:81/d", endpoint="urn:uuid:3"),
    )
    with FakeAnnouncer(*answers) as announcer:
        found = search(
            0.6,
            ["127.0.0.1"],
            group=announcer.group,
            on_progress=lambda passed_s, count: progress.append((passed_s, count)),
        )
        questions = list(announcer.questions)
    assert found == [
        Announcement(
            "127.0.0.1",
            ("http://127.0.0.1/a", "http://127.0.0.1/b", "http://127.0.0.1/c"),
            "Hall north",
            "E4",
            "urn:uuid:2",
        ),
        Announcement("127.0.0.1", ("http://127.0.0.1:81/d",), endpoint="urn:uuid:3"),
    ]
    assert len(questions) == 4, "two types of device, twice"
    assert any("NetworkVideoTransmitter" in question for question in questions)
    assert all("discovery/Probe" in question for question in questions)
    assert progress[-1][1] == 2
    assert progress[-1][0] < 0.7


def test_multicast_on_loopback_where_the_system_has_it() -> None:
    group = "239.255.255.250"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("", 0))
        listener.settimeout(2.0)
        try:
            membership = socket.inet_aton(group) + socket.inet_aton("127.0.0.1")
            listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            port = listener.getsockname()[1]
            assert search(0.2, ["127.0.0.1"], group=(group, port)) == []
            data, _ = listener.recvfrom(65535)
        except OSError:
            pytest.skip("no multicast on this machine's loopback interface")
    assert b"discovery/Probe" in data


class Flood:
    """Answers without end."""

    def __init__(self, *, one_sender: bool) -> None:
        self._one_sender = one_sender
        self._number = 0

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[str, int]]:
        self._number += 1
        sender = "10.1.0.1" if self._one_sender else f"10.1.{self._number >> 8}.{self._number & 255}"
        xaddrs = " ".join(f"http://{sender}/{n}" for n in range(50))
        return probe_match("x", xaddrs, endpoint=f"urn:uuid:{self._number}"), (sender, 3702)


@pytest.mark.parametrize(("one_sender", "limit"), [(False, DEVICE_LIMIT), (True, SENDER_LIMIT)])
def test_a_flood_of_answers_is_bounded(one_sender: bool, limit: int) -> None:
    found: dict[tuple[str, str], Announcement] = {}
    flood = Flood(one_sender=one_sender)
    for _ in range(limit + 50):
        _receive(flood, found)
    assert len(found) == limit
    assert all(len(entry.xaddrs) == XADDR_LIMIT for entry in found.values())


def test_what_is_no_answer_is_ignored() -> None:
    assert parse_answer(b"", "10.0.0.1") == []
    other = probe_match("x", "http://10.0.0.1/").replace(b"discovery/ProbeMatches", b"discovery/Bye")
    assert parse_answer(other, "10.0.0.1") == []


def vedette_discover(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **environment}
    return subprocess.run(
        [sys.executable, "-m", "vedette", "camera", "discover", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        check=False,
    )


def test_the_command_lists_streams_to_copy(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    with FakeCamera(PASSWORD) as fake:
        fake.profiles.append(profile("[bold]odd[/]", 320, 180))
        fake.streams["odd"] = ""
        where = ("--address", f"127.0.0.1:{fake.port}")
        shown = vedette_discover(*where, "--user", "viewer", "--password-file", str(file))
        listed = vedette_discover(*where, "--json", "--user", "viewer", VEDETTE_CAMERA_PASSWORD=PASSWORD)
        refused = vedette_discover(*where)
    assert shown.returncode == 0, shown.stderr
    assert "--camera NAME=rtsp://127.0.0.1/sub" in shown.stdout
    assert "--camera NAME=rtsp://127.0.0.1/main" in shown.stdout
    assert "2560x1440 H264 25 fps" in shown.stdout
    camera = json.loads(listed.stdout)["cameras"][0]
    assert (camera["manufacturer"], camera["sub"]) == ("Acme", "rtsp://127.0.0.1/sub")
    assert refused.returncode == 0
    assert "--user" in refused.stdout
    for run in (shown, listed, refused):
        assert PASSWORD not in run.stdout + run.stderr
        assert "Traceback" not in run.stderr


def test_nobody_found_is_no_error_and_says_what_to_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vedette.adapters.discovery.search.local_interfaces", list)  # asks nobody in a real network
    discover(seconds=0.5, address=None, user=None, password_file=None, json_=False)
    shown = capsys.readouterr().out
    for word in ("subnet", "multicast", "ONVIF is switched off"):
        assert word in shown
    discover(seconds=0.5, address=None, user=None, password_file=None, json_=True)
    assert json.loads(capsys.readouterr().out) == {"cameras": []}


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--address", "host:port"), "V701", "HOST:PORT"),
        (("--address", "no-such-camera.invalid"), "V201", "resolved"),
        (("--user", "viewer"), "V701", "no terminal"),
        (("--password-file", "x"), "V701", "--user"),
    ],
)
def test_wrong_calls_are_explained(arguments: tuple[str, ...], code: str, word: str) -> None:
    run = vedette_discover(*arguments)
    assert run.returncode == 1
    assert code in run.stderr
    assert word in run.stderr
    assert "Traceback" not in run.stderr
