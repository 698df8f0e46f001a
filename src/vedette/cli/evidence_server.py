"""The page of one alert's evidence."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from pathlib import Path

from vedette.cli.page_server import STYLE, PageServer
from vedette.contracts.evidence import EvidenceRecord


def evidence_server(folder: Path, record: EvidenceRecord, facts: Sequence[tuple[str, str]]) -> PageServer:
    """Serves one alert's folder.

    Args:
        folder: of the alert.
        record: what it holds.
        facts: name and value of what the page says.

    Raises:
        OSError: no port is free.
    """
    files = {f"/{part.file}": folder / part.file for part in (record.snapshot, record.clip) if part is not None}
    return PageServer(page(record, facts), files)


def page(record: EvidenceRecord, facts: Sequence[tuple[str, str]]) -> str:
    """The page: nothing but this one file, its picture and its video; no script."""
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in facts)
    parts = []
    if record.snapshot is not None:
        parts.append(f'<img src="/{html.escape(record.snapshot.file)}" alt="the alert\'s picture">')
    if record.clip is not None:
        parts.append(f'<video src="/{html.escape(record.clip.file)}" controls preload="metadata"></video>')
    title = html.escape(f"{record.alert.rule} on {record.alert.camera}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"</head><body><h1>{title}</h1>{''.join(parts)}<table>{rows}</table></body></html>"
    )


def verified(path: Path, digest: str) -> str:
    """``intact``, ``damaged: its SHA-256 is not that of its record``, or ``not there any more``."""
    try:
        with path.open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError:
        return "not there any more"
    return "intact" if same else "damaged: its SHA-256 is not that of its record"
