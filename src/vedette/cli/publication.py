"""From a built tree to component versions in the account, told on the terminal. Shared by `publish` and `deploy`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.artefacts import ArtefactStore, Uploaded
from vedette.adapters.aws.component_versions import ComponentVersions
from vedette.adapters.aws.publishing import Planned, Publication, Publisher, Release
from vedette.adapters.manifest.loading import MANIFEST_NAME
from vedette.cli.tables import plain_table
from vedette.contracts.errors import UsageError
from vedette.contracts.model_card import Target
from vedette.core.fleet.build_target import Accelerator, Platform
from vedette.local.building.tree import LIST_NAME, Built, read_tree
from vedette.local.recipe import load_recipe


@dataclass(frozen=True, slots=True)
class BuildChoice:
    """What an application is built for, where it has to be built first.

    Attributes:
        platform: of the devices; this machine's where None.
        accelerator: what runs the models there.
        target: kind of device.
        python: on the devices.
        clips: folders of recordings for its tests.
        libraries: whether its artefacts hold them; without, for devices whose image has them.
    """

    platform: Platform | None = None
    accelerator: Accelerator = Accelerator.CPU
    target: Target | None = None
    python: str | None = None
    clips: tuple[Path, ...] = ()
    libraries: bool = True


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing did.

    Attributes:
        publication: as planned.
        uploads: files that were sent.
        seconds: it took.
    """

    publication: Publication
    uploads: tuple[Uploaded, ...] = ()
    seconds: float = 0.0

    @property
    def sent(self) -> int:
        """Bytes that went over the network."""
        return sum(one.sent for one in self.uploads)

    @property
    def kept(self) -> int:
        """Bytes that were there."""
        return sum(one.kept for one in self.uploads) + sum(file.size for file in self.publication.present)


def is_application(path: Path) -> bool:
    """Whether a path is an application's directory or manifest."""
    return path.name == MANIFEST_NAME or (path / MANIFEST_NAME).is_file()


@contextmanager
def built_tree(path: Path, choice: BuildChoice, tell: Callable[[str], None]) -> Iterator[tuple[Built, ...]]:
    """The components of a tree, or of an application, which is built first.

    Args:
        path: a tree of ``vedette build``, or an application's directory.
        choice: what an application is built for.
        tell: told what the build does.

    Raises:
        UsageError: V708, it is neither, or not the tree that was built; see ``build_application``.
    """
    if not is_application(path):
        if not (path / LIST_NAME).is_file():
            raise UsageError(
                f"{path} is neither an application ({MANIFEST_NAME}) nor a built tree ({LIST_NAME}).",
                hint="Build our components first: vedette build --out DIR.",
                code="V708",
            )
        yield read_tree(path)
        return
    from vedette.local.application_tree import build_application
    from vedette.local.building.settings import BuildSettings

    settings = BuildSettings.choose(
        *(choice.platform, choice.accelerator, choice.target, choice.python),
        libraries=choice.libraries,
        progress=tell,
    )
    # The same sources give the same bytes: a publication that broke off finds its files again after another build.
    with tempfile.TemporaryDirectory(prefix="vedette-publish-") as folder:
        directory = path.parent if path.name == MANIFEST_NAME else path
        built = build_application(directory, Path(folder), settings, clips=choice.clips)
        for note in built.notes:
            tell(note)
        yield built.components


def publisher(account: Account) -> Publisher:
    """Of an account."""
    return Publisher(ArtefactStore(account), ComponentVersions(account))


def releases(built: Sequence[Built]) -> tuple[Release, ...]:
    """Built components as they are published.

    Raises:
        CoreError: V601, a recipe cannot be used.
    """
    return tuple(_release(one) for one in built)


def _release(one: Built) -> Release:
    document = load_recipe(one.recipe).model_dump(mode="json", by_alias=True, exclude_unset=True)
    return Release(one.name, one.version, document, one.artifacts)


def publish_now(made: Publisher, publication: Publication, console: Console) -> Published:
    """Publish with bars; nothing is printed where everything is there.

    Raises:
        CloudError: see ``Publisher.publish``.
    """
    began_s = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {
            file.key: bar.add_task(escape(file.path.name), total=file.size) for file in publication.missing
        }

        def tell(one: Planned) -> None:
            if not one.there:
                console.print(f"{escape(one.release.name)} {one.release.version}: published", soft_wrap=True)

        uploads = made.publish(publication, lambda file, done: bar.advance(tasks[file.key], done), tell)
    return Published(publication, uploads, time.monotonic() - began_s)


def publication_table(publication: Publication, *, done: bool = False) -> Any:
    """One row a component: as it is, or after it was published."""
    table = plain_table("component", "version", "artefacts", "new files" if done else "to send", "in the account")
    missing = {file.key for file in publication.missing}
    for one in publication.components:
        files = one.release.files
        to_send = 0 if one.there else sum(file.size for file in files if file.key in missing)
        state = (
            "yes, waiting for Greengrass"
            if one.waiting
            else "yes, the same"
            if one.there
            else "published"
            if done
            else "no"
        )
        table.add_row(
            escape(one.release.name),
            one.release.version,
            size_text(sum(f.size for f in files)),
            size_text(to_send),
            state,
        )
    return table


def size_text(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB" if size else "-"


def publication_document(done: Published, *, dry_run: bool = False) -> dict[str, Any]:
    """As JSON."""
    sent = {one.file.key: one for one in done.uploads}
    return {
        "components": [
            {
                "name": one.release.name,
                "version": one.release.version,
                "state": "there" if one.there else "to-publish" if dry_run else "published",
                "artefacts": [
                    {"file": file.path.name, "sha256": file.sha256, "bytes": file.size} for file in one.release.files
                ],
            }
            for one in done.publication.components
        ],
        "bytes_to_send": done.publication.bytes_missing,
        "uploads": [
            {"file": one.file.path.name, "sha256": key, "sent": one.sent, "kept": one.kept, "checksum": one.checksum}
            for key, one in ((upload.file.sha256, upload) for upload in sent.values())
        ],
        "bytes_sent": done.sent,
        "bytes_kept": done.kept,
    }
