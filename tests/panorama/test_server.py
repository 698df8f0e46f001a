"""The host's side against code that means harm: nothing it says is believed, nothing it does ends the host."""

from __future__ import annotations

import array
import contextlib
import json
import mmap
import os
import select
import socket
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.panorama.serving import LIMIT_S, MadeUp, Rig, rig
from vedette.adapters.panorama.messages import PACKET_BYTES, NotUnderstood, read_request
from vedette.adapters.panorama.server import MOST_CONNECTIONS


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        yield made


class Peer:
    """Says what it is told to say."""

    def __init__(self, host: Rig) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        weakref.finalize(self, self.socket.close)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(str(host.folder / "p.sock"))

    def send(self, packet: bytes) -> tuple[Any, list[int]]:
        self.socket.send(packet)
        data, extra, _, _ = self.socket.recvmsg(PACKET_BYTES, socket.CMSG_LEN(32))
        descriptors = array.array("i")
        for _, _, content in extra:
            descriptors.frombytes(content)
        return json.loads(data), list(descriptors)

    def ask(self, **question: Any) -> tuple[Any, list[int]]:
        return self.send(json.dumps(question).encode())


def test_the_interface_is_told(host: Rig) -> None:
    answer, _ = Peer(host).ask(do="hello", sdk=1, client=1)
    assert answer["inputs"]["video_in"] == "media"
    assert answer["inputs"]["threshold"] == "float32"
    assert answer["outputs"] == ["video_out"]


@pytest.mark.parametrize(
    "packet",
    [
        b"\xff\x00",
        b"[]",
        b"{}",
        b'{"do":"fly"}',
        b'{"do":"get","port":"video_in","client":1,"released":[-1]}',
        b'{"do":"get","port":"video_in","client":1,"timeout_s":NaN}',
        b'{"do":"get","port":"../../etc","client":1}',
        b'{"do":"get","port":"video_in","client":1}',
        b'{"do":"room","bytes":99999999999}',
        b'{"do":"room","bytes":0}',
        b'{"do":"call","node":"double","inputs":[]}',
        b'{"do":"call","node":"double","inputs":[{"name":"x","dtype":"object","shape":[1],"offset":0}]}',
        b'{"do":"call","node":"double","inputs":[{"name":"x","dtype":"float32","shape":[16777216,16777216],"offset":0}]}',
        b'{"do":"call","node":"double","inputs":[{"name":"x","dtype":"float32","shape":[1,1,1],"offset":4096}]}',
        b'{"do":"put","port":"video_out","part":0,"of":1,"media":{"token":1,"annotations":[["rect",0,0,2,1]]}}',
        b"[" * 60000,
    ],
)
def test_nonsense_is_refused_and_the_conversation_goes_on(host: Rig, packet: bytes) -> None:
    peer = Peer(host)
    answer, _ = peer.send(packet)
    assert answer["error"]["kind"] == "ValueError"
    assert peer.ask(do="value", port="count")[0] == {"value": 3}


def test_a_packet_that_is_too_long_is_no_request(host: Rig) -> None:
    peer = Peer(host)
    answer, _ = peer.send(b'{"do":"hello","sdk":1}' + b" " * PACKET_BYTES)
    assert answer["error"]["kind"] == "ValueError"


def test_arrays_outside_the_memory_are_refused(host: Rig) -> None:
    peer = Peer(host)
    answer, (descriptor,) = peer.ask(do="room", bytes=4096)
    assert answer == {"room": 4096}
    entry = {"name": "data", "dtype": "float32", "shape": [1, 3, 20, 20], "offset": 0}
    assert "outside" in peer.ask(do="call", node="double", inputs=[entry])[0]["error"]["text"]
    entry = {"name": "data", "dtype": "float32", "shape": [1, 3, 4, 4], "offset": 2}
    assert "begin" in peer.ask(do="call", node="double", inputs=[entry])[0]["error"]["text"]
    os.close(descriptor)


def test_shared_memory_cannot_be_cut_under_the_host(host: Rig) -> None:
    peer = Peer(host)
    _, (descriptor,) = peer.ask(do="room", bytes=4096)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    peer.ask(do="hello", sdk=1, client=1)
    host.feed.give(MadeUp("a", 1))
    answer, (ring,) = peer.ask(do="get", port="video_in", client=1)
    with pytest.raises(PermissionError):
        os.ftruncate(ring, 0)
    with mmap.mmap(ring, answer["rings"][0]["bytes"]) as memory:
        memory[:4] = b"mine"
    os.close(descriptor)
    os.close(ring)


def test_an_answer_that_is_larger_than_the_memory_brings_its_own(host: Rig) -> None:
    peer = Peer(host)
    _, (descriptor,) = peer.ask(do="room", bytes=192)
    os.close(descriptor)
    entry = {"name": "data", "dtype": "float32", "shape": [1, 3, 4, 4], "offset": 0}
    answer, (larger,) = peer.ask(do="call", node="double", inputs=[entry])
    assert answer["room"] > 192
    assert max(one["offset"] for one in answer["outputs"]) <= answer["room"]
    assert os.fstat(larger).st_size == answer["room"]
    os.close(larger)


def test_pictures_that_were_never_given_are_not_put(host: Rig) -> None:
    peer = Peer(host)
    answer, _ = peer.ask(do="put", port="video_out", part=0, of=1, media={"token": 77})
    assert answer == {"ok": True, "pictures": False}
    assert host.sink.next()[1] == []


def test_a_port_without_an_edge_takes_everything_and_does_nothing(host: Rig) -> None:
    answer, _ = Peer(host).ask(do="put", port="nowhere", part=0, of=1, media={"token": 77})
    assert answer["ok"] is True
    assert host.sink.taken.empty()


def test_who_keeps_every_slot_gets_no_more_and_others_go_on(host: Rig) -> None:
    peer, other = Peer(host), Peer(host)
    peer.ask(do="hello", sdk=1, client=1)
    other.ask(do="hello", sdk=1, client=2)
    copies: list[bool] = []
    rings: list[int] = []
    for number in range(6):
        host.feed.give(MadeUp("a", number))
        answer, descriptors = peer.ask(do="get", port="video_in", client=1, rings=rings)
        assert len(descriptors) == (not rings), "memory that it has is not sent again"
        rings = [answer["media"][0]["ring"]]
        copies.append(answer["media"][0]["copy"])
        for descriptor in descriptors:
            os.close(descriptor)
    assert copies == [False, False, False, False, True, True]
    host.feed.give(MadeUp("a", 6))
    answer, _ = peer.ask(do="get", port="video_in", client=1, timeout_s=0.05)
    assert answer["error"]["kind"] == "TimeoutException"
    host.feed.give(MadeUp("a", 7))
    answer, _ = other.ask(do="get", port="video_in", client=2, timeout_s=0.05, released=list(range(10)))
    assert answer["error"]["kind"] == "TimeoutException", "nobody gives back what is another's"
    host.feed.give(MadeUp("a", 8))
    answer, _ = peer.ask(do="get", port="video_in", client=1, rings=rings, released=list(range(10)))
    assert answer["media"][0]["time_stamp"][0] % 10 == 8


def test_a_number_is_one_processes(host: Rig) -> None:
    peer, other = Peer(host), Peer(host)
    peer.ask(do="hello", sdk=1, client=1)
    assert "another process" in other.ask(do="hello", sdk=1, client=1)[0]["error"]["text"]
    assert "another number" in peer.ask(do="hello", sdk=1, client=2)[0]["error"]["text"]
    assert peer.ask(do="hello", sdk=1, client=1)[0]["outputs"] == ["video_out"]


@pytest.mark.parametrize("node", ["words", "broken"])
def test_a_model_that_fails_ends_nothing(host: Rig, node: str) -> None:
    peer = Peer(host)
    _, (descriptor,) = peer.ask(do="room", bytes=4096)
    os.close(descriptor)
    entry = {"name": "data", "dtype": "float32", "shape": [1, 3, 4, 4], "offset": 0}
    assert peer.ask(do="call", node=node, inputs=[entry])[0]["error"]["kind"] in ("ValueError", "RuntimeError")
    assert peer.ask(do="value", port="count")[0] == {"value": 3}


def test_inputs_may_not_be_more_than_the_memory_they_are_in(host: Rig) -> None:
    peer = Peer(host)
    _, (descriptor,) = peer.ask(do="room", bytes=192)
    os.close(descriptor)
    entries = [{"name": str(n), "dtype": "float32", "shape": [1, 3, 4, 4], "offset": 0} for n in range(16)]
    assert "larger" in peer.ask(do="call", node="double", inputs=entries)[0]["error"]["text"]


def test_parts_of_what_is_put_come_in_order(host: Rig) -> None:
    peer = Peer(host)
    for part in (1, 1, 0, 0, 2):
        answer, _ = peer.ask(do="put", port="video_out", part=part, of=3, media={"token": 1})
        assert ("error" in answer) == (part != 0)
    assert peer.ask(do="put", port="video_out", part=0, of=1, media={"token": 1})[0]["ok"]


def test_connections_are_bounded_and_who_wants_more_waits(host: Rig) -> None:
    peers = [Peer(host) for _ in range(MOST_CONNECTIONS)]
    for peer in peers:
        peer.ask(do="value", port="count")
    more = [Peer(host) for _ in range(20)]
    for peer in more:
        peer.socket.send(b'{"do":"value","port":"count"}')
    deadline = time.monotonic() + LIMIT_S
    while len(host.server._connections) != MOST_CONNECTIONS:
        assert time.monotonic() < deadline
    assert select.select([peer.socket for peer in more], [], [], 0)[0] == []
    assert peers[1].ask(do="value", port="count")[0] == {"value": 3}
    for peer in peers[:20]:
        peer.socket.close()
    assert [peer.socket.recv(1000) for peer in more] == [b'{"value":3}'] * 20


def test_memory_of_all_connections_is_bounded(host: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vedette.adapters.panorama.server.MOST_ROOM_BYTES", 8192)
    peers = [Peer(host) for _ in range(3)]
    answers = []
    for peer in peers:
        answer, descriptors = peer.ask(do="room", bytes=4096)
        answers.append("error" in answer)
        for descriptor in descriptors:
            os.close(descriptor)
    assert answers == [False, False, True]
    peers[0].socket.close()
    deadline = time.monotonic() + LIMIT_S
    while "error" in (found := peers[2].ask(do="room", bytes=4096))[0]:
        assert time.monotonic() < deadline
    os.close(found[1][0])


def test_no_descriptor_is_left_behind(host: Rig) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for client in range(20):
        peer = Peer(host)
        peer.ask(do="hello", sdk=1, client=client)
        host.feed.give(MadeUp("a", client, size=(16, 8 + client)))
        for question in ({"do": "get", "port": "video_in", "client": client}, {"do": "room", "bytes": 64}):
            for descriptor in peer.ask(**question)[1]:
                os.close(descriptor)
        peer.socket.close()
    deadline = time.monotonic() + LIMIT_S
    while len(os.listdir("/proc/self/fd")) > before + 2:  # the memory of the last size, and its mapping
        assert time.monotonic() < deadline


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    ),
    st.sampled_from(["hello", "value", "get", "room", "call", "put"]),
)
@settings(max_examples=200)
def test_any_document_is_a_request_or_is_not_understood(document: Any, do: str) -> None:
    fields = document if isinstance(document, dict) else {"port": document, "media": document, "inputs": document}
    for packet in (document, {**fields, "do": do}):
        with contextlib.suppress(NotUnderstood):
            assert read_request(json.dumps(packet).encode()).do == do
