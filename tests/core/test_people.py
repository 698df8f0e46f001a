"""Which pipelines can be believed to see everyone, and over which part of the picture."""

from __future__ import annotations

import numpy as np
import pytest

from vedette.contracts.base import Polygon
from vedette.contracts.manifest import Model, ModelFamily, Tiles, Tracker
from vedette.contracts.plan import ModelPlan, PipelinePlan, Plan
from vedette.core.labels import COCO
from vedette.core.people import GRID, Kind, Watch, finds_people, grown, kind_of, watches

LEFT: Polygon = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def plan(
    *,
    model: Model | None = None,
    camera: str = "cam",
    labels: tuple[str, ...] | None = None,
    tracker: Tracker | None = None,
    region: Polygon | None = None,
    tiles: Tiles | None = None,
) -> Plan:
    pipeline = PipelinePlan(
        application="shop",
        pipeline="people",
        camera=camera,
        app_camera="door",
        fps=5,
        labels=labels,
        tracker=tracker or Tracker(),
        region=region,
        tiles=tiles,
    )
    model = model or Model(family=ModelFamily.YOLOX, file="yolox_nano")
    return Plan(models=(ModelPlan(key="m", file=model.file, model=model, pipelines=(pipeline,)),))


def test_coco_holds_people_and_things_only() -> None:
    kinds = {name: kind_of(name) for name in COCO}
    assert [name for name, kind in kinds.items() if kind is Kind.BODY] == ["person"]
    assert set(kinds.values()) == {Kind.BODY, Kind.THING}


def test_a_detector_of_people_is_believed() -> None:
    assert watches(plan(), "cam") == (Watch("shop/people", hits=2),)
    assert watches(plan(labels=("person", "dog")), "cam") != ()
    assert watches(plan(tiles=Tiles()), "cam") != ()


@pytest.mark.parametrize(
    "given",
    [
        plan(camera="other"),
        plan(labels=("car",)),
        plan(model=Model(family=ModelFamily.YOLOX, file="m", labels=("scratch", "dent"))),
        plan(model=Model(family=ModelFamily.YOLOX, file="m", labels=("worker", "vest"))),
        plan(model=Model(family=ModelFamily.YOLOX, file="m", min_confidence=0.8)),
        plan(tracker=Tracker(high_confidence=0.9)),
        plan(tiles=Tiles(whole=False)),
        plan(model=Model(family=ModelFamily.CODES)),
        Plan(),
    ],
    ids=[
        "camera",
        "labels",
        "parts",
        "some people",
        "too sure",
        "too sure to track",
        "parts of the picture",
        "codes",
        "nothing",
    ],
)
def test_who_does_not_look_for_everyone_is_not_believed(given: Plan) -> None:
    assert watches(given, "cam") == ()


def test_labels_are_compared_without_regard_to_case() -> None:
    assert finds_people(Model(family=ModelFamily.YOLOX, file="m", labels=("Person",)))


def test_a_region_leaves_the_rest_unseen() -> None:
    (watch,) = watches(plan(region=LEFT), "cam")
    blind = watch.blind()
    assert blind is not None
    columns, rows = GRID
    assert blind.shape == (rows, columns)
    assert blind[:, columns // 2 :].all()
    assert not blind[:, : columns // 2 - 1].any()


def test_a_small_mask_is_not_lost_between_cells() -> None:
    tiny: Polygon = ((0.501, 0.501), (0.508, 0.501), (0.508, 0.512), (0.501, 0.512))
    blind = Watch("shop/people", masks=(tiny,)).blind()
    assert blind is not None
    assert blind.any()
    assert Watch("shop/people").blind() is None


def test_what_someone_may_reach_into_is_unseen_too() -> None:
    columns, rows = GRID
    cells = np.zeros((rows, columns), np.bool_)
    cells[rows - 1, columns // 2] = True
    near = grown(cells, tallest=0.8, widest=0.1)
    assert near[rows - 1 - int(0.39 * rows) :, columns // 2].all()
    assert not near[0].any()
    assert grown(cells, 0.0, 0.0).sum() > cells.sum()
