"""A new version of Panorama code is not compared: that is said, and its own tests and its health decide."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from tests.comparison.site import POLICY, ROLLOUT, site
from tests.core.test_comparison_decision import decide, report
from tests.panorama.test_plan_panorama import app
from vedette.compose.candidate import Candidate, Surroundings
from vedette.contracts.comparison import GoldenClips
from vedette.contracts.config import CandidateConfig
from vedette.contracts.rollout import Verdict

WHY = "Panorama code is not compared; it runs once"


def test_a_candidate_says_so_and_is_done_at_once(short_tmp: Path) -> None:
    with site(short_tmp, running=False) as here:
        here.owner.attach(app({"hall": ("east",), "yard": ("west",)}))
        (here.folder / "code").mkdir()
        (here.folder / "code/app.py").write_text("")
        config = CandidateConfig.model_validate(
            {
                "stateDirectory": str(here.state),
                "bindings": {"hall": "east", "yard": "west"},
                "task": json.dumps({"rollout_id": ROLLOUT, "policy": POLICY}),
            }
        )
        new = app(version="0.2.0").manifest
        around = Surroundings(here.folder, new, "dev", here.work, here.publish, ())
        candidate = Candidate(around, config, lambda: here.at_s, lambda: datetime(2026, 11, 27, tzinfo=UTC))
        here.step(candidate)
        here.step(candidate)
        (told,) = here.told
        assert (told.done, told.problem, told.not_compared, told.against) == (True, "", WHY, "0.1.0")
        assert decide(told, version="0.2.0", running="0.1.0").verdict is Verdict.PASS
        here.step(candidate)
        assert not here.owner.candidates
        candidate.close()


def test_its_own_tests_decide() -> None:
    passed = decide(report({}, frames=0, not_compared=WHY))
    assert (passed.verdict, passed.reason) == (Verdict.PASS, f"{WHY}; 2 of the application's own tests pass")
    failed = decide(report({}, frames=0, not_compared=WHY, golden=GoldenClips(total=2, failed=1, failures=("a",))))
    assert failed.verdict is Verdict.FAIL


def test_where_one_device_has_something_to_compare_it_counts() -> None:
    mixed = decide(report({}, "a", frames=0, not_compared=WHY), report({}, "b"), online=2)
    assert mixed.verdict is Verdict.UNDECIDED
