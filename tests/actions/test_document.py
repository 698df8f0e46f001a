"""The snippets of docs/actions.md are right, and the page tells of every action."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from tests.conftest import REPOSITORY
from tests.manifest.test_manifest_mistakes import GOOD
from vedette.adapters.manifest import check_manifest
from vedette.contracts.manifest import Action

TEXT = (REPOSITORY / "docs" / "actions.md").read_text("utf-8")
SNIPPETS = re.findall(r"```yaml\n(actions:\n.*?)```", TEXT, re.S)
KINDS = [get_args(one.model_fields["type"].annotation)[0] for one in get_args(get_args(Action)[0])]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_is_right(snippet: str, tmp_path: Path) -> None:
    (tmp_path / "vedette.yaml").write_text(GOOD + snippet)
    assert [one.render() for one in check_manifest(tmp_path)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_action_is_told_of(kind: str) -> None:
    assert f"| `{kind}` |" in TEXT
    if kind not in ("file", "iot_core", "mqtt", "webhook"):
        assert f"\n## `{kind}`\n" in TEXT
        assert any(f"type: {kind}" in snippet for snippet in SNIPPETS)
