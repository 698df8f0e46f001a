"""What an application reports on recordings, compared with what it must report."""

from __future__ import annotations

from vedette.core.application_tests.against import Difference, differences
from vedette.core.application_tests.checks import check_test
from vedette.core.application_tests.compare import Extra, Match, Miss, RuleScore, Verdict, compare, score

__all__ = [
    "Difference",
    "Extra",
    "Match",
    "Miss",
    "RuleScore",
    "Verdict",
    "check_test",
    "compare",
    "differences",
    "score",
]
