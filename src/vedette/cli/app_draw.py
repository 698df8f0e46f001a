"""``vedette app draw``: an application's zones, lines and regions, drawn into pictures of its cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from vedette.adapters.manifest import load_manifest
from vedette.adapters.pictures.background import read_background
from vedette.adapters.pictures.places import draw_places, empty_picture
from vedette.cli.picture_output import check_picture_path, write_picture
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Manifest
from vedette.core.places import places_of
from vedette.core.plan import nearest

Picture = NDArray[np.uint8]

#: Width of each picture where there are several side by side, pixels.
_COLUMN: Final = 960


def draw(
    app: Annotated[Path, typer.Argument(help="vedette.yaml, or the directory it lies in.")] = Path("."),
    camera: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: a picture of the camera or a recording (its first picture); once per camera."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG, JPEG or WebP, by its ending.")] = Path(
        "places.png"
    ),
) -> None:
    """Draw where an application looks: regions, masks, zones, lines and the way over them that counts.

    A camera without a picture is drawn on a grid numbered as the coordinates of a manifest are, 0 to 1.

    Examples:
        vedette app draw examples/people_flow -o places.png

        vedette app draw shop --camera hall=recording.mp4 -o hall.jpg
    """
    check_picture_path(output)
    manifest = load_manifest(app)
    backgrounds = _backgrounds(manifest, camera or ())
    pictures = [
        draw_places(
            read_background(backgrounds[name]) if name in backgrounds else empty_picture(),
            places_of(manifest, name),
            f"{name} - {manifest.cameras[name].title}".removesuffix(" - "),
        )
        for name in manifest.cameras
        if not backgrounds or name in backgrounds
    ]
    write_picture(output, _side_by_side(pictures))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"{output}: {len(pictures)} {'camera' if len(pictures) == 1 else 'cameras'}", markup=False)


def _backgrounds(manifest: Manifest, arguments: Sequence[str]) -> Mapping[str, Path]:
    found: dict[str, Path] = {}
    for argument in arguments:
        name, sign, file = argument.partition("=")
        if not sign or not file:
            raise UsageError(f"--camera {argument!r} is not of the form NAME=FILE, such as hall=recording.mp4.")
        if name not in manifest.cameras:
            known = tuple(manifest.cameras)
            raise UsageError(
                f"--camera {name}: {manifest.name} has no such camera; there is {', '.join(known)}"
                f"{nearest(name, known)}."
            )
        found[name] = Path(file)
    return found


def _side_by_side(pictures: Sequence[Picture]) -> Picture:
    """One picture as it is; several in rows of two, each as wide as the others."""
    if len(pictures) == 1:
        return pictures[0]
    columns = [
        cv2.resize(p, (_COLUMN, round(p.shape[0] * _COLUMN / p.shape[1])), interpolation=cv2.INTER_AREA)
        for p in pictures
    ]
    rows = []
    for first in range(0, len(columns), 2):
        row = columns[first : first + 2]
        height = max(picture.shape[0] for picture in row)
        whole = np.full((height, 2 * _COLUMN, 3), 20, np.uint8)
        for index, picture in enumerate(row):
            whole[: picture.shape[0], index * _COLUMN : (index + 1) * _COLUMN] = picture
        rows.append(whole)
    return np.vstack(rows)
