from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.state.test_plan import app, cam
from vedette.adapters.state import client as state
from vedette.adapters.state.client import StateClient
from vedette.adapters.state.files import read_component_status, write_component_status
from vedette.adapters.state.layout import StateLayout
from vedette.adapters.state.owner import StateOwner
from vedette.adapters.state.plan_file import PlanFile
from vedette.adapters.state.server import MAX_CONNECTIONS, MAX_LINE_BYTES
from vedette.contracts.errors import StorageError, VedetteError
from vedette.contracts.plan import Plan
from vedette.contracts.state import PlanRequest, StateAnswer, StatusRequest


@pytest.fixture
def owner(short_tmp: Path) -> Iterator[StateOwner]:
    owner = StateOwner(short_tmp / "state")
    owner.start()
    yield owner
    owner.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def raw(path: Path, data: bytes) -> bytes:
    """Send bytes as any program could; everything that comes back until the other side hangs up or a line ends."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(path))
        answer = b""
        try:
            sock.sendall(data)
            while not answer.endswith(b"\n") and (chunk := sock.recv(65536)):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


def test_directories_and_files_have_their_modes(owner: StateOwner) -> None:
    old = os.umask(0o077)
    try:
        owner.set_cameras([cam()])
        owner.attach(app())
    finally:
        os.umask(old)
    layout = owner.layout
    assert {mode(p) for p in (layout.root, layout.run, layout.frames)} == {0o2770}
    assert mode(layout.secrets) == 0o700
    assert {mode(p) for p in (layout.plan, layout.attachments, layout.socket)} == {0o660}
    assert [p.name for p in layout.root.glob(".*")] == []


def test_an_attached_application_becomes_a_plan_for_readers(owner: StateOwner) -> None:
    plans: list[Plan] = []
    owner.on_plan(plans.append)
    reader = PlanFile(owner.layout.root)
    assert reader.read() is None
    assert not reader.changed()
    owner.set_cameras([cam()])
    answer = state.attach(owner.layout.root, app())
    assert (answer.ok, answer.changed, answer.problems) == (True, True, ())
    assert [a.name for a in answer.applications] == ["shop"]
    assert reader.changed()
    assert reader.read() == owner.plan == plans[-1]
    assert owner.plan.revision == answer.revision
    assert not reader.changed()
    assert state.attach(owner.layout.root, app()).changed is False
    assert not reader.changed(), "the same application again must not disturb anyone"
    assert state.attach(owner.layout.root, app(version="0.2.0", bindings={"hall": ("cam-9",)})).problems
    assert state.detach(owner.layout.root, "shop") is True
    assert state.detach(owner.layout.root, "shop") is False
    assert reader.read() == Plan(revision=owner.plan.revision)


def test_attachments_and_revisions_survive_a_restart(short_tmp: Path) -> None:
    revisions = []
    for round_number in range(3):
        owner = StateOwner(short_tmp / "s")
        owner.start()
        before = owner.plan
        if round_number:
            assert [a.manifest.name for a in owner.applications] == ["shop"]
            assert before.rules, "until the cameras are known the old plan stays"
        owner.set_cameras([cam(max_fps=round_number or None)])
        owner.attach(app())
        if round_number:
            assert owner.plan == before, "the same situation is the same plan"
        owner.set_cameras([cam(max_fps=round_number + 1)])
        revisions.append(owner.plan.revision)
        owner.close()
    assert revisions == sorted(set(revisions))
    assert not (short_tmp / "s/run/state.sock").exists()


def test_a_second_owner_is_refused(owner: StateOwner) -> None:
    second = StateOwner(owner.layout.root)
    with pytest.raises(StorageError, match=f"owned by another running process .pid {os.getpid()}") as caught:
        second.start()
    assert caught.value.code == "V401"
    second.close()
    assert state.status(owner.layout.root).ok, "the first one is not disturbed"


OWNER_PROGRAM = """
import sys, time
from pathlib import Path
from vedette.adapters.state.owner import StateOwner
from vedette.contracts.camera import CameraConfig
owner = StateOwner(Path(sys.argv[1]))
owner.start()
owner.set_cameras([CameraConfig(name="hall", url="x.mp4")])
print("ready", "numpy" in sys.modules, "av" in sys.modules, flush=True)
time.sleep(60)
"""


def test_a_killed_owner_leaves_nothing_in_the_way(short_tmp: Path) -> None:
    root = short_tmp / "s"
    with subprocess.Popen([sys.executable, "-c", OWNER_PROGRAM, str(root)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready False False\n"
        client = StateClient(root)
        state.attach(root, app())
        assert not client.wait_closed(0.0)
        owner.send_signal(signal.SIGKILL)
        assert client.wait_closed(5.0), "a client notices that the owner is gone"
        client.close()
    assert (root / "run/state.sock").exists()
    with pytest.raises(StorageError, match="nobody answers") as caught:
        state.status(root)
    assert "CameraIngest" in caught.value.hint
    heir = StateOwner(root)
    heir.start()
    assert [a.name for a in state.status(root).applications] == ["shop"]
    heir.close()


def test_damaged_files_are_kept_aside_and_reported(short_tmp: Path) -> None:
    owner = StateOwner(short_tmp / "s")
    owner.start()
    owner.set_cameras([cam()])
    owner.attach(app())
    last = owner.plan.revision
    owner.close()
    owner.layout.plan.write_bytes(b'{"revision": 1')
    owner.layout.attachments.write_bytes(b"\0" * 100)
    owner = StateOwner(short_tmp / "s")
    owner.start()
    owner.set_cameras([cam()])
    assert owner.plan.revision > last
    assert "attachments.json was damaged" in owner.plan.problems[0]
    assert len(list(owner.layout.root.glob("*.damaged-*"))) == 2
    owner.close()


def test_one_unreadable_application_costs_only_itself(short_tmp: Path) -> None:
    owner = StateOwner(short_tmp / "s")
    owner.start()
    owner.set_cameras([cam()])
    owner.attach(app("one"))
    owner.attach(app("two"))
    owner.close()
    document = json.loads(owner.layout.attachments.read_bytes())
    document["applications"][0]["manifest"]["api"] = "vedette/v99"
    owner.layout.attachments.write_text(json.dumps(document))
    owner = StateOwner(short_tmp / "s")
    owner.start()
    owner.set_cameras([cam()])
    assert [a.manifest.name for a in owner.applications] == ["two"]
    assert any("'one'" in problem for problem in owner.plan.problems)
    owner.close()


def test_requests_that_are_not_understood_are_answered(owner: StateOwner) -> None:
    for line in (b"hello", b"{}", b'{"op":"reboot"}', b'{"op":"attach","application":{}}', b"[" * 5000, b"\xff\xfe"):
        answer = StateAnswer.model_validate_json(raw(owner.layout.socket, line + b"\n"))
        assert (answer.ok, answer.code) == (False, "V605"), line
        assert "request not understood" in answer.message
    assert state.status(owner.layout.root).ok


def test_a_line_without_end_is_cut_off(owner: StateOwner) -> None:
    assert raw(owner.layout.socket, b"x" * (MAX_LINE_BYTES + 200_000)) == b""
    assert state.status(owner.layout.root).ok


def test_too_many_connections_are_refused_and_given_back(owner: StateOwner) -> None:
    clients = [StateClient(owner.layout.root) for _ in range(MAX_CONNECTIONS)]
    for client in clients:
        assert client.request(StatusRequest()).ok
    with pytest.raises(StorageError, match="no answer"):
        state.status(owner.layout.root)
    clients[0].close()
    deadline_s = time.monotonic() + 5
    while True:
        try:
            assert state.status(owner.layout.root).ok
            break
        except StorageError:
            assert time.monotonic() < deadline_s, "the place of a client that left is not given to the next"
    for client in clients:
        client.close()


def test_strangers_are_refused(owner: StateOwner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vedette.adapters.state.server.peer_allowed", lambda *_: False)
    with pytest.raises(StorageError):
        state.status(owner.layout.root)


def test_membership_of_the_directorys_group_decides(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vedette.adapters import unix_sockets

    short_tmp.chmod(0o2770)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert unix_sockets.peer_allowed(ours, short_tmp)

        class Stranger:
            def __init__(self, uid: int, gid: int, groups: tuple[int, ...]) -> None:
                self.ids = (uid, gid, groups)

            def getsockopt(self, level: int, name: int, size: int) -> bytes:
                import struct

                assert size <= 1024, "Python takes no more of a socket option"
                uid, gid, groups = self.ids
                if name == socket.SO_PEERCRED:
                    return struct.pack("3i", 1, uid, gid)
                return struct.pack(f"{len(groups)}I", *groups)

        group = short_tmp.stat().st_gid
        uid = os.geteuid() + 4711
        for stranger, allowed in (
            (Stranger(uid, group, ()), True),
            (Stranger(uid, group + 1, (group + 2, group)), True),
            (Stranger(uid, group + 1, (group + 2,)), False),
            (Stranger(0, group + 1, ()), True),
        ):
            assert unix_sockets.peer_allowed(stranger, short_tmp) is allowed  # type: ignore[arg-type]
        short_tmp.chmod(0o700)
        assert not unix_sockets.peer_allowed(Stranger(uid, group, ()), short_tmp)  # type: ignore[arg-type]


def test_a_path_too_long_for_a_socket_is_refused(short_tmp: Path) -> None:
    deep = short_tmp / ("x" * 100)
    with pytest.raises(StorageError, match=r"has \d+ bytes; Unix sockets take at most 107") as caught:
        StateOwner(deep).start()
    assert "stateDirectory" in caught.value.hint
    assert not deep.exists()


def test_a_file_in_the_place_of_the_directory(short_tmp: Path) -> None:
    (short_tmp / "s").write_text("")
    with pytest.raises(StorageError, match="not a directory"):
        StateOwner(short_tmp / "s").start()


def test_a_full_disk_is_said_and_the_old_plan_stays(owner: StateOwner, monkeypatch: pytest.MonkeyPatch) -> None:
    owner.set_cameras([cam()])
    before = owner.layout.plan.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("vedette.adapters.state.files.os.fsync", full)
        with pytest.raises(VedetteError, match="No space left") as caught:
            state.attach(owner.layout.root, app())
    assert caught.value.code == "V404"
    assert owner.layout.plan.read_bytes() == before
    assert [p.name for p in owner.layout.root.glob(".*")] == []
    assert state.attach(owner.layout.root, app()).changed


def test_attach_while_cameras_are_not_known_yet(owner: StateOwner) -> None:
    assert state.attach(owner.layout.root, app()).revision == 0
    assert owner.set_cameras([cam()]).rules


def test_status_carries_what_the_owner_knows(short_tmp: Path) -> None:
    owner = StateOwner(short_tmp / "s", status_source=lambda: {"cameras": [{"camera": "hall"}]})
    owner.start()
    assert state.status(short_tmp / "s").status == {"cameras": [{"camera": "hall"}]}
    write_component_status(short_tmp / "s", "vedette.Inference", {"sessions": 1})
    (owner.layout.component_status / "broken.json").write_text("{")
    found = read_component_status(short_tmp / "s")
    assert set(found) == {"vedette.Inference"}
    assert found["vedette.Inference"]["sessions"] == 1
    owner.close()


def test_many_clients_at_once_never_lose_an_attachment(owner: StateOwner) -> None:
    owner.set_cameras([cam()])
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            with StateClient(owner.layout.root) as client:
                for version in ("1.0.0", "2.0.0"):
                    state.attach(owner.layout.root, app(name, version=version))
                    plan = client.request(PlanRequest()).plan
                    assert plan is not None
                    assert any(rule.application == name for rule in plan.rules)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"app-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert len(owner.applications) == 6
    assert PlanFile(owner.layout.plan).read() == owner.plan


def test_layout_names_are_those_of_the_architecture(tmp_path: Path) -> None:
    layout = StateLayout(tmp_path)
    assert layout.socket == tmp_path / "run/state.sock"
    assert layout.frames == tmp_path / "run/frames"
