"""Panorama code under ``vedette.AppHost``: real processes, real frame stores, a real model, through kills."""

from __future__ import annotations

import os
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.actions.receivers import until
from tests.frames.pattern import picture
from tests.panorama.hosting import SIZE, device
from vedette.adapters.panorama.colour import write_bgr
from vedette.contracts.plan import Plan
from vedette.contracts.tracks import TrackBatch
from vedette.pipeline.drawn import DRAWN_TRACKER

pytestmark = pytest.mark.processes


def mean_of(number: int) -> float:
    """What the model says of the corner of a picture."""
    width, height = SIZE
    target = np.zeros((height, width, 3), np.uint8)
    write_bgr(picture(number, width, height), target)
    return float(target[:8, :8, 0].mean()) / 255


def keeps_numbers(batches: list[TrackBatch]) -> None:
    """The object that is drawn into every picture has one number, and a later one only after a long pause."""
    for before, after in pairwise(batches):
        if after.frame.t_s - before.frame.t_s <= DRAWN_TRACKER.lost_s:
            assert after.track_ids == before.track_ids
        else:
            assert after.track_ids >= before.track_ids


def test_from_pictures_to_the_journal_and_through_kills(short_tmp: Path) -> None:
    with device(short_tmp) as here:
        here.camera()
        here.write()
        here.plan()
        here.host.start()
        until(lambda: len(here.batches()) > 5, "batches", 60)
        batch = here.batches()[3]
        assert (batch.pipeline, batch.frame.camera, batch.labels) == ("shop/video_out", "hall", ("thing",))
        width, height = SIZE
        assert batch.boxes == ((width / 4, height / 4, width * 3 / 4, height * 3 / 4),)
        assert batch.scores == (0.5,)
        for one in here.batches():
            assert float(one.notes[0].text.removeprefix("mean ")) == pytest.approx(
                mean_of(one.frame.frame_no), abs=1e-5
            )
        until(lambda: here.status().get("state") == "RUNNING", "RUNNING")
        status = here.status()
        assert (status["code"], status["error"], status["restarts"]) == ("", "", 0)
        assert set(status["walls"]) >= {"mounts", "network", "processes"}
        until(lambda: here.status()["pictures_per_s"] > 0 and here.status()["call_p50_ms"] > 0, "figures")
        assert "first picture" in here.log()

        # A new value is seen without a restart.
        pid = here.status()["pid"]
        here.plan(2, threshold=0.75)
        until(lambda: here.batches()[-1].scores == (0.75,), "the new value")
        assert (here.status()["pid"], here.status()["restarts"]) == (pid, 0)

        # kill -9 of the program: it comes back, objects keep their numbers.
        (program,) = here.host.pids("/panorama/app.py")
        assert "Seccomp:\t2" in Path(f"/proc/{program}/status").read_text()
        before = len(here.batches())
        os.kill(program, signal.SIGKILL)
        until(lambda: here.status().get("state") == "RESTARTING", "RESTARTING")
        assert (here.status()["code"], "SIGKILL" in here.status()["error"]) == ("V808", True)
        until(lambda: len(here.batches()) > before + 5, "batches again", 60)
        reasons = [one.frame.gap_reason for one in here.batches() if one.frame.gap_reason]
        assert reasons == ["its program ended: it was ended by SIGKILL"]
        until(lambda: here.status().get("state") == "RUNNING", "RUNNING again")
        assert here.status()["restarts"] == 1
        keeps_numbers(here.batches())

        # kill -9 of the host: nothing of the program is left, and a new host goes on.
        (program,) = here.host.pids("/panorama/app.py")
        (host,) = here.host.pids("app_host.panorama")
        before = len(here.batches())
        os.kill(host, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{program}").exists(), "the end of the program")
        until(lambda: len(here.batches()) > before + 5, "batches from a new host", 60)
        keeps_numbers(here.batches())
        numbers = [one.frame.frame_no for one in here.batches()]
        assert len(numbers) == len(set(numbers))

        assert here.host.stop() == 0
        until(lambda: not here.host.pids("/panorama/app.py"), "the end")


def test_code_that_ends_says_why_and_code_that_was_changed_is_refused(short_tmp: Path) -> None:
    with device(short_tmp) as here:
        here.camera()
        here.write("import panoramasdk\nraise RuntimeError('no such label file')\n", models={})
        here.plan()
        here.host.start()
        until(lambda: here.status().get("state") == "RESTARTING", "RESTARTING", 60)
        assert here.status()["code"] == "V808"
        assert "exit code 1" in here.status()["error"]
        assert "RuntimeError: no such label file" in here.status()["error"]

        here.write("raise SystemExit(3)\n", models={})
        until(lambda: here.status().get("state") == "FAILED", "FAILED", 60)
        assert here.status()["code"] == "V801"
        assert "code/app.py is not as attached" in here.status()["error"]

        taking = "import panoramasdk\nnode = panoramasdk.node()\nwhile True:\n    node.inputs.video_in.get()\n"
        here.write(taking, models={})
        here.plan(2)
        until(lambda: here.status().get("state") == "RUNNING", "RUNNING", 60)
        assert here.status()["error"] == ""


def test_a_model_that_is_not_as_declared_is_said_and_the_code_not_started(short_tmp: Path) -> None:
    with device(short_tmp) as here:
        here.write()
        document = here.manifest.model_dump(exclude_unset=True, mode="json")
        document["models"]["net"]["tensors"][0]["shape"] = [1, 3, 9, 9]
        here.manifest = type(here.manifest).model_validate(document)
        here.plan()
        here.host.start()
        until(lambda: here.status().get("state") == "FAILED", "FAILED", 60)
        assert here.status()["code"] == "V303"
        assert "declares the input data [1, 3, 9, 9]; it has data tensor(float) [1, 3, 8, 8]" in here.status()["error"]
        assert not here.host.pids("/panorama/app.py")


def test_an_application_that_goes_ends_and_costs_nothing(short_tmp: Path) -> None:
    with device(short_tmp) as here:
        here.camera()
        here.write()
        here.plan()
        here.host.start()
        until(lambda: here.status().get("state") == "RUNNING", "RUNNING", 60)
        here.put_plan(Plan(revision=9))
        until(lambda: not here.host.pids("app_host.panorama") and not here.host.pids("/panorama/app.py"), "the end")
        until(lambda: here.status() == {}, "the status forgets it")


def test_code_that_fills_its_folders_is_ended(short_tmp: Path) -> None:
    filling = """
        import os
        import time
        import panoramasdk
        panoramasdk.node()
        number = 0
        while True:
            number += 1
            time.sleep(0.01)  # a disk of 20 MB/s, so that the bound below is of time, not of the machine's disk
            try:
                with open(f"/opt/aws/panorama/storage/{number}", "wb") as file:
                    file.write(bytes(200_000))
            except OSError as error:
                print("refused", error.errno, flush=True)
                os._exit(3)
    """
    with device(short_tmp) as here:
        here.write(filling, models={}, disk_mb=2)
        here.plan()
        here.host.start()
        until(lambda: here.status().get("code") == "V809", "V809", 60)
        assert here.status()["state"] == "FAILED"
        assert "hold more than 2 MB" in here.status()["error"]
        kept = sum(file.stat().st_size for file in (here.state / "panorama/shop/storage").iterdir())
        assert kept < 200 << 20


def test_code_with_several_ports_models_and_no_output(short_tmp: Path) -> None:
    printing = """
        import numpy as np
        import panoramasdk
        node = panoramasdk.node()
        picture = node.inputs.first.get()[0]
        other = node.inputs.second.get()[0]
        small = np.zeros((3, 8, 8), np.float32)
        for model in ("a", "b"):
            print(model, len(node.call({"data": small}, model)), flush=True)
        node.outputs.nowhere.put([picture]) if hasattr(node.outputs, "nowhere") else None
        print("shapes", picture.image.shape, other.image.shape, picture.stream_id, flush=True)
        while True:
            node.inputs.first.get()
    """
    with device(short_tmp) as here:
        here.camera()
        here.write(
            printing, inputs={"first": ["hall"], "second": ["hall"]}, outputs=[], models={"a": "net", "b": "net"}
        )
        here.plan()
        here.host.start()
        until(lambda: "shapes (48, 64, 3) (48, 64, 3) hall" in here.log(), "what it prints", 60)
        assert "a 2" in here.log()
        assert "b 2" in here.log()
        until(lambda: here.status().get("state") == "RUNNING", "RUNNING")
        assert here.batches() == []
        console = (here.state / "panorama/shop/logs/console_output").read_text()
        assert "shapes (48, 64, 3)" in console
