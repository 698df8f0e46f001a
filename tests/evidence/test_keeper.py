"""The process that makes evidence: whatever goes wrong, the record says so and nothing half-made stays."""

from __future__ import annotations

import errno
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

from tests.evidence.packets import alert_of, brightness, recorded
from vedette.adapters.evidence.receiver import GIVE_UP_S, EvidenceReceiver
from vedette.adapters.evidence.store import EvidenceStore, folder_name
from vedette.adapters.incidents import find_incident
from vedette.adapters.packets import PacketFeed, PacketServer
from vedette.adapters.packets.wire import ItemReader, encode_item, encode_stream
from vedette.compose.evidence_maker import EvidenceMaker
from vedette.compose.evidence_process import ATTEMPTS, SETTLE_S, WAIT_S, EvidenceKeeper
from vedette.contracts.alert import Alert, Severity
from vedette.contracts.config import AlertingConfig
from vedette.contracts.errors import CoreError, DeliveryError, EvidenceError, StorageError
from vedette.contracts.evidence import EvidenceRecord, EvidenceState
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import ClipSettings, Evidence
from vedette.contracts.packets import EncodedPacket
from vedette.contracts.plan import EvidencePlan
from vedette.contracts.privacy import Privacy
from vedette.core.preroll import Item

ASKED = Evidence(clip=ClipSettings(before_s=1.5, after_s=1.0))


class Site:
    """A state directory, a camera's packets, and the process' own object with a clock of its own."""

    def __init__(self, root: Path, **config: Any) -> None:
        self.root = root
        self.now_s = 1000.0
        self.config = AlertingConfig(stateDirectory=str(root), **config)
        (root / "run" / "packets").mkdir(parents=True)
        self.store = EvidenceStore(root / "evidence")
        self.items: list[Item] = []
        self.infos: list[FrameInfo] = []
        self.server: PacketServer | None = None
        self.last_s = float("-inf")
        self.keepers: list[EvidenceKeeper] = []
        self.keeper = self.start()

    def start(self) -> EvidenceKeeper:
        self.keepers.append(EvidenceKeeper(self.config, monotonic=lambda: self.now_s))
        return self.keepers[-1]

    def close(self) -> None:
        for keeper in self.keepers:
            keeper.close()
        if self.server is not None:
            self.server.close()

    def film(self, seconds: float = 6.0, **clip: Any) -> None:
        self.items, self.infos = recorded(self.root / "clip.mp4", seconds, **clip)

    def serve(self, items: list[Item] | None = None) -> None:
        self.server = PacketServer(self.root / "run" / "packets" / "gate.sock", 60.0)
        for item in self.items if items is None else items:
            send(self.server, item)
            if isinstance(item, EncodedPacket):
                self.last_s = item.arrival_s

    def ask(self, number: int, privacy: Privacy = Privacy.NONE, asked: Evidence = ASKED, **alert: Any) -> Alert:
        """Begin a record for picture ``number``."""
        about = alert_of(self.infos[number], **alert)
        self.store.begin(
            EvidenceRecord(
                state=EvidenceState.PENDING,
                alert=about,
                camera="gate",
                asked=asked,
                asked_at=datetime.now(UTC),
                privacy=privacy,
            )
        )
        return about

    def until_made(self, alert: Alert, *, wait_s: float = 0.0) -> EvidenceRecord:
        """Step until the record is finished; ``wait_s`` of the keeper's own time pass as soon as all was received."""
        limit_s = time.monotonic() + 20
        while (record := self.record(alert)).state is EvidenceState.PENDING:
            assert time.monotonic() < limit_s, record
            self.keeper.step()
            if self.received():
                self.now_s += wait_s
                wait_s = 0.0
            time.sleep(0.01)
        return record

    def received(self) -> bool:
        """Whether the keeper has the last packet of the camera that it follows."""
        feed = self.keeper._feeds.get("gate")
        return feed is None or feed._latest_s >= self.last_s

    def record(self, alert: Alert) -> EvidenceRecord:
        return self.store.read(self.folder(alert))

    def folder(self, alert: Alert) -> Path:
        return self.store.directory / folder_name(alert)


def send(server: PacketServer, item: Item) -> None:
    if isinstance(item, EncodedPacket):
        server.packet(item)
    else:
        server.picture(item)


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    one = Site(short_tmp)
    one.film()
    yield one
    one.close()


def whys(record: EvidenceRecord) -> str:
    return " | ".join(f"{one.code} {one.why}" for one in record.shortfalls)


def test_picture_and_clip_and_the_record_of_both(site: Site) -> None:
    site.serve()
    alert = site.ask(30)
    record = site.until_made(alert)
    assert not record.shortfalls
    assert record.snapshot is not None
    assert record.clip is not None
    assert {path.name for path in site.folder(alert).iterdir()} == {"evidence.json", "snapshot.jpg", "clip.mp4"}
    picture = cv2.imread(str(site.folder(alert) / "snapshot.jpg"))
    assert picture is not None
    assert picture[:400, 330:].mean() == pytest.approx(brightness(30), abs=2.5), "its own picture, boxes apart"
    found = find_incident(site.store.directory, alert.alert_id[:8] if alert.alert_id[:8].strip("0") else alert.alert_id)
    assert found.clip.sha256 == record.clip.sha256
    assert (found.clip.alert_s, found.privacy) == (record.clip.alert_s, "none")
    with av.open(str(found.path)) as clip:
        greys = {round(float(f.time), 2): f.to_ndarray(format="gray").mean() for f in clip.decode(video=0)}
    assert greys[round(record.clip.alert_s, 2)] == pytest.approx(brightness(30) * 219 / 255 + 16, abs=4)
    assert b"Exif" not in (site.folder(alert) / "snapshot.jpg").read_bytes()


def test_a_clip_waits_for_what_comes_after_and_the_picture_does_not(site: Site) -> None:
    later = next(n for n, one in enumerate(site.items) if isinstance(one, EncodedPacket) and (one.pts or 0) > 0) + 70
    site.serve(site.items[:later])
    alert = site.ask(30)
    limit_s = time.monotonic() + 10
    while site.record(alert).snapshot is None:
        assert time.monotonic() < limit_s
        site.keeper.step()
        time.sleep(0.01)
    assert site.record(alert).state is EvidenceState.PENDING
    assert site.server is not None
    for item in site.items[later:]:
        send(site.server, item)
    record = site.until_made(alert)
    assert record.clip is not None
    assert record.clip.duration_s - record.clip.alert_s >= 1.0


def test_many_alerts_of_one_camera_at_once(site: Site) -> None:
    site.serve()
    alerts = [site.ask(number) for number in range(15, 44, 2)]
    for alert in alerts:
        assert not site.until_made(alert).shortfalls
    assert len(list(site.store.folders())) == len(alerts)


def test_a_camera_that_is_gone_is_a_shortfall_and_holds_up_no_other(site: Site) -> None:
    site.serve()
    missing = site.ask(20, device_camera="yard")
    # The record names the device's camera, which has no process.
    site.store.write(site.record(missing).model_copy(update={"camera": "yard"}))
    there = site.ask(30)
    assert not site.until_made(there).shortfalls
    record = site.until_made(missing, wait_s=WAIT_S + 2)
    assert record.snapshot is None
    assert "V901 the video of the moment is not there: the camera's process cannot be reached" in whys(record)


def test_a_stream_that_broke_off_gives_what_there_is(site: Site) -> None:
    other, _ = recorded(site.root / "other.mp4", 2.0)
    shifted = [
        EncodedPacket(o.stream, o.data, o.key, o.pts, o.dts, o.arrival_s + 100) if isinstance(o, EncodedPacket) else o
        for o in other
    ]
    site.serve([*site.items, *shifted])
    record = site.until_made(site.ask(57))
    assert record.clip is not None
    assert "0.3 s of video after the alert's picture are there, 1 s were asked for" in whys(record)


def test_too_late_is_said(site: Site) -> None:
    site.serve(site.items[-60:])
    record = site.until_made(site.ask(5), wait_s=WAIT_S + 3)
    assert (record.snapshot, record.clip) == (None, None)
    assert "not there any more" in whys(record)


def test_a_process_that_was_killed_goes_on(site: Site) -> None:
    site.serve()
    alert = site.ask(30)
    folder = site.folder(alert)
    (folder / "clip.mp4").write_bytes(b"half a clip")
    (folder / "snapshot.jpg.part").write_bytes(b"half a picture")
    (site.store.directory / ".pending" / folder.name).unlink()  # killed before the mark was on the disk
    (site.store.directory / "20260101T000000000Z-" / "x").parent.mkdir()
    empty = site.store.directory / f"20260101T000000000Z-{'0' * 32}"
    empty.mkdir()
    site.keeper = site.start()
    site.store.recover()
    record = site.until_made(alert)
    assert record.clip is not None
    assert record.clip.bytes == (folder / "clip.mp4").stat().st_size > 1000
    assert not (folder / "snapshot.jpg.part").exists()
    assert not empty.exists()


def test_a_record_that_ends_its_process_again_and_again_is_given_up(site: Site) -> None:
    site.serve()
    alert = site.ask(30)
    for _ in range(ATTEMPTS):
        site.keeper = site.start()
        site.keeper._look_for_records(site.now_s)  # and then the process is gone
    site.keeper = site.start()
    assert "again and again" in whys(site.until_made(alert))


@pytest.mark.parametrize("what", ["snapshot", "clip"])
def test_a_full_disk_is_a_shortfall(site: Site, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    site.serve()

    def full(*_: Any) -> EvidenceRecord:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"vedette.compose.evidence_maker.EvidenceMaker.{what}", full)
    record = site.until_made(site.ask(30))
    assert whys(record) == "V405 the disk does not take it: No space left on device."
    assert (record.snapshot is None) == (what == "snapshot")
    assert (record.clip is None) == (what == "clip")


def test_what_cannot_be_made_is_tried_and_told_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the clip is waited for meanwhile, and over a restart."""
    tries: list[str] = []

    def fails(*_: Any) -> EvidenceRecord:
        tries.append("snapshot")
        raise EvidenceError("no picture")

    monkeypatch.setattr("vedette.compose.evidence_maker.EvidenceMaker.snapshot", fails)
    site.serve(site.items[:80])
    alert = site.ask(30)
    wait(lambda: site.keeper.step() or bool(site.record(alert).shortfalls))  # type: ignore[func-returns-value]
    assert site.server is not None
    for at, item in enumerate(site.items[80:84]):
        send(site.server, item)
        wait(lambda at=at: site.keeper._feeds["gate"].version > at)  # type: ignore[misc]
        site.keeper.step()
    site.keeper = site.start()
    for item in site.items[84:]:
        send(site.server, item)
    record = site.until_made(alert)
    assert tries == ["snapshot"]
    assert [(one.what, one.why) for one in record.shortfalls] == [("snapshot", "no picture")]
    assert record.clip is not None


def test_a_record_the_disk_does_not_take_is_written_later_and_nothing_is_made_twice(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    clip = EvidenceMaker.clip

    def counted(*arguments: Any) -> EvidenceRecord:
        made.append("clip")
        return clip(*arguments)

    def full(*_: Any) -> None:
        raise StorageError("the disk is full.", code="V405")

    monkeypatch.setattr(EvidenceMaker, "clip", counted)
    site.serve()
    alert = site.ask(30)
    with monkeypatch.context() as patch:
        patch.setattr(EvidenceStore, "finish", full)
        wait(lambda: site.keeper.step() or bool(made))  # type: ignore[func-returns-value]
        for _ in range(20):
            site.keeper.step()
            site.now_s += 1.0
    record = site.until_made(alert)
    assert made == ["clip"]
    assert record.shortfalls == ()


def test_what_is_finished_is_measured_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.serve()
    alerts = [site.ask(number) for number in (20, 25, 30)]
    for alert in alerts:
        site.until_made(alert)
    store = site.keeper._store
    size = sum(path.stat().st_size for alert in alerts for path in site.folder(alert).iterdir())
    store.make_room(1 << 40, 1 << 40)
    with monkeypatch.context() as patch:
        patch.setattr(EvidenceStore, "read", lambda *_: 1 / 0)
        assert store.make_room(size, 1 << 40) == []
        assert store.make_room(size - 1, 1 << 40) == [folder_name(alerts[0])]
        assert store.make_room(size, 1 << 40) == []


def test_a_fault_of_ours_is_told_in_the_record(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.serve()
    monkeypatch.setattr("vedette.compose.evidence_maker.cut", lambda *_: 1 / 0)
    record = site.until_made(site.ask(30))
    assert record.snapshot is not None
    assert "a fault of vedette itself: ZeroDivisionError" in whys(record)


def test_metadata_only_makes_no_file(site: Site) -> None:
    site.serve()
    alert = site.ask(30, Privacy.METADATA_ONLY)
    record = site.until_made(alert)
    assert "V902 no picture is kept: privacy is metadata-only" in whys(record)
    assert [path.name for path in site.folder(alert).iterdir()] == ["evidence.json"]


def test_where_nobody_looks_for_people_nothing_is_shown(site: Site) -> None:
    site.serve()
    alert = site.ask(30, Privacy.BLUR)
    record = site.until_made(alert, wait_s=WAIT_S + SETTLE_S + 2)
    assert "V903" in whys(record)
    assert [path.name for path in site.folder(alert).iterdir()] == ["evidence.json"]


def test_the_limit_takes_the_oldest_of_the_least_severe(short_tmp: Path) -> None:
    site = Site(short_tmp, evidenceMaxBytes=1 << 20)
    site.film()
    site.serve()
    alerts = [
        site.ask(number, severity=severity, time=datetime.fromtimestamp(1e9 + number, UTC), epoch=site.infos[0].epoch)
        for number, severity in (
            (20, Severity.CRITICAL),
            (22, Severity.INFO),
            (24, Severity.INFO),
            (26, Severity.WARNING),
        )
    ]
    for alert in alerts:
        site.until_made(alert)
    sizes = [sum(path.stat().st_size for path in site.folder(alert).iterdir()) for alert in alerts]
    gone = site.store.make_room(sum(sizes) - 10, 1 << 40)
    assert gone == [folder_name(alerts[1])]
    gone = site.store.make_room(1 << 40, -(sizes[2] + 1))  # the disk itself is short
    assert gone == [folder_name(alerts[2]), folder_name(alerts[3])]
    assert [folder.name for folder in site.store.folders()] == [folder_name(alerts[0])]
    site.close()


def test_find_says_what_there_is(site: Site) -> None:
    site.serve()
    first = site.ask(30, alert_id="ab" * 16)
    site.ask(31, alert_id="ab" * 10 + "cd" * 6)
    assert site.store.find("AB" * 16)[1].alert == first
    for text, why in (("ababab", "2 alerts begin with ababab"), ("abc", "six hexadecimal"), ("123456", "no evidence")):
        with pytest.raises(EvidenceError, match=why):
            site.store.find(text)


def test_a_reader_that_does_not_read_is_let_go_of_and_nobody_waits(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vedette.adapters.packets.server.BACKLOG_BYTES", 200_000)
    path = site.root / "run" / "packets" / "gate.sock"
    server = PacketServer(path, 60.0)
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(str(path))
        packet = next(item for item in site.items if isinstance(item, EncodedPacket))
        big = EncodedPacket(packet.stream, bytes(100_000), True, 0, 0, 0.0)
        started_s = time.monotonic()
        for _ in range(50):
            server.packet(big)
        assert time.monotonic() - started_s < 5
        limit_s = time.monotonic() + 10
        while server._readers:
            assert time.monotonic() < limit_s
            server.packet(big)
    server.close()
    assert not path.exists()


def test_a_feed_survives_the_cameras_process_and_takes_nothing_twice(site: Site) -> None:
    path = site.root / "run" / "packets" / "gate.sock"
    feed = PacketFeed(path, 60.0)
    site.serve(site.items[:40])
    wait(lambda: len(feed.items()) == 40)
    assert site.server is not None
    site.server.close()
    site.serve()  # another one, which has all of them
    packets = [item for item in site.items if isinstance(item, EncodedPacket)]
    wait(lambda: len([item for item in feed.items() if isinstance(item, EncodedPacket)]) == len(packets))
    assert [item.pts for item in feed.items() if isinstance(item, EncodedPacket)] == [item.pts for item in packets]
    feed.close()


def wait(condition: Callable[[], bool]) -> None:
    limit_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit_s
        threading.Event().wait(0.01)


@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_what_arrives_in_pieces_is_put_together_again(site: Site, piece: int) -> None:
    first = next(item for item in site.items if isinstance(item, EncodedPacket))
    data = encode_stream(first.stream) + b"".join(map(encode_item, site.items[:30]))
    reader = ItemReader()
    found = [item for at in range(0, len(data), piece) for item in reader.feed(data[at : at + piece])]
    assert found == site.items[:30]


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 64,
        b"\0\0\0\2\0\0\0\0{}",
        b"\0\0\0\4\0\0\0\0null",
        b"\0\0\0\x1d\0\0\0\0" + json.dumps({"packet": "never announced"}).encode(),
    ],
)
def test_nonsense_on_the_socket_is_an_error(data: bytes) -> None:
    with pytest.raises(CoreError):
        list(ItemReader().feed(data))


def test_the_receiver_waits_for_room_but_not_for_ever(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    alert = alert_of(site.infos[3])
    moment_s = alert.time.timestamp()
    clock = [moment_s]
    plans = {"shop": EvidencePlan(application="shop", evidence=ASKED, privacy=Privacy.NONE)}
    receiver = EvidenceReceiver(site.store, plans.get, Privacy.BLUR, wall_s=lambda: clock[0])
    done: list[Any] = []
    rows: Any = [type("Row", (), {"body": alert.model_dump_json().encode(), "alert_id": alert.alert_id})()]

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.mkdir", full)
        with pytest.raises(DeliveryError, match="cannot be begun"):
            receiver.deliver(rows, done.append)
        assert not done
        clock[0] = moment_s + GIVE_UP_S + 1
        receiver.deliver(rows, done.append)
        assert done == rows
    clock[0] = moment_s
    receiver.deliver(rows, done.append)
    receiver.deliver(rows, done.append)
    record = site.record(alert)
    assert (record.privacy, record.camera, record.state) == (Privacy.BLUR, "gate", EvidenceState.PENDING)
    plans.clear()
    receiver.deliver(rows, done.append)
    assert len(done) == 4
