"""What two versions see of each other: pairs of pictures, pairs of objects, sums."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.contracts.comparison import MAX_LABELS, OTHER_LABELS, Agreement, ComparisonPolicy
from vedette.contracts.frames import FrameInfo
from vedette.contracts.tracks import TrackBatch
from vedette.core.comparison import MAX_WAITING, NEW, RUNNING, Comparer, Place
from vedette.core.comparison_objects import MAX_OPEN

PLACE = Place("main", "gate")
POLICY = ComparisonPolicy(frames=100_000, warm_up=0, least_pictures=1)

#: An object: number, label, left edge.
Thing = tuple[int, str, float]


def batch(number: int, things: Sequence[Thing], epoch: str = "e", step_s: float = 0.1) -> TrackBatch:
    frame = FrameInfo(
        camera=PLACE.camera,
        epoch=epoch,
        frame_no=number,
        t_s=number * step_s,
        wall_s=1e9 + number * step_s,
        media_time_s=number * step_s,
        width=640,
        height=480,
    )
    return TrackBatch(
        pipeline="app/main",
        frame=frame,
        track_ids=tuple(i for i, _, _ in things),
        boxes=tuple((x, 0.0, x + 10.0, 20.0) for _, _, x in things),
        labels=tuple(label for _, label, _ in things),
        scores=(0.9,) * len(things),
    )


Row = tuple[int, TrackBatch]


def feed(comparer: Comparer, rows: Iterable[Row], first: int = 1) -> Comparer:
    for row, (version, found) in enumerate(rows, first):
        comparer.add(version, PLACE, found, row)
    return comparer


def total(labels: dict[str, Agreement]) -> Agreement:
    return Agreement(
        running_objects=sum(a.running_objects for a in labels.values()),
        running_seen=sum(a.running_seen for a in labels.values()),
        new_objects=sum(a.new_objects for a in labels.values()),
        new_seen=sum(a.new_seen for a in labels.values()),
    )


#: Pictures of one camera: which objects are in each. Left edges are apart enough for nothing to overlap by chance.
SCENES = st.lists(
    st.lists(st.integers(1, 6), max_size=6, unique=True).map(
        lambda ids: [(i, "car" if i % 2 else "person", 30.0 * i) for i in sorted(ids)]
    ),
    max_size=25,
)


@st.composite
def interleaved(draw: st.DrawFn) -> tuple[list[list[Thing]], list[Row], set[int]]:
    """A scene, and the rows of two versions that saw it alike: any interleaving, any loss, any repetition."""
    scene = draw(SCENES)
    kept = [draw(st.sets(st.sampled_from(range(len(scene)))) if scene else st.just(set())) for _ in range(2)]
    queues = [[n for n in sorted(part) for _ in range(draw(st.integers(1, 2)))] for part in kept]
    rows: list[Row] = []
    while any(queues):
        version = draw(st.sampled_from([v for v in (RUNNING, NEW) if queues[v]]))
        rows.append((version, batch(queues[version][0], scene[queues[version].pop(0)])))
    return scene, rows, kept[0] & kept[1]


@given(interleaved())
def test_alike_is_all_seen_whatever_was_lost_or_repeated(given_: tuple[list[list[Thing]], list[Row], set[int]]) -> None:
    scene, rows, common = given_
    comparer = feed(Comparer(POLICY), rows)
    assert comparer.frames == len(common)
    expected = {number for picture in common for number, _, _ in scene[picture]}
    found = total(comparer.labels())
    assert (found.running_objects, found.new_objects) == (len(expected), len(expected))
    assert (found.running_seen, found.new_seen) == (len(expected), len(expected))


@given(interleaved(), st.data())
def test_a_restart_anywhere_counts_nothing_twice(
    given_: tuple[list[list[Thing]], list[Row], set[int]], data: st.DataObject
) -> None:
    _, rows, _ = given_
    whole = feed(Comparer(POLICY), rows)
    cut = data.draw(st.integers(0, len(rows)))
    before = feed(Comparer(POLICY), rows[:cut])
    waiting = before.first_waiting()
    resume = cut if waiting is None else waiting - 1
    after = Comparer.load(POLICY, json.loads(json.dumps(before.dump())))
    feed(after, rows[resume:], resume + 1)
    assert (after.frames, after.labels()) == (whole.frames, whole.labels())


PLACES = st.lists(st.floats(0, 40), min_size=5, max_size=5)


@given(st.integers(0, 5), st.integers(0, 5), st.lists(st.tuples(PLACES, PLACES), max_size=15))
def test_the_two_roles_are_the_same(running: int, new: int, pictures: list[tuple[list[float], list[float]]]) -> None:
    # All objects are there in all pictures: which of several equal partners is chosen may differ, and then only how
    # many find one counts.
    def things(places: list[float], count: int) -> list[Thing]:
        return [(i, "car", x + i / 1000) for i, x in enumerate(places[:count], 1)]

    one, other = Comparer(POLICY), Comparer(POLICY)
    for number, (first, second) in enumerate(pictures):
        ours, theirs = things(first, running), things(second, new)
        feed(one, [(RUNNING, batch(number, ours)), (NEW, batch(number, theirs))])
        feed(other, [(NEW, batch(number, ours)), (RUNNING, batch(number, theirs))])
    a, b = total(one.labels()), total(other.labels())
    assert (a.running_objects, a.new_objects) == (b.new_objects, b.running_objects)
    assert (a.running_seen, a.new_seen) == pytest.approx((b.new_seen, b.running_seen))


def test_what_is_dropped_half_the_time_is_seen_in_half_of_its_pictures() -> None:
    rng = random.Random(4)
    comparer = Comparer(POLICY)
    for number in range(4000):
        # Each object stays for 40 pictures; three are there at a time.
        scene = [(3 * (number // 40) + k, "car", 40.0 * k) for k in range(3)]
        feed(
            comparer, [(RUNNING, batch(number, scene)), (NEW, batch(number, [t for t in scene if rng.random() < 0.5]))]
        )
    found = comparer.labels()["car"]
    assert found.running_objects == found.new_objects == 300
    assert found.running_seen / found.running_objects == pytest.approx(0.5, abs=0.02)
    assert found.new_seen == found.new_objects, "what the new version follows the running one sees"


def test_label_and_overlap_decide() -> None:
    def pair(running: Thing, new: Thing) -> Agreement:
        rows = [(RUNNING, batch(0, [running])), (NEW, batch(0, [new]))]
        return total(feed(Comparer(POLICY), rows).labels())

    assert pair((1, "car", 0.0), (9, "car", 0.0)).running_seen == 1
    assert pair((1, "car", 0.0), (9, "person", 0.0)).running_seen == 0
    assert pair((1, "car", 0.0), (9, "car", 3.0)).running_seen == 1, "IoU 7/13"
    assert pair((1, "car", 0.0), (9, "car", 4.0)).running_seen == 0, "IoU 6/14"


def test_one_object_is_the_partner_of_one() -> None:
    rows = [(RUNNING, batch(0, [(1, "car", 0.0), (2, "car", 1.0)])), (NEW, batch(0, [(7, "car", 0.0)]))]
    found = feed(Comparer(POLICY), rows).labels()["car"]
    assert (found.running_objects, found.running_seen, found.new_objects, found.new_seen) == (2, 1, 1, 1)


def test_warm_up_and_noise_do_not_count() -> None:
    policy = ComparisonPolicy(frames=50, warm_up=10, least_pictures=3)
    comparer = Comparer(policy)
    for number in range(100):
        scene = [(1, "car", 0.0)] if number < 12 else [(2, "car", 0.0)] if number < 20 else []
        feed(comparer, [(RUNNING, batch(number, scene)), (NEW, batch(number, scene))])
    assert comparer.frames == 50, "and no more than wanted"
    assert comparer.complete
    assert comparer.labels()["car"].running_objects == 1, "the first was there for two pictures after the warm-up"


def test_an_empty_scene_has_pictures_and_no_objects() -> None:
    comparer = feed(Comparer(POLICY), [(v, batch(n, [])) for n in range(30) for v in (RUNNING, NEW)])
    assert (comparer.frames, comparer.labels()) == (30, {})


def test_another_run_of_the_camera_begins_with_small_numbers() -> None:
    scene = [(1, "car", 0.0)]
    rows = [(v, batch(n, scene, epoch)) for epoch in ("a", "b") for n in range(5) for v in (RUNNING, NEW)]
    comparer = feed(Comparer(POLICY), rows)
    assert comparer.frames == 10
    assert feed(comparer, rows).frames == 10, "the same again is nothing new"


def test_labels_that_the_running_version_does_not_know_are_not_held_against_the_new_one() -> None:
    comparer = Comparer(POLICY, {PLACE: frozenset({"car"})})
    both = [(1, "car", 0.0)]
    rows = [row for n in range(5) for row in ((RUNNING, batch(n, both)), (NEW, batch(n, [*both, (2, "bus", 90.0)])))]
    feed(comparer, rows)
    assert set(comparer.labels()) == {"car"}
    assert comparer.added == {"bus"}


def test_a_label_that_is_gone_counts_as_not_seen() -> None:
    rows = [row for n in range(5) for row in ((RUNNING, batch(n, [(1, "bus", 0.0)])), (NEW, batch(n, [])))]
    found = feed(Comparer(POLICY), rows).labels()["bus"]
    assert (found.running_objects, found.running_seen) == (1, 0)


def test_only_the_most_frequent_labels_stand_alone() -> None:
    scene = [(i, f"kind-{i // 2}", 30.0 * i) for i in range(60)] + [(99, "kind-3", 9000.0)]
    found = feed(Comparer(POLICY), [(v, batch(0, scene)) for v in (RUNNING, NEW)]).labels()
    assert len(found) == MAX_LABELS + 1
    assert total(found).running_objects == 61
    assert found["kind-3"].running_objects == 3
    assert found[OTHER_LABELS].running_objects == 61 - 3 - 2 * (MAX_LABELS - 1)


def test_memory_is_bounded_whatever_comes() -> None:
    comparer = Comparer(POLICY)
    crowd = [(0, "car", 30.0 * k) for k in range(200)]
    for number in range(200):  # all are other objects each time
        scene = [(1000 * number + k, label, x) for k, (_, label, x) in enumerate(crowd)]
        feed(comparer, [(RUNNING, batch(number, scene)), (NEW, batch(number, scene))], 2 * number + 1)
    document = comparer.dump()
    for followed in document["sites"][0]["followed"]:
        assert len(followed["ids"]) <= MAX_OPEN
    assert comparer.labels()["car"].running_objects == 200 * 200, "and nothing is lost by it"
    for number in range(1000, 1000 + 3 * MAX_WAITING):  # one version alone
        comparer.add(RUNNING, PLACE, batch(number, []), number)
    first = comparer.first_waiting()
    assert first == 1000 + 2 * MAX_WAITING


def test_numbers_that_are_there_twice_do_no_harm() -> None:
    scene = [(1, "car", 0.0), (1, "car", 100.0)]
    found = feed(Comparer(POLICY), [(v, batch(0, scene)) for v in (RUNNING, NEW)]).labels()["car"]
    assert (found.running_objects, found.running_seen) == (1, 1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d | {"frames": None},
        lambda d: d | {"sums": [[1, 2, 3]]},
        lambda d: d | {"names": []},
        lambda d: {k: v for k, v in d.items() if k != "sites"},
        lambda d: d | {"sites": [d["sites"][0] | {"followed": []}]},
        lambda d: d | {"sites": [d["sites"][0] | {"followed": [{"ids": [1], "counts": [], "last_s": []}] * 2}]},
        lambda d: (
            d | {"sites": [d["sites"][0] | {"followed": [{"ids": [1], "counts": [[9, 1, 1]], "last_s": [0]}] * 2}]}
        ),
    ],
)
def test_a_damaged_state_is_refused(spoil: object) -> None:
    document = feed(Comparer(POLICY), [(v, batch(0, [(1, "car", 0.0)])) for v in (RUNNING, NEW)]).dump()
    with pytest.raises(ValueError, match=r"."):
        Comparer.load(POLICY, spoil(document))  # type: ignore[operator]


def test_the_clock_of_a_device_that_was_started_anew_ends_what_was_open() -> None:
    scene = [(1, "car", 0.0)]
    comparer = feed(Comparer(POLICY), [(v, batch(5000, scene, "a")) for v in (RUNNING, NEW)])
    rows = [(v, batch(0, scene, "b")) for v in (RUNNING, NEW)]
    assert feed(comparer, rows).labels()["car"].running_objects == 2
