from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.state.strategies import applications, devices
from vedette.contracts.camera import CameraConfig
from vedette.contracts.manifest import Manifest
from vedette.contracts.plan import AttachedApplication
from vedette.core.plan import make_plan, model_key, same_session


def app(name: str = "shop", bindings: dict[str, tuple[str, ...]] | None = None, **changes: Any) -> AttachedApplication:
    document: dict[str, Any] = {
        "api": "vedette/v1",
        "name": name,
        "cameras": {"hall": {}},
        "models": {"people": {"family": "yolox", "file": "yolox_nano"}},
        "pipelines": {"main": {"model": "people", "cameras": ["hall"]}},
        "rules": {"empty": {"type": "nothing_seen", "for_s": 5}},
    }
    document.update(changes)
    return AttachedApplication(manifest=Manifest.model_validate(document), directory="/a", bindings=bindings or {})


def cam(name: str = "hall", **changes: Any) -> CameraConfig:
    return CameraConfig(name=name, url="rtsp://10.0.0.7/live", **changes)


def test_one_application_one_camera() -> None:
    plan = make_plan([app()], [cam()], 7)
    assert plan.revision == 7
    assert plan.problems == ()
    assert [(s.camera, s.fps, s.stream) for s in plan.streams] == [("hall", 5.0, "sub")]
    assert [p.key for p in plan.models[0].pipelines] == ["shop/main"]
    assert plan.models[0].file == "yolox_nano"
    assert [(r.name, r.pipeline, r.camera, r.actions) for r in plan.rules] == [
        ("empty", "shop/main", "hall", ("shop/file",))
    ]
    assert set(plan.actions) == {"shop/file"}


def test_a_camera_is_decoded_once_at_the_highest_rate_asked() -> None:
    slow = app("slow", pipelines={"main": {"model": "people", "cameras": ["hall"], "fps": 2}})
    fast = app("fast", pipelines={"main": {"model": "people", "cameras": ["hall"], "fps": 12, "stream": "main"}})
    plan = make_plan([slow, fast], [cam()])
    assert [(s.camera, s.fps, s.stream) for s in plan.streams] == [("hall", 12.0, "main")]
    capped = make_plan([slow, fast], [cam(max_fps=4)])
    assert [s.fps for s in capped.streams] == [4.0]
    assert sorted(p.fps for p in capped.models[0].pipelines) == [2.0, 4.0]


def test_the_same_file_and_settings_share_a_session() -> None:
    other = {"people": {"family": "yolox", "file": "yolox_nano", "min_confidence": 0.6}}
    shared = make_plan([app("a"), app("b")], [cam()])
    assert len(shared.models) == 1
    assert [p.application for p in shared.models[0].pipelines] == ["a", "b"]
    assert len(make_plan([app("a"), app("b", models=other)], [cam()]).models) == 2


def test_applications_that_each_bring_the_same_model_share_a_session() -> None:
    digest = "a" * 64

    def bringing(name: str, file: str, **settings: Any) -> AttachedApplication:
        model = {"family": "yolox", "file": file, "sha256": digest, **settings}
        return app(name, models={"people": model})

    one, two = bringing("one", "/apps/one/own.onnx"), bringing("two", "/apps/two/own.onnx")
    shared, alone = make_plan([two, one], [cam()]), make_plan([two], [cam()])
    assert [model.file for model in shared.models] == ["/apps/one/own.onnx"]
    assert shared.models[0].key == alone.models[0].key
    assert same_session(shared.models[0], alone.models[0]), "who goes on does not load it again"
    other = make_plan([one, bringing("two", "/apps/two/own.onnx", min_confidence=0.7)], [cam()])
    assert len(other.models) == 2
    unknown = make_plan([app("a", models={"people": {"family": "yolox", "file": "/x/own.onnx"}})], [cam()])
    moved = make_plan([app("a", models={"people": {"family": "yolox", "file": "/y/own.onnx"}})], [cam()])
    assert not same_session(unknown.models[0], moved.models[0])


def test_a_path_is_taken_from_the_applications_directory() -> None:
    own = app(models={"people": {"family": "yolox", "file": "models/../own.onnx"}})
    model = make_plan([own], [cam()]).models[0]
    assert model.file == model.model.file == "/a/own.onnx"
    assert model.key.startswith("own-")


def test_model_key_is_stable() -> None:
    """A changed key restarts every session of the fleet: change it knowingly."""
    model = app().manifest.models["people"]
    assert model_key("yolox_nano", model) == model_key("yolox_nano", model.model_copy(update={"file": "elsewhere"}))
    assert model_key("yolox_nano", model) == "yolox_nano-2cddb70d3fb5"


def test_problems_are_in_plain_words() -> None:
    unbound = make_plan([app()], [cam("halls")]).problems
    assert unbound == (
        "application 'shop': camera 'hall' is not bound to a camera; this device has halls (did you mean 'halls'?)",
        "application 'shop': pipeline 'main' has no camera to analyse",
    ), unbound
    unknown = make_plan([app(bindings={"hall": ("cam-9",)})], [cam()]).problems
    assert (
        unknown[0] == "application 'shop': camera 'hall' is bound to 'cam-9', which is not there; this device has hall"
    )
    off = make_plan([app()], [cam(enabled=False)]).problems
    assert off[0] == "application 'shop': camera 'hall' is bound to 'hall', which is switched off"
    surplus = make_plan([app(bindings={"hal": ("hall",)})], [cam()]).problems
    assert "binds camera 'hal', which its manifest does not name; it names hall (did you mean 'hall'?)" in surplus[0]
    nothing = make_plan([app(bindings={"hall": ()})], []).problems
    assert "camera 'hall' is bound to no camera; this device has no camera" in nothing[0]


def test_one_camera_bound_twice_is_analysed_once() -> None:
    two = app(
        cameras={"in": {}, "out": {}},
        pipelines={"main": {"model": "people", "cameras": ["in", "out"]}},
        bindings={"in": ("hall",), "out": ("hall",)},
    )
    plan = make_plan([two], [cam()])
    assert [(p.camera, p.app_camera) for p in plan.models[0].pipelines] == [("hall", "in")]
    assert [(r.camera, r.app_camera) for r in plan.rules] == [("hall", "in")]
    assert "analyses it once, as 'in'" in plan.problems[0]


def test_a_rule_outside_its_pipeline_is_a_problem() -> None:
    odd = app(cameras={"hall": {}, "gate": {}}, rules={"r": {"type": "nothing_seen", "for_s": 1, "cameras": ["gate"]}})
    plan = make_plan([odd], [cam(), cam("gate")])
    assert plan.rules == ()
    assert plan.problems == (
        "application 'shop': rule 'r' watches camera 'gate', which pipeline 'main' does not analyse",
    )


def test_the_same_application_twice_is_one() -> None:
    assert make_plan([app(), app()], [cam()]).problems == ()
    odd = make_plan([app(), app(version="2.0.0")], [cam()])
    assert odd.problems == ("application 'shop' is attached 2 times with different contents; one is used",)


@settings(max_examples=60, deadline=None)
@given(apps=applications(), cams=devices(), seed=st.randoms(use_true_random=False))
def test_plan_properties(apps: list[AttachedApplication], cams: list[CameraConfig], seed: random.Random) -> None:
    plan = make_plan(apps, cams)
    shuffled_apps, shuffled_cams = list(apps), list(cams)
    seed.shuffle(shuffled_apps)
    seed.shuffle(shuffled_cams)
    assert make_plan(shuffled_apps, shuffled_cams) == plan
    assert "hunter2" not in plan.model_dump_json()
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan

    usable = {camera.name: camera for camera in cams if camera.enabled}
    served = [pipeline for model in plan.models for pipeline in model.pipelines]
    places = [(pipeline.key, pipeline.camera) for pipeline in served]
    assert len(places) == len(set(places))
    assert [s.camera for s in plan.streams] == sorted({p.camera for p in served})
    assert set(usable) >= {p.camera for p in served}
    for stream in plan.streams:
        assert stream.fps == max(p.fps for p in served if p.camera == stream.camera)
        limit = usable[stream.camera].max_fps
        assert limit is None or stream.fps <= limit
    assert len({model.key for model in plan.models}) == len(plan.models)
    rule_keys = [(rule.application, rule.name, rule.camera) for rule in plan.rules]
    assert len(rule_keys) == len(set(rule_keys))
    for rule in plan.rules:
        assert (rule.pipeline, rule.camera) in places
        assert set(rule.actions) <= set(plan.actions)
    for one in apps:
        for name in one.manifest.cameras:
            targets = one.bindings.get(name, (name,))
            if not set(targets) <= set(usable) or not targets:
                assert any(repr(name) in p and repr(one.manifest.name) in p for p in plan.problems)


def test_a_rule_knows_the_rate_of_its_pipeline_on_its_camera() -> None:
    text = {
        "api": "vedette/v1",
        "name": "app",
        "cameras": {"a": {}, "b": {}},
        "models": {"m": {"family": "yolox", "file": "m"}},
        "pipelines": {"p": {"model": "m", "cameras": ["a", "b"], "fps": 8}},
        "rules": {"r": {"type": "nothing_seen", "for_s": 5}},
    }
    app = AttachedApplication(manifest=Manifest.model_validate(text), directory="/apps/app")
    cameras = [CameraConfig(name="a", url="a.mp4"), CameraConfig(name="b", url="b.mp4", max_fps=2)]
    plan = make_plan([app], cameras)
    assert {(rule.camera, rule.fps) for rule in plan.rules} == {("a", 8.0), ("b", 2.0)}
    assert {stream.camera: stream.fps for stream in plan.streams} == {"a": 8.0, "b": 2.0}
