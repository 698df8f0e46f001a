"""``tests/*.yaml``: what is wrong in one is said with its place and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import REPOSITORY
from vedette.adapters.manifest import load_manifest
from vedette.adapters.manifest.application_tests import application_tests, load_application_test
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import Manifest
from vedette.core.application_tests import check_test

ZONE = [[0.1, 0.5], [0.5, 0.5], [0.5, 1.0], [0.1, 1.0]]
MANIFEST = Manifest.model_validate(
    {
        "api": "vedette/v1",
        "name": "shop",
        "cameras": {"hall": {}, "gate": {}},
        "models": {"people": {"family": "yolox", "file": "yolox_nano"}},
        "pipelines": {"main": {"model": "people", "cameras": ["hall", "gate"]}},
        "rules": {
            "lingers": {"type": "dwell", "zone": ZONE, "for_s": 20, "cameras": ["hall"]},
            "leaves": {"type": "line_crossed", "line": [[0.5, 0], [0.5, 1]]},
            "crowd": {"type": "count", "above": 4},
        },
        "parameters": {"patience_s": {"sets": ["rules.lingers.for_s"]}},
    }
)
GOOD = f"""\
api: vedette-test/v1
clips:
  hall: {{file: clips/a.mp4, sha256: {"a" * 64}}}
rules: [lingers, leaves, crowd]
parameters: {{patience_s: 5}}
alerts:
  - {{rule: lingers, camera: hall, at_s: 7.5}}
  - {{rule: leaves, camera: hall, between_s: [1, 2], direction: left_to_right}}
  - {{rule: crowd, camera: hall, at_s: 9, count: 5}}
none:
  - {{rule: crowd, from_s: 20}}
"""

#: old, new, line, place, words of the message, words of what is allowed, suggestion
MISTAKES = [
    ("vedette-test/v1", "vedette/v1", 1, "api", "'vedette/v1'", "vedette-test/v1", "`vedette-test/v1`"),
    ("  hall: {file", "  hal: {file", 3, "clips.hal", "no camera 'hal'", "hall, gate", "`hall`"),
    ("clips/a.mp4", "../a.mp4", 3, "clips.hall.file", "leads elsewhere", "below the test's folder", ""),
    ("clips/a.mp4", "/etc/a.mp4", 3, "clips.hall.file", "leads elsewhere", "", ""),
    ("a" * 64, "abc", 3, "clips.hall.sha256", "'abc'", "64 hexadecimal digits", ""),
    ("[lingers, leaves", "[linger, lingers, leaves", 4, "rules[0]", "no rule 'linger'", "lingers", "`lingers`"),
    ("patience_s: 5", "patiense_s: 5", 5, "parameters.patiense_s", "no parameter", "patience_s", "`patience_s`"),
    ("rule: lingers", "rule: lnigers", 7, "alerts[0].rule", "no rule 'lnigers'", "lingers", "`lingers`"),
    ("hall, at_s: 7.5", "gate, at_s: 7.5", 7, "alerts[0].camera", "no clip of camera 'gate'", "hall", ""),
    (", at_s: 7.5", "", 7, "alerts[0]", "neither `at_s` nor `between_s`", "exactly one", ""),
    ("at_s: 7.5", "at_s: 7.5, between_s: [1, 2]", 7, "alerts[0].between_s", "both", "exactly one", ""),
    ("at_s: 7.5", "at_s: -1", 7, "alerts[0].at_s", "-1", "at least 0", ""),
    ("at_s: 7.5", "at: 7.5", 7, "alerts[0].at", "unknown field 'at'", "at_s", "`at_s`"),
    ("[1, 2]", "[2, 1]", 8, "alerts[1].between_s", "1 is before 2", "from and to", ""),
    ("left_to_right", "left", 8, "alerts[1].direction", "'left'", "left_to_right", ""),
    ("count: 5", "direction: left_to_right", 9, "alerts[2].direction", "has no direction", "", ""),
    ("at_s: 7.5", "at_s: 7.5, count: 3", 7, "alerts[0].count", "counts nothing", "", ""),
    ("from_s: 20", "from_s: 20, to_s: 10", 11, "none[0].to_s", "10 is before from_s 20", "", ""),
    ("rules: [lingers, ", "rules: [", 7, "alerts[0].rule", "not among the test's `rules`", "leaves", ""),
]


def load(text: str, folder: Path) -> Any:
    file = folder / "t.yaml"
    file.write_text(text)
    return load_application_test(file, MANIFEST)


def test_a_good_file(tmp_path: Path) -> None:
    test = load(GOOD, tmp_path)
    assert (len(test.alerts), test.parameters, test.complete, test.tolerance_s) == (3, {"patience_s": 5}, True, 0.5)


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: f"{case[3]}-{case[1][:16].strip()}")
def test_one_mistake_is_found_in_its_place(case: tuple[Any, ...], tmp_path: Path) -> None:
    old, new, line, place, message, allowed, suggestion = case
    assert GOOD.count(old) == 1
    with pytest.raises(ConfigurationError) as caught:
        load(GOOD.replace(old, new), tmp_path)
    assert caught.value.code == "V107"
    text = caught.value.message
    heads = [entry for entry in text.splitlines() if ": error: " in entry and f" {place}: " in entry]
    assert len(heads) == 1, text
    assert f"t.yaml:{line}:" in heads[0]
    assert message in heads[0]
    assert allowed in text
    assert not suggestion or f"did you mean {suggestion}?" in text


def test_every_entry_that_makes_no_sense_as_a_whole_is_named(tmp_path: Path) -> None:
    text = GOOD.replace("clips:\n", f"clips:\n  gate: {{sha256: {'b' * 64}}}\n").replace(f", sha256: {'a' * 64}", "")
    with pytest.raises(ConfigurationError) as caught:
        load(text, tmp_path)
    assert "clips.gate: give either `file`" in caught.value.message
    assert "clips.hall: `sha256` is missing" in caught.value.message


def test_a_rule_that_does_not_watch_the_camera(tmp_path: Path) -> None:
    text = GOOD.replace("clips:\n", f"clips:\n  gate: {{file: b.mp4, sha256: {'b' * 64}}}\n")
    with pytest.raises(ConfigurationError, match="rule 'lingers' does not watch camera 'gate'"):
        load(text.replace("lingers, camera: hall", "lingers, camera: gate"), tmp_path)


def test_alerts_of_hooks_can_be_expected(tmp_path: Path) -> None:
    """They are known by the hook's name; what they tell is up to its code."""
    document = MANIFEST.model_dump(mode="json", exclude_none=True) | {"hooks": {"greeter": {"file": "hooks.py"}}}
    manifest = Manifest.model_validate(document)
    text = GOOD.replace("rules: [lingers,", "rules: [greeter, lingers,").replace(
        "rule: crowd, camera", "rule: greeter, camera"
    )
    file = tmp_path / "t.yaml"
    file.write_text(text)
    test = load_application_test(file, manifest)
    assert [expected.rule for expected in test.alerts] == ["lingers", "leaves", "greeter"]
    for wrong, words in (("rule: greter,", "no rule 'greter'"), ("rule: greeter,", "not among the test's `rules`")):
        file.write_text(text.replace("rules: [greeter, ", "rules: [").replace("rule: greeter,", wrong))
        with pytest.raises(ConfigurationError, match=words):
            load_application_test(file, manifest)


def test_files_that_are_no_tests(tmp_path: Path) -> None:
    for text in ("", "[1, 2]", "a: [", "5"):
        with pytest.raises(ConfigurationError) as caught:
            load(text, tmp_path)
        assert caught.value.code == "V107"
    with pytest.raises(ConfigurationError) as caught:
        load_application_test(tmp_path / "none.yaml", MANIFEST)
    assert caught.value.code == "V101"


def test_the_files_of_an_application(tmp_path: Path) -> None:
    assert application_tests(tmp_path) == []
    (tmp_path / "tests").mkdir()
    for name in ("b.yaml", "a.yml", "c.txt", "a.mp4"):
        (tmp_path / "tests" / name).touch()
    assert [file.name for file in application_tests(tmp_path)] == ["a.yml", "b.yaml"]


def test_the_tests_of_the_examples_are_right() -> None:
    for manifest in sorted((REPOSITORY / "examples").glob("*/vedette.yaml")):
        files = application_tests(manifest)
        assert files, f"{manifest.parent.name} has no test"
        for file in files:
            test = load_application_test(file, load_manifest(manifest))
            assert test.alerts or test.none, file


scalars = st.none() | st.booleans() | st.integers(-2, 30) | st.floats() | st.sampled_from(["hall", "lingers", "", "x"])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["rule", "camera", "at_s", "between_s", "file", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_files_of_any_shape_are_told_about_and_never_crash(data: st.DataObject) -> None:
    document = yaml.safe_load(GOOD)
    for key in data.draw(st.lists(st.sampled_from([*document, "x"]), max_size=3)):
        document[key] = data.draw(values)
    for finding in check_test(document, MANIFEST):
        assert finding.message


def test_every_field_is_explained_in_the_document(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "applications.md").read_text("utf-8")
    schema = json.loads((REPOSITORY / "src/vedette/contracts/schema/application-test.json").read_text())
    for part in (schema, *schema["$defs"].values()):
        for field in part.get("properties", {}):
            assert f"`{field}`" in text or f"`{field}." in text, field
