"""What a device makes of its document, entry by entry, whatever the document is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.contracts.camera import CameraConfig
from vedette.contracts.device_document import (
    MAX_DESIRED_BYTES,
    MAX_REPORTED_BYTES,
    DeviceDocument,
    DeviceMemory,
    DeviceReport,
    DiagnosticsReport,
    Refusal,
)
from vedette.contracts.errors import CloudError
from vedette.contracts.manifest import Manifest
from vedette.contracts.plan import AttachedApplication
from vedette.core.device_document import Surroundings, cameras_in_force, decide, fitted, reported
from vedette.core.shadow import check_room, compact, delta_bytes, difference, merge_patch, merged

MANIFEST = Manifest.model_validate(
    {
        "api": "vedette/v1",
        "name": "shop",
        "cameras": {"hall": {}},
        "models": {"m": {"family": "yolox", "file": "m.onnx", "labels": "coco"}},
        "pipelines": {"people": {"model": "m", "cameras": ["hall"]}},
        "rules": {
            "lingers": {"type": "dwell", "zone": [[0, 0], [1, 0], [1, 1]], "for_s": 30},
        },
        "parameters": {"patience_s": {"sets": ["rules.lingers.for_s"], "min": 1, "max": 600}, "extra": {"default": 3}},
    }
)
SHOP = AttachedApplication(manifest=MANIFEST, directory="/x")
HERE = Surroundings(
    cameras=(CameraConfig(name="gate", url="rtsp://10.0.0.5/"),),
    networks=("10.0.0.0/8",),
    applications={"shop": SHOP},
)
NOTHING = DeviceDocument()
HALL = {"url": "rtsp://10.0.0.7/s1", "secret": "vedette/camera/SN-1/hall"}


def reasons(desired: dict[str, Any], good: DeviceDocument = NOTHING) -> dict[str, str]:
    return {one.entry: one.reason for one in decide(desired, good, HERE).refused}


def test_everything_that_is_right_is_in_force() -> None:
    desired = {
        "revision": 7,
        "cameras": {"hall": HALL},
        "paused": {"gate": "anna"},
        "parameters": {"shop": {"patience_s": 12, "extra": 4}},
        "log_level": {"*": "DEBUG", "vedette.Alerting": "ERROR"},
        "diagnostics": {"id": "d-1", "asked_at": "2026-11-27T10:00:00Z"},
    }
    made = decide(desired, NOTHING, HERE)
    assert made.refused == ()
    # What is in force is what is kept on the disk, and comes back from there as it was.
    kept = DeviceMemory(version=9, good=made.document, raw=desired)
    assert DeviceMemory.model_validate_json(kept.model_dump_json()) == kept
    assert made.document.model_dump(mode="json") == desired
    cameras = {camera.name: camera for camera in cameras_in_force(HERE.cameras, made.document)}
    assert cameras["hall"].secret == "vedette/camera/SN-1/hall"
    assert not cameras["gate"].enabled


def test_the_document_wins_over_the_deployment() -> None:
    made = decide({"cameras": {"gate": {"url": "rtsp://10.9.9.9/new"}}}, NOTHING, HERE)
    assert [(one.name, one.url) for one in cameras_in_force(HERE.cameras, made.document)] == [
        ("gate", "rtsp://10.9.9.9/new")
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"url": "rtsp://u:canary@10.0.0.7/"}, "user name or password"),
        ({"url": "rtsp://10.0.0.7/?user=a&password=canary"}, "user name or password"),
        ({"url": "rtsp://10.0.0.7/", "sub_url": "rtsp://u:canary@10.0.0.7/"}, "sub_url"),
        ({"url": "rtsp://192.168.1.7/"}, "outside the allowed networks"),
        ({"url": "rtsp://169.254.169.254/"}, "link-local"),
        ({"url": "http://10.0.0.7/"}, "scheme"),
        ({"url": "rtsp://10.0.0.7/", "secret": "other/secret"}, "vedette/camera/"),
        ({"url": "rtsp://10.0.0.7/", "colour": "red"}, "colour"),
        ({"url": "rtsp://10.0.0.7/", "max_fps": -1}, "max_fps"),
        ({"url": "rtsp://10.0.0.7/", "name": "other"}, "name"),
        ({}, "url"),
        ("canary", "a text"),
        (None, "null"),
    ],
)
def test_a_camera_that_cannot_be_used_costs_only_itself(entry: Any, said: str) -> None:
    good = DeviceDocument.model_validate({"cameras": {"hall": HALL}})
    made = decide({"cameras": {"hall": entry, "yard": {"url": "rtsp://10.0.0.8/"}}}, good, HERE)
    assert [one.entry for one in made.refused] == ["cameras/hall"]
    assert said in made.refused[0].reason
    assert "canary" not in made.refused[0].reason
    assert set(made.document.cameras) == {"hall", "yard"}
    assert made.document.cameras["hall"] == good.cameras["hall"], "the last good value stays in force"
    assert set(decide({"cameras": {"hall": entry}}, NOTHING, HERE).document.cameras) == set()


@pytest.mark.parametrize("name", ["a/b", "", "-a", "x" * 65, "../etc"])
def test_names_are_names(name: str) -> None:
    assert set(reasons({"cameras": {name: HALL}})) == {f"cameras/{name}"}


def test_parameters_are_judged_one_by_one() -> None:
    good = DeviceDocument(parameters={"shop": {"patience_s": 50}})
    made = decide(
        {"parameters": {"shop": {"patience_s": 5000, "extra": 9, "colour": 1}, "other": {"a": 1}}}, good, HERE
    )
    assert made.document.parameters == {"shop": {"patience_s": 50, "extra": 9}}
    said = {one.entry: one.reason for one in made.refused}
    assert set(said) == {"parameters/shop/patience_s", "parameters/shop/colour", "parameters/other"}
    assert "600" in said["parameters/shop/patience_s"]
    assert "wait until it is" in said["parameters/other"]


def test_what_a_newer_release_says_is_refused_by_itself() -> None:
    said = reasons(
        {"firmware": {"x": 1}, "cameras": {"hall": {**HALL, "hdr": True}, "yard": {"url": "rtsp://10.0.0.8/"}}}
    )
    assert set(said) == {"firmware", "cameras/hall"}


def test_a_camera_that_is_not_there_is_not_paused() -> None:
    assert "gate" in reasons({"paused": {"gat": "anna"}})["paused/gat"]
    assert reasons({"paused": {"gate": "anna"}}) == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
SECTION = st.sampled_from(["cameras", "paused", "parameters", "log_level", "diagnostics", "revision", "other"])


@given(st.dictionaries(SECTION, JSON))
def test_nothing_that_comes_breaks_it(desired: dict[str, Any]) -> None:
    good = DeviceDocument.model_validate({"cameras": {"hall": HALL}, "log_level": {"*": "DEBUG"}})
    made = decide(desired, good, HERE)
    for name in ("cameras", "log_level"):
        if name in desired and not isinstance(desired[name], dict) and desired[name] is not None:
            assert getattr(made.document, name) == getattr(good, name)
    assert DeviceDocument.model_validate(made.document.model_dump(mode="json")) == made.document
    assert decide(made.document.model_dump(mode="json"), good, HERE).document == made.document


def test_a_report_always_fits() -> None:
    refused = tuple(Refusal(entry=f"cameras/{n}", reason="x" * 160) for n in range(40))
    report = DeviceReport(
        version=3,
        refused=refused,
        paused=tuple(f"camera-{n}" for n in range(20)),
        diagnostics=DiagnosticsReport(id="a" * 64, state="KEPT", where="/" + "w" * 299, reason="r" * 160),
    )
    short = fitted(report)
    assert len(compact(reported(short))) <= MAX_REPORTED_BYTES
    assert len(short.refused) + short.refused_more == 40
    assert fitted(report.model_copy(update={"refused": ()})).paused == report.paused


def test_room_is_told_before_it_is_gone() -> None:
    cameras = {
        f"camera-{n}": {"url": f"rtsp://10.0.0.{n}/stream1", "secret": f"vedette/camera/SN-1/camera-{n}"}
        for n in range(80)
    }
    left = check_room({"cameras": dict(list(cameras.items())[:20])})
    assert 0 < left < MAX_DESIRED_BYTES
    with pytest.raises(CloudError, match="allowed") as refused:
        check_room({"cameras": {**cameras, "more": {"url": "rtsp://10.0.0.1/" + "x" * 600}}})
    assert refused.value.code == "V013"
    assert "cameras" in refused.value.hint
    assert delta_bytes({"cameras": cameras}) > len(json.dumps(cameras))


LEAF = st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
TREE = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAF, min_size=1, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), LEAF | inner, min_size=1, max_size=3),
    max_leaves=6,
)


@given(TREE, TREE)
def test_a_patch_makes_the_one_of_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert merged(before, merge_patch(before, after)) == after
    assert merge_patch(after, after) == {}


@given(TREE, TREE)
def test_a_delta_brings_the_reported_to_the_desired(desired: dict[str, Any], told: dict[str, Any]) -> None:
    assert difference(desired, merged(told, difference(desired, told))) == {}
    assert difference(desired, {"device": told}) == desired, "what reported never mirrors is told whole"
