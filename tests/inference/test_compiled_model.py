"""A model that the fleet brought as a component and Neo compiled, from the model store to the journal."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.engines.test_dlr import STAND_IN, compiled
from tests.inference.test_inference_service import RECTANGLE, Device, started, wait
from vedette.adapters.models.store import ModelStore
from vedette.contracts.errors import ModelError, StorageError
from vedette.contracts.manifest import ModelFamily

pytestmark = pytest.mark.processes


def bring(store: Path, data: bytes, name: str = "tiny", version: str = "1.0.0") -> None:
    """What the installer of a model component does."""
    sha256 = hashlib.sha256(data).hexdigest()
    place = store / "components" / name / sha256
    place.mkdir(parents=True)
    (place / "compiled.tar.gz").write_bytes(data)
    entry = {"name": name, "version": version, "file": "compiled.tar.gz", "sha256": sha256, "size": len(data)}
    (place.parent / "entry.json").write_text(json.dumps({**entry, "licence": "MIT"}))
    os.utime(store)


@pytest.fixture
def device(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY / 'src'}:{REPOSITORY / 'components'}")
    script = short_tmp / "python-with-dlr"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={STAND_IN} exec {sys.executable} "$@"\n')
    script.chmod(0o755)
    device = Device(short_tmp / "s")
    device.bus.values["dlrPython"] = str(script)
    with started(device):
        yield device


def test_a_compiled_model_is_found_by_its_name_and_finds_objects(device: Device) -> None:
    camera = device.camera()
    bring(device.layout.models, compiled())
    model = device.model("neo", None).model_copy(update={"file": "tiny"})
    device.plan(model)
    assert device.until_state("neo", "RUNNING")["code"] == ""
    device.shoot_until([camera], [RECTANGLE], lambda: len(device.batches()) >= 5)
    assert device.seen[0].labels == ("thing",)


def test_a_compiled_model_that_fails_is_reported_and_taken_when_another_comes(device: Device) -> None:
    bring(device.layout.models, compiled(behaviour="no load"))
    device.plan(device.model("neo", None).model_copy(update={"file": "tiny"}))
    state = device.until_state("neo", "FAILED")
    assert state["code"] == "V302"
    assert "cannot deserialize the engine" in state["error"]
    bring(device.layout.models, compiled(), version="1.0.1")
    wait(lambda: device.state("neo").get("state") == "RUNNING", 20, lambda: str(device.state("neo")))


def test_a_new_version_is_loaded_while_the_old_one_runs(device: Device) -> None:
    camera = device.camera()
    bring(device.layout.models, compiled())
    device.plan(device.model("neo", None).model_copy(update={"file": "tiny"}))
    device.until_state("neo", "RUNNING")
    bring(device.layout.models, compiled(ModelFamily.DETR), name="other")
    device.shoot_until([camera], [RECTANGLE], lambda: len(device.batches()) >= 5)
    states = [message["state"] for topic, message in device.bus.history if topic.endswith("/neo")]
    assert states.count("LOADING") == states.index("RUNNING") - states.index("LOADING"), "another model changes nothing"
    bring(device.layout.models, compiled(behaviour="no load"), version="1.0.1")
    state = device.until_state("neo", "DEGRADED")
    assert state["code"] == "V302"
    assert "cannot deserialize the engine" in state["error"]
    assert "goes on" in state["error"]


def test_what_a_component_brought_is_verified_and_listed(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    data = compiled()
    bring(tmp_path, data)
    assert store.read("tiny") == data
    (entry,) = store.entries()
    assert (entry.source, entry.licence) == ("component, version 1.0.0", "MIT")
    (tmp_path / entry.blob).write_bytes(b"other")
    with pytest.raises(ModelError) as caught:
        store.read("tiny")
    assert caught.value.code == "V305"
    (tmp_path / "components" / "tiny" / "entry.json").write_text("{}")
    with pytest.raises(StorageError, match="Deploy the component again"):
        store.find("tiny")
    assert store.find("../tiny") is None
