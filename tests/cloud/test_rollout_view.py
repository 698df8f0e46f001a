"""Following a rollout: in a terminal and without one, to both ends, and when the operator stops looking."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import typer
from rich.console import Console

from vedette.cli.rollout_view import follow, print_end, print_rollout, stage_text
from vedette.contracts.comparison import Agreement
from vedette.contracts.errors import CloudError
from vedette.contracts.rollout import (
    ApplicationChange,
    ApplicationChoice,
    Compared,
    GatePolicy,
    Override,
    RingCounts,
    RingStatus,
    RingStep,
    Rollout,
    RolloutStatus,
    Verdict,
)

CHANGE = ApplicationChange(name="door", to=ApplicationChoice(version="2.0.0"))
COUNTS = RingCounts(devices=3, offline=1, succeeded=1, failed=1)


DEPLOYING = Rollout(
    rollout_id="r-12345678",
    fleet="main",
    change=CHANGE,
    rings=(RingStep(ring="canary"), RingStep(ring="thing/SN-1")),
    policy=GatePolicy(),
    by="[anna]",
    overrides=(Override(check="tests", reason="[red]known"),),
    created_at=1_000,
    updated_at=1_300,
)
SOAKING = DEPLOYING.model_copy(
    update={
        "rings": (
            RingStep(ring="canary", status=RingStatus.DEPLOYING, settled_at=1_180, counts=COUNTS),
            DEPLOYING.rings[1],
        )
    }
)


class Account:
    """Rollouts that go on as they were told to."""

    def __init__(self, *steps: Rollout, end: BaseException | None = None) -> None:
        self.steps, self.end = steps, end

    def follow(self, rollout_id: str) -> Iterator[Rollout]:
        yield from self.steps
        if self.end is not None:
            raise self.end


def run(account: Account, *, terminal: bool) -> tuple[Rollout | None, str, int]:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=160, color_system=None)
    try:
        return follow(account, "r-12345678", console), text.getvalue(), 0  # type: ignore[arg-type]
    except typer.Exit as end:
        return None, text.getvalue(), end.exit_code


@pytest.mark.parametrize("terminal", [True, False])
def test_it_is_shown_to_its_end(terminal: bool) -> None:
    ended = SOAKING.model_copy(update={"status": RolloutStatus.SUCCEEDED})
    found, text, code = run(Account(DEPLOYING, SOAKING, ended), terminal=terminal)
    assert (found, code) == (ended, 0)
    assert "soak, 2 min of 10 min" in text


def test_one_that_was_taken_back_is_an_end_and_no_error() -> None:
    back = SOAKING.model_copy(update={"status": RolloutStatus.ROLLED_BACK, "reason": "ring canary: [1] failed"})
    found, _, code = run(Account(back, end=CloudError("taken back", code="V010")), terminal=False)
    assert (found, code) == (back, 0)
    text = io.StringIO()
    print_end(back, Console(file=text, width=160))
    assert "Taken back: application door: ring canary: [1] failed." in text.getvalue()


def test_other_errors_are_errors() -> None:
    with pytest.raises(CloudError, match="V003"):
        run(Account(SOAKING, end=CloudError("refused")), terminal=False)


@pytest.mark.parametrize("terminal", [True, False])
def test_ctrl_c_leaves_it_going_and_says_how_to_see_and_stop_it(terminal: bool) -> None:
    found, text, code = run(Account(SOAKING, end=KeyboardInterrupt()), terminal=terminal)
    assert (found, code) == (None, 130)
    assert "vedette status --rollout r-12345678" in text
    assert "vedette abort r-12345678" in text


def test_what_people_wrote_is_shown_as_they_wrote_it() -> None:
    text = io.StringIO()
    print_rollout(SOAKING, Console(file=text, width=160))
    assert "[anna]" in text.getvalue()
    assert "tests: [red]known" in text.getvalue()
    assert "SN-1" in text.getvalue()


@pytest.mark.parametrize(
    ("status", "words"), [(RingStatus.RESTORED, "taken back"), (RingStatus.COMPARING, "comparing")]
)
def test_stages(status: RingStatus, words: str) -> None:
    step = RingStep(ring="canary", status=status)
    assert stage_text(step, DEPLOYING) == words


def _step(**values: object) -> Rollout:
    step = RingStep.model_validate({"ring": "canary", **values})
    return DEPLOYING.model_copy(update={"rings": (step,)})


def test_what_was_left_out_of_a_comparison_is_shown() -> None:
    compared = Compared(
        verdict=Verdict.PASS,
        reason="both see the same",
        devices=1,
        finished=1,
        overall=Agreement(running_objects=60, running_seen=29, new_objects=60, new_seen=58),
        notes=("labels that only the new version has are not compared: [red]dog",),
    )
    out = Console(file=io.StringIO(), width=80)
    print_rollout(_step(compared=compared), out)
    said = out.file.getvalue()  # type: ignore[attr-defined]
    assert "note: labels that only the new version has are not compared: [red]dog" in said
    assert "48 %" in said


def test_kinds_of_trouble_that_no_ring_has_are_left_out() -> None:
    for counts, there in ((COUNTS, {"failed", "offline"}), (RingCounts(devices=3, succeeded=3), set())):
        out = Console(file=io.StringIO(), width=80)
        print_rollout(_step(status=RingStatus.DEPLOYING, counts=counts), out)
        said = out.file.getvalue()  # type: ignore[attr-defined]
        assert {title for title in ("failed", "offline", "newly unwell") if title in said} == there


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (RingStatus.COMPARING, "comparing, 1 of 3 devices have it beside the old one"),
        (RingStatus.DEPLOYING, "deploying, 1 of 3 devices run it"),
        (RingStatus.RESTORED, "canary: taken back (why)"),
    ],
)
def test_a_candidate_is_not_called_running(status: RingStatus, words: str) -> None:
    out = Console(file=io.StringIO(), width=200)
    follow(Account(_step(status=status, counts=COUNTS, reason="why")), "r-12345678", out)  # type: ignore[arg-type]
    assert words in out.file.getvalue()  # type: ignore[attr-defined]
