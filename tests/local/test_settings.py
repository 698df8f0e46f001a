"""Configuration: merges, time stamps, defaults, persistence."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from tests.local.conftest import PROPERTY
from vedette.contracts.errors import CoreError
from vedette.local.settings import MAX_FILE_BYTES, Settings, StaleUpdateError, flatten, pointer

_keys = st.sampled_from(["a", "b", "c"])
_leaves: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=3), st.lists(st.integers(0, 3), max_size=2)
)
_trees: st.SearchStrategy[dict[str, JsonValue]] = st.dictionaries(
    _keys, st.recursive(_leaves, lambda child: st.dictionaries(_keys, child, max_size=3), max_leaves=6), max_size=3
)


def plain_merge(base: JsonValue, change: JsonValue) -> JsonValue:
    """RFC 7386 without deletion by null, written independently of the class under test."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    merged = dict(base)
    for key, value in change.items():
        merged[key] = plain_merge(merged[key], value) if key in merged else value
    return merged


@given(_trees, _trees)
@PROPERTY
def test_merging_and_reading_back(tmp_path: Path, first: dict[str, JsonValue], second: dict[str, JsonValue]) -> None:
    path = tmp_path / "c.json"
    path.unlink(missing_ok=True)
    held = Settings(path)
    held.merge(first, time_s=1.0)
    before = held.get()
    changed = held.merge(second, time_s=2.0)
    assert held.get() == plain_merge(before, second)
    assert bool(changed) == (held.get() != before)
    assert Settings(path).get() == held.get() if path.exists() else held.get() == {}


@given(_trees)
@PROPERTY
def test_flatten_names_every_leaf_once(tree: dict[str, JsonValue]) -> None:
    paths = [path for path, _ in flatten(tree)]
    assert len(set(paths)) == len(paths)


def test_a_stale_write_loses_leaf_by_leaf(tmp_path: Path) -> None:
    held = Settings(tmp_path / "c.json")
    held.merge({"a": 1, "b": 1}, time_s=10.0)
    assert held.merge({"a": 2, "c": 2}, time_s=5.0) == [("c",)]
    assert held.get() == {"a": 1, "b": 1, "c": 2}
    with pytest.raises(StaleUpdateError):
        held.merge({"a": 3}, time_s=9.9)
    with pytest.raises(StaleUpdateError):
        held.merge({"a": {"deep": 3}}, time_s=9.9)
    assert held.merge({"a": 3}, time_s=10.0) == [("a",)]  # the same instant wins, as on the nucleus
    again = Settings(tmp_path / "c.json")
    with pytest.raises(StaleUpdateError):
        again.merge({"b": 9}, time_s=9.0)


def test_defaults_give_way_and_come_back(tmp_path: Path) -> None:
    held = Settings(tmp_path / "c.json")
    defaults: dict[str, JsonValue] = {"x": {"one": 1, "two": 2}, "old": True}
    held.apply_defaults(defaults)
    held.merge({"x": {"one": 10}}, time_s=1.0)
    assert sorted(held.apply_defaults({"x": {"one": 1, "two": 3, "three": 4}})) == [
        ("old",),
        ("x", "three"),
        ("x", "two"),
    ]
    assert held.get() == {"x": {"one": 10, "two": 3, "three": 4}}
    changed = held.deploy({"y": 1}, reset=["/x/one"], defaults=defaults, now_s=2.0)
    assert sorted(changed) == [("x", "one"), ("y",)]
    assert held.get(["x", "one"]) == 1
    held.deploy({}, reset=[""], defaults=defaults, now_s=3.0)
    assert held.get() == defaults


def test_a_deployment_wins_over_a_clock_that_ran_ahead(tmp_path: Path) -> None:
    held = Settings(tmp_path / "c.json")
    held.merge({"a": 1}, time_s=9e9)
    assert held.deploy({"a": 2}, reset=(), defaults={}, now_s=1e9) == [("a",)]


def test_reading_paths(tmp_path: Path) -> None:
    held = Settings(tmp_path / "c.json")
    held.merge({"a": {"b": [1, 2], "c": {}}}, time_s=1.0)
    assert held.get(["a", "b"]) == [1, 2]
    assert held.get(["a", "c"]) == {}
    assert held.get(["a"]) == {"b": [1, 2], "c": {}}
    for missing in (["z"], ["a", "z"], ["a", "b", "0"]):
        with pytest.raises(KeyError):
            held.get(missing)
    assert [pointer(text) for text in ("", "/", "/a/b", "a", "/x~1y/~0")] == [
        (),
        (),
        ("a", "b"),
        ("a",),
        ("x/y", "~"),
    ]


def test_a_leaf_and_a_mapping_replace_each_other(tmp_path: Path) -> None:
    held = Settings(tmp_path / "c.json")
    held.merge({"a": {"b": 1, "c": 2}}, time_s=1.0)
    assert held.merge({"a": 5}, time_s=2.0) == [("a",)]
    assert held.get() == {"a": 5}
    assert held.merge({"a": {"b": 1}}, time_s=3.0) == [("a", "b")]
    assert held.get() == {"a": {"b": 1}}
    assert held.merge({"a": {}}, time_s=4.0) == []
    assert held.get() == {"a": {"b": 1}}


def test_the_file_is_private_and_a_damaged_one_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "config" / "c.json"
    held = Settings(path)
    held.merge({"a": 1}, time_s=1.0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("{" + path.read_text())
    assert Settings(path).get() == {}
    assert path.with_suffix(".damaged").exists()
    path.write_text(json.dumps({"format": 1, "leaves": [["a"]]}))
    assert Settings(path).get() == {}


def test_a_configuration_that_grows_too_large_changes_nothing(tmp_path: Path) -> None:
    held = Settings(tmp_path / "c.json")
    held.merge({"a": 1}, time_s=1.0)
    with pytest.raises(CoreError, match="bytes; at most"):
        held.merge({"a": "x" * MAX_FILE_BYTES}, time_s=2.0)
    assert held.get() == {"a": 1}
    with pytest.raises(CoreError, match="values; at most"):
        held.merge({str(n): n for n in range(20_001)}, time_s=2.0)
    assert Settings(tmp_path / "c.json").get() == {"a": 1}
