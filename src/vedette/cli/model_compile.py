"""``vedette model compile``: a model made ready for devices, by the account or on this machine."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.models import CloudModels
from vedette.adapters.models.described import described_model
from vedette.adapters.models.store import ModelStore
from vedette.cli.model_status import Stage, states_table
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.errors import CloudError
from vedette.contracts.manifest import Model
from vedette.contracts.model_card import ModelCard, Target
from vedette.contracts.model_record import ModelRecord, ModelState
from vedette.core.fleet.compile_plan import Path as Way
from vedette.core.fleet.compile_plan import TargetPlan, plan
from vedette.core.fleet.model_pack import card_text, pack_component

Wait = Annotated[bool, typer.Option("--wait", help="Until every target is released or has failed.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def compile_(
    path: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="A model with model.yaml beside it.")],
    target: Annotated[
        list[Target] | None, typer.Option("--target", "-t", help="Kind of device; default those of model.yaml.")
    ] = None,
    wait: Wait = False,
    local: Annotated[bool, typer.Option("--local", help="On this machine, without an account: ONNX only.")] = False,
    out: Annotated[Path | None, typer.Option(help="With --local: directory for the component's archives.")] = None,
    store: Annotated[Path | None, typer.Option(help="With --local: directory of the model store.")] = None,
    stage: Stage = DEFAULT_STAGE,
    json_: Json = False,
) -> None:
    """Check a model, then compile it with SageMaker Neo or pack it as ONNX, per target.

    What no target can run is refused here, before anything is uploaded. The exit code is 1 where a target failed.

    Examples:
    vedette model compile ./parts --local

    vedette model compile ./parts -t jetson-xavier -t x86-64 --wait
    """
    card, file = described_model(path)
    if target:
        kept = {t: options for t, options in card.compiler_options.items() if t in target}
        card = card.model_copy(update={"targets": tuple(dict.fromkeys(target)), "compiler_options": kept})
    plans = plan(card)
    if all(one.path is Way.REFUSED for one in plans):
        raise CloudError("; ".join(one.reason.rstrip(".") for one in plans) + ".", code="V006")
    if local:
        _locally(card, file, plans, out, store, json_=json_)
    else:
        submit(card, file, stage, wait=wait, json_=json_)


def submit(card: ModelCard, file: Path, stage: str, *, wait: bool, json_: bool) -> None:
    """Upload, and follow where that is wanted.

    Raises:
        CloudError: V001 to V003; V007, see ``CloudModels.follow``.
        typer.Exit: 1, a target was refused or failed.
    """
    models = CloudModels(Account(stage))
    since = models.now()
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(escape(file.name), total=file.stat().st_size)
        models.upload(card, file, lambda done: bar.advance(task, done))
    console.print(f"{card.name} {card.version}: uploaded")
    if not wait:
        console.print(f"To follow it: vedette model status {card.name} --watch")
        return
    source = hashlib.sha256(card_text(card)).hexdigest()
    follow(models, card, since, source, json_=json_)


def follow(models: CloudModels, card: ModelCard, since: datetime, source: str = "", *, json_: bool) -> None:
    """Tell of every change, then show how it ended.

    Raises:
        CloudError: V007, see ``CloudModels.follow``.
        typer.Exit: 1, a target was refused or failed.
    """
    console = Console(stderr=True, highlight=False)
    known: dict[str, ModelState] = {}
    found: tuple[ModelRecord, ...] = ()
    for found in models.follow(card.name, card.version, card.targets, since, source):
        for record in found:
            if known.get(record.release) is not record.state:
                known[record.release] = record.state
                where = record.target.value if record.target else "all targets"
                console.print(f"{where}: {record.state.value.lower()}  {escape(record.reason)}", soft_wrap=True)
    if json_:
        print(json.dumps([record.model_dump(mode="json") for record in found]))
    else:
        Console(highlight=False).print(states_table(found))
    if any(record.state is not ModelState.RELEASED for record in found):
        raise typer.Exit(1)


def _locally(
    card: ModelCard, file: Path, plans: tuple[TargetPlan, ...], out: Path | None, store: Path | None, *, json_: bool
) -> None:
    """The gate, the model store, and one archive a target where that is wanted."""
    if not any(one.path is Way.ONNX for one in plans):
        raise CloudError(
            "none of the targets takes this model as ONNX: Neo compiles in the account only.",
            hint="Type the same without --local.",
            code="V006",
        )
    from vedette.adapters.engines.gate import check_model

    data = file.read_bytes()
    model = Model(family=card.family, file=card.file, labels=card.labels, input=card.input, sha256=card.sha256)
    report = check_model(data, model)
    target_store = ModelStore(store) if store is not None else ModelStore.default()
    entry = target_store.add_file(file, name=card.name, licence=card.licence)
    archives = [_archive(card, file, one, out) for one in plans if out is not None and one.path is Way.ONNX]
    if json_:
        rows = [{"target": one.target.value, "way": one.path.value, "reason": one.reason} for one in plans]
        document = {"stored": asdict(entry), "run_s": report.run_s, "targets": rows, "archives": archives}
        print(json.dumps(document))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{card.name} {card.version}: {report.nodes} operators, {report.run_s * 1e3:.1f} ms a run on this machine"
    )
    for one in plans:
        console.print(f"{one.target.value}: {one.path.value}  {escape(one.reason)}")
    console.print(
        f"stored as {escape(entry.name)} in {escape(str(target_store.directory))}: `file: {escape(entry.name)}`"
    )
    for name in archives:
        console.print(f"{escape(name)} written")


def _archive(card: ModelCard, file: Path, one: TargetPlan, out: Path | None) -> str:
    assert out is not None
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{card.name}-{card.version}-{one.target.value}.zip"
    with target.open("wb") as archive:
        pack_component(archive, card, card.file, file, card.sha256 or hashlib.sha256(file.read_bytes()).hexdigest())
    return str(target)
