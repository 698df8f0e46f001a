"""Made-up applications and cameras for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from vedette.contracts.camera import CameraConfig
from vedette.contracts.manifest import Manifest
from vedette.contracts.plan import AttachedApplication

NAMES = ("hall", "gate", "dock", "yard")


@st.composite
def manifests(draw: st.DrawFn, name: str) -> Manifest:
    """A small valid manifest."""
    cameras = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    models = {
        key: {"family": "yolox", "file": draw(st.sampled_from(["nano", "tiny", "sub/own.onnx"]))}
        for key in draw(st.lists(st.sampled_from(["m1", "m2"]), min_size=1, unique=True))
    }
    pipelines = {
        key: {
            "model": draw(st.sampled_from(sorted(models))),
            "cameras": draw(st.lists(st.sampled_from(cameras), min_size=1, max_size=3)),
            "fps": draw(st.sampled_from([1.0, 5.0, 12.5])),
            "stream": draw(st.sampled_from(["sub", "main"])),
        }
        for key in draw(st.lists(st.sampled_from(["p1", "p2"]), min_size=1, unique=True))
    }
    rules = {
        key: {
            "type": "nothing_seen",
            "for_s": 3,
            "pipeline": draw(st.sampled_from(sorted(pipelines))),
            "cameras": draw(st.none() | st.lists(st.sampled_from(cameras), max_size=2)),
        }
        for key in draw(st.lists(st.sampled_from(["r1", "r2", "r3"]), unique=True))
    }
    return Manifest.model_validate(
        {
            "api": "vedette/v1",
            "name": name,
            "cameras": {camera: {} for camera in cameras},
            "models": models,
            "pipelines": pipelines,
            "rules": rules,
        }
    )


@st.composite
def applications(draw: st.DrawFn) -> list[AttachedApplication]:
    """Several applications, some with bindings, some to cameras that no device has."""
    names = draw(st.lists(st.sampled_from(["alpha", "beta", "gamma"]), unique=True))
    return [
        AttachedApplication(
            manifest=draw(manifests(name)),
            directory=f"/apps/{name}",
            bindings=draw(
                st.dictionaries(
                    st.sampled_from((*NAMES, "nowhere")), st.lists(st.sampled_from((*NAMES, "cam-9")), max_size=3)
                )
            ),
        )
        for name in names
    ]


@st.composite
def devices(draw: st.DrawFn) -> list[CameraConfig]:
    """Cameras of a device."""
    return [
        CameraConfig(
            name=name,
            url="rtsp://user:hunter2@10.0.0.1/x",
            enabled=draw(st.booleans()),
            max_fps=draw(st.none() | st.sampled_from([2.0, 10.0])),
        )
        for name in draw(st.lists(st.sampled_from(NAMES), unique=True))
    ]
