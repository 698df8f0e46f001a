"""Evidence on the command line: listed, shown, and served to one browser and nobody else."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.cli.test_cli_main import vedette
from vedette.adapters.evidence.store import EvidenceStore, folder_name
from vedette.cli.evidence import facts
from vedette.cli.evidence_server import evidence_server
from vedette.cli.page_server import PageServer, wanted_range
from vedette.contracts.alert import Alert
from vedette.contracts.evidence import Clip, EvidenceRecord, EvidenceState, Shortfall, Snapshot
from vedette.contracts.manifest import ClipSettings, Evidence
from vedette.contracts.privacy import Privacy

PICTURE = b"\xff\xd8" + bytes(range(256)) * 4
VIDEO = bytes(index * 7 % 256 for index in range(100_000))
MESSAGE = "<script>alert(1)</script> & größer"


def alert(digit: str = "a", **more: Any) -> Alert:
    return Alert.model_validate(
        {
            "alert_id": digit * 32,
            "device": "edge-1",
            "application": "shop",
            "camera": "hall",
            "device_camera": "cam",
            "rule": "leaves",
            "severity": "warning",
            "time": datetime(2026, 3, 1, 10, 0, 0, 250_000, UTC),
            "media_time_s": 12.5,
            "label": "thing",
            "track_ids": [7],
            "boxes": [[1.0, 2.0, 3.5, 4.0]],
            "message": MESSAGE,
            **more,
        }
    )


def keep(root: Path, about: Alert, *, files: bool = True, **more: Any) -> tuple[Path, EvidenceRecord]:
    """A finished folder with both files, or a record alone."""
    record = EvidenceRecord(
        alert=about,
        camera="cam",
        asked=Evidence(clip=ClipSettings()),
        asked_at=about.time,
        made=about.time,
        privacy=Privacy.NONE,
        **more,
    )
    if files:
        shot = Snapshot(
            file="snapshot.jpg",
            bytes=len(PICTURE),
            sha256=hashlib.sha256(PICTURE).hexdigest(),
            width=64,
            height=48,
            media_time_s=12.5,
        )
        clip = Clip(
            file="clip.mp4",
            bytes=len(VIDEO),
            sha256=hashlib.sha256(VIDEO).hexdigest(),
            codec="h264",
            reencoded=False,
            duration_s=10.2,
            alert_s=5.1,
            pre_roll_s=5.1,
            pictures=250,
        )
        record = record.model_copy(update={"snapshot": shot, "clip": clip})
    store = EvidenceStore(root / "evidence")
    store.begin(record)
    folder = root / "evidence" / folder_name(about)
    if files:
        (folder / "snapshot.jpg").write_bytes(PICTURE)
        (folder / "clip.mp4").write_bytes(VIDEO)
    store.write(record)
    return folder, record


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    folder, record = keep(tmp_path, alert())
    with evidence_server(folder, record, facts(record)) as served:
        thread = Thread(target=served.serve)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def request(host: str, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def cookie_of(server: PageServer) -> str:
    response, _ = request(server.host, server.url.removeprefix(f"http://{server.host}"))
    assert response.status == 303
    cookie = response.getheader("Set-Cookie") or ""
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    return cookie.partition(";")[0]


def test_the_address_opens_once_and_only_with_its_token(server: PageServer) -> None:
    path = server.url.removeprefix(f"http://{server.host}")
    for wrong in ("/", "/snapshot.jpg", "/clip.mp4", path[:-1], path + "x", "/%C3%A4", path + "/.."):
        response, body = request(server.host, wrong)
        assert response.status == 403, wrong
        assert b"JFIF" not in body
    assert request(server.host, "/", Cookie="vedette=guess")[0].status == 403
    cookie = cookie_of(server)
    assert request(server.host, path)[0].status == 403, "the token is used up"
    response, body = request(server.host, "/", Cookie=cookie)
    assert response.status == 200
    text = body.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; größer" in text
    assert "<script" not in text
    assert "default-src 'none'" in (response.getheader("Content-Security-Policy") or "")
    assert request(server.host, "/snapshot.jpg", Cookie=cookie)[1] == PICTURE


def test_names_lead_nowhere_else_and_other_hosts_are_refused(server: PageServer) -> None:
    cookie = cookie_of(server)
    for path in (
        "/evidence.json",
        "/../evidence.json",
        "/%2e%2e/evidence.json",
        "/./clip.mp4",
        "/clip.mp4/..",
        "/clip.mp4?x",
    ):
        assert request(server.host, path, Cookie=cookie)[0].status == 404, path
    assert request(server.host, "/clip.mp4", Cookie=cookie, Host="evil.example.org")[0].status == 421
    assert request(server.host, "/", "POST", Cookie=cookie)[0].status == 501
    other = socket.socket()
    with other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", int(server.host.rpartition(":")[2])))


def test_browsers_can_seek_in_the_video(server: PageServer) -> None:
    cookie = cookie_of(server)
    response, body = request(server.host, "/clip.mp4", Cookie=cookie)
    assert (response.status, body) == (200, VIDEO)
    assert response.getheader("Accept-Ranges") == "bytes"
    for header, expected in (
        ("bytes=0-", VIDEO),
        ("bytes=100-199", VIDEO[100:200]),
        ("bytes=99990-200000", VIDEO[99990:]),
        ("bytes=-10", VIDEO[-10:]),
    ):
        response, body = request(server.host, "/clip.mp4", Cookie=cookie, Range=header)
        assert body == expected, header
        assert response.status == (200 if expected == VIDEO else 206)
    response, _ = request(server.host, "/clip.mp4", Cookie=cookie, Range="bytes=100000-")
    assert (response.status, response.getheader("Content-Range")) == (416, "bytes */100000")
    response, body = request(server.host, "/clip.mp4", "HEAD", Cookie=cookie)
    assert (response.status, response.getheader("Content-Length"), body) == (200, "100000", b"")


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        (None, 10, (0, 10)),
        ("bytes=2-4", 10, (2, 5)),
        ("bytes=9-", 10, (9, 10)),
        ("bytes=-99", 10, (0, 10)),
        ("bytes=-0", 10, None),
        ("bytes=5-4", 10, None),
        ("bytes=0-0", 0, None),
        ("bytes=0-1,3-4", 10, (0, 10)),
        ("lines=1-2", 10, (0, 10)),
        ("bytes=-", 10, (0, 10)),
    ],
)
def test_ranges(header: str | None, size: int, expected: tuple[int, int] | None) -> None:
    assert wanted_range(header, size) == expected


def test_list_and_show_say_what_is_kept_and_what_is_missing(tmp_path: Path) -> None:
    keep(tmp_path, alert("a"))
    late = Shortfall(what="snapshot", why="the alert came later than the video is kept for.", code="V901")
    keep(tmp_path, alert("b", severity="critical"), files=False, shortfalls=(late,))
    keep(tmp_path, alert("c"), files=False, state=EvidenceState.PENDING)
    (tmp_path / "evidence" / f"20260301T100000250Z-{'d' * 32}").mkdir()
    done = vedette("evidence", "list", "--state", str(tmp_path))
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    for words in ("aaaaaaaaaaaa", "snapshot, clip of 10.2 s", "being made", "1 folders cannot be read"):
        assert words in text
    assert "the alert came later" in text
    listed = [
        json.loads(line) for line in vedette("evidence", "list", "--json", "--state", str(tmp_path)).stdout.splitlines()
    ]
    assert [entry["alert"]["alert_id"][0] for entry in listed] == ["a", "b", "c"]
    shown = " ".join(vedette("evidence", "show", "aaaaaa", "--state", str(tmp_path)).stdout.split())
    assert "the alert at 5.10 s" in shown
    assert shown.count("intact") == 2
    assert "V901" in vedette("evidence", "show", "bbbbbb", "--state", str(tmp_path)).stdout


def test_what_cannot_be_opened_is_said_without_a_trace(tmp_path: Path) -> None:
    folder, _ = keep(tmp_path, alert("a"))
    keep(tmp_path, alert("a" * 31 + "b", alert_id="a" * 31 + "b"))
    (folder / "clip.mp4").write_bytes(VIDEO[:-1])
    for arguments, words in (
        (("open", "aaaaaa"), "V905"),
        (("open", "ffffff"), "V905"),
        (("show", "xyz"), "V905"),
        (("open", "a" * 32), "damaged"),
    ):
        done = vedette("evidence", *arguments, "--state", str(tmp_path))
        assert done.returncode != 0
        assert words in done.stderr, done.stderr
        assert "Traceback" not in done.stderr


def test_open_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    keep(tmp_path, alert())
    command = [sys.executable, "-m", "vedette", "evidence", "open", "aaaaaa", "--no-browser", "--state", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as process:
        assert process.stdout is not None
        url = next(line for line in process.stdout if "http://127.0.0.1:" in line).split()[-1]
        host = url.split("/")[2]
        response, _ = request(host, "/" + url.rpartition("/")[2])
        assert response.status == 303
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    with pytest.raises(OSError, match="refused"):
        request(host, "/")
