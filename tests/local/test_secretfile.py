"""The file of secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vedette.contracts.errors import CoreError
from vedette.local.secretfile import read_secret


def make(tmp_path: Path, content: str, mode: int = 0o600) -> Path:
    path = tmp_path / "secrets.json"
    path.write_text(content)
    path.chmod(mode)
    return path


def test_texts_and_objects(tmp_path: Path) -> None:
    path = make(tmp_path, json.dumps({"a": "text", "b": {"user": "u", "password": "p"}}))
    assert read_secret(path, "a") == "text"
    assert json.loads(read_secret(path, "b")) == {"user": "u", "password": "p"}
    with pytest.raises(KeyError):
        read_secret(path, "c")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o777])
def test_a_file_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(CoreError, match="chmod 600") as caught:
        read_secret(make(tmp_path, '{"a": "hush"}', mode), "a")
    assert caught.value.code == "V503"


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(make(tmp_path, '{"a": "hush"}'))
    with pytest.raises(CoreError, match="cannot be read"):
        read_secret(link, "a")


@pytest.mark.parametrize("content", ['{"a": "hush"', '["hush"]', '"hush"', "\x00hush"])
def test_damage_is_reported_without_quoting_the_file(tmp_path: Path, content: str) -> None:
    with pytest.raises(CoreError) as caught:
        read_secret(make(tmp_path, content), "a")
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None
