"""Parameters of a manifest: mistakes are found where they stand, values go where they belong and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conftest import REPOSITORY
from vedette.adapters.manifest import check_manifest
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import Count, Dwell, Manifest
from vedette.core.manifest_checks import check_document
from vedette.core.manifest_checks.kinds import KindName, ValueRefusedError
from vedette.core.manifest_checks.parameters import TUNABLE
from vedette.core.parameters import _document, parameter_values, parameters_of, with_parameters

ZONE = [[0.1, 0.5], [0.5, 0.5], [0.5, 1.0], [0.1, 1.0]]
DOCUMENT: dict[str, Any] = {
    "api": "vedette/v1",
    "name": "shop",
    "cameras": {"hall": {}},
    "models": {"people": {"family": "yolox", "file": "yolox_nano"}},
    "pipelines": {
        "main": {
            "model": "people",
            "cameras": ["hall"],
            "labels": ["person"],
            "attributes": {"badge": {"type": "codes"}},
        }
    },
    "rules": {
        "lingers": {
            "type": "dwell",
            "zone": ZONE,
            "for_s": 20,
            "severity": "critical",
            "schedule": {"timezone": "Europe/Berlin", "start": "22:00:00", "end": "06:00:00"},
        },
        "waits": {"type": "zone_occupied", "zone": ZONE, "for_s": 30},
        "crowd": {"type": "count", "above": 4, "for_s": 20},
    },
    "actions": {"hook": {"type": "webhook", "url": "https://a.example/in"}},
}
PARAMETERS: dict[str, Any] = {
    "patience_s": {"title": "Patience", "sets": ["rules.lingers.for_s", "rules.crowd.for_s"], "min": 1, "max": 600},
    "urgency": {"sets": ["rules.lingers.severity"], "choices": ["warning", "critical"]},
    "crowd": {"sets": ["rules.crowd.above"]},
    "night": {"sets": ["rules.lingers.schedule.start"]},
    "lost_s": {"sets": ["pipelines.main.tracker.lost_s"]},
    "agnostic": {"sets": ["models.people.class_agnostic_nms"]},
    "labels": {"sets": ["pipelines.main.labels"]},
    "days": {"sets": ["rules.lingers.schedule.days"]},
    "url": {"sets": ["actions.hook.url"]},
    "look_s": {"sets": ["pipelines.main.attributes.badge.every_s"]},
    "mode": {"default": "day", "choices": ["day", "night"]},
    "gain": {"default": 1.5, "max": 3},
}


def document(**parameters: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(DOCUMENT)), "parameters": parameters}


SHOP = Manifest.model_validate(document(**PARAMETERS))


def mistakes(**parameters: Any) -> list[tuple[str, str, str, str]]:
    found = [f for f in check_document(document(**parameters)) if f.level == "error"]
    return [(".".join(map(str, f.path)), f.message, f.allowed, f.suggestion) for f in found]


def test_a_good_manifest_has_no_mistakes() -> None:
    assert mistakes(**PARAMETERS) == []
    assert parameter_values(SHOP) == {
        "patience_s": 20.0,
        "urgency": "critical",
        "crowd": 4,
        "night": "22:00:00",
        "lost_s": 3.0,
        "agnostic": False,
        "labels": ("person",),
        "days": ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
        "url": "https://a.example/in",
        "look_s": 0.3,
        "mode": "day",
        "gain": 1.5,
    }
    assert {name: spec.kind.name for name, spec in parameters_of(SHOP).items()} == {
        "patience_s": KindName.NUMBER,
        "urgency": KindName.TEXT,
        "crowd": KindName.WHOLE,
        "night": KindName.TIME,
        "lost_s": KindName.NUMBER,
        "agnostic": KindName.TRUTH,
        "labels": KindName.LIST,
        "days": KindName.LIST,
        "url": KindName.TEXT,
        "look_s": KindName.NUMBER,
        "mode": KindName.TEXT,
        "gain": KindName.NUMBER,
    }


STAGE = "pipelines.main.attributes"

#: parameter, place of the mistake below it, words of the message, words of what is allowed, suggestion
MISTAKES: list[tuple[dict[str, Any], str, str, str, str]] = [
    ({"sets": ["rules.lingrs.for_s"]}, "sets.0", "no 'lingrs' in rules", "lingers", "`rules.lingers.for_s`"),
    ({"sets": ["rules.lingers.fors"]}, "sets.0", "no 'fors' in rules.lingers", "for_s", "`rules.lingers.for_s`"),
    ({"sets": ["rule.lingers.for_s"]}, "sets.0", "no 'rule' in", "rules, pipelines", "`rules.lingers.for_s`"),
    ({"sets": [""]}, "sets.0", "no '' in the manifest", "rules", ""),
    ({"sets": ["rules.lingers.zone"]}, "sets.0", "cannot be set", "for_s", ""),
    ({"sets": ["rules.lingers"]}, "sets.0", "cannot be set", "", ""),
    ({"sets": ["rules.lingers.type"]}, "sets.0", "cannot be set", "", ""),
    ({"sets": ["models.people.file"]}, "sets.0", "cannot be set", "min_confidence", ""),
    ({"sets": ["actions.hook.secret"]}, "sets.0", "cannot be set", "timeout_s, url", ""),
    ({"sets": ["name"]}, "sets.0", "cannot be set", "rules", ""),
    ({"sets": ["pipelines.main.attributes.badge.crop"]}, "sets.0", "cannot be set", "attributes.badge.every_s", ""),
    (
        {"sets": ["pipelines.main.attributes.bage.every_s"]},
        "sets.0",
        "no 'bage' in",
        "badge",
        "`pipelines.main.attributes.badge.every_s`",
    ),
    ({"sets": ["pipelines.main.attributes.badge.min_confidence"]}, "sets.0", "no 'min_confidence'", "every_s", ""),
    ({"sets": ["pipelines.main.motion.floor_s"]}, "sets.0", "nothing stands there", "", ""),
    ({"sets": ["rules.crowd.below"]}, "sets.0", "nothing stands there", "a value stands", ""),
    ({"sets": ["rules.waits.schedule.start"]}, "sets.0", "nothing stands there", "", ""),
    ({"sets": ["rules.lingers.for_s", "rules.waits.for_s"]}, "sets.1", "is 30, rules.lingers.for_s is 20", "same", ""),
    ({"sets": ["rules.lingers.for_s", "rules.lingers.for_s"]}, "sets.1", "set by parameter 'p' already", "once", ""),
    ({"sets": ["rules.waits.hold_s", "rules.lingers.severity"]}, "sets.1", "severity takes info", "one kind", ""),
    ({"sets": []}, "", "sets no place and has no `default`", "sets", ""),
    ({}, "", "sets no place and has no `default`", "sets", ""),
    ({"sets": ["rules.waits.for_s"], "default": 30}, "default", "for parameters without `sets`", "no `default`", ""),
    ({"sets": ["rules.waits.for_s"], "min": 40}, "@rules.waits.for_s", "found 30 as the default", "at least 40", ""),
    ({"sets": ["rules.waits.for_s"], "min": -1}, "min", "outside of what the place", "at least 0", ""),
    ({"sets": ["rules.lingers.min_confidence"], "max": 2}, "max", "outside of what", "at most 1", ""),
    ({"sets": ["rules.waits.for_s"], "min": 60, "max": 5}, "max", "max 5 is below min 60", "", ""),
    ({"sets": ["rules.lingers.severity"], "min": 1}, "min", "makes no sense for text", "choices", ""),
    ({"sets": ["rules.lingers.severity"], "choices": ["warn"]}, "choices.0", "'warn'", "critical", "`warning`"),
    ({"sets": ["rules.waits.for_s"], "choices": [10, 20]}, "@rules.waits.for_s", "found 30", "10, 20", ""),
    ({"default": "day", "choices": ["night"]}, "default", "'day' as the default", "'night'", ""),
    ({"default": 3, "choices": [3, 4.5]}, "choices.1", "found 4.5", "a whole number", ""),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: f"{case[1]}-{case[2][:30]}")
def test_one_mistake_is_found_in_its_place(case: tuple[dict[str, Any], str, str, str, str]) -> None:
    parameter, place, message, allowed, suggestion = case
    found = mistakes(p=parameter)
    assert len(found) == 1, found
    expected = place.removeprefix("@") if place.startswith("@") else ".".join(filter(None, ("parameters.p", place)))
    assert found[0][0] == expected
    assert message in found[0][1]
    assert allowed in found[0][2]
    assert found[0][3] == suggestion


def test_two_parameters_do_not_set_one_place() -> None:
    found = mistakes(a={"sets": ["rules.waits.for_s"]}, b={"sets": ["rules.waits.hold_s", "rules.waits.for_s"]})
    assert [(place, message) for place, message, _, _ in found] == [
        ("parameters.b.sets.1", "rules.waits.for_s is 30, rules.waits.hold_s is 0"),
        ("parameters.b.sets.1", "rules.waits.for_s is set by parameter 'a' already"),
    ]


def test_the_limits_of_all_places_hold_together() -> None:
    shop = Manifest.model_validate(document(p={"sets": ["rules.waits.hold_s", "rules.waits.cooldown_s"]}))
    assert parameters_of(shop)["p"].kind.allowed == "a number, at least 0, at most 3600"


def test_everything_that_may_be_set_is_a_place_of_some_manifest() -> None:
    """A field that is renamed must not stay in the list."""
    from vedette.core.manifest_checks.places import manifest_schema

    schema = manifest_schema()
    fields: dict[str, set[str]] = {}
    for section in TUNABLE:
        entry = next(iter(schema["properties"][section]["patternProperties"].values()))
        options = entry.get("oneOf", [entry])
        for option in options:
            properties = schema["$defs"][option["$ref"].rpartition("/")[2]]["properties"]
            fields.setdefault(section, set()).update(properties)
            inner_fields = {
                "tracker": ("Tracker",),
                "schedule": ("Schedule",),
                "motion": ("Motion",),
                "attributes.*": ("ClassifierAttribute", "CodesAttribute"),
            }
            for inner, names in inner_fields.items():
                if inner.partition(".")[0] in properties:
                    keys = [key for name in names for key in schema["$defs"][name]["properties"]]
                    fields[section].update(f"{inner}.{key}" for key in keys)
    assert all(allowed <= fields[section] for section, allowed in TUNABLE.items())


def test_values_stand_at_their_places_afterwards() -> None:
    changed = with_parameters(
        SHOP,
        {
            "patience_s": " 7.5 ",
            "urgency": "warning",
            "crowd": "9",
            "night": "21:30",
            "lost_s": 2,
            "agnostic": "TRUE",
            "labels": "person, car",
            "days": "[sat, 'sun']",
            "url": "https://b.example/",
            "mode": "night",
            "gain": None,
        },
    )
    lingers, crowd = changed.rules["lingers"], changed.rules["crowd"]
    assert isinstance(lingers, Dwell)
    assert isinstance(crowd, Count)
    assert (lingers.for_s, crowd.for_s, crowd.above, lingers.severity) == (7.5, 7.5, 9, "warning")
    assert lingers.schedule is not None
    assert (lingers.schedule.start.isoformat(), lingers.schedule.days) == ("21:30:00", ("sat", "sun"))
    assert changed.pipelines["main"].tracker.lost_s == 2
    assert changed.pipelines["main"].labels == ("person", "car")
    assert changed.models["people"].class_agnostic_nms is True
    assert parameter_values(changed)["mode"] == "night"
    assert parameter_values(changed)["gain"] == 1.5
    assert with_parameters(SHOP, {}) is SHOP


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"patiance_s": 3}, "no parameter is called 'patiance_s'; there is patience_s, .*meant `patience_s`"),
        ({"patience_s": "soon"}, "'patience_s': found 'soon'; allowed: a number, at least 1, at most 600"),
        ({"patience_s": 0.5}, "found 0.5; allowed"),
        ({"patience_s": True}, "found true"),
        ({"patience_s": float("nan")}, "found nan"),
        ({"patience_s": "1e999"}, "found '1e999'"),
        ({"patience_s": 10**400}, "found 1000"),
        ({"patience_s": "1_0"}, "found '1_0'"),
        ({"patience_s": {"a": 1}}, "found fields"),
        ({"crowd": 4.5}, "found 4.5; allowed: a whole number, at least 0"),
        ({"urgency": "warnin"}, "found 'warnin'; allowed: .*'warning', 'critical'; meant `warning`"),
        ({"urgency": "info"}, "found 'info'"),
        ({"night": "24:30"}, "a time of day"),
        ({"agnostic": "yes"}, "true or false"),
        ({"days": "sat,sunn"}, "'sunn'; allowed: .*meant `sun`"),
        ({"days": []}, "found \\[\\]"),
        ({"labels": ["person", "persn"]}, "with labels = .*persn"),
        ({"url": "https://u:p@a.example/"}, "credentials"),
        ({"mode": "dusk"}, "'day', 'night'"),
        ({"gain": 4}, "at most 3"),
    ],
)
def test_what_is_not_allowed_is_said_with_what_is(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        with_parameters(SHOP, values)
    assert caught.value.code == "V106"
    assert caught.value.message.startswith("application shop: ")


def test_all_mistakes_are_said_at_once_and_nothing_is_applied() -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_parameters(SHOP, {"patience_s": 9, "crowd": -1, "mode": "x", "nothing": 1})
    assert [name in caught.value.message for name in ("'crowd'", "'mode'", "'nothing'")] == [True] * 3
    assert "'patience_s'" not in caught.value.message.replace("there is patience_s", "")


def test_values_that_are_right_each_and_wrong_together() -> None:
    shop = Manifest.model_validate(
        document(
            low={"sets": ["pipelines.main.tracker.low_confidence"]},
            high={"sets": ["pipelines.main.tracker.high_confidence"]},
        )
    )
    assert with_parameters(shop, {"low": 0.5, "high": 0.6}).pipelines["main"].tracker.low_confidence == 0.5
    with pytest.raises(ConfigurationError, match=r"with low = 0.5, .*low_confidence 0.5 is above high_confidence"):
        with_parameters(shop, {"low": 0.5})


def test_a_manifest_that_came_over_a_socket_is_the_same() -> None:
    sent = Manifest.model_validate_json(SHOP.model_dump_json())
    values = {"patience_s": 9, "mode": "night"}
    assert with_parameters(sent, values) == with_parameters(SHOP, values)


def test_an_application_without_parameters_says_so() -> None:
    with pytest.raises(ConfigurationError, match="its manifest has none"):
        with_parameters(Manifest.model_validate(document()), {"a": 1})


raw_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.lists(st.text(max_size=6), max_size=3)
    | st.sampled_from(["5", "night", "warning", "21:00", "person", "sat", "true", "https://x.example/", 0.4, 12])
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*PARAMETERS, "other"]), raw_values, max_size=4))
def test_a_set_of_values_is_refused_or_applied_as_a_whole(values: dict[str, Any]) -> None:
    specs = parameters_of(SHOP)
    try:
        changed = with_parameters(SHOP, values)
    except ConfigurationError:
        return
    after = parameter_values(changed)
    for name, before in parameter_values(SHOP).items():
        wanted = values.get(name)
        assert after[name] == (before if wanted is None else specs[name].kind.read(wanted))
    assert check_document(changed.model_dump(mode="json", exclude_unset=True)) == []
    assert with_parameters(changed, values) == changed
    assert with_parameters(changed, parameter_values(SHOP)) == with_parameters(SHOP, parameter_values(SHOP))


@settings(max_examples=200, deadline=None)
@given(raw_values, st.sampled_from(sorted(PARAMETERS)))
@example("0\x1f", "crowd")  # white space to strip(), none to float()
def test_a_value_that_was_read_reads_back_from_its_text(raw: Any, name: str) -> None:
    kind = parameters_of(SHOP)[name].kind
    try:
        value = kind.read(raw)
    except ValueRefusedError:
        return
    assert kind.read(value) == value
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    plain = not isinstance(value, tuple) or all(
        p and p == p.strip() == p.strip(" ,[]'\"") and "," not in p for p in value
    )
    if plain:
        assert kind.read(text) == value


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_parameters_of_any_shape_are_told_about_and_never_crash(data: st.DataObject) -> None:
    scalars = raw_values | st.sampled_from(["rules.lingers.for_s", "rules.crowd.above", "pipelines.main.fps", "a.b.c"])
    values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=3), scalars, max_size=2)
    keys = st.sampled_from(["title", "sets", "default", "min", "max", "choices", "x"])
    entry = st.dictionaries(keys, values, max_size=4) | values
    parameters = data.draw(st.dictionaries(st.sampled_from(["a", "b", "c d"]), entry, max_size=3))
    whole = document(**parameters)
    errors = [finding for finding in check_document(whole) if finding.level == "error"]
    for finding in errors:
        assert finding.message
    json.loads(json.dumps([finding.message for finding in errors]))


def test_a_mistake_has_its_line_in_the_file(tmp_path: Path) -> None:
    text = yaml.safe_dump(document(p={"sets": ["rules.lingrs.for_s"]}), sort_keys=False)
    (tmp_path / "vedette.yaml").write_text(text)
    found = check_manifest(tmp_path)
    assert [(m.path, m.source.strip()) for m in found] == [("parameters.p.sets[0]", "- rules.lingrs.for_s")]


def test_the_manifests_of_the_examples_stay_what_they_are_without_values() -> None:
    for file in sorted((REPOSITORY / "examples").glob("*/vedette.yaml")):
        manifest = Manifest.model_validate(yaml.safe_load(file.read_text()))
        assert with_parameters(manifest, {}) is manifest
        assert with_parameters(manifest, parameter_values(manifest)) == manifest
        # The owner of the state directory checks what came over its socket, where every field is written.
        sent = Manifest.model_validate_json(manifest.model_dump_json())
        assert [f for f in check_document(_document(sent)) if f.level == "error"] == []
