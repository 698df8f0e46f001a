"""``panoramasdk`` in a process of its own against the real server: what applications of Panorama rely on."""

from __future__ import annotations

import ast
import json
import math
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import panoramasdk
from tests.panorama.serving import LIMIT_S, PYTHON, SDK, WALL_S, MadeUp, Rig, rig

FILES = sorted((SDK / "panoramasdk").glob("*.py"))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        yield made


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_is_python_3_7(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=(3, 7))
    later = {"removeprefix", "removesuffix", "send_fds", "recv_fds", "pidfd_open", "cache", "nested"}
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & later
    for node in ast.walk(tree):  # subscripted builtins need 3.9 wherever they are evaluated
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            assert node.value.id not in {"list", "dict", "tuple", "set", "type"}, node.lineno


def test_it_needs_numpy_and_nothing_else() -> None:
    code = "import sys, panoramasdk; print([m for m in sys.modules if m.split('.')[0] in ('vedette','cv2','pydantic')])"
    found = subprocess.run([PYTHON, "-c", code], env={"PYTHONPATH": str(SDK)}, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_without_a_host_a_node_says_what_to_do() -> None:
    code = "import panoramasdk\npanoramasdk.node()"
    found = subprocess.run([PYTHON, "-c", code], env={"PYTHONPATH": str(SDK)}, capture_output=True, text=True)
    assert found.returncode == 1
    assert "vedette run" in found.stderr


@pytest.mark.parametrize("module", ["base", "model"])
def test_the_preview_is_refused_with_advice(module: str) -> None:
    code = f"import panoramasdk.{module}"
    found = subprocess.run([PYTHON, "-c", code], env={"PYTHONPATH": str(SDK)}, capture_output=True, text=True)
    assert "ImportError" in found.stderr
    assert "node.inputs" in found.stderr


def test_a_subclass_that_never_calls_its_base(host: Rig) -> None:
    said = host.run("""
        import panoramasdk as p
        class Application(p.node):
            def __init__(self, name, size=3):
                self.name = name
                self.threshold = self.inputs.threshold.get()
        app = Application("x", size=4)
        i = app.inputs
        print(type(app.threshold).__name__, app.threshold, i.count.get(), i.on.get(), i.name.get(), i.name.get())
        print(sorted(vars(app.inputs)), sorted(vars(app.outputs)))
    """)
    assert said.splitlines() == [
        "float 0.45 3 True gate gate",
        "['count', 'name', 'on', 'threshold', 'video_in'] ['video_out']",
    ]


def test_a_parameter_is_asked_for_again_and_again(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        node = panoramasdk.node()
        node.inputs.video_in.get()
        print(node.inputs.name.get(), flush=True)
        node.inputs.video_in.get()
        print(node.inputs.name.get(), flush=True)
    """)
    host.feed.give(MadeUp("a", 1))
    assert process.stdout is not None
    assert process.stdout.readline() == "gate\n"
    host.values["name"] = "yard"
    host.feed.give(MadeUp("a", 2))
    assert process.stdout.readline() == "yard\n"


def test_pictures_come_as_a_list_and_are_written_into(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        class Application(panoramasdk.node):
            pass
        node = Application()
        for _ in range(2):
            streams = node.inputs.video_in.get()
            for one in streams:
                assert one.image is one.image and one.image.flags.writeable
                print(one.stream_id, one.stream_uri, one.time_stamp, one.is_cached, one.image.shape, one.image.dtype,
                      int(one.image[0, 0, 0]), flush=True)
                one.image[0, 0] = (1, 2, 3)
                one.add_rect(0, 0, 1, 1)
                one.add_label("person é", 0.5, 2)
            node.outputs.video_out.put(streams)
    """)
    host.sink.pictures_wanted = True
    host.feed.give(MadeUp("a", 7))
    port, pictures, pixels = host.sink.next()
    assert (port, [one.stream for one in pictures]) == ("video_out", ["a"])
    assert pictures[0].info.frame_no == 7
    assert [(one.left, one.top, one.right, one.bottom) for one in pictures[0].rects] == [(0, 0, 1, 1)]
    assert [(one.text, one.x, one.y) for one in pictures[0].labels] == [("person é", 0.5, 1)]
    assert pixels[0][0, 0].tolist() == [1, 2, 3], "what the code draws is in the shared memory"
    assert pixels[0][1, 1].tolist() == [7, 7, 7]
    host.feed.give(MadeUp("b", 8))
    _, pictures, pixels = host.sink.next()
    assert [one.stream for one in pictures] == ["a", "b"], "in the order of the port; the old one is cached"
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    seconds = int(WALL_S)
    assert out.splitlines() == [
        f"a rtsp://10.0.0.7/a ({seconds + 7}, 250000) False (8, 16, 3) uint8 7",
        f"a rtsp://10.0.0.7/a ({seconds + 7}, 250000) True (8, 16, 3) uint8 1",
        f"b rtsp://10.0.0.8/b ({seconds + 8}, 250000) False (8, 16, 3) uint8 8",
    ]


def test_what_the_code_keeps_is_bounded_and_never_overwritten(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        node = panoramasdk.node()
        kept = []
        for number in range(40):
            kept.append(node.inputs.video_in.get()[0].image[1:3, 1:3])
            assert [int(part[0, 0, 0]) for part in kept] == list(range(number + 1)), number
            node.outputs.video_out.put(panoramasdk.media(kept[-1]))
        print(sum(part.base is not None for part in kept))
    """)
    for number in range(40):
        host.feed.give(MadeUp("a", number))
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert int(out) == 40
    assert len(host.server.rings._held) <= 6


def test_slots_come_back_when_the_last_view_is_gone(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        node = panoramasdk.node()
        for number in range(40):
            one = node.inputs.video_in.get()[0]
            assert one._in_place, "none of them had to be copied"
            part = one.image[2:4]
            del one
    """)
    for number in range(40):
        host.feed.give(MadeUp("a", number))
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err


def test_pictures_are_the_hosts_memory(host: Rig) -> None:
    process = host.start("""
        import sys, panoramasdk
        node = panoramasdk.node()
        image = node.inputs.video_in.get()[0].image
        print(image.flags.owndata, image.flags.c_contiguous, flush=True)
        sys.stdin.read()
        print(image[0, 0].tolist(), flush=True)
    """)
    host.feed.give(MadeUp("a", 1))
    assert process.stdout is not None
    assert process.stdout.readline() == "False True\n"
    ((token, _),) = host.server.rings._held.items()
    found = host.server.rings.find(token)
    assert found is not None
    assert found[1] is not None
    found[1][0, 0] = (5, 6, 7)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert out == "[5, 6, 7]\n", "what is written here is read there, without anything being sent"


def test_a_torn_picture_is_not_given(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        print(int(panoramasdk.node().inputs.video_in.get()[0].image[0, 0, 0]))
    """)
    host.feed.give(MadeUp("a", 1, torn=True))
    host.feed.give(MadeUp("a", 2))
    assert process.communicate(timeout=LIMIT_S)[0] == "2\n"


def test_a_stream_that_changes_its_size(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        node = panoramasdk.node()
        first = node.inputs.video_in.get()[0].image
        second = node.inputs.video_in.get()[0].image
        print(first.shape, second.shape, int(first[0, 0, 0]), int(second[-1, -1, -1]))
    """)
    host.feed.give(MadeUp("a", 1))
    host.feed.give(MadeUp("a", 2, size=(32, 20)))
    assert process.communicate(timeout=LIMIT_S)[0] == "(8, 16, 3) (20, 32, 3) 1 2\n"


def test_time_is_over(host: Rig) -> None:
    said = host.run("""
        import numpy as np, panoramasdk
        node = panoramasdk.node()
        try:
            node.inputs.video_in.get(timeout=0.05)
        except TimeoutError as error:
            print(type(error) is panoramasdk.TimeoutException)
        try:
            node.inputs.video_in.get(np.float32(0.0))
        except panoramasdk.TimeoutException:
            print("at once")
        for wrong in (float("nan"), "soon"):
            try:
                node.inputs.video_in.get(timeout=wrong)
            except ValueError:
                print("refused")
        try:
            node.call({"data": __import__("numpy").zeros((1, 3, 4, 4), "f")}, "slow", 0.05)
        except panoramasdk.TimeoutException:
            print("late")
        print(node.inputs.count.get())
    """)
    assert said.splitlines() == ["True", "at once", "refused", "refused", "late", "3"]


def test_an_endless_time_to_wait_is_none(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        print(panoramasdk.node().inputs.video_in.get(timeout=float("inf"))[0].stream_id)
    """)
    host.feed.give(MadeUp("a", 1))
    assert process.communicate(timeout=LIMIT_S)[0] == "a\n"


def test_calls_given_up_too_early_do_not_end_the_code(host: Rig) -> None:
    process = host.start("""
        import numpy as np, panoramasdk
        node = panoramasdk.node()
        data = np.zeros((1, 3, 4, 4), "f")
        late = 0
        for _ in range(80):
            try:
                node.call(data, "slow", 0.005)
            except panoramasdk.TimeoutException:
                late += 1
        print(late, flush=True)
        print(float(node.call(data, "double")[0].sum()))
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "80\n"
    host.model.go.set()
    assert process.stdout.readline() == "0.0\n"


def test_an_exception_of_a_signal_leaves_no_answer_behind(host: Rig) -> None:
    process = host.start("""
        import signal, numpy as np, panoramasdk
        node = panoramasdk.node()
        class Enough(Exception): pass
        def stop(*_): raise Enough
        signal.signal(signal.SIGALRM, stop)
        data = np.ones((1, 3, 4, 4), np.float32)
        for wait in (lambda: node.inputs.video_in.get(), lambda: node.call(data, "slow")):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                wait()
            except Enough:
                print("enough", flush=True)
        print(node.inputs.count.get(), float(node.call(data, "double")[0].sum()), flush=True)
        print(int(node.inputs.video_in.get()[0].image[0, 0, 0]), flush=True)
    """)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == ["enough\n", "enough\n", "3 96.0\n"]
    host.feed.give(MadeUp("a", 9))
    assert process.stdout.readline() == "9\n", "the one that was waited for before has not taken it"


def test_models_take_both_orders_of_arguments(host: Rig) -> None:
    said = host.run("""
        import numpy as np, panoramasdk
        node = panoramasdk.node()
        data = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
        ways = [
            node.call({"data": data}, "double"), node.call("double", {"data": data}), node.call(data, "double"),
            node.call(input={"data": data}, name="double"), node.call({"data": data}, name="double", time_out=None),
            node.call(data[0], "double"), node.call({"data": data[:, :, ::2]}, "double", 30),
        ]
        for result in ways:
            assert isinstance(result, tuple) and len(result) == 3
            print(result[0].dtype, result[0].shape, float(result[0].ravel()[-1]), result[1].tolist(), result[2].shape)
        assert np.array_equal(ways[0][0], data * 2)
        assert node.call(data, "nothing") is None
        try:
            node.call(data, "trouble")
        except KeyError as error:
            print(error)
        try:
            node.call(np.zeros(3), "double")
        except ValueError as error:
            print(error)
        image = panoramasdk.media(np.ones((4, 4, 3), np.uint8))
        print(node.call(image, "double")[0].dtype)
    """).splitlines()
    assert said[0] == "float32 (1, 3, 4, 4) 94.0 [1, 3, 4, 4] (0, 3, 4, 4)"
    assert said[:5] == [said[0]] * 5
    assert said[5].startswith("float32 (3, 4, 4) 94.0")
    assert said[7:] == ["\"no model node is called 'trouble'\"", "the input data has 1 axes", "uint8"]


def test_a_call_holds_up_no_other_thread(host: Rig) -> None:
    process = host.start("""
        import threading, numpy as np, panoramasdk
        node = panoramasdk.node()
        done = []
        data = np.ones((1, 3, 4, 4), np.float32)
        thread = threading.Thread(target=lambda: done.append(node.call(data, "slow")))
        thread.start()
        print(node.inputs.video_in.get()[0].stream_id, node.call(data, "double")[0].sum(), done, flush=True)
        thread.join()
        print(done[0][0].sum())
    """)
    host.feed.give(MadeUp("a", 1))
    assert process.stdout is not None
    assert process.stdout.readline() == "a 96.0 []\n"
    host.model.go.set()
    assert process.stdout.readline() == "96.0\n"


def test_put_takes_what_applications_give(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        node = panoramasdk.node()
        one = node.inputs.video_in.get()[0]
        node.outputs.video_out.put(one)
        node.outputs.video_out.put((one, one))
        one.image = one.image[::-1] * 0 + 9
        node.outputs.video_out.put([one])
        for wrong in ([], [3]):
            try:
                node.outputs.video_out.put(wrong)
            except ValueError as error:
                print(error)
    """)
    host.sink.pictures_wanted = True
    host.feed.give(MadeUp("a", 1))
    assert len(host.sink.next()[1]) == 1
    assert len(host.sink.next()[1]) == 2
    assert host.sink.next()[2][0].tolist() == np.full((8, 16, 3), 9).tolist()
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert len(out.splitlines()) == 2


def test_nodes_of_one_process_share_their_ports(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        first, second = panoramasdk.node(), panoramasdk.node()
        first._client = first._lock = second._ports = None  # an application's own names
        print(first.inputs.video_in.get()[0].is_cached, second.inputs.video_in.get()[0].is_cached)
        print([one.is_cached for one in first.inputs.video_in.get()])
        print(first.call("double", __import__("numpy").ones((1, 3, 4, 4)))[0].sum())
        try:
            first.inputs.video
        except AttributeError as error:
            print(error)
    """)
    for number, stream in enumerate("aab"):
        host.feed.give(MadeUp(stream, number))
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert out.splitlines()[:3] == ["False False", "[True, False]", "96.0"]
    assert "it has count, name, on, threshold, video_in" in out


def test_a_forked_child_has_connections_and_pictures_of_its_own(host: Rig) -> None:
    process = host.start("""
        import os, threading, numpy as np, panoramasdk
        node = panoramasdk.node()
        mine = node.inputs.video_in.get()
        waiting = threading.Thread(target=node.inputs.video_in.get, daemon=True)
        waiting.start()  # holds locks at the time of the fork
        while not waiting.is_alive():
            pass
        child = os.fork()
        if child == 0:
            del mine  # gives back nothing: it is the parent's
            print("child", node.inputs.count.get(), flush=True)
            (one,) = node.inputs.video_in.get()
            print(int(one.image[0, 0, 0]) in (8, 9), one.is_cached, flush=True)
            print(float(node.call(np.ones((1, 3, 4, 4)), "double")[0].sum()), flush=True)
            os._exit(0)
        print("ended", os.waitpid(child, 0)[1], int(mine[0].image[0, 0, 0]), flush=True)
        os._exit(0)
    """)
    host.feed.give(MadeUp("a", 7))
    assert process.stdout is not None
    assert process.stdout.readline() == "child 3\n"
    for number in (8, 9):  # one for each of the two that wait
        host.feed.give(MadeUp("a", number))
    assert process.stdout.readline() == "True False\n"
    assert process.stdout.readline() == "96.0\n"
    assert process.stdout.readline() == "ended 0 7\n"


def test_a_script_may_start_the_code_again_and_again(host: Rig) -> None:
    code = """
        import os, signal, panoramasdk
        node = panoramasdk.node()
        kept = [node.inputs.video_in.get()[0] for _ in range(8)]
        print([int(one.image[0, 0, 0]) for one in kept], [one.is_cached for one in kept][0], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    for start in range(0, 24, 8):
        for number in range(start, start + 8):
            host.feed.give(MadeUp("a", number))
        process = host.start(code)
        out, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == -signal.SIGKILL
        assert out == f"{list(range(start, start + 8))} False\n"
    process = host.start("import panoramasdk; print(panoramasdk.node().inputs.count.get())")
    assert process.communicate(timeout=LIMIT_S)[0] == "3\n"
    deadline = time.monotonic() + LIMIT_S
    while host.server.rings._held or host.server._connections:
        assert time.monotonic() < deadline, "the memory of processes that are gone is free"


def test_code_that_is_killed_while_it_waits_takes_no_picture_with_it(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        node = panoramasdk.node()
        print("up", flush=True)
        node.inputs.video_in.get()
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.kill()
    process.communicate(timeout=LIMIT_S)
    deadline = time.monotonic() + LIMIT_S
    while host.server._connections:
        assert time.monotonic() < deadline
    host.feed.give(MadeUp("a", 5))
    assert host.run("import panoramasdk; print(panoramasdk.node().inputs.video_in.get()[0].image.max())") == "5\n"


def test_when_the_host_goes_the_code_ends_whatever_it_catches(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        node = panoramasdk.node()
        print("up", flush=True)
        while True:
            try:
                node.inputs.video_in.get()
            except:
                pass
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    host.server.close()
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 69
    assert "host has ended" in err


def test_the_code_can_be_asked_to_end_while_it_waits(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        node = panoramasdk.node()
        print("up", flush=True)
        node.inputs.video_in.get()
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == -signal.SIGTERM


def test_after_the_last_picture_nothing_is_answered(host: Rig) -> None:
    process = host.start("""
        import panoramasdk
        node = panoramasdk.node()
        node.inputs.video_in.get()
    """)
    host.feed.end()
    assert host.server.ended.wait(LIMIT_S)
    assert process.poll() is None


NUMBERS = st.one_of(st.integers(-3, 3), st.floats(), st.floats(-1, 2).map(np.float32), st.floats(-1, 2).map(np.float64))


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=8), st.text(max_size=300))
def test_drawing_is_clamped_and_never_raises(rects: list[tuple[float, ...]], text: str) -> None:
    from vedette.adapters.panorama.messages import read_request

    one = panoramasdk.media(None)
    for rect in rects:
        one.add_rect(*rect)
        one.add_label(text, rect[0], rect[1])
    entry = {"token": 1, "annotations": one._annotations, "image": None}
    question = {"do": "put", "port": "out", "part": 0, "of": 1, "media": entry}
    packet = json.dumps(question, ensure_ascii=False).encode("utf-8", "replace")
    request = read_request(packet)
    found, labels = request.media.drawn()  # type: ignore[union-attr]
    assert len(found) == len(labels) == len(rects)
    for rect, given_rect in zip(found, rects, strict=True):
        for value, original in zip((rect.left, rect.top, rect.right, rect.bottom), given_rect, strict=True):
            expected = 0.0 if math.isnan(original) else min(max(float(original), 0.0), 1.0)
            assert abs(value - expected) < 1e-5


def test_whatever_is_drawn_fits_into_a_packet() -> None:
    from vedette.adapters.panorama.messages import PACKET_BYTES

    for text in ('"\\' * 200, "\U0001f600" * 300, "\x00" * 300):
        one = panoramasdk.media(None)
        for _ in range(2000):
            one.add_rect(1 / 3, 1 / 3, 2 / 3, 2 / 3)
            one.add_label(text, 1 / 3, 1 / 3)
        assert len(json.dumps(one._annotations, ensure_ascii=False).encode()) < PACKET_BYTES - 1000
