"""The confined process: what code can do wrong, and what becomes of it."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.hooks.confined import ALL_WALLS, Confined, confined, lines, show_output
from vedette.adapters.confinement.walls import Wall
from vedette.adapters.hooks.directory import MAX_ENTRIES, DataDirectory
from vedette.adapters.hooks.framing import ANSWER_LIMIT_BYTES, Decoder, FramingError, encode
from vedette.adapters.hooks.output import BURST_LINES, Output
from vedette.contracts.errors import HookError

pytestmark = pytest.mark.processes

COUNT = """
def on_tracks(app, batch):
    app.state["n"] = app.state.get("n", 0) + 1
    app.alert(f"batch {batch.frame_no} of {batch.camera}, {len(batch.objects)} objects", objects=batch.objects)
"""


def test_it_is_called_and_answers(short_tmp: Path) -> None:
    with confined(short_tmp, COUNT) as one:
        reply = one.tracks(2)
        assert [alert.message for alert in reply.alerts] == ["batch 2 of gate, 2 objects"]
        assert reply.alerts[0].track_ids == (1, 2)
        assert reply.state == '{"n":1}'
        assert one.tracks(3).state == '{"n":2}'
        assert set(one.runner.walls.standing) == ALL_WALLS, one.runner.walls.missing


def test_the_walls_are_what_the_kernel_says_they_are(short_tmp: Path) -> None:
    with confined(short_tmp, COUNT) as one:
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{one.runner.pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[name], 16) == 0, name
        user = {int(text) for text in status["Uid"].split()}
        assert 0 not in user
        assert len(user) == 1
        assert status["Groups"].strip() == "" or os.geteuid() != 0
        assert status["NSpid"].split()[-1] == "1", "the first process of its own numbering"
        for kind in ("net", "mnt", "pid", "ipc", "uts"):
            mine = os.readlink(f"/proc/self/ns/{kind}")
            if os.geteuid() == 0:
                assert os.readlink(f"/proc/{one.runner.pid}/ns/{kind}") != mine, kind
        limits = Path(f"/proc/{one.runner.pid}/limits").read_text()
        assert "Max core file size        0                    0" in limits
        assert "Max open files            64                   64" in limits


def test_numpy_opencv_and_a_file_of_the_application_can_be_used(short_tmp: Path) -> None:
    code = """
import cv2
import numpy as np
import helper
def on_tracks(app, batch):
    (app.directory / "kept.txt").write_text("kept")
    picture = cv2.cvtColor(np.zeros((4, 4, 3), np.uint8), cv2.COLOR_BGR2GRAY)
    app.alert(f"{picture.shape} {helper.NAME} {(app.directory / 'kept.txt').read_text()}")
"""
    one = Confined(short_tmp, code)
    one.write("helper.py", "NAME = 'helper'\n")
    try:
        one.start()
        assert one.says() == ["(4, 4) helper kept"]
        assert (short_tmp / "data" / "kept.txt").read_text() == "kept"
    finally:
        one.close()


def test_a_file_of_the_application_hides_no_module_of_the_interpreter(short_tmp: Path) -> None:
    one = Confined(short_tmp, "import json\ndef on_tracks(app, batch):\n    app.alert(json.dumps([1]))\n")
    one.write("json.py", "raise SystemExit('planted')\n")
    try:
        one.start()
        assert one.says() == ["[1]"]
    finally:
        one.close()


def test_state_survives_the_process(short_tmp: Path) -> None:
    one = Confined(short_tmp, COUNT)
    try:
        one.start('{"n":41}')
        assert one.tracks().state == '{"n":42}'
    finally:
        one.close()


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_an_exception_is_told_with_its_last_lines_and_the_process_lives(short_tmp: Path) -> None:
    code = "def on_tracks(app, batch):\n    app.state['x'] = 1\n    return deep(50)\n" + (
        "def deep(n):\n    return deep(n - 1) if n else 1 / 0\n"
    )
    with confined(short_tmp, code) as one:
        error = one.fails()
        assert error.code == "V802"
        assert "ZeroDivisionError: division by zero" in error.message
        assert "hooks.py" in error.message
        assert "vedette/hooks" not in error.message
        assert len(error.message) < 2000
        assert one.runner.alive()
        assert one.fails().code == "V802"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("raise SystemExit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise BaseException('x' * 100_000)", "BaseException"),
        ("return on_tracks(app, batch)", "RecursionError"),
        ("app.state['x'] = object()", "ValueError"),
        ("app.state['x'] = 'y' * 70_000", "ValueError"),
        ("app.alert('x', camera='nowhere')", "ValueError"),
        ("import nowhere", "ModuleNotFoundError"),
    ],
)
def test_whatever_is_raised_is_the_hooks_failure(short_tmp: Path, body: str, kind: str) -> None:
    with confined(short_tmp, f"def on_tracks(app, batch):\n    {body}\n") as one:
        error = one.fails()
        assert error.code == "V802"
        assert kind in error.message
        assert len(error.message) < 3000
        assert one.runner.alive()


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("while True: pass", "V803", "did not end its call, within 0.5 s"),
        ("import time; time.sleep(60)", "V803", "0.5 s"),
        ("import os; os._exit(7)", "V808", "exit code 7"),
        ("import ctypes; ctypes.string_at(0)", "V808", "SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", None, ""),
        ("import os; os.abort()", "V808", "it was ended by"),
        ("held = []\n    while True: held.append(bytearray(64 << 20))", "V804", "MemoryError"),
        ("import os, time; os.closerange(3, 64); time.sleep(60)", "V808", "it let go of its connection"),
    ],
)
def test_what_ends_the_process_is_said(short_tmp: Path, body: str, code: str | None, words: str) -> None:
    with confined(
        short_tmp, f"def on_tracks(app, batch):\n    {body}\n", timeout_s=0.5 if code == "V803" else 10.0
    ) as one:
        pid = one.runner.pid
        if code is None:  # the first process of its numbering cannot kill itself
            one.tracks()
            return
        began_s = time.monotonic()
        error = one.fails()
        assert error.code == code, error
        assert words in error.message, error
        assert time.monotonic() - began_s < 9
        assert not one.runner.alive()
        assert not Path(f"/proc/{pid}").exists()
        one.start()
        assert one.runner.alive(), "and it can be started again"


def test_the_time_limit_is_kept(short_tmp: Path) -> None:
    with confined(short_tmp, "def on_tracks(app, batch):\n    while True: pass\n", timeout_s=0.3) as one:
        began_s = time.monotonic()
        one.fails()
        assert 0.25 < time.monotonic() - began_s < 1.0


def test_threads_are_bounded_and_none_outlives_the_process(short_tmp: Path) -> None:
    code = """
import threading, time
def on_tracks(app, batch):
    made = 0
    try:
        while True:
            threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
            made += 1
    except RuntimeError:
        app.alert(f"{made}")
"""
    with confined(short_tmp, code) as one:
        made = int(one.says()[0])
        assert 3 < made < 40
        pid = one.runner.pid
        one.runner.close()
        assert not Path(f"/proc/{pid}").exists()


def test_no_process_can_be_started(short_tmp: Path) -> None:
    code = """
import os, subprocess, multiprocessing
def on_tracks(app, batch):
    for name, attempt in (
        ("fork", os.fork),
        ("vfork", lambda: subprocess.run(["/bin/true"])),
        ("exec", lambda: os.execv("/usr/bin/true", ["true"])),
        ("spawn", lambda: os.posix_spawn("/bin/true", ["true"], {})),
        ("system", lambda: 1 / (os.system("true") == 0)),
        ("pool", lambda: multiprocessing.get_context("fork").Process(target=print).start()),
    ):
        try:
            attempt()
        except (OSError, ZeroDivisionError) as error:
            app.alert(f"{name} {type(error).__name__}", key=name)
"""
    with confined(short_tmp, code) as one:
        said = {line.split()[0] for line in one.says()}
        assert said == {"fork", "vfork", "exec", "spawn", "system", "pool"}


def test_open_files_are_bounded(short_tmp: Path) -> None:
    code = """
def on_tracks(app, batch):
    held = []
    try:
        while True:
            held.append(open(__file__))
    except OSError as error:
        app.alert(f"{len(held)} {error.strerror}")
"""
    with confined(short_tmp, code) as one:
        count, words = one.says()[0].split(" ", 1)
        assert 30 < int(count) < 64
        assert words == "Too many open files"
        assert one.says(), "and the next call is answered"


@pytest.mark.parametrize(
    "body",
    [
        "open('big', 'wb').write(b'x' * (9 << 20))",
        "[open(f'f{n}', 'wb').write(b'x' * 500_000) for n in range(40)]",
        "[open(f'f{n}', 'wb').close() for n in range(5000)]",
    ],
    ids=["one", "many", "empty"],
)
def test_the_directory_is_bounded(short_tmp: Path, body: str) -> None:
    code = f"""
import errno, time
def on_tracks(app, batch):
    try:
        {body}
    except OSError as error:
        assert error.errno == errno.EFBIG, error
    time.sleep(1)
    app.alert("still here")
"""
    with confined(short_tmp, code, disk_mb=8) as one:
        ended = _ended_for_its_directory(one)
        used = one.directory.used_bytes()
        assert used <= 40 << 20
        if ended:
            one.write("hooks.py", "def on_tracks(app, batch):\n    open('more', 'wb').write(b'x')\n")
            one.start()
            assert one.fails().code == "V802", "a full directory takes nothing more"
            one.write("hooks.py", "def on_tracks(app, batch):\n    [f.unlink() for f in app.directory.glob('f*')]\n")
            one.start()
            one.tracks()
            assert one.directory.used_bytes() <= 8 << 20, "but what is there can be removed"


def _ended_for_its_directory(one: Confined) -> bool:
    """False where the kernel refused to write beyond the limit of a file, so that the call returned."""
    try:
        said = one.says()
    except HookError as error:
        return (error.code, "disk_mb" in error.hint) == ("V809", True)
    return said != ["still here"]


def test_a_directory_is_measured_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "root").symlink_to("/")
    directory = DataDirectory(tmp_path / "d", None, 1 << 20)
    assert directory.used_bytes() < 1 << 20
    for number in range(MAX_ENTRIES + 1):
        (tmp_path / "d" / str(number)).touch()
    assert directory.used_bytes() > 1 << 20


def test_what_it_prints_is_in_the_log_with_its_name_and_within_bounds(
    short_tmp: Path, caplog: pytest.LogCaptureFixture
) -> None:
    show_output(caplog)
    code = """
import sys
print("at import")
def on_tracks(app, batch):
    print("\\x1b[31mred\\x00", "x" * 1000)
    print("to stderr", file=sys.stderr)
    app.log("logged")
    for n in range(10_000):
        print("flood", n)
"""
    with confined(short_tmp, code) as one:
        one.tracks()
        said = lines(caplog)
        assert said[0] == "hook app/greeter: at import"
        assert said[1].startswith("hook app/greeter:  [31mred  xxx")
        assert len(said[1]) < 600
        assert said[2:4] == ["hook app/greeter: to stderr", "hook app/greeter: logged"]
        assert len(said) <= BURST_LINES + 20
        assert one.runner.output.dropped > 9_000


def test_lines_are_let_through_again_as_time_goes_by(caplog: pytest.LogCaptureFixture) -> None:
    show_output(caplog)
    now = [0.0]
    output = Output("hook a/b", monotonic=lambda: now[0])
    output.feed(b"x\n" * 200)
    assert len(lines(caplog)) == BURST_LINES
    now[0] = 2.0
    output.feed(b"y\n" + b"\xff\xfe\n" + b"z" * 10_000)
    output.flush()
    assert any("100 lines were dropped" in line for line in lines(caplog))
    assert any("hook a/b: y" in line for line in lines(caplog))


def test_messages_are_cut_and_bounded() -> None:
    decoder = Decoder()
    data = encode({"a": 1}) + encode({"b": [2]})
    found = [message for n in range(len(data)) for message in decoder.feed(data[n : n + 1])]
    assert found == [{"a": 1}, {"b": [2]}]
    for bad in (b"\xff\xff\xff\xff", (ANSWER_LIMIT_BYTES + 1).to_bytes(4, "big"), b"\0\0\0\2[]", b"\0\0\0\1{",
                b"\0\0\0\3\xff\xff\xff", len(b"[" * 9000).to_bytes(4, "big") + b"[" * 9000):  # fmt: skip
        with pytest.raises(FramingError):
            list(Decoder().feed(bad))


# -- which walls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forgo", [[Wall.LANDLOCK], [Wall.MOUNTS], [Wall.NETWORK], [Wall.PROCESSES], [Wall.USER]])
def test_a_missing_wall_is_said_and_the_others_do(short_tmp: Path, forgo: list[Wall]) -> None:
    with confined(short_tmp, COUNT, forgo=forgo) as one:
        missing = set(one.runner.walls.missing)
        assert missing >= {wall.value for wall in forgo}
        assert missing <= {wall.value for wall in forgo} | ({"user"} if Wall.MOUNTS in forgo else set())
        assert one.says() == ["batch 1 of gate, 1 objects"]


@pytest.mark.parametrize("forgo", [[Wall.CALLS], [Wall.LANDLOCK, Wall.MOUNTS], [Wall.PRIVILEGES]])
def test_without_confinement_nothing_runs_unless_the_code_is_trusted(short_tmp: Path, forgo: list[Wall]) -> None:
    refused = Confined(short_tmp, COUNT, forgo=forgo)
    with pytest.raises(HookError) as caught:
        refused.start()
    assert caught.value.code == "V805"
    assert "trustCode" in caught.value.hint
    assert not refused.runner.alive()
    refused.close()
    with confined(short_tmp, COUNT, forgo=forgo, trust=True) as one:
        assert one.says() == ["batch 1 of gate, 1 objects"]
        assert not one.runner.walls.sufficient


# -- which code -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nowhere\n", "No module named 'nowhere'"),
        ("def on_tracks(app, batch)\n", "expected ':'"),
        ("x = 1\n", "defines none of setup, on_tracks, on_frame"),
        ("def setup(app):\n    raise RuntimeError('no camera')\n", "no camera"),
        ("raise SystemExit\n", "SystemExit"),
    ],
)
def test_code_that_cannot_be_loaded(short_tmp: Path, code: str, words: str) -> None:
    one = Confined(short_tmp, code)
    with pytest.raises(HookError) as caught:
        one.start()
    assert caught.value.code == "V801"
    assert words in caught.value.message
    one.close()


def test_code_that_is_not_what_was_attached_is_not_run(short_tmp: Path) -> None:
    digest = hashlib.sha256(COUNT.encode()).hexdigest()
    one = Confined(short_tmp, COUNT, code={"hooks.py": digest})
    one.start()
    one.write("hooks.py", COUNT + "# changed\n")
    for words in ("is not the file that was attached", "cannot be read"):
        with pytest.raises(HookError) as caught:
            one.start()
        assert caught.value.code == "V801"
        assert words in caught.value.message
        (one.app / "hooks.py").unlink(missing_ok=True)
    one.close()


# -- life and death ---------------------------------------------------------------------------------------------------

PARENT = """
import sys, time
from pathlib import Path
from tests.hooks.confined import Confined
one = Confined(Path(sys.argv[1]), sys.argv[2])
one.start()
print(one.runner.pid, flush=True)
time.sleep(600)
"""

IMMORTAL = """
import signal, threading, time, ctypes
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
threading.Thread(target=lambda: [time.sleep(1) for _ in range(600)], daemon=False).start()
def on_tracks(app, batch): pass
"""


@pytest.mark.parametrize("code", [COUNT, IMMORTAL], ids=["ordinary", "immortal"])
def test_it_dies_with_its_warden_whatever_it_does(short_tmp: Path, code: str) -> None:
    warden = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(short_tmp), code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert warden.stdout is not None
    pid = int(warden.stdout.readline())
    child = os.pidfd_open(pid)
    try:
        warden.send_signal(signal.SIGKILL)
        warden.wait(10)
        assert select.select([child], [], [], 5)[0], "it is gone"
    finally:
        os.close(child)
        warden.stdout.close()


def test_a_thousand_calls_leave_nothing_behind(short_tmp: Path) -> None:
    with confined(short_tmp, "def on_tracks(app, batch): app.state['n'] = batch.frame_no\n") as one:
        for number in range(50):
            one.tracks(number)
        before = _figures(one)
        for number in range(1000):
            one.tracks(number)
        after = _figures(one)
    assert after["fds"] == before["fds"]
    assert after["child_kb"] - before["child_kb"] < 2_000


def test_starting_again_and_again_leaves_nothing_behind(short_tmp: Path) -> None:
    one = Confined(short_tmp, COUNT)
    try:
        one.start()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            one.start()
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        one.close()


def _figures(one: Confined) -> dict[str, Any]:
    status = Path(f"/proc/{one.runner.pid}/status").read_text()
    resident = int(status.split("VmRSS:")[1].split()[0])
    return {"fds": len(os.listdir("/proc/self/fd")), "child_kb": resident}
