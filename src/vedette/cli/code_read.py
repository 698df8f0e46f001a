"""``vedette code read``: the codes in pictures and recordings, to see whether a camera's picture is good enough."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vedette.adapters.engines.codes import CodeReader
from vedette.adapters.pictures.code_files import CodesOfFile, read_codes
from vedette.cli.picture_output import check_picture_path, write_picture
from vedette.contracts.errors import UsageError
from vedette.core.plan import nearest
from vedette.core.symbologies import SYMBOLOGIES


def read(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pictures or recordings.")],
    formats: Annotated[
        str, typer.Option(help="Symbologies that are looked for, with commas; all where absent.", show_default=False)
    ] = "",
    fps: Annotated[float, typer.Option(min=0.1, max=60, help="Pictures a second of a recording.")] = 5.0,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Where nothing is read: again sharpened, and at twice the size.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Picture with the codes drawn in: PNG, JPEG or WebP. One FILE only."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file on standard output.")] = False,
) -> None:
    """Read barcodes and two-dimensional codes in pictures and recordings.

    Says for each code its kind, its text, where it is (shares of the picture) and, in a recording, when and in how many
    pictures it was read. Ends with 1 where a file has no code that can be read.

    Examples:
        vedette code read label.jpg

        vedette code read belt.mp4 --formats code128,qr_code --output read.png
    """
    if output is not None:
        check_picture_path(output)
        if len(files) > 1:
            raise UsageError(f"--output takes one FILE; {len(files)} are given.")
    reader = CodeReader(_symbologies(formats), thorough=thorough)
    console = Console(highlight=False, soft_wrap=True)
    empty = 0
    for file in files:
        found = read_codes(file, reader, fps)
        empty += not found.codes
        if as_json:
            typer.echo(json.dumps(_document(file, found), ensure_ascii=False))
        else:
            for line in _lines(file, found):
                console.print(line, markup=False)
        if output is not None:
            write_picture(output, found.shown)
    if empty:
        raise typer.Exit(1)


def _symbologies(formats: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in formats.split(",") if name.strip()))
    for name in names:
        if name not in SYMBOLOGIES:
            raise UsageError(
                f"--formats {name}: there is no such symbology; there are {', '.join(SYMBOLOGIES)}"
                f"{nearest(name, SYMBOLOGIES)}."
            )
    return names


def _document(file: Path, found: CodesOfFile) -> dict[str, object]:
    codes = [asdict(code) for code in found.codes]
    if not found.recording:
        for code in codes:
            del code["first_s"], code["last_s"], code["reads"]
    return {
        "file": str(file),
        "width": found.width,
        "height": found.height,
        "pictures": found.pictures,
        "codes": codes,
    }


def _lines(file: Path, found: CodesOfFile) -> list[str]:
    count = len(found.codes)
    pictures = f", {found.pictures} pictures" if found.recording else ""
    lines = [f"{file}: {found.width}x{found.height}{pictures}, {count or 'no'} {'code' if count == 1 else 'codes'}"]
    for code in found.codes:
        left, top, right, bottom = code.box
        size = f"{(right - left) * found.width:.0f}x{(bottom - top) * found.height:.0f} px"
        when = f"  {code.first_s:.1f} to {code.last_s:.1f} s, read {code.reads} times" if found.recording else ""
        place = f"at {left:.2f},{top:.2f} {size}"
        lines.append(f"  {code.symbology:<12} {_shown(code.text)}  {place}{when}")
    if not count:
        lines.append("  A bar must be 2 pixels wide, a cell 3, sharp and not smeared; --thorough tries harder.")
    return lines


def _shown(text: str) -> str:
    """A text on one line, without what a terminal would act on."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
