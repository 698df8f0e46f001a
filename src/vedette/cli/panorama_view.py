"""How Panorama code fares, for people: one line for each application, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from vedette.cli.hook_view import STYLES, WALLS, error_text
from vedette.cli.tables import plain_table


def panorama_table(codes: Mapping[str, Mapping[str, Any]]) -> Table:
    """All Panorama code, a row for each application."""
    table = plain_table("panorama", "state", "fps", "calls/s", "ms (p95)", "put/s", "refused", "restarts", "walls")
    for name, status in codes.items():
        state = str(status.get("state", "?"))
        standing = status.get("walls")
        walls = str(len(standing)) if isinstance(standing, list) and standing else ""
        table.add_row(
            Text(name),
            Text(state, STYLES.get(state, "yellow" if state in ("LOADING", "DEGRADED") else "red")),
            _rate(status.get("pictures_per_s")),
            _rate(status.get("calls_per_s")),
            f"{status.get('call_p50_ms') or 0:.1f} ({status.get('call_p95_ms') or 0:.1f})"
            if status.get("calls")
            else "",
            _rate(status.get("puts_per_s")),
            str(status.get("refused") or ""),
            str(status.get("restarts") or ""),
            Text(walls, "red" if status.get("missing_walls") else ""),
        )
    return table


def panorama_notes(codes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What there is to say of each besides its figures, a line each."""
    for name, status in codes.items():
        who = f"Panorama code of {name}"
        error = error_text(status)
        if error:
            yield f"{who}: {error}"
        for key in ("note", "network"):
            if status.get(key):
                yield f"{who}: {status[key]}"
        for what, said in (("cameras", "no pictures of {}: {}"), ("routes", "nobody reaches it at port {}: {}")):
            entries = status.get(what)
            for key, why in entries.items() if isinstance(entries, dict) else ():
                if why:
                    yield f"{who}: {said.format(key, why)}"
        missing = status.get("missing_walls")
        if isinstance(missing, dict) and missing:
            named = ", ".join(f"{WALLS.get(wall, wall)}: {why}" for wall, why in sorted(missing.items()))
            yield f"{who}: this machine lacks {named}"


def _rate(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else ""
