"""What the code of a Panorama application gets on a device, by the plan."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.state.test_plan import cam
from vedette.contracts.camera import CameraConfig
from vedette.contracts.manifest import Manifest, PortType
from vedette.contracts.plan import AttachedApplication, Plan
from vedette.core.parameters import with_parameters
from vedette.core.plan import make_plan
from vedette.core.port_values import port_value

TENSORS = {"family": "tensors", "file": "m.onnx", "tensors": [{"name": "data", "shape": [1, 3, 8, 8]}]}


def app(
    bindings: dict[str, tuple[str, ...]] | None = None,
    code: dict[str, str] | None = None,
    panorama: dict[str, Any] | None = None,
    **changes: Any,
) -> AttachedApplication:
    document: dict[str, Any] = {
        "api": "vedette/v1",
        "name": "shop",
        "cameras": {"hall": {}, "yard": {}},
        "models": {"net": TENSORS},
        "parameters": {"threshold": {"default": 0.5}},
        "panorama": {
            "entry": ["python3", "/panorama/app.py"],
            "inputs": {"video_in": ["hall", "yard"]},
            "parameters": {
                "threshold": {"type": "float32", "parameter": "threshold"},
                "batch": {"type": "int32", "value": 3},
            },
            "outputs": ["video_out"],
            "models": {"net_node": "net"},
            "fps": 10,
            **(panorama or {}),
        },
        "rules": {"seen": {"type": "zone_entered", "zone": [[0, 0], [1, 0], [1, 1], [0, 1]]}},
        **changes,
    }
    return AttachedApplication(
        manifest=Manifest.model_validate(document), directory="/a", bindings=bindings or {}, code=code or {}
    )


def plan(application: AttachedApplication, *cameras: CameraConfig) -> Plan:
    return make_plan([application], cameras or [cam("hall"), cam("yard")])


def test_it_gets_cameras_values_models_and_code() -> None:
    found = plan(app(code={"code/app.py": "a" * 64, "hooks.py": "b" * 64}))
    (code,) = found.panorama
    assert found.problems == ()
    assert [entry.camera for entry in code.inputs["video_in"]] == ["hall", "yard"]
    assert code.values == {"threshold": 0.5, "batch": 3}
    assert code.models["net_node"][0] == "m.onnx"
    assert list(code.code) == ["code/app.py"]
    assert [(s.camera, s.fps, s.stream) for s in found.streams] == [("hall", 10, "main"), ("yard", 10, "main")]
    assert found.models == ()


def test_a_model_beside_the_manifest_is_named_by_its_path() -> None:
    found = plan(app(models={"net": {**TENSORS, "file": "models/m.onnx"}}))
    assert found.panorama[0].models["net_node"] == (
        "/a/models/m.onnx",
        app().manifest.models["net"].model_copy(update={"file": "/a/models/m.onnx"}),
    )


def test_several_cameras_on_one_input_keep_the_order_in_which_they_are_bound() -> None:
    found = plan(app({"hall": ("c", "a", "b"), "yard": ("d",)}), *(cam(name) for name in "abcd"))
    assert [(entry.app_camera, entry.camera) for entry in found.panorama[0].inputs["video_in"]] == [
        ("hall", "c"),
        ("hall", "a"),
        ("hall", "b"),
        ("yard", "d"),
    ]


def test_a_camera_that_two_names_are_bound_to_is_given_once_and_said() -> None:
    found = plan(app({"hall": ("a",), "yard": ("a",)}), cam("a"))
    assert [entry.camera for entry in found.panorama[0].inputs["video_in"]] == ["a"]
    assert any("port 'video_in' gets its pictures once" in text for text in found.problems)


def test_without_any_camera_it_is_said() -> None:
    found = plan(app(), cam("gate"))
    assert found.panorama[0].inputs == {"video_in": ()}
    assert "application 'shop': its Panorama code has no camera whose pictures it could get" in found.problems
    assert found.rules == ()


def test_a_camera_gives_no_more_pictures_than_it_may() -> None:
    found = plan(app(), cam("hall", max_fps=4), cam("yard"))
    assert [(s.camera, s.fps) for s in found.streams] == [("hall", 4), ("yard", 10)]


def test_rules_insights_and_hooks_listen_to_an_output() -> None:
    found = plan(
        app(
            insights={"flow": {"type": "occupancy", "zone": [[0, 0], [1, 0], [1, 1], [0, 1]]}},
            hooks={"own": {"file": "hooks.py"}},
        )
    )
    assert {(rule.pipeline, rule.camera) for rule in found.rules} == {
        ("shop/video_out", "hall"),
        ("shop/video_out", "yard"),
    }
    assert {(one.pipeline, one.camera) for one in found.insights} == {
        ("shop/video_out", "hall"),
        ("shop/video_out", "yard"),
    }
    assert [(route.pipeline, route.camera) for route in found.hooks[0].routes] == [
        ("shop/video_out", "hall"),
        ("shop/video_out", "yard"),
    ]
    assert {rule.fps for rule in found.rules} == {1.0}, "code that takes a picture a second leaves no gaps"


def test_a_camera_that_is_switched_off_stays_an_input_so_that_nothing_is_started_anew() -> None:
    on = plan(app(), cam("hall"), cam("yard"))
    paused = plan(app(), cam("hall"), cam("yard", enabled=False))
    assert paused.panorama == on.panorama
    assert [stream.camera for stream in paused.streams] == ["hall"]
    assert {rule.camera for rule in paused.rules} == {"hall"}
    assert any("'yard', which is switched off" in text for text in paused.problems)


def test_a_new_value_changes_nothing_else() -> None:
    before = app()
    after = before.model_copy(update={"manifest": with_parameters(before.manifest, {"threshold": 0.25})})
    first, second = plan(before).panorama[0], plan(after).panorama[0]
    assert second.values == {"threshold": 0.25, "batch": 3}
    assert second.model_copy(update={"values": first.values}) == first


def test_a_candidate_gets_no_second_code_and_that_is_said() -> None:
    new = app(version="0.2.0")
    found = make_plan([app()], [cam("hall"), cam("yard")], candidates=[new])
    assert len(found.panorama) == 1
    assert found.problems == ("candidate of shop: Panorama code is not compared; it runs once",)


@pytest.mark.parametrize(
    ("kind", "given_value", "expected"),
    [
        ("float32", 0.45, 0.44999998807907104),
        ("float32", 3, 3.0),
        ("int32", 7, 7),
        ("boolean", True, True),
        ("string", "a", "a"),
    ],
)
def test_values_are_of_the_type_of_the_port(kind: str, given_value: Any, expected: Any) -> None:
    value = port_value(PortType(kind), given_value)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("float32", value) for value in (True, "0.5", ("a",), 1e39)),
        *(("int32", value) for value in (True, 1.0, 2**31, "1")),
        *(("boolean", value) for value in (1, "true")),
        *(("string", value) for value in (1, ("a",))),
    ],
)
def test_other_values_are_refused(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"number|text|true"):
        port_value(PortType(kind), value)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_what_32_bits_hold_is_given_as_it_is(value: float) -> None:
    assert port_value(PortType.FLOAT32, value) == value == struct.unpack("<f", struct.pack("<f", value))[0]


@given(
    hall=st.lists(st.sampled_from("abc"), max_size=3, unique=True),
    yard=st.lists(st.sampled_from("abc"), max_size=3, unique=True),
    there=st.sets(st.sampled_from("abc")),
    fps=st.floats(0.5, 60),
    limit=st.none() | st.floats(0.5, 60),
)
def test_whatever_is_bound_every_camera_has_a_stream_and_comes_once(
    hall: list[str], yard: list[str], there: set[str], fps: float, limit: float | None
) -> None:
    cameras = [cam(name, max_fps=limit) for name in sorted(there)]
    found = make_plan([app({"hall": tuple(hall), "yard": tuple(yard)}, panorama={"fps": fps})], cameras)
    given_names = [entry.camera for entry in found.panorama[0].inputs["video_in"]]
    assert given_names == list(dict.fromkeys(name for name in [*hall, *yard] if name in there))
    assert sorted(given_names) == [stream.camera for stream in found.streams]
    assert all(stream.fps <= min(fps, limit or fps) for stream in found.streams)
    assert {rule.camera for rule in found.rules} == set(given_names)
