"""Several operators change one ring at once: nobody's change is lost, and what runs is the newest state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.common.ring_change import settle
from vedette.contracts.comparison import ComparisonTask
from vedette.contracts.errors import CloudError
from vedette.contracts.rollout import (
    ApplicationChange,
    ApplicationChoice,
    Candidate,
    CandidateChange,
    DesiredState,
    RingChange,
)
from vedette.core.fleet.desired import holds, undoing

LIMIT_S = 20


class Cloud:
    """The table and Greengrass, both as consistent as AWS's are: one request at a time, in any order."""

    def __init__(self) -> None:
        self.versions = [DesiredState(fleet="main", ring="canary")]
        self.deployments: list[tuple[str, DesiredState]] = []

    @property
    def running(self) -> DesiredState:
        return self.deployments[-1][1]


class Turns:
    """Lets one operator make one request at a time, in the order that is given."""

    def __init__(self, operators: int, order: list[int]) -> None:
        self._order, self._waiting = order, set(range(operators))
        self._changed = threading.Condition()

    def take(self, operator: int, request: Callable[[], Any]) -> Any:
        with self._changed:
            assert self._changed.wait_for(lambda: self._next() == operator, LIMIT_S)
            answer = request()
            if self._order:
                self._order.pop(0)
            self._changed.notify_all()
            return answer

    def leave(self, operator: int) -> None:
        with self._changed:
            self._waiting.discard(operator)
            self._changed.notify_all()

    def _next(self) -> int | None:
        while self._order and self._order[0] not in self._waiting:
            self._order.pop(0)
        return self._order[0] if self._order else min(self._waiting, default=None)


class Seen:
    """The ring as one operator's function sees it."""

    def __init__(self, cloud: Cloud, turns: Turns, operator: int) -> None:
        self._cloud, self._turns, self._operator = cloud, turns, operator

    def newest(self) -> DesiredState:
        found: DesiredState = self._turns.take(self._operator, lambda: self._cloud.versions[-1])
        return found

    def put(self, state: DesiredState) -> bool:
        def request() -> bool:
            if any(one.version == state.version for one in self._cloud.versions):
                return False
            self._cloud.versions.append(state)
            return True

        return bool(self._turns.take(self._operator, request))

    def deploy(self, state: DesiredState, *, watched: bool) -> str:
        def request() -> str:
            token = f"{self._operator}-{state.version}"
            if token not in [made for made, _ in self._cloud.deployments]:
                self._cloud.deployments.append((token, state))
            return token

        return str(self._turns.take(self._operator, request))


def run(cloud: Cloud, changes: list[list[RingChange]], order: list[int]) -> None:
    turns = Turns(len(changes), list(order))
    failures: list[BaseException] = []

    def operate(number: int) -> None:
        try:
            for change in changes[number]:
                settle(Seen(cloud, turns, number), change, watched=True)
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)
        finally:
            turns.leave(number)

    threads = [threading.Thread(target=operate, args=(number,)) for number in range(len(changes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert failures == []


def install(name: str, version: str = "1.0.0") -> ApplicationChange:
    return ApplicationChange(name=name, to=ApplicationChoice(version=version))


@settings(deadline=None, max_examples=150)
@given(st.integers(2, 3), st.lists(st.integers(0, 2), max_size=40))
def test_everybodys_application_gets_through(operators: int, order: list[int]) -> None:
    cloud = Cloud()
    run(cloud, [[install(f"app-{number}")] for number in range(operators)], order)
    assert sorted(cloud.versions[-1].applications) == [f"app-{number}" for number in range(operators)]
    assert cloud.running == cloud.versions[-1]
    numbers = [state.version for state in cloud.versions]
    assert numbers == list(range(len(numbers)))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.integers(0, 1), max_size=60))
def test_a_rollback_beside_another_rollout_takes_back_its_own_only(order: list[int]) -> None:
    cloud = Cloud()
    mine = install("mine")
    undo = undoing(cloud.versions[0], mine)
    run(cloud, [[mine, undo], [install("other"), install("other", "2.0.0")]], order)
    assert cloud.running == cloud.versions[-1]
    assert cloud.running.applications == {"other": ApplicationChoice(version="2.0.0")}


def put_beside(name: str, version: str) -> CandidateChange:
    return CandidateChange(name=name, to=Candidate(version=version, task=ComparisonTask(rollout_id="rollout-1")))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.integers(0, 2), max_size=70), st.booleans())
def test_candidates_come_and_go_beside_other_rollouts(order: list[int], passes: bool) -> None:
    """One rollout compares and goes on or is taken back, one compares to its end, one changes something else."""
    cloud = Cloud()
    cloud.versions[0] = cloud.versions[0].model_copy(
        update={"applications": {name: ApplicationChoice(version="1.0.0") for name in ("a", "b")}}
    )
    end: RingChange = install("a", "2.0.0") if passes else CandidateChange(name="a", to=None)
    run(
        cloud,
        [
            [put_beside("a", "2.0.0"), end],
            [put_beside("b", "2.0.0"), install("b", "2.0.0"), install("b", "1.0.0")],
            [install("c"), install("c", "2.0.0")],
        ],
        order,
    )
    assert cloud.running == cloud.versions[-1]
    assert cloud.running.candidates == {}
    found = {name: choice.version for name, choice in cloud.running.applications.items()}
    assert found == {"a": "2.0.0" if passes else "1.0.0", "b": "1.0.0", "c": "2.0.0"}


def test_doing_it_again_adds_nothing() -> None:
    cloud = Cloud()
    run(cloud, [[install("a"), install("a")]], [])
    assert len(cloud.versions) == 2
    assert len(cloud.deployments) == 1
    assert holds(cloud.running, install("a"))


def test_who_is_always_too_late_is_told_to_try_again() -> None:
    class Busy(Seen):
        def put(self, state: DesiredState) -> bool:
            return False

    with pytest.raises(CloudError, match="others are changing the same ring") as refused:
        settle(Busy(Cloud(), Turns(1, []), 0), install("a"), watched=True)
    assert refused.value.retryable
