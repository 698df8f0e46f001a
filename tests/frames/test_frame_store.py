from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.frames.pattern import info, intact, picture
from vedette.adapters.frames import FrameStoreClient, FrameStoreWriter, messages
from vedette.adapters.frames.connection import OFFER_FRESH_S
from vedette.contracts.errors import CameraError, StorageError
from vedette.core.pixels import Pixels

W, H = 64, 48


@pytest.fixture
def path(short_tmp: Path) -> Path:
    return short_tmp / "frames" / "gate.sock"


@pytest.fixture
def store(path: Path) -> Iterator[FrameStoreWriter]:
    store = FrameStoreWriter(path, "gate", lease_s=0.3)
    yield store
    store.close()


@pytest.fixture
def client(store: FrameStoreWriter, path: Path) -> Iterator[FrameStoreClient]:
    with FrameStoreClient(path) as client:
        yield client


def put(store: FrameStoreWriter, number: int, width: int = W, height: int = H, **more: object) -> bool:
    return store.publish(info(number, width, height, **more), picture(number, width, height))  # type: ignore[arg-type]


def woken(client: FrameStoreClient, timeout_s: float = 5.0) -> bool:
    return bool(select.select([client], [], [], timeout_s)[0])


def eventually(condition: object, timeout_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_a_picture_arrives_with_its_identity(store: FrameStoreWriter, client: FrameStoreClient) -> None:
    assert client.latest() is None
    assert put(store, 5)
    lease = client.latest()
    assert lease is not None
    assert lease.info == info(5, W, H)
    assert intact(lease.pixels, 5)
    assert not lease.pixels.y.flags.writeable
    assert lease.release()
    assert not lease.release()
    assert client.latest() is None, "the same picture is had once"


def test_line_strides_odd_sizes_and_range_are_honoured(store: FrameStoreWriter, client: FrameStoreClient) -> None:
    padded = np.arange(47 * 96, dtype=np.uint32).astype(np.uint8).reshape(47, 96)
    pixels = Pixels(padded[:, :63], padded[:24, :32], padded[10:34, 32:64], full_range=True)
    store.publish(info(1, 63, 47), pixels)
    lease = client.latest()
    assert lease is not None
    assert np.array_equal(lease.pixels.y, padded[:, :63])
    assert np.array_equal(lease.pixels.u, padded[:24, :32])
    assert np.array_equal(lease.pixels.v, padded[10:34, 32:64])
    assert lease.pixels.full_range


def test_the_freshest_wins_and_a_reader_is_woken_once(store: FrameStoreWriter, client: FrameStoreClient) -> None:
    client.arm(None, 0.0)
    assert not woken(client, 0.02)
    for number in range(10):
        put(store, number)
    assert woken(client)
    stale_s = time.monotonic() + OFFER_FRESH_S
    eventually(lambda: time.monotonic() > stale_s)
    lease = client.latest()
    assert lease is not None
    assert lease.info.frame_no == 9, "what was handed over with the wake-up is not fresh any more"
    lease.release()
    assert not woken(client, 0.02), "one wake-up per arm"
    client.arm(lease.info, 0.0)
    assert not woken(client, 0.02)
    put(store, 10)
    assert woken(client)


def test_a_stale_offer_is_used_where_there_is_nothing_fresher(
    store: FrameStoreWriter, client: FrameStoreClient
) -> None:
    client.arm(None, 10.0)
    assert client.latest() is None  # the store has seen the arm
    put(store, 1)
    put(store, 2)  # not due
    stale_s = time.monotonic() + OFFER_FRESH_S
    eventually(lambda: time.monotonic() > stale_s)
    lease = client.latest()
    assert lease is not None
    assert lease.info.frame_no == 1
    assert intact(lease.pixels, 1)
    assert lease.release()
    assert client.latest() is None


def test_offers_leave_the_writer_room(store: FrameStoreWriter, client: FrameStoreClient, path: Path) -> None:
    others = [FrameStoreClient(path) for _ in range(4)]
    put(store, 0)
    for reader in (client, *others):
        first = reader.latest()
        assert first is not None
        first.release()
        reader.arm(first.info, 0.0)
    for number in range(1, 100):
        assert put(store, number), "readers that were handed pictures and do not come for them stop nothing"
    for reader in others:
        reader.close()


def test_arm_finds_a_picture_that_is_there_already(store: FrameStoreWriter, client: FrameStoreClient) -> None:
    put(store, 1)
    client.arm(None, 0.2)
    assert woken(client)


def test_the_interval_is_kept_on_average(store: FrameStoreWriter, client: FrameStoreClient) -> None:
    taken = []
    last = None
    for number in range(250):  # 25 pictures a second, 10 asked for
        client.arm(last, 0.1)
        client.latest()  # makes sure that the store has seen the arm; not due, so nothing is taken twice
        put(store, number + 1)
        lease = client.latest()
        if lease is not None:
            taken.append(lease.info.frame_no)
            last = lease.info
            lease.release()
    assert len(taken) == pytest.approx(100, abs=2)
    assert max(np.diff(taken)) == 3


def test_a_leased_slot_is_never_overwritten_and_full_means_drop(
    store: FrameStoreWriter, client: FrameStoreClient, path: Path
) -> None:
    with FrameStoreClient(path) as other:
        held = []
        for number, who in ((1, client), (2, client), (3, other), (4, other)):
            put(store, number)
            lease = who.latest()
            assert lease is not None
            held.append(lease)
        assert not put(store, 5)
        assert store.stats.dropped == 1
        assert [intact(lease.pixels, lease.info.frame_no) for lease in held] == [True] * 4
        assert held[0].release()
        client.arm(held[1].info, 100.0)  # the release travels with the next question
        eventually(lambda: put(store, 6))
        assert [intact(lease.pixels, lease.info.frame_no) for lease in held[1:]] == [True] * 3


def test_a_lease_times_out_and_the_release_says_so(store: FrameStoreWriter, client: FrameStoreClient) -> None:
    put(store, 1)
    lease = client.latest()
    assert lease is not None
    eventually(lambda: time.monotonic() >= lease._expires_s)
    for number in range(2, 10):
        put(store, number)
    assert not intact(lease.pixels, 1), "positive control: after the time-out the slot is used again"
    assert not lease.release()
    assert store.stats.expired == 1


def test_a_reader_that_leaves_gives_everything_back(store: FrameStoreWriter, path: Path) -> None:
    with FrameStoreClient(path) as leaving:
        for number in range(2):
            put(store, number)
            assert leaving.latest() is not None
        assert store.stats.readers == 1
    eventually(lambda: store.stats.readers == 0)
    for number in range(10, 20):
        assert put(store, number)
    assert store.stats.expired == 0


def test_a_change_of_size_brings_new_memory_and_keeps_old_leases(
    store: FrameStoreWriter, client: FrameStoreClient
) -> None:
    put(store, 1)
    old = client.latest()
    assert old is not None
    for number in range(2, 12):
        put(store, number, 128, 96)
    new = client.latest()
    assert new is not None
    assert (new.pixels.width, new.pixels.height) == (128, 96)
    assert intact(old.pixels, 1)
    assert intact(new.pixels, 11)
    assert old.release()


def test_the_reason_of_a_gap_reaches_each_reader_once(
    store: FrameStoreWriter, client: FrameStoreClient, path: Path
) -> None:
    put(store, 1)
    lease = client.latest()
    assert lease is not None
    assert lease.info.gap_reason == ""
    put(store, 2, gap_reason="STALLED: no packet for 2.0 s")
    put(store, 3)  # the reader skips the picture that carries the reason
    with FrameStoreClient(path) as late:
        for reader in (client, late):
            lease = reader.latest()
            assert lease is not None
            assert lease.info.frame_no == 3
            assert lease.info.gap_reason == "STALLED: no packet for 2.0 s"
            lease.release()
    put(store, 4)
    lease = client.latest()
    assert lease is not None
    assert lease.info.gap_reason == ""


def test_reconnecting_does_not_bring_the_same_picture_again(store: FrameStoreWriter, path: Path) -> None:
    put(store, 1)
    with FrameStoreClient(path) as first:
        lease = first.latest()
        assert lease is not None
    with FrameStoreClient(path) as second:
        second.arm(lease.info, 0.0)
        assert second.latest() is None
        put(store, 2)
        assert woken(second)


def test_a_store_that_goes_is_noticed_and_a_new_one_takes_the_name(store: FrameStoreWriter, path: Path) -> None:
    client = FrameStoreClient(path)
    client.arm(None, 0.0)
    replacement = FrameStoreWriter(path, "gate")
    store.close()
    assert woken(client)
    with pytest.raises(CameraError, match="V205"):
        client.latest()
    assert client.closed
    with FrameStoreClient(path) as again:
        put(replacement, 1)
        assert again.latest() is not None
    replacement.close()
    with pytest.raises(CameraError, match=r"V205.*nobody serves"):
        FrameStoreClient(path)


def test_garbage_on_the_socket_only_costs_the_sender_its_connection(
    store: FrameStoreWriter, client: FrameStoreClient, path: Path
) -> None:
    rude = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    rude.settimeout(5)
    rude.connect(str(path))
    put(store, 1)
    rude.send(b"\xff" * 40)
    while rude.recv(4096):
        pass
    rude.close()
    assert client.latest() is not None


def test_the_memory_can_be_neither_resized_nor_mapped_for_writing(store: FrameStoreWriter, path: Path) -> None:
    import mmap

    put(store, 1)
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(5)
    peer.connect(str(path))
    packet, descriptors, _, _ = socket.recv_fds(peer, 4096, 1)
    ring = messages.decode(packet)
    assert isinstance(ring, messages.Ring)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptors[0], 0)
    with pytest.raises(PermissionError):
        mmap.mmap(descriptors[0], ring.total_bytes)
    os.close(descriptors[0])
    peer.close()


def test_a_long_path_is_refused_with_its_length(short_tmp: Path) -> None:
    with pytest.raises(StorageError, match=r"V401.*107"):
        FrameStoreWriter(short_tmp / ("x" * 120), "gate")


def test_no_memory_is_an_error_and_not_a_signal(path: Path) -> None:
    program = """
        import resource, sys
        from pathlib import Path
        from tests.frames.pattern import info, picture
        from vedette.adapters.frames import FrameStoreWriter
        from vedette.contracts.errors import CameraError
        store = FrameStoreWriter(Path(sys.argv[1]), "gate")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        try:
            store.publish(info(1, 1920, 1080), picture(1, 1920, 1080))
        except CameraError as error:
            print(error)
        store.close()
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(path)], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert "V205" in result.stdout
    assert "4 pictures of 1920x1080 of camera 'gate': 11.9 MiB" in result.stdout


def test_another_user_is_refused_unless_in_the_group(store: FrameStoreWriter, path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to act as another user")
    program = """
        import os, sys
        from pathlib import Path
        from vedette.adapters.frames import FrameStoreClient
        from vedette.contracts.errors import CameraError
        os.setgroups(eval(sys.argv[3])); os.setgid(int(sys.argv[2])); os.setuid(54321)
        client = FrameStoreClient(Path(sys.argv[1]))
        try:
            client.latest(); print("let in")
        except CameraError:
            print("refused")
    """
    path.parent.parent.chmod(0o755)
    path.parent.chmod(0o755)
    path.chmod(0o666)  # so that the store's own check is what decides
    os.chown(path.parent, 0, 4242)

    def outcome(gid: int, groups: list[int]) -> str:
        arguments = [sys.executable, "-c", textwrap.dedent(program), str(path), str(gid), str(groups)]
        return subprocess.run(arguments, capture_output=True, text=True, timeout=60).stdout.strip()

    put(store, 1)
    assert outcome(54321, []) == "refused"
    assert outcome(4242, []) == "let in"
    assert outcome(54321, [4242]) == "let in"


def test_counters_and_descriptors_stay_flat_over_many_readers(store: FrameStoreWriter, path: Path) -> None:
    put(store, 1)
    for _ in range(3):
        with FrameStoreClient(path) as client:
            assert client.latest() is not None
    eventually(lambda: store.stats.readers == 0)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(100):
        with FrameStoreClient(path) as client:
            put(store, number, W + 2 * (number % 3), H)
            assert client.latest() is not None
    eventually(lambda: store.stats.readers == 0)
    assert len(os.listdir("/proc/self/fd")) <= before
    assert store.stats.granted == 103
    assert replace(store.stats, granted=0).dropped == 0
