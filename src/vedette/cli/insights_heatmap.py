"""``vedette insights heatmap``: reports of insights as a picture."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer
from pydantic import ValidationError
from rich.console import Console

from vedette.adapters.pictures.background import read_background
from vedette.adapters.pictures.heat_map import draw_heat_map
from vedette.cli.picture_output import check_picture_path, write_picture
from vedette.contracts.errors import StorageError
from vedette.contracts.insight import InsightReport
from vedette.core.insights.heat_sum import sum_heat_maps

#: Longest line of a file of reports.
_MAX_LINE: Final = 64 << 10


def heatmap(
    reports: Annotated[
        list[Path], typer.Argument(metavar="REPORTS...", help="Files with one report a line; - reads standard input.")
    ],
    background: Annotated[Path, typer.Option(help="A picture of the camera, or a recording: its first picture.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG, JPEG or WebP, by its ending.")],
    insight: Annotated[str | None, typer.Option(help="Name of the heat map, where there are several.")] = None,
    camera: Annotated[str | None, typer.Option(help="Name of the camera, where there are several.")] = None,
) -> None:
    """Draw where people were over a picture of the camera: the sum of the heat maps of all reports.

    Examples:
        vedette backtest vedette.yaml --camera shop=shop.mp4 --insights figures.jsonl

        vedette insights heatmap figures.jsonl --background shop.mp4 -o heat.png
    """
    check_picture_path(output)
    heat = sum_heat_maps(_read_all(reports), insight, camera)
    write_picture(output, draw_heat_map(read_background(background), heat))
    span = f"{heat.start.astimezone(UTC):%Y-%m-%d %H:%M:%S} to {heat.end.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"{output}: {heat.insight} of {heat.camera}, {span}, {sum(heat.seconds):.1f} s of presence", markup=False
    )


def _read_all(paths: Iterable[Path]) -> Iterator[InsightReport]:
    for path in paths:
        if str(path) == "-":
            yield from _read(sys.stdin.buffer, "standard input")
            continue
        try:
            with path.open("rb") as file:
                yield from _read(file, str(path))
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror or error}.", code="V408") from error


def _read(file: BinaryIO, name: str) -> Iterator[InsightReport]:
    for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE + 1), b""), 1):
        if not line.strip():
            continue
        try:
            if len(line) > _MAX_LINE:
                raise ValueError("too long")
            yield InsightReport.model_validate_json(line)
        except (ValidationError, ValueError) as error:
            raise StorageError(
                f"{name}, line {number}, is no report of insights.",
                hint="One JSON object a line, as `vedette backtest --insights` and `insights_file` write them.",
                code="V408",
            ) from error
