"""How applications' own code fares, for people: one line each, errors in words, which walls stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from vedette.cli.tables import plain_table

STYLES: Final = {"RUNNING": "green", "STARTING": "yellow", "RESTARTING": "yellow"}
#: States in which nothing is done for good.
BROKEN: Final = frozenset({"FAILED", "REFUSED"})
_PLACE: Final = re.compile(r'^\s*File "(?P<file>[^"]*)", line (?P<line>\d+)(?:, in (?P<where>\S+))?', re.MULTILINE)
#: What a wall is, in words, in the order in which it is told.
WALLS: Final = {
    "landlock": "files (Landlock)",
    "mounts": "a file system of its own",
    "seccomp": "system calls (seccomp)",
    "network": "a network of its own",
    "processes": "process numbers of its own",
    "privileges": "no privileges",
    "user": "not root",
    "limits": "resource limits",
}


def error_text(status: Mapping[str, Any]) -> str:
    """The last error in one line: of a traceback, what was raised and where. Empty where there was none."""
    code, text = str(status.get("code", "")), str(status.get("error", ""))
    if not text:
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    places = list(_PLACE.finditer(text))
    if len(lines) == 1 or not places:
        return f"{code} {' '.join(lines)}".strip()
    place = places[-1]
    where = f" in {place['where']}" if place["where"] else ""
    return f"{code} {lines[-1]} ({place['file'].rpartition('/')[2]} line {place['line']}{where})".strip()


def hook_table(hooks: Mapping[str, Mapping[str, Any]]) -> Table:
    """All hooks, a row each."""
    table = plain_table("hook", "state", "calls", "ms (p95)", "alerts", "held back", "failures", "lag", "sent", "walls")
    for key, status in hooks.items():
        state = str(status.get("state", "?"))
        missing = status.get("missing_walls")
        standing = status.get("walls")
        walls = f"{len(standing)} of {len(WALLS)}" if isinstance(standing, list) and standing else ""
        table.add_row(
            Text(key),
            Text(state, STYLES.get(state, "red")),
            str(status.get("calls", "")),
            f"{status.get('call_p50_ms', 0):.1f} ({status.get('call_p95_ms', 0):.1f})",
            str(status.get("alerts", "")),
            str(status.get("suppressed") or ""),
            str(status.get("failures") or ""),
            f"{status.get('lag_s', 0):.1f} s",
            _bytes(status.get("sent_bytes")),
            Text(walls, "red" if missing else ""),
        )
    return table


def hook_notes(hooks: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What there is to say of each hook besides its figures, a line each."""
    for key, status in hooks.items():
        error = error_text(status)
        if error:
            yield f"hook {key}: {error}"
        if status.get("skipped"):
            yield f"hook {key}: {status['skipped']} batches were given up because they failed three times"
        if status.get("suspended"):
            yield f"hook {key}: no {status['suspended']} for now: they ended it again and again"
        if status.get("network"):
            yield f"hook {key}: {status['network']}"
        pictures = status.get("pictures")
        for camera, why in pictures.items() if isinstance(pictures, dict) else ():
            yield f"hook {key}: no pictures of {camera}: {why}"
        missing = status.get("missing_walls")
        if isinstance(missing, dict) and missing:
            named = ", ".join(f"{WALLS.get(wall, wall)}: {why}" for wall, why in sorted(missing.items()))
            yield f"hook {key}: this machine lacks {named}"


def _bytes(value: object) -> str:
    if not isinstance(value, int) or not value:
        return ""
    return f"{value} B" if value < 1000 else f"{value / 1000:.1f} kB" if value < 1_000_000 else f"{value / 1e6:.1f} MB"
