"""``vedette model``: what is stored, where it came from, under which licence."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from vedette.adapters.engines.onnxfile import check_graph
from vedette.adapters.models.catalogue import KnownModel, known_models, recognise
from vedette.adapters.models.download import download
from vedette.adapters.models.store import MAX_MODEL_BYTES, UNKNOWN_LICENCE, ModelStore, StoredModel, missing_model
from vedette.cli.tables import key_value_table, plain_table
from vedette.contracts.errors import ModelError, UsageError
from vedette.core.manifest_checks import near_miss

Store = Annotated[
    Path | None, typer.Option("--store", help="Directory of the store; default $VEDETTE_HOME/models, else the user's.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def add(
    what: Annotated[str, typer.Argument(metavar="NAME|FILE|URL", help="A known name, a file, or an https address.")],
    sha256: Annotated[str, typer.Option(help="Digest the file must have.")] = "",
    name: Annotated[str, typer.Option(help="Name for manifests; default the known one, else the file's.")] = "",
    licence: Annotated[str, typer.Option(help="SPDX identifier, where it is not known.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: Store = None,
    json_: Json = False,
) -> None:
    """Store a model. Its digest is pinned: a file that changes later is refused.

    A file needs no network. A known model is recognised by its digest and gets its name and licence from the catalogue.

    Examples:
    vedette model add yolox_nano

    vedette model add ./downloads/yolox_nano.onnx

    vedette model add https://example.org/m.onnx --sha256 0123… --licence MIT --name mine
    """
    target, console = _store(store), Console(stderr=True, highlight=False)
    path = Path(what)
    if what.partition("://")[1]:
        entry = _fetch(what, target, console, name=name, licence=licence, sha256=sha256, ask=not yes)
        _keep_models_only(entry, target)
    elif path.is_file() or "/" in what or what.endswith(".onnx"):
        _check_is_model(path, str(path))
        entry = target.add_file(path, name=name, licence=licence, sha256=sha256)
    else:
        known = _known(what)
        console.print(f"{escape(known.title)}: {known.licence} ({escape(known.licence_note)})")
        wanted = sha256 or known.sha256
        entry = _fetch(known.source, target, console, name=name or known.name, licence="", sha256=wanted, ask=not yes)
    if json_:
        print(json.dumps(asdict(entry)))
    else:
        _show(entry, target, Console(highlight=False, soft_wrap=True))
    if entry.licence == UNKNOWN_LICENCE:
        console.print("Its licence is not known: find out before you use it, then add it again with --licence.")


def _check_is_model(path: Path, shown: str) -> None:
    """Refuse what could never be loaded; what cannot be read is the store's to say.

    Raises:
        ModelError: V302, no ONNX model.
    """
    with contextlib.suppress(OSError):
        if path.stat().st_size <= MAX_MODEL_BYTES:  # what is larger, the store refuses
            check_graph(path.read_bytes(), shown)


def _keep_models_only(entry: StoredModel, store: ModelStore) -> None:
    try:
        _check_is_model(store.path(entry.name), entry.source)
    except ModelError:
        store.remove(entry.name)
        raise


def list_(store: Store = None, json_: Json = False) -> None:
    """What is stored, and which known models could be added."""
    target = _store(store)
    entries = target.entries()
    if json_:
        print(json.dumps([asdict(entry) for entry in entries]))
        return
    console = Console(highlight=False)
    table = plain_table("name", "size", "licence", "SHA-256", "")
    for entry in entries:
        table.add_row(entry.name, _size(entry.size), entry.licence, entry.sha256[:12], "stored")
    stored = {entry.sha256 for entry in entries}
    for known in known_models().values():
        if known.sha256 not in stored:
            table.add_row(known.name, _size(known.size), known.licence, known.sha256[:12], "not stored")
    console.print(table)
    if any(known.sha256 not in stored for known in known_models().values()):
        console.print("To store one: vedette model add NAME")
    console.print(f"store: {escape(str(target.directory))}")


def show(
    name: Annotated[str, typer.Argument(help="Name of a stored model.")], store: Store = None, json_: Json = False
) -> None:
    """Everything about one model; its file is verified."""
    target = _store(store)
    entry = target.find(name)
    if entry is None:
        raise missing_model(name, target)
    target.path(entry.name)
    if json_:
        print(json.dumps(asdict(entry)))
    else:
        _show(entry, target, Console(highlight=False, soft_wrap=True))


def remove(name: Annotated[str, typer.Argument(help="Name of a stored model.")], store: Store = None) -> None:
    """Take a model out of the store."""
    target = _store(store)
    if not target.remove(name):
        near = near_miss(name, [entry.name for entry in target.entries()])
        raise ModelError(
            f"no model is stored as {name!r}.",
            hint=f"Did you mean {near}?" if near else "See: vedette model list",
            code="V301",
        )
    print(f"{name} removed")


def _store(directory: Path | None) -> ModelStore:
    return ModelStore(directory) if directory is not None else ModelStore.default()


def _known(name: str) -> KnownModel:
    known = known_models().get(name)
    if known is None:
        names = list(known_models())
        near = near_miss(name, names)
        raise UsageError(
            f"{name!r} is no file, no https address and no known model; known are {', '.join(names)}.",
            hint=f"Did you mean {near}?" if near else "Give a file or an https address.",
        )
    return known


def _fetch(
    url: str, store: ModelStore, console: Console, *, name: str, licence: str, sha256: str, ask: bool
) -> StoredModel:
    """Download with a progress bar; where the digest was not given, show it and ask before it is pinned."""

    def accept(entry: StoredModel) -> bool:
        if sha256 or recognise(entry.sha256) or not ask:
            return True
        bar.stop()
        console.print(f"{escape(entry.name)}: {_size(entry.size)}, licence {escape(entry.licence)}")
        console.print(f"SHA-256 {entry.sha256}")
        if not sys.stdin.isatty():
            raise UsageError(
                "nobody is there to be asked whether this digest is right.",
                hint=f"Add --sha256 {entry.sha256} once you have compared it, or --yes.",
            )
        return typer.confirm("Store it, with this digest pinned?", err=True)

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(escape(urlsplit(url).path.rpartition("/")[2]), total=None)
        return download(
            url,
            store,
            name=name,
            licence=licence,
            sha256=sha256,
            progress=lambda done, total: bar.update(task, completed=done, total=total or None),
            accept=accept,
        )


def _show(entry: StoredModel, store: ModelStore, console: Console) -> None:
    table = key_value_table()
    known = recognise(entry.sha256)
    licence = f"{entry.licence} ({known.licence_note})" if known and known.licence_note else entry.licence
    rows = (
        ("name", entry.name),
        ("title", entry.title),
        ("licence", licence),
        ("source", entry.source),
        ("SHA-256", entry.sha256),
        ("size", _size(entry.size)),
        ("added", entry.added),
        ("file", str(store.directory / entry.blob)),
    )
    for key, value in rows:
        if value:
            table.add_row(key, escape(value))
    console.print(table)


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size} B"
