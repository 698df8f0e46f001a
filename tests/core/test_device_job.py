"""The state machine of a device's jobs: an update stays only if it was confirmed, and every job comes to an end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.conftest import PROPERTY
from vedette.contracts.device_job import DEVICE_JOB, JobProgress, JobStatus, RebootJob, Stage, UpdateJob
from vedette.core.fleet.device_job import ANSWER_S, BOOTS, LOAD_S, REBOOT_S, Ask, Seen, begun, step, wrong_with
from vedette.core.fleet.job_plan import ring_fails

UPDATE = UpdateJob(
    operation="update-runtime",
    version="3.11.9",
    region="eu-central-1",
    bucket="artefacts",
    key="updates/x",
    size=3,
    sha256="0" * 64,
    signature="A" * 96,
    probation_s=100,
)
HERE = Seen(boot_id="b1", now_s=1000.0)


def at(progress: JobProgress, stage: Stage) -> JobProgress:
    return progress.model_copy(update={"stage": stage})


def update(stage: Stage = Stage.LOADING, wrong: tuple[str, ...] = ()) -> JobProgress:
    return at(begun("j", 1, UPDATE, replace(HERE, wrong=wrong))[0], stage)


def ended(progress: JobProgress, ask: Ask | None, status: JobStatus, words: str) -> None:
    assert (progress.stage, progress.status, ask) == (Stage.DONE, status, None)
    assert words in progress.reason


def test_a_reboot_is_done_by_another_boot_and_by_nothing_else() -> None:
    progress, ask = begun("j", 1, RebootJob(), HERE)
    assert ask is Ask.REBOOT
    assert step(progress, replace(HERE, answer="done")) == (progress, None)
    ended(*step(progress, replace(HERE, boot_id="b2", now_s=1.0)), JobStatus.SUCCEEDED, "restarted")
    ended(*step(progress, replace(HERE, answer="refused", said="too soon")), JobStatus.FAILED, "too soon")
    ended(*step(progress, replace(HERE, now_s=1000.0 + REBOOT_S + 1)), JobStatus.FAILED, "did not restart")


def test_an_update_goes_its_way() -> None:
    progress, first = begun("j", 1, UPDATE, HERE)
    asked: list[Ask | None] = [first]
    for seen in (
        replace(HERE, loaded=True),
        replace(HERE, answer="done"),
        replace(HERE, now_s=1010.0, answer="done"),
        replace(HERE, now_s=1109.0, answer="done"),
        replace(HERE, now_s=1111.0, answer="done"),
        replace(HERE, now_s=1112.0, answer="confirmed"),
    ):
        progress, ask = step(progress, seen)
        asked.append(ask)
    assert [one for one in asked if one] == [Ask.LOAD, Ask.APPLY, Ask.CONFIRM]
    ended(progress, None, JobStatus.SUCCEEDED, "runtime 3.11.9 runs")


def test_a_device_must_be_well_in_one_piece() -> None:
    progress = update(Stage.PROBATION)
    for now_s, wrong in ((1000.0, ()), (1090.0, ()), (1095.0, ("x",)), (1096.0, ()), (1150.0, ())):
        progress, ask = step(progress, replace(HERE, now_s=now_s, wrong=wrong))
        assert (progress.stage, ask) == (Stage.PROBATION, None)
    progress, ask = step(progress, replace(HERE, now_s=1196.0))
    assert ask is Ask.CONFIRM


def test_what_was_wrong_before_does_not_count_and_what_is_new_does() -> None:
    progress = update(Stage.PROBATION, wrong=("camera a does not stream",))
    old = replace(HERE, wrong=("camera a does not stream",))
    progress, _ = step(progress, old)
    assert progress.well_since_s == 1000.0
    worse = replace(old, wrong=(*old.wrong, "camera b does not stream"))
    late = replace(worse, now_s=1000.0 + 100 + UPDATE.settle_s + 1)
    progress, ask = step(progress, late)
    assert (progress.stage, ask) == (Stage.RESTORING, Ask.RESTORE)
    ended(*step(progress, replace(late, answer="restored")), JobStatus.FAILED, "camera b does not stream; the previous")
    assert "camera a" not in progress.reason


def test_a_machine_that_restarts_again_and_again_has_its_update_taken_back() -> None:
    progress = update(Stage.PROBATION)
    for boot in range(BOOTS):
        progress, ask = step(progress, replace(HERE, boot_id=f"n{boot}", now_s=5.0))
        assert (progress.stage, ask, progress.boots) == (Stage.PROBATION, None, boot + 1)
    assert step(progress, replace(HERE, boot_id="last"))[1] is Ask.RESTORE


@pytest.mark.parametrize(
    ("stage", "seen", "ask"),
    [
        (Stage.LOADING, replace(HERE, boot_id="b2"), Ask.LOAD),
        (Stage.APPLYING, replace(HERE, boot_id="b2"), Ask.RESTORE),
        (Stage.APPLYING, replace(HERE, now_s=1000 + ANSWER_S + 1), Ask.RESTORE),
        (Stage.CONFIRMING, replace(HERE, boot_id="b2", answer="done"), Ask.CONFIRM),
        (Stage.CONFIRMING, replace(HERE, now_s=1000 + ANSWER_S + 1, answer="done"), Ask.RESTORE),
        (Stage.RESTORING, replace(HERE, boot_id="b2", answer="done"), Ask.RESTORE),
    ],
)
def test_what_a_restart_may_have_lost_is_asked_for_again(stage: Stage, seen: Seen, ask: Ask) -> None:
    assert step(update(stage), seen)[1] is ask


@pytest.mark.parametrize(
    ("stage", "seen", "words"),
    [
        (Stage.LOADING, replace(HERE, load_failure="gone"), "cannot be loaded: gone"),
        (Stage.LOADING, replace(HERE, now_s=1000 + LOAD_S + 1), "did not arrive"),
        (Stage.APPLYING, replace(HERE, answer="refused", said="not signed"), "not signed"),
        (Stage.PROBATION, replace(HERE, answer="reverted", said="nobody confirmed"), "nobody confirmed"),
        (Stage.CONFIRMING, replace(HERE, answer="refused", said="no such update"), "no such update"),
        (Stage.RESTORING, replace(HERE, answer="failed", said="cannot be put back"), "cannot be put back"),
        (Stage.RESTORING, replace(HERE, now_s=1000 + ANSWER_S + 1), "does not answer"),
    ],
)
def test_what_fails_says_why(stage: Stage, seen: Seen, words: str) -> None:
    ended(*step(update(stage), seen), JobStatus.FAILED, words)


SEEN = st.builds(
    Seen,
    boot_id=st.sampled_from(["b1", "b1", "b1", "b2", "b3"]),
    now_s=st.floats(0, 1e5),
    answer=st.sampled_from(["", "done", "confirmed", "restored", "reverted", "refused", "failed"]),
    wrong=st.lists(st.sampled_from(["a", "b"]), unique=True).map(tuple),
    loaded=st.booleans(),
    load_failure=st.sampled_from(["", "", "x"]),
)


@PROPERTY
@given(st.lists(SEEN, max_size=30), st.sampled_from([UPDATE, RebootJob()]))
def test_whatever_is_seen_nothing_succeeds_unconfirmed_and_ends_are_ends(seen: list[Seen], job: Any) -> None:
    progress, _ = begun("j", 1, job, HERE)
    for one in seen:
        before = progress
        progress, ask = step(progress, one)
        assert JobProgress.model_validate_json(progress.model_dump_json()) == progress  # a kill here changes nothing
        if before.stage is Stage.DONE:
            assert (progress, ask) == (before, None)
        if progress.status is JobStatus.SUCCEEDED and before.stage is not Stage.DONE:
            confirmed = before.stage is Stage.CONFIRMING and one.answer == "confirmed"
            assert confirmed or (before.stage is Stage.REBOOTING and one.boot_id != before.boot_id)
        if ask is Ask.CONFIRM:
            assert set(one.wrong) <= set(before.wrong_before) or before.stage is Stage.CONFIRMING


@dataclass
class Clockwork:
    """A device on which time goes on and nothing else happens."""

    now_s: float = 1000.0
    asked: list[Ask | None] = field(default_factory=list)


@PROPERTY
@given(st.sampled_from(list(Stage)), st.booleans())
def test_a_job_about_which_nobody_answers_ends_within_hours(stage: Stage, well: bool) -> None:
    progress, device = update(stage), Clockwork()
    while progress.stage is not Stage.DONE:
        device.now_s += 60
        assert device.now_s < 1000 + 6 * 3600, progress
        progress, ask = step(progress, replace(HERE, now_s=device.now_s, wrong=() if well else ("x",)))
        device.asked.append(ask)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "operation"),
        ({"operation": "reboot", "vedette": 2}, "vedette"),
        ({"operation": "shell", "command": "id"}, "shell"),
        ({"operation": "reboot", "delay": 1}, "delay"),
        ({**UPDATE.model_dump(), "version": "1 && reboot"}, "version"),
        ({**UPDATE.model_dump(), "version": "1\nkind=nucleus"}, "version"),
        ({**UPDATE.model_dump(), "sha256": "Z" * 64}, "sha256"),
        ({**UPDATE.model_dump(), "key": "../../secret"}, "key"),
        ({**UPDATE.model_dump(), "size": 1 << 40}, "size"),
        ({**UPDATE.model_dump(), "signature": "a b"}, "signature"),
        ([], "dict"),
        (None, "dict"),
    ],
)
def test_documents_that_are_none_are_refused_by_field(document: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DEVICE_JOB.validate_python(document)


def test_what_is_wrong_with_a_device() -> None:
    now_s = 1000.0
    components: dict[str, Any] = {
        "vedette.CameraIngest": {"wall_s": now_s, "cameras": [{"camera": "a", "state": "STREAMING"},
                                                              {"camera": "b", "state": "CONNECTING"}, "nonsense"]},
        "vedette.Inference": {"wall_s": now_s - 100, "models": {"m": {"state": "FAILED"}, "n": {"state": "RUNNING"}}},
        "vedette.AppHost": {"wall_s": "now"},
    }  # fmt: skip
    assert wrong_with(components, now_s) == (
        "camera b does not stream",
        "model m does not run well",
        "vedette.AppHost is silent",
        "vedette.Inference is silent",
    )
    assert wrong_with({}, now_s) == ()
    assert wrong_with({"x": {"wall_s": now_s, "cameras": [{"state": {}}], "models": [1]}}, now_s) != ()


def test_a_ring_passes_on_evidence_only() -> None:
    assert ring_fails(succeeded=3, failed=0, waiting=2) == ""
    assert ring_fails(succeeded=0, failed=0, waiting=0) == ""
    assert ring_fails(succeeded=0, failed=0, waiting=2)
    assert ring_fails(succeeded=90, failed=1, waiting=0)
    assert ring_fails(succeeded=3, failed=0, waiting=0, working=1)
