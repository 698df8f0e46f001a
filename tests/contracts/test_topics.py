"""No two of a device share a local topic, whatever they are called."""

from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from vedette.contracts import topics
from vedette.contracts.camera import CameraConfig
from vedette.contracts.device_document import DeviceDocument
from vedette.contracts.manifest import Manifest

#: Every word that stands in a local topic, and one that does not.
NAMES = ("hooks", "inference", "tracks", "status", "alerts", "alerting", "vedette", "hall")


def taken_as_camera(name: str) -> bool:
    try:
        CameraConfig(name=name, url="rtsp://10.0.0.7/")
    except ValidationError:
        return False
    return True


def shared(cameras: list[str]) -> set[str]:
    made = [make(name) for make in (topics.local_inference, topics.local_hooks) for name in NAMES]
    made += [make(name) for make in (topics.local_status, topics.local_tracks) for name in cameras]
    made += [topics.local_alerting(), topics.local_alerts()]
    return {topic for topic, times in Counter(made).items() if times > 1}


def test_cameras_models_and_applications_share_no_topic() -> None:
    assert shared([name for name in NAMES if taken_as_camera(name)]) == set()
    assert shared(list(NAMES)) == {
        "vedette/hooks/status",
        "vedette/hooks/tracks",
        "vedette/inference/status",
        "vedette/inference/tracks",
    }


@pytest.mark.parametrize("name", sorted(topics.NOT_CAMERAS))
def test_a_camera_of_such_a_name_is_refused_wherever_it_is_named(name: str) -> None:
    application = {"api": "vedette/v1", "name": "a", "models": {"m": {"family": "yolox", "file": "m"}}}
    pipelines = {"p": {"model": "m", "cameras": [name]}}
    with pytest.raises(ValidationError, match=f"call the camera {name}-1"):
        Manifest.model_validate({**application, "cameras": {name: {}}, "pipelines": pipelines})
    with pytest.raises(ValidationError, match=f"call the camera {name}-1"):
        DeviceDocument.model_validate({"cameras": {name: {"url": "rtsp://10.0.0.7/"}}})
