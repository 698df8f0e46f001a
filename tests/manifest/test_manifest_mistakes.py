from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from vedette.adapters.manifest import attached_application, check_manifest, load_manifest
from vedette.contracts.errors import ConfigurationError
from vedette.core.mistake import Mistake
from vedette.core.yaml_reader import MAX_BYTES

GOOD = """\
api: vedette/v1
name: shop
cameras:
  hall: {}
models:
  people:
    family: yolox
    file: yolox_nano
pipelines:
  main:
    model: people
    cameras: [hall]
    labels: [person]
rules:
  leaves:
    type: line_crossed
    line: [[0.8, 0], [0.8, 1]]
    direction: left_to_right
"""


@pytest.fixture
def check(tmp_path: Path) -> Any:
    def run(text: str | bytes) -> list[Mistake]:
        file = tmp_path / "vedette.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return check_manifest(file)

    return run


def only(mistakes: list[Mistake]) -> Mistake:
    assert len(mistakes) == 1, "\n".join(m.render() for m in mistakes)
    return mistakes[0]


def test_a_good_manifest_has_no_mistakes(check: Any) -> None:
    assert check(GOOD) == []


def rule(text: str) -> str:
    return GOOD.partition("rules:")[0] + "rules:\n  r: {" + text + "}\n"


# old text, new text, line, column, path, words of the message, words of what is allowed, suggestion
ONE_MISTAKE = [
    ("api: vedette/v1", "api: vedette/v2", 1, 6, "api", "'vedette/v2'", "vedette/v1", "`vedette/v1`"),
    ("name: shop", "name: my shop", 2, 7, "name", "'my shop'", "letters, digits", "`my-shop`"),
    ("name: shop", "nam: shop\nname: shop", 2, 1, "nam", "unknown field 'nam'", "api, name, title", "`name`"),
    ("name: shop\n", "", 1, 1, "name", "`name` is missing", "", ""),
    ("family: yolox", "family: yolo", 7, 13, "models.people.family", "'yolo'", "yolox, detr", "`yolox`"),
    ("file: yolox_nano", "file: 7", 8, 11, "models.people.file", "found 7", "text", ""),
    (
        "file: yolox_nano",
        "file: a\n    min_confidence: 30",
        9,
        21,
        "models.people.min_confidence",
        "30",
        "at most 1",
        "",
    ),
    ("model: people", "model: peple", 11, 12, "pipelines.main.model", "no model is called", "people", "`people`"),
    ("cameras: [hall]", "cameras: [hal]", 12, 15, "pipelines.main.cameras[0]", "no camera", "hall", "`hall`"),
    ("labels: [person]", "labels: [persons]", 13, 14, "pipelines.main.labels[0]", "'persons'", "person", "`person`"),
    ("type: line_crossed", "type: line-cross", 16, 11, "rules.leaves.type", "'line-cross'", "dwell", "`line_crossed`"),
    ("    type: line_crossed\n", "", 15, 3, "rules.leaves", "`type` is missing", "zone_entered, zone_left", ""),
    ("[0.8, 1]]", "[0.8, 0]]", 17, 11, "rules.leaves.line", "same point", "two different", ""),
    ("[0.8, 1]]", "[0.8]]", 17, 22, "rules.leaves.line[1]", "a list of 1", "2", ""),
    ("[[0.8, 0]", "[[640, 0]", 17, 13, "rules.leaves.line[0][0]", "640", "looks like pixels", ""),
    ("left_to_right", "top_to_bottom", 18, 16, "rules.leaves.direction", "vertical line", "right_to_left or any", ""),
    ("left_to_right", "left", 18, 16, "rules.leaves.direction", "'left'", "left_to_right", ""),
    ("    direction", "    dirction", 18, 5, "rules.leaves.dirction", "unknown", "hysteresis", "`direction`"),
]


@pytest.mark.parametrize("case", ONE_MISTAKE, ids=lambda case: f"{case[4]}-{case[1][:20].strip()}")
def test_one_mistake_is_found_in_its_place(check: Any, case: tuple[Any, ...]) -> None:
    old, new, line, column, path, message, allowed, suggestion = case
    assert GOOD.count(old) == 1
    found = only([m for m in check(GOOD.replace(old, new)) if m.level == "error"])
    assert (found.line, found.column, found.path) == (line, column, path)
    assert message in found.message
    assert allowed in found.allowed
    assert found.suggestion == suggestion


ONE_RULE = [
    ("type: dwell, for_s: 3, zone: [[0,0],[1,1],[1,0],[0,1]]", "rules.r.zone", "crosses itself"),
    ("type: dwell, for_s: 3, zone: [[0,0],[0.5,0.5],[1,1]]", "rules.r.zone", "one line"),
    ("type: dwell, for_s: 3, zone: [[0,0],[1,1],[1,0],[0,0]]", "rules.r.zone[3]", "repeats the first"),
    ("type: dwell, for_s: 3, zone: [[0,0],[1,1]]", "rules.r.zone", "a list of 2"),
    ("type: dwell, zone: [[0,0],[1,0],[1,1]]", "rules.r.for_s", "`for_s` is missing"),
    ("type: count, above: 1, below: 3", "rules.r.below", "both"),
    ("type: count", "rules.r", "neither"),
    ("type: nothing_seen, for_s: 3, schedule: {timezone: Berlin}", "rules.r.schedule.timezone", "'Berlin'"),
    ("type: nothing_seen, for_s: 3, schedule: {start: 8}", "rules.r.schedule.start", "found 8"),
    ("type: nothing_seen, for_s: 3, schedule: {start: '25:00'}", "rules.r.schedule.start", "'25:00'"),
    ("type: nothing_seen, for_s: 3, schedule: {days: [tues]}", "rules.r.schedule.days[0]", "'tues'"),
    ("type: nothing_seen, for_s: -1", "rules.r.for_s", "-1"),
    ("type: nothing_seen, for_s: .inf", "rules.r.for_s", "inf"),
    ("type: nothing_seen, for_s: 1, labels: [car]", "rules.r.labels[0]", "does not keep the class 'car'"),
    ("type: nothing_seen, for_s: 1, actions: [fil]", "rules.r.actions[0]", "no action"),
    ("type: nothing_seen, for_s: 1, pipeline: man", "rules.r.pipeline", "no pipeline"),
    ("type: nothing_seen, for_s: 1, severity: bad", "rules.r.severity", "'bad'"),
]


@pytest.mark.parametrize(("text", "path", "message"), ONE_RULE)
def test_one_mistake_in_a_rule(check: Any, text: str, path: str, message: str) -> None:
    found = only(check(rule(text)))
    assert found.path == path
    assert message in found.message
    assert found.line == 15


def test_times_of_day_need_no_quotes(check: Any, tmp_path: Path) -> None:
    assert check(rule("type: nothing_seen, for_s: 1, schedule: {start: 22:00, end: 06:30}")) == []
    loaded = load_manifest(tmp_path).rules["r"]
    assert loaded.schedule is not None
    assert (loaded.schedule.start.hour, loaded.schedule.end.minute) == (22, 30)


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file(check: Any) -> None:
    text = GOOD
    for old, new in (
        ("vedette/v1", "v1"),
        ("family: yolox", "family: x"),
        ("model: people", "model: p"),
        ("[0.8, 1]]", "[0.8, 2]]"),
        ("left_to_right", "sideways"),
    ):
        text = text.replace(old, new)
    found = check(text)
    assert [m.line for m in found] == [1, 7, 11, 17, 18]


def test_a_rule_for_a_camera_its_pipeline_does_not_analyse(check: Any) -> None:
    text = GOOD.replace("  hall: {}", "  hall: {}\n  gate: {}").replace(
        "    direction", "    cameras: [gate]\n    direction"
    )
    errors = [m for m in check(text) if m.level == "error"]
    assert only(errors).path == "rules.leaves.cameras[0]"
    assert [m.path for m in check(text) if m.level == "warning"] == ["cameras.gate"]


def test_credentials_in_an_address_are_refused_and_not_repeated(check: Any) -> None:
    for address, message in (
        ("https://bob:hunter2@host/x", "credentials"),
        ("https://bob:hunter2/x@host/x", "not an address"),
    ):
        found = only(check(f"{GOOD}actions:\n  hook: {{type: webhook, url: '{address}'}}\n"))
        assert message in found.message
        assert "hunter2" not in found.render()
        assert "bob" not in found.render()


YAML_MISTAKES = [
    ("name: a\nname: b\n", 2, "stands here twice, first in line 1"),
    ("a: &x [1]\nb: *y\n", 2, "nothing is marked &y"),
    ("a: &x [*x]\n", 1, "inside of what it stands for"),
    ("a: !!python/object:os.system {}\n", 1, "tag"),
    ("a: !x 1\n", 1, "tag"),
    ("<<: {a: 1}\n", 1, "merge key"),
    ("[1]: 2\n", 1, "key that is not text"),
    ("a: 1\n---\nb: 2\n", 2, "second YAML document"),
    ("a:\n\tb: 1\n", 2, "tab in the indentation"),
    ("a: 'x\n", 2, "not valid YAML"),
    ("a: b: c\n", 1, "not valid YAML"),
    ("a: \x00\n", 1, "U+0000"),
    ("", 1, "empty"),
    ("- 1\n", 1, "a list of 1 at the top"),
    ("5", 1, "found 5 at the top"),
    (b"a: \xff", 1, "not UTF-8"),
    (b"#" * (MAX_BYTES + 1), 1, "larger than"),
    ("[" * 100 + "]" * 100, 1, "nested deeper"),
    ("a: [" + "1," * 20_001 + "]", 1, "more than 20000 values"),
]


@pytest.mark.parametrize(
    ("text", "line", "message"), YAML_MISTAKES, ids=[m[2] + str(n) for n, m in enumerate(YAML_MISTAKES)]
)
def test_mistakes_of_yaml(check: Any, text: str | bytes, line: int, message: str) -> None:
    found = [m for m in check(text) if message in m.message]
    assert [m.line for m in found] == [line]


def test_a_bomb_of_aliases_is_refused_quickly(check: Any) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert any("after the aliases" in m.message for m in check("\n".join(lines)))


def test_an_honest_alias_is_allowed(check: Any) -> None:
    text = (
        rule("type: zone_left, zone: &door [[0,0],[1,0],[1,1]]").rstrip() + "\n  s: {type: zone_entered, zone: *door}\n"
    )
    assert check(text) == []


def test_it_is_shown_as_a_compiler_would(check: Any) -> None:
    assert only(check(GOOD.replace("model: people", "model: peple"))).render().splitlines()[1:] == [
        "   11 |     model: peple",
        "      |            ^~~~~",
        "        allowed: people",
        "        did you mean `people`?",
    ]


def test_loading_says_everything_in_one_error(check: Any, tmp_path: Path) -> None:
    check(GOOD.replace("vedette/v1", "v1").replace("family: yolox", "family: x"))
    with pytest.raises(ConfigurationError) as caught:
        load_manifest(tmp_path)
    assert caught.value.code == "V102"
    assert "has 2 mistakes" in caught.value.message
    assert f"{tmp_path / 'vedette.yaml'}:1:6" in caught.value.message
    assert f"{tmp_path / 'vedette.yaml'}:7:13" in caught.value.message


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file") as caught:
        load_manifest(tmp_path)
    assert caught.value.code == "V101"


def test_warnings_do_not_keep_a_manifest_from_being_used(check: Any, tmp_path: Path) -> None:
    mistakes = check(GOOD.partition("rules:")[0])
    assert [m.level for m in mistakes] == ["warning"]
    assert load_manifest(tmp_path).rules == {}


def test_an_attached_application_names_model_files_absolutely(check: Any, tmp_path: Path) -> None:
    check(GOOD.replace("file: yolox_nano", "file: own.onnx"))
    assert attached_application(tmp_path).manifest.models["people"].file == "own.onnx"
    (tmp_path / "own.onnx").write_bytes(b"x")
    attached = attached_application(tmp_path, {"hall": ["cam-1"]})
    assert attached.manifest.models["people"].file == str((tmp_path / "own.onnx").resolve())
    assert attached.manifest.models["people"].sha256 == hashlib.sha256(b"x").hexdigest()
    assert attached.bindings == {"hall": ("cam-1",)}
