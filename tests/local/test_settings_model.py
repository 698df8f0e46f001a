"""Configuration against a model: merges, deployments, resets, defaults, drafts and restarts in any order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import JsonValue

from tests.local.conftest import PROPERTY
from tests.local.test_settings import plain_merge
from vedette.local.settings import Settings, StaleUpdateError, flatten

Tree = dict[str, JsonValue]
KEYS = ("a", "b", "c")
leaves: st.SearchStrategy[JsonValue] = st.one_of(
    st.integers(0, 9), st.text("xy", max_size=2), st.lists(st.integers(0, 2))
)
# Mappings are never empty here: merging an empty one is a case of its own in test_settings.
trees: st.SearchStrategy[Tree] = st.dictionaries(
    st.sampled_from(KEYS),
    st.recursive(
        leaves, lambda child: st.dictionaries(st.sampled_from(KEYS), child, min_size=1, max_size=3), max_leaves=5
    ),
    min_size=1,
    max_size=3,
)
paths = st.lists(st.sampled_from(KEYS), max_size=3).map(tuple)


def merged(base: Tree, change: Tree) -> Tree:
    found = plain_merge(base, change)
    assert isinstance(found, dict)
    return found


def without(tree: Tree, path: tuple[str, ...]) -> Tree:
    """The tree with everything at and below a path gone, and with it mappings that held nothing else."""
    if not path:
        return {}
    kept = dict(tree)
    below = kept.pop(path[0], None)
    if isinstance(below, dict) and len(path) > 1:
        rest = without(below, path[1:])
        if rest:
            kept[path[0]] = rest
    elif below is not None and len(path) > 1:
        kept[path[0]] = below
    return kept


def put_back(tree: Tree, defaults: Tree, base: tuple[str, ...]) -> Tree:
    """Defaults below ``base``, unless something else stands on the way there."""
    for path, value in flatten(defaults):
        if path[: len(base)] == base and not _blocked(tree, path):
            change: JsonValue = value
            for key in reversed(path):
                change = {key: change}
            assert isinstance(change, dict)
            tree = merged(tree, change)
    return tree


def _blocked(tree: JsonValue, path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(tree, dict):
            return True
        if key not in tree:
            return False
        tree = tree[key]
    return True


class SettingsMachine(RuleBasedStateMachine):
    """``tree`` is what must be there, ``written`` the part of it that was written on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="vd-settings-"))
        self.tree: Tree = {}
        self.written: Tree = {}
        self.defaults: Tree = {}
        self.now_s = 10.0

    @initialize()
    def begin(self) -> None:
        self.held = Settings(self.root / "config.json")

    @rule(values=trees)
    def merge(self, values: Tree) -> None:
        self.now_s += 1.0
        changed = self.held.merge(values, time_s=self.now_s)
        after = merged(self.tree, values)
        assert bool(changed) == (after != self.tree)
        self.tree, self.written = after, merged(self.written, values)

    @rule(values=trees, resets=st.lists(paths, max_size=2))
    def deploy(self, values: Tree, resets: list[tuple[str, ...]]) -> None:
        self.now_s += 1.0
        pointers = ["/".join(("", *path)) for path in resets]
        self.held.deploy(values, reset=pointers, defaults=self.defaults, now_s=self.now_s)
        for path in resets:
            self.tree, self.written = without(self.tree, path), without(self.written, path)
            self.tree = put_back(self.tree, self.defaults, path)
        self.tree, self.written = merged(self.tree, values), merged(self.written, values)

    @rule(defaults=trees)
    def new_version(self, defaults: Tree) -> None:
        """Another recipe: its defaults take the place of the old ones, never of what was written."""
        self.held.apply_defaults(defaults)
        self.defaults = defaults
        self.tree = merged(defaults, self.written)

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def stale_update(self, data: st.DataObject) -> None:
        path, _ = data.draw(st.sampled_from(list(flatten(self.written))))
        with pytest.raises(StaleUpdateError):
            self.held.merge("stale", time_s=1.0, at=path)

    @rule(values=trees, kept=st.booleans())
    def draft(self, values: Tree, kept: bool) -> None:
        self.now_s += 1.0
        draft = self.held.draft()
        draft.merge(values, time_s=self.now_s)
        assert self.held.get() == self.tree
        if kept:
            draft.commit()
            self.held = draft
            self.tree, self.written = merged(self.tree, values), merged(self.written, values)

    @rule(killed=st.booleans())
    def restart(self, killed: bool) -> None:
        """Also while a change was being written: what was written to its end counts."""
        if killed:
            (self.root / "config.partial").write_text('{"format": 1, "leaves": [[["a"], 1')
        self.held = Settings(self.root / "config.json")

    @invariant()
    def it_says_what_was_written(self) -> None:
        if hasattr(self, "held"):
            assert self.held.get() == self.tree
            for path, value in flatten(self.tree):
                assert self.held.get(path) == value

    def teardown(self) -> None:
        shutil.rmtree(self.root)


SettingsMachine.TestCase.settings = settings(PROPERTY, max_examples=100, stateful_step_count=20)
TestSettingsModel = SettingsMachine.TestCase
