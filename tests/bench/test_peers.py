"""Other programs from outside: what they say, how they are ended, what is told of one that fails."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from bench.peers import Peer, Task, named
from bench.peers.harness import Heard, PeerError, program, started

SAY = """import json, sys, time
def say(event, **more):
    print(json.dumps({"event": event, "at": time.monotonic(), **more}), flush=True)
"""
PICTURE = "say('picture', camera=0, objects=3, people=2)\n"


def command(code: str) -> list[str]:
    """A small program that speaks as peers do."""
    return [sys.executable, "-c", SAY + code]


def test_lines_are_taken_and_chatter_is_passed_over() -> None:
    """Libraries print on standard output too."""
    heard = Heard()
    for line in ("loading ...", "[1, 2]", '{"event": "picture", "at": "soon"}', "{}"):
        heard.take(line)
    assert (heard.pictures, heard.ready_s, heard.done) == ([], None, False)
    heard.take(json.dumps({"event": "ready", "at": 5.0, "cpu_s": 1.5}))
    heard.take(json.dumps({"event": "picture", "at": 6.0, "camera": 2, "objects": 3, "people": 1}))
    heard.take(json.dumps({"event": "done", "at": 7.0, "cpu_s": 4.0}))
    assert (heard.ready_s, heard.cpu_s, heard.done) == (5.0, 2.5, True)
    assert [(p.camera, p.at_s, p.objects, p.people) for p in heard.pictures] == [(2, 6.0, 3, 1)]


def test_pictures_are_counted_while_it_runs() -> None:
    """Processor time and memory are of the process; only pictures of the stretch count."""
    with program("busy", command("while True:\n    " + PICTURE + "    time.sleep(0.01)\n")) as running:
        running.wait_analysed({0}, 20.0)
        stretch = running.measure(0.3)
        asked_s = time.monotonic()
        assert running.first_after(0, asked_s, 20.0) >= asked_s
    assert 0 < stretch.analysed[0] <= len(running.heard.pictures)
    assert stretch.pss_mb > 1


def test_a_peer_that_crashes_is_told_with_its_last_words() -> None:
    """And not waited for."""
    with program("weak", command(PICTURE + "sys.exit('no camera will do')\n")) as running:
        with pytest.raises(PeerError, match=r"weak ended before .*exit status 1.*no camera will do"):
            running.wait_end(20.0)
        with pytest.raises(PeerError, match="every camera"):
            running.wait_analysed({0, 1}, 20.0)


def test_a_peer_that_stays_silent_is_told() -> None:
    """A camera that is never analysed must not hold the run up."""
    with program("mute", command("time.sleep(60)\n")) as running:
        with pytest.raises(PeerError, match=r"mute had not analysed every camera after 0\.1 s"):
            running.wait_analysed({0}, 0.1)
        with pytest.raises(PeerError, match=r"mute had not ended after 0\.1 s"):
            running.wait_end(0.1)


def test_a_peer_and_its_children_are_gone_afterwards() -> None:
    """Also a child that does not hear the end of its parent."""
    child = "import subprocess\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    with program("parent", command(child + PICTURE + "time.sleep(60)\n")) as running:
        running.wait_analysed({0}, 20.0)
        pids = running.pids
        assert len(pids) == 2
    deadline_s = time.monotonic() + 10  # whoever adopts the child has to collect it
    while [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < deadline_s, pids


def test_a_peer_that_is_not_installed_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run goes on without it."""
    monkeypatch.setattr("bench.peers.ENVIRONMENTS", tmp_path)
    peer = Peer("absent", "Absent", "absent.py", "absent")
    with pytest.raises(PeerError, match=r"bench\.peers install absent"), started(peer, Task(("a",), "m", 5.0, 1.0)):
        pass
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / ".installed").touch()
    assert not peer.missing()


def test_every_peer_has_its_program_and_its_versions() -> None:
    """Versions are pinned, or a figure could not be repeated."""
    for peer in named(()):
        folder = Path(sys.modules["bench.peers"].__file__ or "").parent
        assert (folder / "programs" / peer.program).is_file()
        lines = (folder / f"{peer.environment}.txt").read_text().split()
        assert lines
        assert all("==" in line for line in lines)
    with pytest.raises(SystemExit, match="no peer is called nobody"):
        named(["nobody"])


def _runs(pid: int) -> bool:
    """Whether a process is alive, not only unburied."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_task_goes_over_as_json() -> None:
    """Programs of other interpreters read it."""
    assert json.loads(Task(("rtsp://a", "b"), "m.onnx", 5.0, 9.0).json()) == {
        "urls": ["rtsp://a", "b"],
        "model": "m.onnx",
        "fps": 5.0,
        "seconds": 9.0,
    }
