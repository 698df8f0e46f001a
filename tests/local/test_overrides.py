from __future__ import annotations

import pytest

from tests.examples.expected import EXAMPLES
from vedette.adapters.manifest import load_manifest
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import LineCrossed, Manifest
from vedette.local.overrides import with_overrides


def overridden(*assignments: str) -> Manifest:
    return with_overrides(load_manifest(EXAMPLES / "people_flow" / "vedette.yaml"), assignments)


def test_values_lists_and_unset_fields_are_replaced() -> None:
    changed = overridden(
        "models.objects.min_confidence=0.4", "rules.leaves-right.line.0=[0.5, 0]", "pipelines.people.tracker.min_hits=4"
    )
    assert changed.models["objects"].min_confidence == 0.4
    rule = changed.rules["leaves-right"]
    assert isinstance(rule, LineCrossed)
    assert rule.line == ((0.5, 0.0), (0.8, 1.0))
    assert changed.pipelines["people"].tracker.min_hits == 4


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("foo", "path=value"),
        ("=3", "path=value"),
        ("models.object.min_confidence=3", "there is objects"),
        ("models.objects.min_confidence=3", r"models.objects.min_confidence: found 3, allowed: .*1"),
        ("models.objects.min_confidnce=0.3", "unknown field 'min_confidnce'.*min_confidence"),
        ("models.objects.min_confidence=[", "no YAML value"),
        ("actions.log=!!python/object/apply:os.system [ls]", "no YAML value"),
        ("models.objects.file.name=x", "nothing below models.objects.file"),
        ("rules.table-dwell.zone.7=[0, 0]", "list of 4"),
        ("rules.table-dwell.zone.x=[0, 0]", "list of 4"),
        ("rules.table-dwell.for_s=abc", "rules.table-dwell.for_s: found 'abc', allowed: a number"),
        ("pipelines.people.model=nope", "nope"),
    ],
)
def test_mistakes_are_said_in_a_sentence(assignment: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        overridden(assignment)
    assert len(caught.value.message) < 400
