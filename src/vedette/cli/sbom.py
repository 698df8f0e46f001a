"""``vedette sbom``: the bill of materials of a built tree, or of the account's functions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vedette.cli.build import DEFAULT_OUT
from vedette.contracts.errors import UsageError
from vedette.local.building.packed import functions_sbom, tree_sbom
from vedette.local.building.settings import wheel_cache
from vedette.local.building.wheels import WheelCache


def sbom(
    tree: Annotated[
        Path | None, typer.Argument(help=f"What `vedette build` wrote; {DEFAULT_OUT} where absent.")
    ] = None,
    functions: Annotated[
        bool, typer.Option("--functions", help="Of the functions in the account, in the place of a tree.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; standard output where absent.")] = None,
) -> None:
    """Say which software is in it: name, version, digest and licence of every library, as CycloneDX 1.6.

    It is read from the artefacts themselves. `vedette build` writes the same as sbom.cdx.json into each tree.

    Examples:
        vedette sbom build/components | jq -r '.components[] | [.name, .version] | @tsv'

        vedette sbom --functions --output functions.cdx.json
    """
    if functions and tree is not None:
        raise UsageError("--functions and a tree do not go together.", hint="Ask for one after the other.")
    document = functions_sbom(WheelCache(wheel_cache())) if functions else tree_sbom(tree or DEFAULT_OUT)
    if output is None:
        sys.stdout.buffer.write(document)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(document)
    except OSError as error:
        raise UsageError(f"{output}: it cannot be written: {error.strerror}.", code="V703") from None
