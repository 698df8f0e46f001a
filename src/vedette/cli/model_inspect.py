"""``vedette model inspect``: what a model file is, what can run it, and a description that fits it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from vedette.adapters.models.described import ModelFile, card_for, described_model, find_card, model_file
from vedette.cli.tables import key_value_table, plain_table
from vedette.contracts.base import mistakes
from vedette.contracts.errors import CloudError, UsageError
from vedette.contracts.model_card import CARD_NAME, ModelCard, Target
from vedette.core.fleet.compile_plan import TargetPlan, plan_target
from vedette.core.fleet.model_pack import card_text
from vedette.core.fleet.onnx_header import OnnxTensor


def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE|DIR", help=f"A model, or a directory with {CARD_NAME}.")],
    name: Annotated[str, typer.Option(help="Name in a new model.yaml; default the file's.")] = "",
    version: Annotated[str, typer.Option(help="Version in a new model.yaml.")] = "1.0.0",
    write: Annotated[bool, typer.Option("--write", help=f"Write {CARD_NAME} beside the file.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Inputs, outputs and digest of a model, which devices can run it and why others cannot.

    Where there is no model.yaml yet, one that fits is printed: look through it, name the classes, keep it.

    Examples:
    vedette model inspect yolox_nano.onnx

    vedette model inspect yolox_nano.onnx --write
    """
    there = find_card(path)
    if there is not None:
        if write:
            raise UsageError(f"{there} is there already.", hint="Edit it, or move it away first.")
        described, file = described_model(path)
        card: ModelCard | None = described
        found = model_file(file)
    else:
        found = model_file(_only_file(path))
        card = _new_card(found, name, version)
    if json_:
        print(json.dumps(_document(found, card)))
    else:
        _show(found, card, described=there is not None)
    if write:
        _write(found, card)


def _only_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    raise CloudError(
        f"there is no {CARD_NAME} in {path}.", hint="Name the model file itself, with --write to make one.", code="V005"
    )


def _new_card(found: ModelFile, name: str, version: str) -> ModelCard | None:
    own = re.sub(r"[^a-z0-9_-]+", "-", found.path.stem.lower()).strip("-_")[:40]
    own = own if own[:1].isalpha() else f"model-{own}"[:40]
    try:
        return card_for(found, name or own, version)
    except ValidationError as error:
        raise UsageError(
            f"no {CARD_NAME} can be made: {'; '.join(mistakes(error))}.",
            hint="Give --name and --version, or the file another name.",
        ) from None


def _write(found: ModelFile, card: ModelCard | None) -> None:
    if card is None:
        raise CloudError(
            f"{found.path} does not tell enough to describe it.",
            hint="docs/models.md has a model.yaml to start from.",
            code="V005",
        )
    target = found.path.with_name(CARD_NAME)
    target.write_bytes(card_text(card))
    Console(stderr=True, highlight=False).print(f"{escape(str(target))} written")


def _plans(card: ModelCard) -> list[TargetPlan]:
    return [plan_target(card, target) for target in Target]


def _tensor(tensor: OnnxTensor) -> str:
    sides = ", ".join("any" if side is None else str(side) for side in tensor.shape)
    return f"{tensor.name}  {tensor.dtype} [{sides}]"


def _show(found: ModelFile, card: ModelCard | None, *, described: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    rows: list[tuple[str, str]] = [("file", str(found.path)), ("size", f"{found.size / 1e6:.2f} MB")]
    rows.append(("SHA-256", found.sha256))
    rows.append(("framework", found.framework.value if found.framework else "unknown suffix"))
    if found.header is not None:
        rows += [("opset", str(found.header.opset)), ("made by", found.header.producer or "unknown")]
        rows += [("input" if n == 0 else "", _tensor(t)) for n, t in enumerate(found.header.inputs)]
        rows += [("output" if n == 0 else "", _tensor(t)) for n, t in enumerate(found.header.outputs)]
    family = card.family.value if card and described else found.guess.family.value if found.guess.family else ""
    rows.append(("family", family + ("" if described or not family else " (by its tensors)") or "none that is known"))
    table = key_value_table()
    for key, value in rows:
        table.add_row(key, escape(value))
    console.print(table)
    if card is None:
        console.print(f"\nA {CARD_NAME} has to be written by hand: docs/models.md has one to start from.")
        return
    targets = plain_table("target", "way", "")
    for plan in _plans(card):
        targets.add_row(plan.target.value, plan.path.value, escape(plan.reason))
    console.print()
    console.print(targets)
    if not described:
        console.print(f"\n{CARD_NAME} that fits (--write keeps it; name the classes):\n")
        console.print(escape(card_text(card).decode()), end="")


def _document(found: ModelFile, card: ModelCard | None) -> dict[str, Any]:
    header = found.header
    return {
        "file": str(found.path),
        "size": found.size,
        "sha256": found.sha256,
        "framework": found.framework.value if found.framework else None,
        "opset": header.opset if header else None,
        "producer": header.producer if header else None,
        "inputs": [_tensor_document(tensor) for tensor in header.inputs] if header else None,
        "outputs": [_tensor_document(tensor) for tensor in header.outputs] if header else None,
        "family": found.guess.family.value if found.guess.family else None,
        "model_yaml": card.model_dump(mode="json", exclude_none=True) if card else None,
        "targets": [
            {"target": plan.target.value, "way": plan.path.value, "runtime": plan.runtime, "reason": plan.reason}
            for plan in (_plans(card) if card else [])
        ],
    }


def _tensor_document(tensor: OnnxTensor) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}
