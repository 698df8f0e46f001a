"""Small files that are replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

from vedette.adapters.state.files import write_durably


def test_what_a_killed_writer_left_is_removed_by_the_next_save(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    left, fresh, other = (tmp_path / name for name in (".plan.json.1.tmp", ".plan.json.2.tmp", ".other.json.1.tmp"))
    for unfinished in (left, fresh, other):
        unfinished.write_bytes(b"half")
    for old in (left, other):
        os.utime(old, (0, 0))
    write_durably(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert not left.exists()
    assert fresh.exists(), "somebody may be writing it"
    assert other.exists(), "of another file"


def test_save_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_durably(path, b"first")
    write_durably(path, b"second", 0o600)
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
