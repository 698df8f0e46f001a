"""What a candidate gets in a plan, and that the running version's part stays as it was."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vedette.contracts.camera import CameraConfig
from vedette.contracts.manifest import Manifest
from vedette.contracts.plan import AttachedApplication, PipelinePlan, Plan
from vedette.core.comparison import NEW, RUNNING, Place
from vedette.core.comparison_report import Compared
from vedette.core.people import watches
from vedette.core.plan import make_plan
from vedette.core.plan_candidates import SUFFIX
from vedette.pipeline.camera import camera_fps

CAMERAS = tuple(CameraConfig(name=name, url=f"rtsp://10.0.0.1/{name}") for name in ("east", "west"))
HALF = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
ZONE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]


def manifest(name: str = "gate", version: str = "0.1.0", sha: str = "a" * 64, **pipeline: Any) -> Manifest:
    return Manifest.model_validate(
        {
            "api": "vedette/v1",
            "name": name,
            "version": version,
            "cameras": {"door": {}},
            "models": {"objects": {"family": "yolox", "file": f"/{name}/{version}/m.onnx", "sha256": sha}},
            "pipelines": {"main": {"model": "objects", "cameras": ["door"], "fps": 5, **pipeline}},
            "rules": {"enters": {"type": "zone_entered", "zone": ZONE}},
            "actions": {"log": {"type": "file", "path": "a.jsonl"}},
            "evidence": {},
        }
    )


def attached(found: Manifest, camera: str = "east") -> AttachedApplication:
    return AttachedApplication(manifest=found, directory="/app", bindings={"door": (camera,)})


def candidate_of(plan: Plan) -> list[PipelinePlan]:
    return [p for session in plan.models for p in session.pipelines if p.candidate]


def without(plan: Plan) -> dict[str, Any]:
    """A plan as it would be, were there no candidates."""
    models = []
    for session in plan.models:
        kept = tuple(p for p in session.pipelines if not p.candidate)
        if kept:
            models.append(session.model_copy(update={"pipelines": kept}))
    problems = tuple(text for text in plan.problems if not text.startswith("candidate of"))
    return plan.model_copy(update={"models": tuple(models), "problems": problems}).model_dump()


@given(
    st.lists(st.sampled_from(["gate", "yard", "hall"]), unique=True),
    st.lists(st.sampled_from(["gate", "yard", "hall"]), unique=True),
    st.data(),
)
def test_nothing_of_the_applications_changes(apps: list[str], tried: list[str], data: st.DataObject) -> None:
    def some(name: str, version: str) -> AttachedApplication:
        more: dict[str, Any] = {"fps": data.draw(st.sampled_from([2, 5, 10, 25]))}
        if data.draw(st.booleans()):
            more["region"] = HALF
        if data.draw(st.booleans()):
            more["stream"] = "main"
        found = manifest(name, version, data.draw(st.sampled_from(["a" * 64, "b" * 64])), **more)
        return attached(found, data.draw(st.sampled_from(["east", "west", "nowhere"])))

    running = [some(name, "0.1.0") for name in apps]
    candidates = [some(name, "0.2.0") for name in tried]
    alone = make_plan(running, CAMERAS)
    both = make_plan(running, CAMERAS, 0, candidates)
    assert without(both) == alone.model_dump()
    for session in both.models:
        assert session.background == all(p.candidate for p in session.pipelines) == session.key.endswith(SUFFIX)
    for pipeline in candidate_of(both):
        assert pipeline.key == f"candidate:{pipeline.application}/main"
        stream = next(s for s in both.streams if s.camera == pipeline.camera)
        assert pipeline.fps <= stream.fps
    for camera in ("east", "west"):
        assert watches(both, camera) == watches(alone, camera)
        for session in both.models:
            here = [p for p in session.pipelines if p.camera == camera]
            applications = [p for p in here if not p.candidate]
            if applications:
                assert camera_fps(here) == camera_fps(applications), "the pictures that are taken stay the same"


def test_the_same_model_on_the_same_part_of_the_picture_is_run_once() -> None:
    plan = make_plan([attached(manifest())], CAMERAS, 0, [attached(manifest(version="0.2.0"))])
    assert len(plan.models) == 1
    assert not plan.models[0].background
    assert plan.models[0].file == "/gate/0.1.0/m.onnx", "what is loaded is the running version's"
    other = make_plan([attached(manifest())], CAMERAS, 0, [attached(manifest(version="0.2.0", region=HALF))])
    assert [session.background for session in other.models] == [False, True]


def test_a_candidate_has_all_pictures_where_the_running_version_leaves_some_out() -> None:
    def fps(running: int, new: int, other: int) -> float:
        apps = [attached(manifest(fps=running)), attached(manifest("yard", fps=other))]
        plan = make_plan(apps, CAMERAS, 0, [attached(manifest(version="0.2.0", sha="b" * 64, fps=new))])
        return candidate_of(plan)[0].fps

    assert fps(running=10, new=5, other=5) == 5, "each of its pictures is one that the running version has"
    assert fps(running=10, new=20, other=5) == 10
    assert fps(running=5, new=5, other=10) == 10, "two that leave out every other one might have none in common"
    assert fps(running=5, new=2, other=10) == 10


def test_what_cannot_be_compared_is_said() -> None:
    def problems(running: list[AttachedApplication], new: AttachedApplication) -> tuple[str, ...]:
        return make_plan(running, CAMERAS, 0, [new]).problems

    assert problems([], attached(manifest())) == (
        "candidate of gate: no version of the application runs here that it could be compared with",
    )
    assert problems([attached(manifest())], attached(manifest(version="0.2.0"), "west")) == (
        "candidate of gate: pipeline 'main' on camera 'east' is not compared; only the running version has it",
        "candidate of gate: pipeline 'main' on camera 'west' is not compared; "
        "the running version has none of that name there",
    )
    assert problems([attached(manifest())], attached(manifest(version="0.2.0", fps=20, stream="main"))) == (
        "candidate of gate: pipeline 'main' is compared on the sub stream, which is open",
        "candidate of gate: pipeline 'main' on camera 'east' is compared at 5 pictures a second, as many as are there, "
        "not at 20",
    )
    (lost,) = problems([attached(manifest())], attached(manifest(version="0.2.0"), "nowhere"))[:1]
    assert lost.startswith("candidate of gate: camera 'door' is bound to 'nowhere'")


def test_what_is_compared_is_read_from_the_plan() -> None:
    new = attached(manifest(version="0.2.0", labels=["person", "dog"]))
    plan = make_plan([attached(manifest(labels=["person", "car"]))], CAMERAS, 0, [new])
    compared = Compared.of(plan, "gate")
    assert compared.sources == {"gate/main": (RUNNING, "main"), "candidate:gate/main": (NEW, "main")}
    assert compared.places == {Place("main", "east")}
    assert compared.removed_labels() == ["car"]
    assert compared.problems == ()
    assert Compared.of(plan, "yard").places == frozenset()
