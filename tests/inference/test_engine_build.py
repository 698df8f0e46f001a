"""TensorRT's engine is built beside the running model: real processes, a stand-in for the provider."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.inference.test_inference_service import RECTANGLE, Device, started, wait
from vedette.testing import models

pytestmark = pytest.mark.processes

STAND_IN = REPOSITORY / "tests/engines/stand_in_runtime"


@pytest.fixture
def order(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the building waits for, and that says how it ends."""
    monkeypatch.setenv("PYTHONPATH", f"{STAND_IN}:{REPOSITORY / 'src'}:{REPOSITORY / 'components'}")
    monkeypatch.setenv("VEDETTE_TEST_BUILD", str(short_tmp / "order"))
    return short_tmp / "order"


@pytest.fixture
def device(short_tmp: Path, order: Path) -> Iterator[Device]:
    with started(Device(short_tmp / "s")) as device:
        yield device


def start(device: Device) -> None:
    camera = device.camera()
    device.plan(device.model("m", models.bright_rectangle(), require="tensorrt", precision="float16"))
    state = device.until_state("m", "BUILDING")
    assert (state["code"], state["error"]) == (
        "V306",
        "m.onnx requires tensorrt; CPU runs it, while TensorRT builds its engine, which may take minutes.",
    )
    device.shoot_until([camera], [RECTANGLE], lambda: len(device.batches()) >= 5)
    assert device.seen[0].labels == ("thing",), "pictures are analysed meanwhile"


def tell(order: Path, word: str) -> None:
    order.with_suffix(".new").write_text(word)
    order.with_suffix(".new").rename(order)


def replace_process(device: Device) -> None:
    os.kill(device.service.pids()["m"], signal.SIGKILL)
    wait(lambda: device.state("m")["restarts"] == 1)


def engines(device: Device) -> list[Path]:
    return sorted(device.layout.engines.glob("*/*.engine"))


def test_pictures_are_analysed_while_it_is_built_and_the_engine_is_used_from_then_on(
    device: Device, order: Path
) -> None:
    start(device)
    tell(order, "go")
    assert device.until_state("m", "RUNNING")["error"] == ""
    assert len(engines(device)) == 1
    assert device.state("m")["restarts"] == 0, "the same process goes on"
    order.unlink()
    replace_process(device)
    device.until_state("m", "RUNNING")
    said = [message["state"] for topic, message in device.bus.history if topic.endswith("/m")]
    assert "BUILDING" not in said[said.index("RUNNING") :], "built once"


@pytest.mark.parametrize(
    ("word", "reason"),
    [("crash", r"the process that builds the engine ended \(SIGSEGV\)"), ("refuse", "no memory for any tactic")],
)
def test_a_build_that_fails_is_told_and_pictures_go_on(device: Device, order: Path, word: str, reason: str) -> None:
    start(device)
    tell(order, word)
    state = device.until_state("m", "DEGRADED")
    assert state["code"] == "V306"
    assert re.search(reason, state["error"]), state["error"]
    assert engines(device) == []
    assert device.state("m")["restarts"] == 0


def test_an_engine_that_does_not_load_is_built_once_more(device: Device, order: Path) -> None:
    start(device)
    tell(order, "go")
    device.until_state("m", "RUNNING")
    for engine in engines(device):
        engine.write_bytes(b"strang")
    order.unlink()
    replace_process(device)
    device.until_state("m", "BUILDING")
    tell(order, "go")
    device.until_state("m", "RUNNING")
    assert [engine.read_bytes() for engine in engines(device)] == [b"engine"]
