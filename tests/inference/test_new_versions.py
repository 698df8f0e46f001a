"""A new version of a model in the store: tried beside the running one, which goes on where the new one is no good."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.inference.test_compiled_model import bring
from tests.inference.test_inference_service import BLACK, RECTANGLE, WHITE, Device, started
from vedette.testing import models

pytestmark = pytest.mark.processes


@pytest.fixture
def device(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY / 'src'}:{REPOSITORY / 'components'}")
    with started(Device(short_tmp / "s")) as device:
        bring(device.layout.models, models.bright_rectangle())
        device.plan(device.model("m", None).model_copy(update={"file": "tiny"}))
        device.until_state("m", "RUNNING")
        yield device


def analysed(device: Device) -> int:
    """Pictures of the model's present session, as it was told last."""
    return int(device.state("m").get("cameras", {}).get("cam", {}).get("analysed", 0))


def test_a_version_that_is_refused_costs_no_picture(device: Device) -> None:
    camera = device.camera()
    device.shoot_until([camera], [RECTANGLE], lambda: len(device.batches()) >= 5)
    bring(device.layout.models, models.bright_rectangle(fault=models.nan_always), version="1.0.1")
    device.shoot_until([camera], [RECTANGLE], lambda: device.state("m")["state"] == "DEGRADED")
    state = device.state("m")
    assert (state["code"], state["restarts"]) == ("V304", 0)
    assert "The version that ran before goes on" in state["error"]
    before = len(device.batches())
    device.shoot_until([camera], [RECTANGLE], lambda: len(device.batches()) >= before + 5)
    gaps = [b.frame.t_s - a.frame.t_s for a, b in itertools.pairwise(device.seen)]
    assert max(gaps) < 1.0
    assert {b.track_ids for b in device.seen} == {(1,)}
    assert all(not b.frame.gap_reason for b in device.seen)
    bring(device.layout.models, models.bright_rectangle(labels=2, size=(96, 96)), version="1.0.2")
    device.until_state("m", "RUNNING")


def test_a_version_that_goes_bad_while_it_runs_gives_way_to_the_one_before(device: Device) -> None:
    camera = device.camera()
    # Told once a second, so that a session that counts from the start again is seen to; LOADING may be too short.
    device.shoot_until([camera], [RECTANGLE], lambda: analysed(device) >= 60)
    bring(device.layout.models, models.bright_rectangle(fault=models.nan_when_bright), version="1.0.1")
    device.shoot_until([camera], [RECTANGLE], lambda: 0 < analysed(device) < 60)
    device.until_state("m", "RUNNING")
    device.shoot_until([camera], [WHITE], lambda: device.state("m")["state"] == "DEGRADED")
    assert device.state("m")["code"] == "V304"
    before = len(device.batches())
    device.shoot_until([camera], [WHITE, BLACK], lambda: len(device.batches()) >= before + 5)
    assert device.state("m")["restarts"] == 0
