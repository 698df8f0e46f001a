"""AWS's own rules for the stacks (cdk-nag): no finding without a written reason, no reason without a finding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.cloud.conftest import EVERYTHING, feature_flags

#: A reason is a sentence.
LEAST_REASON = 30


class Reasons:
    """Takes down what is accepted, and lets nothing be suppressed."""

    accepted: ClassVar[list[tuple[str, str, str]]] = []

    def __init__(self, path: str) -> None:
        self._path = path

    @classmethod
    def of(cls, scope: Any) -> Reasons:
        return cls(str(scope.node.path))

    def acknowledge(self, rule: Any) -> None:
        self.accepted.append((self._path, rule.id, rule.reason))


def findings(app: Any) -> set[tuple[str, str]]:
    """(construct, rule) of everything that cdk-nag finds."""
    from aws_cdk import Validations
    from cdk_nag import AwsSolutionsChecks

    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    try:
        app.synth()
    except RuntimeError as error:
        if "ValidationFailed" not in str(error):
            raise
    report = json.loads((Path(app.outdir) / "validation-report.json").read_text())
    return {
        (place["constructPath"], violation["ruleName"])
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for place in violation["violatingConstructs"]
    }


def test_what_should_be_found_is_found(tmp_path: Path) -> None:
    from aws_cdk import App, Stack
    from aws_cdk import aws_s3 as s3

    app = App(outdir=str(tmp_path))
    s3.Bucket(Stack(app, "careless"), "Bucket")
    assert ("careless/Bucket/Resource", "AwsSolutions-S10") in findings(app)


def test_every_finding_has_a_reason_and_every_reason_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aws_cdk import App

    from infra.app import build
    from infra.constructs import reasons
    from infra.settings import read_settings

    monkeypatch.setattr(reasons, "Validations", Reasons)
    monkeypatch.setattr(Reasons, "accepted", [])
    app = App(analytics_reporting=False, context=feature_flags(), outdir=str(tmp_path))
    build(app, read_settings(EVERYTHING))
    found = findings(app)

    def covers(accepted: tuple[str, str, str], finding: tuple[str, str]) -> bool:
        path, rule, _ = accepted
        return rule == finding[1] and (finding[0] == path or finding[0].startswith(f"{path}/"))

    unexplained = sorted(one for one in found if not any(covers(accepted, one) for accepted in Reasons.accepted))
    assert unexplained == []
    unneeded = [accepted for accepted in Reasons.accepted if not any(covers(accepted, one) for one in found)]
    assert unneeded == []
    assert [one for one in Reasons.accepted if len(one[2]) < LEAST_REASON] == []
    stacks = {path for path, _, _ in Reasons.accepted if "/" not in path}
    assert stacks == set(), "a whole stack is too wide a scope for a reason"
