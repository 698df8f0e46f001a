"""``vedette schema``: the schemas as files, and the tables of docs/manifest.md and docs/devices.md."""

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

    _print_or_write(write, MARKER, manifest_tables())


def devices(
    write: Annotated[Path | None, typer.Option(help="Replace the tables of this document instead.")] = None,
) -> None:
    """Print the tables of docs/devices.md."""
    from vedette.cli.device_tables import MARKER, device_tables

    _print_or_write(write, MARKER, device_tables())


def _print_or_write(target: Path | None, marker: str, made: str) -> None:
    if target is None:
        print(made, end="")
        return
    head, found, _ = target.read_text("utf-8").partition(marker)
    if not found:
        raise UsageError(f"{target} has no line {marker.strip()!r} below which the tables stand.")
    target.write_text(head + marker + made, "utf-8")
