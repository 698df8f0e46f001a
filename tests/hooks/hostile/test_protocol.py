"""A process that does not keep to the protocol harms itself only: its warden neither believes nor keeps any of it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hooks.confined import Confined, show_output
from tests.hooks.rig import BEGIN_S, Bench, batch, peer
from vedette.adapters.hooks.broker import MAX_CONNECTIONS
from vedette.contracts.errors import HookError
from vedette.contracts.hook_messages import MAX_STATE_CHARACTERS
from vedette.hooks.state import MAX_STATE_DEPTH
from vedette.pipeline.hook_calls import HookCalls

pytestmark = pytest.mark.processes

#: The sockets are a walk through memory away from any code in the process.
TOOLS = """
import array, gc, json, os, socket, struct, sys, threading, time
RUNTIME = next(one for one in gc.get_objects() if type(one).__name__ == "Runtime")
CONTROL, BROKER = RUNTIME._control, RUNTIME._broker
OK = {"alerts": [], "state": None}
def frame(body):
    return struct.pack("!I", len(body)) + body
def say(**message):
    CONTROL.sendall(frame(json.dumps(message).encode()))
def alert(**changes):
    return {"message": "m", "camera": "gate", "key": "k", "number": 0, "track_ids": [], "count": None,
            "severity": ""} | changes
def answer(state=None, *alerts):
    say(n=2, ok={"alerts": list(alerts), "state": state})
    time.sleep(60)
"""

#: What the code does, and what its warden says of it.
LIES = {
    "noise": ("CONTROL.sendall(b'\\xff' * 4096)", "a message of 4294967295 bytes"),
    "too long a message": ("CONTROL.sendall(struct.pack('!I', 600_000))", "a message of 600000 bytes"),
    "a message of nothing": ("CONTROL.sendall(struct.pack('!I', 0))", "no JSON"),
    "no JSON": ("CONTROL.sendall(frame(b'{'))", "no JSON"),
    "no text": ("CONTROL.sendall(frame(b'\\xff\\xfe\\x00'))", "no JSON"),
    "a list": ("CONTROL.sendall(frame(b'[]'))", "no JSON object"),
    "too deep": ("CONTROL.sendall(frame(b'[' * 400_000))", "no JSON"),
    "a number without end": ("CONTROL.sendall(frame(b'{\"n\":' + b'9' * 100_000 + b'}'))", "no JSON"),
    "another call's answer": ("say(n=1, ok=OK)", "answered call 1"),
    "an answer to what comes": ("say(n=3, ok=OK)", "answered call 3"),
    "a large call": ("say(n=1 << 80, ok=OK)", "(n)"),
    "two answers": ("CONTROL.sendall(2 * frame(json.dumps({'n': 2, 'ok': OK}).encode()))", "more than it was asked"),
    "neither": ("say(n=2)", "its answer is none"),
    "both": ("say(n=2, ok=OK, failed={'kind': 'a', 'text': 'b'})", "its answer is none"),
    "a field more": ("say(n=2, ok=OK, **{'\\x1b[2J' + 'x' * 4000: 1})", "its answer is none ( [2Jxxx"),
    "too many alerts": ("answer(None, *[alert(number=i % 16) for i in range(17)])", "(ok.alerts)"),
    "a number of an alert too high": ("answer(None, alert(number=16))", "(ok.alerts.0.number)"),
    "too long an alert": ("answer(None, alert(message='x' * 201))", "(ok.alerts.0.message)"),
    "an alert of nothing": ("answer(None, alert(message=''))", "(ok.alerts.0.message)"),
    "an alert that moves the cursor": ("answer(None, alert(message='a\\x1b[2Jb'))", "(ok.alerts.0.message)"),
    "an alert of two lines": ("answer(None, alert(message='a\\nb'))", "(ok.alerts.0.message)"),
    "an alert that turns text around": ("answer(None, alert(message='a\\u202eb'))", "(ok.alerts.0.message)"),
    "half a character": ("answer(None, alert(message='a\\ud800'))", "(ok.alerts.0.message)"),
    "a key that is none": ("answer(None, alert(key='\\0'))", "(ok.alerts.0.key)"),
    "no number": ("answer(None, alert(count=float('nan')))", "(ok.alerts.0.count)"),
    "a negative number": ("answer(None, alert(count=-1))", "(ok.alerts.0.count)"),
    "a severity that is none": ("answer(None, alert(severity='fatal'))", "(ok.alerts.0.severity)"),
    "a picture in an alert": ("answer(None, alert(picture='x'))", "(ok.alerts.0.picture)"),
    "more objects than there are": ("answer(None, alert(track_ids=list(range(65))))", "(ok.alerts.0.track_ids)"),
    "too large a state": ("answer('{' + ' ' * 70_000 + '}')", "(ok.state)"),
    "a hang-up": ("CONTROL.shutdown(2)", "let go of its connection"),
    "half a message": ("CONTROL.sendall(struct.pack('!I', 100) + b'{')", "did not end its call"),
    "one byte at a time": (
        "[(CONTROL.sendall(b' ' if i else struct.pack('!I', 500)), time.sleep(0.05)) for i in range(400)]",
        "did not end its call",
    ),
    "an exception that moves the cursor": (
        "say(n=2, failed={'kind': 'E\\x1b[2J\\n', 'text': 'a\\x1b]0;title\\x07\\nb'})",
        "raised E [2J :\na ]0;title \nb",
    ),
    "an exception without end": ("say(n=2, failed={'kind': 'E', 'text': 'x' * 5000})", "(failed.text)"),
}  # fmt: skip

#: Answers that look right, and are not: found by whoever knows what was asked. A warden that goes on is not enough
#: there: it must not keep them either.
CLAIMS = {
    "another camera": ("answer(None, alert(camera='vault'))", "camera 'vault', which is not the application's"),
    "an object nobody saw": ("answer(None, alert(track_ids=[77]))", "object 77, which is not in the batch"),
    "a state that is a list": ("answer('[]')", "app.state is a list"),
    "a state that is no JSON": ("answer('{')", "Expecting"),
    "a state that is no number": ("answer('{\"a\": NaN}')", "JSON has no such number"),
    "a state beyond numbers": ("answer('{\"a\": 1e999}')", "JSON has no such number"),
    "a state that cannot be read": ("answer('{\"a\": ' + '9' * 5000 + '}')", "integer string conversion"),
    "a state too deep to be read": ("answer('{\"a\": ' + '[' * 30000 + ']' * 30000 + '}')", "recursion"),
    "a state too deep to be written": ("answer('{\"a\": ' + '[' * 900 + ']' * 900 + '}')", f"{MAX_STATE_DEPTH} deep"),
    "a state that grows when written": ("answer('{\"a\": \"' + 'ä' * 20_000 + '\"}')", "bytes as JSON"),
}  # fmt: skip

INNOCENT = 'def on_tracks(app, batch):\n    app.state["n"] = app.state.get("n", 0) + 1\n'


def calling(*body: str) -> str:
    return f"{TOOLS}\ndef on_tracks(app, batch):\n    " + "\n    ".join(body) + "\n"


def hostile(body: str) -> str:
    return f"{TOOLS}\ndef on_tracks(app, batch):\n    {body}\n    time.sleep(60)\n"


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20)


@pytest.fixture
def one(short_tmp: Path) -> Iterator[Confined]:
    made = Confined(short_tmp, INNOCENT, timeout_s=4.0)
    yield made
    made.close()


def calls_of(one: Confined) -> HookCalls:
    return HookCalls(one.plan, (), one.runner, alerts_per_minute=600, wall_s=lambda: BEGIN_S)


@pytest.mark.parametrize("lie", LIES)
def test_a_process_that_lies_is_ended_and_nothing_of_it_stays(one: Confined, lie: str) -> None:
    body, words = LIES[lie]
    one.write("hooks.py", hostile(body))
    before = descriptors()
    one.start()
    error = one.fails()
    assert words in error.message, error.message
    assert error.code in ("V808", "V803") or "exception" in lie
    if "exception" in lie and error.code == "V802":
        one.runner.close()
    assert not one.runner.alive()
    assert len(error.message) < 2000
    assert descriptors() == before
    one.write("hooks.py", INNOCENT)
    one.start()
    assert one.tracks().state == '{"n":1}'


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_it_claims_is_checked(one: Confined, claim: str) -> None:
    body, words = CLAIMS[claim]
    one.write("hooks.py", hostile(body))
    calls = calls_of(one)
    calls.state = '{"n":7}'
    calls.start()
    with pytest.raises(HookError, match="V808") as caught:
        calls.tracks("gate", batch(1))
    assert words in caught.value.message, caught.value.message
    assert len(caught.value.message) < 400
    assert calls.state == '{"n":7}'
    assert calls.figures.alerts == 0
    assert not one.runner.alive()


@pytest.mark.parametrize(
    "state",
    ['{"a":"\\ud800"}', '{"a":"\\u0000"}', '{"__proto__":{"a":1}}', '{"a":1,"a":2}', " {} ",
     '{"a":' + "[" * MAX_STATE_DEPTH + "]" * MAX_STATE_DEPTH + "}"],
    ids=["half a character", "zero", "proto", "twice", "spaces", "as deep as allowed"],
)  # fmt: skip
def test_a_strange_state_comes_back_as_it_was(one: Confined, short_tmp: Path, state: str) -> None:
    """Whatever is kept can be read, handed over again, and read by the code."""
    one.write("hooks.py", hostile(f"answer({state!r}) if 'told' not in app.parameters else None"))
    bench = Bench(short_tmp, lambda: one.runner, one.plan)
    bench.write([batch(1)])
    bench.start()
    bench.settle(40)
    bench.loop.finish()
    kept = bench.store.load().state
    bench.crash()
    assert len(kept) <= MAX_STATE_CHARACTERS
    one.write("hooks.py", "import json\ndef on_tracks(app, batch):\n    app.alert('got ' + ascii(app.state)[:150])\n")
    reply = one.start(kept)
    assert reply.functions == ("on_tracks",)
    assert one.says()[0].startswith("got {")


def test_the_answer_to_a_call_cannot_be_given_twice(one: Confined) -> None:
    """The second would be taken for that of the next call."""
    late = "threading.Timer(0.3, lambda: say(n=3, ok=OK | {'state': '{\"stolen\":1}'})).start()"
    one.write("hooks.py", f"{TOOLS}\ndef on_tracks(app, batch):\n    {late}\n")
    one.start()
    one.tracks()
    one.reactor.run_once(1.0)
    with pytest.raises(HookError, match="speaks without being asked"):
        one.runner.check()
    assert not one.runner.alive()


def test_descriptors_it_attaches_are_nobodys(one: Confined) -> None:
    """Else a process could fill its warden's table, or have it hold a file."""
    body = """
    many = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 20))]
    assert BROKER.sendmsg([struct.pack("!I", 2)], many) == 4
    whole = frame(json.dumps({"n": 2, "ok": {"alerts": [alert(message="sent")]}}).encode())
    assert CONTROL.sendmsg([whole[:4]], many) == 4
    CONTROL.sendall(whole[4:])
    time.sleep(60)
"""
    one.write("hooks.py", f"{TOOLS}\ndef on_tracks(app, batch):{body}")
    one.start()
    before = descriptors()
    assert one.says() == ["sent"], "they came along"
    assert descriptors() == before


def test_memory_of_the_warden_has_a_bound(one: Confined) -> None:
    """Messages as large as they may be, output without end, requests that nobody reads the answers of."""
    flood = """
    for i in range(400):
        os.write(1, b"x" * 65536)
    try:
        BROKER.setblocking(False)
        for i in range(20_000):
            BROKER.send(frame(json.dumps({"host": "a" * 200, "port": 80}).encode()))
    except OSError:
        pass
    if batch.frame_no % 2:
        CONTROL.sendall(struct.pack("!I", 524_288) + b" " * 524_288)
    else:
        CONTROL.sendall(frame(b'{"n":2,"ok":' + b'[],' * 170_000))
    time.sleep(60)
"""
    one.write("hooks.py", f"{TOOLS}\ndef on_tracks(app, batch):{flood}")
    for number in range(2):
        one.start()
        one.fails(number)
    before = resident_mb()
    for number in range(6):
        one.start()
        one.fails(number)
    assert resident_mb() - before < 24


def test_requests_for_connections_have_bounds_too(one: Confined, short_tmp: Path) -> None:
    """Noise ends the way to the network, not the warden; and not more than a few are made at the same time."""
    other = Confined(short_tmp / "net", INNOCENT, timeout_s=5.0, network=(peer(9),))
    try:
        for noise in ("b'\\xff' * 100", "struct.pack('!I', 5000)", "frame(b'[]')", "frame(b'{\"host\":1}')",
                      "frame(b'{\"host\":\"a\",\"port\":70000}')", "frame(b'{\"host\":\"a\",\"port\":1,\"x\":1}')",
                      "frame(b'{\"host\":\"a\",\"port\":1,\"timeout_s\":1e9}')"):  # fmt: skip
            answer = "app.alert('cut' if not BROKER.recv(100) else 'answered')"
            other.write("hooks.py", calling(f"BROKER.sendall({noise})", "BROKER.settimeout(3)", answer))
            other.start()
            assert other.says() == ["cut"], noise
        request = 'BROKER.sendall(40 * frame(b\'{"host":"127.0.0.1","port":9}\'))'
        count = "app.alert(str(len(BROKER.recv(100_000))))"
        other.write("hooks.py", calling(request, "time.sleep(0.5)", count))
        other.start()
        assert int(other.says()[0]) > 0
        assert other.broker.traffic().connections <= MAX_CONNECTIONS
    finally:
        other.close()


def test_what_it_prints_cannot_be_taken_for_another_ones(one: Confined, caplog: pytest.LogCaptureFixture) -> None:
    show_output(caplog)
    one.write("hooks.py", "def on_tracks(app, batch):\n"
              "    print('\\x1b[2K\\rhook other/one: fine\\x85hook other/two: fine')\n"
              "    app.log('\\rhook other/three: fine')\n")  # fmt: skip
    one.start()
    one.tracks()
    one.runner.close()
    said = [record.getMessage() for record in caplog.records if "fine" in record.getMessage()]
    assert said
    assert all(line.startswith("hook app/greeter: ") and line.isprintable() for line in said), said
