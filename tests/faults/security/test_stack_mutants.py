"""X21: each control of the stacks is dropped, one at a time; some property test has to notice."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from tests.cloud.conftest import EVERYTHING, templates
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from tests.faults.security.stack_mutants import LEFT_OUT, MODULES, Check, applied, checks, mutants, noticed_by


@pytest.mark.timeout(900)
def test_x21_stack_controls() -> None:
    begun_s = time.monotonic()
    found: list[tuple[str, Check]] = checks()
    assert noticed_by(found) == "", "a check fails on the stacks as they are"
    every = list(mutants())
    survived: list[str] = []
    kinds: Counter[str] = Counter()
    general = [each for each in found if not each[0].startswith("test_stack_controls::")]
    unnoticed_before = 0
    for mutant in every:
        kinds[templates(EVERYTHING)[mutant.stack]["Resources"][mutant.resource]["Type"].removeprefix("AWS::")] += 1
        with applied(mutant):
            if noticed_by(general):
                continue
            unnoticed_before += 1
            if not noticed_by(found):
                survived.append(str(mutant))
    assert noticed_by(found) == "", "a change was left behind"
    caught = len(every) - len(survived)
    row = Row(
        "X21",
        "controls of the stacks whose removal is caught",
        100.0 * caught / len(every),
        "%",
        len(every),
        ">= 95 %",
        passed=caught >= 0.95 * len(every) and unnoticed_before > 0,
        upper95=upper95(len(survived), len(every)),
        control=Control(
            "without the tests of test_stack_controls.py: controls whose removal nothing notices",
            unnoticed_before,
            unnoticed_before > 0,
        ),
        notes=f"{len(found)} property tests of {len(MODULES)} modules; without {', '.join(sorted(LEFT_OUT))}, which "
        "would notice every change, and without cdk-nag and CloudFormation's schema. Dropped: encryption, blocked public "
        "access, refusal of plain connections, conditions, logs, retention, recovery, dead letters, alarms; widened: "
        "resources, actions, addresses. The tests of test_stack_controls.py were written for what a first run showed to go "
        f"unnoticed. {', '.join(f'{kind} {n}' for kind, n in kinds.most_common())}. "
        f"Survived: {survived[:10] or 'none'}.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
