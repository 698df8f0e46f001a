"""``vedette build``: our components, or an application's, as a folder that the stacks, or a local deployment, take."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from vedette.cli.tables import plain_table
from vedette.contracts.errors import UsageError
from vedette.contracts.model_card import Target
from vedette.core.fleet.build_target import Accelerator, Platform
from vedette.local.application_tree import build_application
from vedette.local.building.runtime_wheel import GivenWheel
from vedette.local.building.settings import BuildSettings
from vedette.local.component_tree import Built, build_tree

DEFAULT_OUT: Final = Path("build/components")
_PARTS: Final = ("code", "libraries", "models", "tests")
_SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}")


def build(
    application: Annotated[
        Path | None, typer.Argument(help="An application's directory; our own components where absent.")
    ] = None,
    platform: Annotated[Platform | None, typer.Option(help="Of the devices; this machine's where absent.")] = None,
    accelerator: Annotated[Accelerator, typer.Option(help="What runs the models there.")] = Accelerator.CPU,
    target: Annotated[
        Target | None, typer.Option(help="Kind of device, where it matters; see docs/devices.md.")
    ] = None,
    runtime_wheel: Annotated[
        Path | None, typer.Option(help="ONNX Runtime for the device's GPU, as NVIDIA builds it; with --sha256.")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="Of --runtime-wheel, hexadecimal.")] = None,
    python_version: Annotated[
        str | None, typer.Option(help="Python on the devices, 3.11 to 3.13; the system's where it is new enough.")
    ] = None,
    clips: Annotated[
        list[Path] | None, typer.Option(help="Folder of recordings for the application's tests; may be repeated.")
    ] = None,
    models: Annotated[
        bool, typer.Option("--models/--no-models", help="Without: components of their own bring the models.")
    ] = True,
    libraries: Annotated[
        bool, typer.Option("--libraries/--no-libraries", help="Without: for devices whose image has them.")
    ] = True,
    out: Annotated[Path, typer.Option(help="Folder for recipes/ and artifacts/, made where there is none.")] = (
        DEFAULT_OUT
    ),
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Build components that install without network: a recipe and artefacts for each.

    The artefacts hold the wheels of the devices' platform, taken from the hashed lock; downloads are kept.
    The same sources give the same bytes. build.json lists every file with its digest.

    Examples:
        vedette build

        vedette build examples/people_flow --platform linux/arm64

        vedette build --target jetson-thor --accelerator cuda

        vedette build --target jetson-orin --accelerator tensorrt --runtime-wheel ort.whl --sha256 9f86d0…

        vedette build --no-libraries --out components && vedette cloud up --set components="$PWD/components"
    """
    with _progress() as tell:
        settings = BuildSettings.choose(
            *(platform, accelerator, target, python_version),
            runtime_wheel=_given(runtime_wheel, sha256),
            libraries=libraries,
            progress=tell,
        )
        if application is None:
            if clips:
                raise UsageError("--clips is for an application's tests; name its directory.")
            made = build_tree(out, settings)
        else:
            built = build_application(application, out, settings, clips=tuple(clips or ()), models=models)
            made = built.components
    notes = [] if application is None else list(built.notes)
    if json_:
        print(json.dumps({"components": [_document(one) for one in made], "notes": notes}))
        return
    _print(made, notes, out)


def _given(wheel: Path | None, sha256: str | None) -> GivenWheel | None:
    if wheel is None and sha256 is None:
        return None
    if wheel is None or sha256 is None:
        raise UsageError("--runtime-wheel and --sha256 belong together.", hint="Compute it with: sha256sum FILE")
    if not _SHA256.fullmatch(sha256):
        raise UsageError(f"--sha256 {sha256!r}: 64 hexadecimal digits are needed.", hint="sha256sum FILE prints them.")
    return GivenWheel(wheel, sha256)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield lambda _text: None
        return
    with console.status("building") as status:
        yield lambda text: status.update(escape(text))


def _print(made: tuple[Built, ...], notes: list[str], out: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    target = made[0].target
    about = (target.platform, target.device, target.accelerator, target.python and f"Python {target.python}")
    console.print(f"For {escape(', '.join(part for part in about if part))}, sizes in MB:")
    parts = [name for name in _PARTS if any(one.parts.get(name) for one in made)]
    table = plain_table("component", "version", *parts, "artefacts", "installed")
    for one in made:
        table.add_row(escape(one.name), one.version, *_sizes([one], parts))
    if len(made) > 1:
        table.add_row("all", "", *_sizes(made, parts))
    console.print(table)
    for note in notes:
        console.print(escape(note))
    console.print(f"In {escape(str(out))}. Installed without network; what is in it: docs/building.md.")


def _sizes(components: Sequence[Built], parts: Sequence[str]) -> list[str]:
    each = [sum(one.parts.get(name, 0) for one in components) for name in parts]
    whole = (sum(one.size for one in components), sum(one.installed_bytes for one in components))
    return [f"{size / 1e6:,.1f}" if size else "-" for size in (*each, *whole)]


def _document(one: Built) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "target": one.target.model_dump(),
        "recipe": str(one.recipe),
        "artifacts": [{"file": str(file.path), "sha256": file.sha256, "bytes": file.size} for file in one.artifacts],
        "bytes": one.size,
        "parts": dict(one.parts),
        "installed_bytes": one.installed_bytes,
    }
