"""How hooks are shown: figures in a row, errors in words, what a machine lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.cli.test_app_and_status import Watched
from tests.cli.test_cli_main import vedette
from vedette.adapters.state.files import write_component_status
from vedette.cli.hook_view import error_text, hook_notes, hook_table

TRACE = """hook shop/greeter raised ValueError:
Traceback (most recent call last):
  File "/apps/shop/hooks.py", line 12, in on_tracks
    return helper.check(batch)
  File "/apps/shop/helper.py", line 4, in check
    raise ValueError("no such thing")
ValueError: no such thing"""

WELL: dict[str, Any] = {
    "state": "RUNNING", "code": "", "error": "", "walls": ["landlock", "seccomp"], "missing_walls": {}, "calls": 120,
    "failures": 0, "skipped": 0, "restarts": 0, "alerts": 3, "suppressed": 0, "call_p50_ms": 0.61, "call_p95_ms": 1.2,
    "lag_s": 0.04, "suspended": "", "sent_bytes": 0, "received_bytes": 0, "refused_connections": 0, "network": "",
    "dropped_lines": 0, "pictures": {}, "pid": 7,
}  # fmt: skip


def drawn(hooks: dict[str, dict[str, Any]]) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - nothing is written there
    console.print(hook_table(hooks))
    console.file.close()
    return console.export_text()


def test_a_row_says_what_matters() -> None:
    text = drawn({"shop/greeter": WELL})
    for words in ("shop/greeter", "RUNNING", "120", "0.6 (1.2)", "0.0 s", "2 of 8"):
        assert words in text
    assert list(hook_notes({"shop/greeter": WELL})) == []


def test_a_traceback_becomes_what_was_raised_and_where() -> None:
    assert error_text({"code": "V802", "error": TRACE}) == "V802 ValueError: no such thing (helper.py line 4 in check)"
    assert error_text({"code": "V803", "error": "hook a/b: it did not end its call."}) == (
        "V803 hook a/b: it did not end its call."
    )
    assert error_text({}) == ""


def test_everything_that_is_wrong_has_its_line() -> None:
    ill = WELL | {
        "state": "REFUSED", "code": "V805", "error": "hook shop/greeter: this kernel cannot confine it.", "skipped": 2,
        "suspended": "pictures", "network": "V806 connection to x:1 refused: the manifest allows none",
        "pictures": {"gate": "V205 nobody serves it"}, "missing_walls": {"landlock": "Function not implemented"},
        "sent_bytes": 4_200_000, "suppressed": 9,
    }  # fmt: skip
    notes = "\n".join(hook_notes({"shop/greeter": ill}))
    for words in (
        "V805", "2 batches were given up", "no pictures for now", "V806", "no pictures of gate: V205",
        "this machine lacks files (Landlock): Function not implemented",
    ):  # fmt: skip
        assert words in notes
    text = drawn({"shop/greeter": ill})
    assert "4.2 MB" in text
    assert "REFUSED" in text


def test_a_hook_that_has_only_begun_is_shown_too() -> None:
    assert "STARTING" in drawn({"shop/greeter": {"state": "STARTING", "code": "", "error": ""}})


@pytest.mark.parametrize(("state", "well"), [("RUNNING", True), ("RESTARTING", True), ("FAILED", False)])
def test_status_shows_hooks_and_says_by_its_exit_whether_they_are_well(short_tmp: Path, state: str, well: bool) -> None:
    watched = Watched(short_tmp / "s")
    try:
        write_component_status(short_tmp / "s", "vedette.AppHost", {"hooks": {"shop/greeter": WELL | {"state": state}}})
        run = vedette("status", "--state", str(short_tmp / "s"))
        assert "shop/greeter" in run.stdout
        assert state in run.stdout
        assert run.returncode == (0 if well else 1), run.stdout + run.stderr
    finally:
        watched.owner.close()
