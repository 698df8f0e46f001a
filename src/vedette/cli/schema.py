"""``vedette schema``: the schemas as files, and the tables of docs/manifest.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vedette.contracts.errors import UsageError
from vedette.contracts.schemas import schema_names, schema_text


def export(directory: Annotated[Path, typer.Argument(help="Where to; made where it does not exist.")]) -> None:
    """Write the JSON Schema of everything that crosses a process or the network, a file each."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in schema_names():
            (directory / f"{name}.json").write_text(schema_text(name), "utf-8")
    except OSError as error:
        raise UsageError(f"{directory} cannot be written: {error.strerror}.") from error
    print(f"{len(schema_names())} schemas in {directory}")


def tables(
    write: Annotated[Path | None, typer.Option(help="Replace the tables of this document instead.")] = None,
) -> None:
    """Print the field tables of docs/manifest.md."""
    from vedette.cli.manifest_tables import MARKER, manifest_tables

    if write is None:
        print(manifest_tables(), end="")
        return
    head, found, _ = write.read_text("utf-8").partition(MARKER)
    if not found:
        raise UsageError(f"{write} has no line {MARKER.strip()!r} below which the tables stand.")
    write.write_text(head + MARKER + manifest_tables(), "utf-8")
