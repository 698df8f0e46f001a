from __future__ import annotations

import pytest

from tests.examples.expected import EXAMPLES
from vedette.adapters.manifest import load_manifest
from vedette.contracts.errors import ConfigurationError, UsageError
from vedette.contracts.manifest import Dwell, LineCrossed, Manifest, Parameter
from vedette.local.overrides import by_application, split_assignments, with_overrides


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


def test_a_parameter_goes_before_a_place_of_the_same_name() -> None:
    plain = load_manifest(EXAMPLES / "people_flow" / "vedette.yaml")
    declared = plain.model_copy(
        update={
            "parameters": {
                "title": Parameter(sets=("rules.table-dwell.title",)),
                "patience_s": Parameter(sets=("rules.table-dwell.for_s",), max=60.0),
            }
        }
    )
    changed = with_overrides(declared, ["title=Lunch", "patience_s=12", "pipelines.people.fps=4"])
    rule = changed.rules["table-dwell"]
    assert isinstance(rule, Dwell)
    assert (rule.title, rule.for_s, changed.title) == ("Lunch", 12, plain.title)
    assert changed.pipelines["people"].fps == 4
    assert with_overrides(plain, ["title=Lunch"]).title == "Lunch"
    values, places = split_assignments(declared, ["patience_s=12", "rules.table-dwell.for_s=3"])
    assert (values, places) == ({"patience_s": "12"}, ["rules.table-dwell.for_s=3"])
    for wrong, words in (
        (["patience_s=90"], "found '90'; allowed: a number, at least 0, at most 60"),
        (["patiense_s=9"], "no parameter is called 'patiense_s'.*meant `patience_s`"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            with_overrides(declared, wrong)
    with pytest.raises(UsageError, match="given twice"):
        with_overrides(declared, ["patience_s=9", "patience_s=8"])


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


def test_which_application_an_assignment_is_for() -> None:
    one = load_manifest(EXAMPLES / "people_flow" / "vedette.yaml")
    parameter = {"patience_s": Parameter(sets=("rules.table-dwell.for_s",))}
    shop, yard = (
        one.model_copy(update={"name": name, "parameters": declared})
        for name, declared in (("shop", parameter), ("yard", {}))
    )
    rules = one.model_copy(update={"name": "rules"})
    assert by_application([shop], ["patience_s=1", "shop.patience_s=2", "rules.a.b=3"]) == {
        "shop": ["patience_s=1", "patience_s=2", "rules.a.b=3"]
    }
    assert by_application([rules], ["rules.a.b=3"]) == {"rules": ["rules.a.b=3"]}
    assert by_application([shop, yard], ["patience_s=1", "yard.rules.a.b=3"]) == {
        "shop": ["patience_s=1"],
        "yard": ["rules.a.b=3"],
    }
    for wrong in ("rules.a.b=3", "nothing=1"):
        with pytest.raises(UsageError, match=f"shop.{wrong.partition('=')[0]} or yard"):
            by_application([shop, yard], [wrong])
    with pytest.raises(UsageError, match=r"shop\.patience_s or other\.patience_s"):
        by_application([shop, shop.model_copy(update={"name": "other"})], ["patience_s=1"])
