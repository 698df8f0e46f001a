"""A simulated camera over RTSP, its real process, and the evidence made of what it kept."""

from __future__ import annotations

import hashlib
import itertools
import select
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np
import pytest

from tests.capture.conftest import component_path  # noqa: F401 - a fixture
from tests.capture.rig import Rig
from vedette.adapters.evidence.store import EvidenceStore, folder_name
from vedette.adapters.frames import FrameStoreClient
from vedette.compose.evidence_process import EvidenceKeeper
from vedette.contracts.alert import Alert
from vedette.contracts.config import AlertingConfig
from vedette.contracts.evidence import EvidenceRecord, EvidenceState
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import ClipSettings, Evidence
from vedette.contracts.privacy import Privacy
from vedette.testing.camera import CameraSimulator, CameraSource
from vedette.testing.synthetic import make_clip, read_counter

pytestmark = pytest.mark.processes

FRAMES = 150
BEFORE_S, AFTER_S = 1.0, 0.8


@pytest.fixture
def closing() -> Iterator[list[Callable[[], None]]]:
    """What is called in the end."""
    found: list[Callable[[], None]] = []
    yield found
    for close in found:
        close()


@pytest.fixture
def rigs(component_path: None) -> Iterator[list[Rig]]:  # noqa: F811
    started: list[Rig] = []
    yield started
    for rig in started:
        rig.close()


def see(path: Path) -> tuple[FrameInfo, int]:
    """The next picture of a frame store, and the number drawn into it."""
    with FrameStoreClient(path) as client:
        limit_s = time.monotonic() + 15
        while time.monotonic() < limit_s:
            client.arm(None, 0.0)
            select.select([client], [], [], 0.5)
            lease = client.latest()
            if lease is not None:
                counter = read_counter(np.array(lease.pixels.y))
                assert lease.release()
                return lease.info, counter
    raise AssertionError("no picture came")


def alert_of(info: FrameInfo) -> Alert:
    return Alert.model_validate(
        {
            "alert_id": "a" * 32,
            "device": "edge-1",
            "application": "shop",
            "camera": "hall",
            "device_camera": "cam",
            "rule": "leaves",
            "severity": "warning",
            "time": datetime.fromtimestamp(info.wall_s, UTC),
            "media_time_s": info.media_time_s,
            "label": "thing",
            "track_ids": [7],
            "boxes": [[150.0, 150.0, 250.0, 200.0]],
            "epoch": info.epoch,
            "frame_no": info.frame_no,
            "message": "Thing 7 ist größer als erlaubt.",
        }
    )


def slices(path: Path) -> list[tuple[bool, str]]:
    """Each packet of an MP4 file: whether decoding can begin there, and a digest of its coded slices."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        return [
            (packet.is_keyframe, hashlib.sha256(b"|".join(coded(codec, bytes(packet)))).hexdigest())
            for packet in container.demux(stream)
            if packet.size
        ]


def coded(codec: str, data: bytes) -> list[bytes]:
    """Units with picture content of a packet with lengths; parameter sets may come in the stream or before it."""
    units = []
    while data:
        size = int.from_bytes(data[:4], "big")
        unit, data = data[4 : 4 + size], data[4 + size :]
        if (unit[0] & 31) in (1, 5) if codec == "h264" else (unit[0] >> 1 & 63) < 32:
            units.append(unit)
    return units


def counters(path: Path) -> list[tuple[float, int]]:
    """Time and number of every picture of a clip, as it is shown."""
    with av.open(str(path)) as container:
        return [
            (float(frame.time or 0.0), read_counter(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)))
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("h265", 0)])
def test_snapshot_and_clip_are_of_the_alerts_moment_and_the_cameras_own_packets(
    rigs: list[Rig],
    closing: list[Callable[[], None]],
    short_tmp: Path,
    codec: Literal["h264", "h265"],
    b_frames: int,
) -> None:
    source = short_tmp / "source.mp4"
    source.write_bytes(make_clip(frames=FRAMES, gop=12, codec=codec, b_frames=b_frames, width=256, height=128))
    packets = short_tmp / "run" / "packets"
    packets.mkdir(parents=True)
    store = EvidenceStore(short_tmp / "evidence")
    keeper = EvidenceKeeper(AlertingConfig(stateDirectory=str(short_tmp)))
    closing.append(keeper.close)
    with CameraSimulator([CameraSource(source, name="cam")], "127.0.0.1", port=0) as simulator:
        rig = Rig(short_tmp, simulator.url("cam"), packets=str(packets / "cam.sock"))
        rigs.append(rig)
        rig.until(lambda: rig.frames)
        rig.send({"fps": 25.0, "pre_roll_s": 15.0})
        begun_s = rig.frames[-1][1].t_s
        rig.until(lambda: rig.frames[-1][1].t_s > begun_s + BEFORE_S + 1.0)
        info, number = see(rig.path)
        alert = alert_of(info)
        store.begin(pending(alert))
        folder = store.directory / folder_name(alert)
        limit_s = time.monotonic() + 30
        while (record := store.read(folder)).state is EvidenceState.PENDING:
            assert time.monotonic() < limit_s, record
            keeper.step()
            select.select([], [], [], 0.05)
    assert record.shortfalls == ()
    check_files(folder, record, number)
    ours, originals = slices(folder / "clip.mp4"), {digest for _, digest in slices(source)}
    assert ours[0][0], "a clip begins with a key picture"
    assert [digest for _, digest in ours if digest not in originals] == [], "not one bit of a picture was changed"


def pending(alert: Alert) -> EvidenceRecord:
    return EvidenceRecord(
        state=EvidenceState.PENDING,
        alert=alert,
        camera="cam",
        asked=Evidence(clip=ClipSettings(before_s=BEFORE_S, after_s=AFTER_S)),
        asked_at=alert.time,
        privacy=Privacy.NONE,
    )


def check_files(folder: Path, record: EvidenceRecord, number: int) -> None:
    """The snapshot shows the alert's picture; the clip has it at its place, and every picture around it."""
    parts: list[Any] = [record.snapshot, record.clip]
    for part in parts:
        content = (folder / part.file).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (part.bytes, part.sha256)
    assert sorted(path.name for path in folder.iterdir()) == ["clip.mp4", "evidence.json", "snapshot.jpg"]
    assert [path for path in folder.iterdir() if path.stat().st_mode & 0o007] == [], "for the device's group only"
    shot, clip = record.snapshot, record.clip
    assert shot is not None
    assert clip is not None
    picture = cv2.imread(str(folder / shot.file))
    assert picture is not None
    assert read_counter(cv2.cvtColor(picture[: shot.height], cv2.COLOR_BGR2RGB).astype(np.uint8)) == number
    assert not clip.reencoded
    shown = counters(folder / clip.file)
    assert shown[0][0] == pytest.approx(0.0, abs=1e-3)
    assert min(shown, key=lambda entry: abs(entry[0] - clip.alert_s))[1] == number
    assert clip.alert_s >= BEFORE_S - 0.05
    assert clip.duration_s - clip.alert_s == pytest.approx(AFTER_S, abs=0.2)
    numbers = [counter for _, counter in shown]
    assert all((later - earlier) % FRAMES == 1 for earlier, later in itertools.pairwise(numbers))
