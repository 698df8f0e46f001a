"""A candidate on a device: attached, compared, told, taken away; whatever ends or is away in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.comparison.site import ROLLOUT, site
from tests.comparison.test_plan import attached, manifest
from vedette.adapters.state.files import write_component_status
from vedette.compose.candidate import ALONE_S, REPORT_AGAIN_S, REPORT_S, Candidate
from vedette.compose.candidate_progress import FILE_NAME
from vedette.contracts.comparison import Agreement, GoldenClips
from vedette.contracts.errors import ConfigurationError, StorageError

ALIKE = Agreement(running_objects=1, running_seen=1.0, new_objects=1, new_seen=1.0)


def test_it_compares_tells_and_goes(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        here.pictures(0, 30)  # before it came: they do not count
        candidate = here.candidate()
        here.step(candidate)
        assert candidate.attached
        assert [c.manifest.version for c in here.owner.candidates] == ["0.2.0"]
        assert [a.manifest.version for a in here.owner.applications] == ["0.1.0"]
        here.pictures(30, 60)
        here.step(candidate)
        assert not here.told, "nothing to tell yet"
        here.step(candidate, REPORT_S)
        (report,) = here.told
        assert (report.done, report.frames, report.against, report.version) == (False, 30, "0.1.0", "0.2.0")
        assert (report.rollout_id, report.device, report.application) == (ROLLOUT, "dev", "gate")
        here.pictures(60, 100)
        here.step(candidate)
        report = here.told[-1]
        assert (report.done, report.frames, report.labels, report.golden) == (True, 50, {"car": ALIKE}, GoldenClips())
        assert candidate.done
        assert not here.owner.candidates, "its cost ends with the comparison"
        assert len(here.owner.applications) == 1
        for _ in range(5):
            here.step(candidate, REPORT_S)
        assert len(here.told) == 2, "told once"
        candidate.close()

        again = here.candidate()
        here.step(again)
        assert here.told[2:] == [report], "a restart tells it again, and puts nothing on the device"
        assert not here.owner.candidates
        again.close()


@pytest.mark.parametrize("cut", [0, 1, 7, 24])
def test_killed_anywhere_it_goes_on_and_counts_nothing_twice(short_tmp: Path, cut: int) -> None:
    with site(short_tmp) as here:
        candidate = here.candidate(policy={"warm_up": 3})
        here.step(candidate)
        here.write([("gate/main", 0, [(1, "car", 0.0)])])
        here.pictures(1, cut + 1)
        here.step(candidate, 20.0)  # far enough for it to be saved
        here.pictures(cut + 1, 30)
        here.step(candidate)  # counted, not saved
        here.kill(candidate)
        here.write([("candidate:gate/main", 0, [(1, "car", 0.0)])])  # of the first picture, whose partner waited

        candidate = here.candidate(policy={"warm_up": 3})
        here.step(candidate)
        report = candidate.report()
        # Where a later picture was paired before, the first one has no partner any more.
        assert report.frames == (30 if cut == 0 else 29) - 3 - (cut == 0)
        assert report.labels == {"car": ALIKE}
        candidate.close()


def test_time_goes_on_after_a_restart(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        first = here.candidate()
        for _ in range(31):
            here.step(first, 10.0)
        here.kill(first)
        second = here.candidate()
        for _ in range(31):
            here.step(second, 10.0)
        assert second.done
        assert here.told[-1].done
        assert here.told[-1].problem, "nothing was compared, and it says why"
        second.close()


def test_another_running_version_is_another_comparison(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        candidate = here.candidate()
        here.step(candidate)
        here.pictures(0, 20)
        here.step(candidate)
        here.owner.detach("gate")  # as a deployment does for a moment
        here.step(candidate)
        assert candidate.report().frames == 20
        here.owner.attach(attached(manifest()))
        here.step(candidate)
        assert candidate.report().frames == 20, "the same one again"
        here.owner.attach(attached(manifest(version="0.1.1")))
        here.step(candidate)
        here.pictures(20, 25)
        here.step(candidate)
        report = candidate.report()
        assert (report.against, report.frames) == ("0.1.1", 5)
        candidate.close()


def test_alone_there_is_nothing_to_compare(short_tmp: Path) -> None:
    with site(short_tmp, running=False) as here:
        candidate = here.candidate()
        here.step(candidate)
        assert not candidate.done
        here.step(candidate, ALONE_S)
        (report,) = here.told
        assert (report.done, report.against, report.problem, report.golden) == (True, None, "", GoldenClips())
        assert not here.owner.candidates
        candidate.close()


def test_a_running_version_that_starts_late_is_waited_for(short_tmp: Path) -> None:
    with site(short_tmp, running=False) as here:
        candidate = here.candidate()
        here.step(candidate, ALONE_S - 1)
        here.owner.attach(attached(manifest()))
        here.step(candidate)
        here.pictures(0, 60)
        here.step(candidate)
        assert (here.told[-1].against, here.told[-1].frames) == ("0.1.0", 50)
        candidate.close()


def test_a_device_that_does_not_answer_is_not_one_on_which_nothing_runs(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        here.owner.close()
        candidate = here.candidate()
        here.step(candidate, ALONE_S + 1)
        assert not candidate.done
        here.step(candidate, 600.0)
        report = here.told[-1]
        assert (report.done, report.against, report.frames) == (True, None, 0)
        assert report.problem.startswith("the device does not take the candidate: V401")
        candidate.close()


def test_it_attaches_again_after_its_owner_came_back(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        candidate = here.candidate()
        here.step(candidate)
        here.pictures(0, 10)
        here.step(candidate)
        here.owner.close()
        here.step(candidate)
        assert not candidate.attached
        here.owner = type(here.owner)(here.state)
        here.owner.start()
        try:
            assert [c.manifest.version for c in here.owner.candidates] == ["0.2.0"], "it is kept across restarts"
            here.owner.detach_candidate("gate")
            here.step(candidate)
            assert len(here.owner.candidates) == 1
            here.pictures(10, 20)
            here.step(candidate)
            assert candidate.report().frames == 20
            candidate.close()
            assert not here.owner.candidates
        finally:
            here.owner.close()


def test_a_report_is_sent_until_it_went_out(short_tmp: Path) -> None:
    with site(short_tmp, running=False) as here:
        here.offline = True
        candidate = here.candidate()
        here.step(candidate)
        here.step(candidate, ALONE_S)
        here.step(candidate, REPORT_AGAIN_S)
        here.offline = False
        here.step(candidate, REPORT_AGAIN_S / 2)
        assert not here.told
        here.step(candidate, REPORT_AGAIN_S)
        assert [report.done for report in here.told] == [True]
        candidate.close()


def test_why_nothing_was_compared(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        candidate = here.candidate()
        here.step(candidate)
        # Same model, same part of the picture: it is served by the running version's own session.
        (session,) = here.owner.plan.models
        write_component_status(
            here.state,
            "vedette.Inference",
            {"models": {session.key: {"state": "FAILED", "code": "V301", "error": "no file"}}},
        )
        assert candidate.report().problem == "the model of the new version is FAILED: V301 no file"
        write_component_status(here.state, "vedette.Inference", {"models": {session.key: {"state": "RUNNING"}}})
        assert "no picture was analysed by both" in candidate.report().problem
        here.owner.attach(attached(manifest(), "west"))
        here.step(candidate)
        assert "is not compared" in candidate.report().problem
        candidate.close()


def test_labels_of_one_version_alone_are_said_and_not_held_against_it(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        here.owner.attach(attached(manifest(labels=["car"])))
        candidate = here.candidate()
        here.step(candidate)
        scene = [(1, "car", 0.0)]
        for number in range(60):
            here.write([("gate/main", number, scene), ("candidate:gate/main", number, [*scene, (2, "bus", 90.0)])])
        here.step(candidate)
        report = here.told[-1]
        assert report.labels == {"car": ALIKE}
        assert report.notes == ("labels that only the new version has are not compared: bus",)
        assert report.problem == ""
        candidate.close()


def test_another_journal_is_read_from_its_start(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        candidate = here.candidate()
        here.step(candidate)
        here.pictures(0, 10)
        here.write([("gate/main", 10, [])])
        here.step(candidate)
        target = (here.state / "journal.db").readlink()
        for file in (here.state / "journal.db", here.state / target):
            file.unlink()
        here.pictures(11, 21)
        here.step(candidate)
        assert candidate.report().frames == 20
        candidate.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b"\xff"])
def test_a_damaged_file_costs_what_was_counted_and_no_more(short_tmp: Path, content: bytes) -> None:
    with site(short_tmp) as here:
        (here.work / FILE_NAME).write_bytes(content)
        candidate = here.candidate()
        here.step(candidate)
        here.pictures(0, 60)
        here.step(candidate)
        assert candidate.done
        candidate.close()


def test_another_rollout_begins_anew(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        candidate = here.candidate()
        here.step(candidate)
        here.pictures(0, 60)
        here.step(candidate)
        candidate.close()
        other = here.candidate(rollout="rollout-2")
        assert not other.done
        here.step(other)
        assert other.report().frames == 0
        other.close()


def test_a_folder_that_cannot_be_written_stops_nothing(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("no space.", code="V404")

    monkeypatch.setattr("vedette.compose.candidate_progress.write_durably", full)
    with site(short_tmp) as here:
        candidate = here.candidate()
        here.step(candidate)
        here.pictures(0, 60)
        here.step(candidate)
        assert here.told[-1].done
        candidate.close()


def test_a_value_that_is_not_allowed_ends_it_at_once(short_tmp: Path) -> None:
    with site(short_tmp) as here:
        good = here.candidate()
        config = good._config.model_copy(update={"parameters": {"nonsense": 1}})
        with pytest.raises(ConfigurationError, match="nonsense"):
            Candidate(good._around, config)
        good.close()
