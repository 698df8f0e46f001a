"""Bringing built components into the account: what is there is found first, files go before versions.

Nothing half-published can be deployed: no version is made before every file of every component is in the bucket and
checked, and the component of an application comes after the one that compares it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vedette.adapters.artefact_file import ArtefactFile
from vedette.adapters.aws.artefacts import ArtefactStore, Progress, Uploaded
from vedette.adapters.aws.component_versions import ComponentVersions
from vedette.contracts.errors import CloudError
from vedette.contracts.versions import APPLICATION_PREFIX, CANDIDATE_PREFIX
from vedette.core.fleet.component_recipe import MAX_ARTEFACT_BYTES, published_recipe, recipe_differences


@dataclass(frozen=True, slots=True)
class Release:
    """A component as it was built.

    Attributes:
        name: of the component.
        version: of it.
        document: its recipe, keys as Greengrass has them.
        files: its artefacts.
    """

    name: str
    version: str
    document: Mapping[str, Any]
    files: tuple[ArtefactFile, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """A component, and what publishing it would do.

    Attributes:
        release: it.
        recipe: as the account gets it; empty where the version is there.
        there: the version is in the account with this content.
        waiting: it is there, and Greengrass has not accepted it yet.
    """

    release: Release
    recipe: bytes
    there: bool
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Publication:
    """What publishing would do.

    Attributes:
        components: in the order in which their versions are made.
        missing: files that are not in the bucket, each content once.
        present: files that are.
    """

    components: tuple[Planned, ...]
    missing: tuple[ArtefactFile, ...]
    present: tuple[ArtefactFile, ...]

    @property
    def bytes_missing(self) -> int:
        """How much there is to send."""
        return sum(file.size for file in self.missing)


class Publisher:
    """Publishes into one account.

    Args:
        store: of artefacts.
        versions: of components.
    """

    def __init__(self, store: ArtefactStore, versions: ComponentVersions) -> None:
        self._store = store
        self._versions = versions

    def plan(self, releases: Iterable[Release]) -> Publication:
        """What is there and what is not; nothing is changed.

        Raises:
            CloudError: V014, a version is there with other content, or a recipe or component is too large; V708, a
                file is another one than it was; V001 to V003.
        """
        planned = [self._planned(release) for release in sorted(releases, key=_order)]
        files = {file.key: file for one in planned if not one.there for file in one.release.files}
        present = {key for key, file in files.items() if self._store.has(file)}
        return Publication(
            tuple(planned),
            missing=tuple(file for key, file in files.items() if key not in present),
            present=tuple(file for key, file in files.items() if key in present),
        )

    def publish(
        self, publication: Publication, progress: Progress, tell: Callable[[Planned], None]
    ) -> tuple[Uploaded, ...]:
        """Do it.

        Args:
            publication: what was planned.
            progress: told of bytes.
            tell: told of each version that can be deployed.

        Raises:
            CloudError: V014, Greengrass refused a version or could not make it; V001 to V003.
        """
        uploaded = self._store.upload(publication.missing, progress)
        for one in publication.components:
            name, version = one.release.name, one.release.version
            if not one.there:
                self._create(one)
            if not one.there or one.waiting:
                self._versions.settled(name, version)
            tell(one)
        return uploaded

    def _planned(self, release: Release) -> Planned:
        size = sum(file.size for file in release.files)
        if size > MAX_ARTEFACT_BYTES:
            raise CloudError(
                f"{release.name} {release.version}: its artefacts are {size:,} bytes; Greengrass takes "
                f"{MAX_ARTEFACT_BYTES:,} a component.",
                hint="Leave recordings of the tests out, or take a smaller model.",
                code="V014",
            )
        recipe = published_recipe(release.document, {file.path.name: self._store.uri(file) for file in release.files})
        state = self._versions.state(release.name, release.version)
        # A version that failed was never there for any device: Greengrass lets it be made again.
        if state is None or not (state.deployable or state.pending):
            return Planned(release, recipe, there=False)
        self._same(release)
        return Planned(release, b"", there=True, waiting=state.pending)

    def _create(self, one: Planned) -> None:
        try:
            self._versions.create(one.release.name, one.release.version, one.recipe)
        except CloudError as error:
            # Somebody else may have made it meanwhile, or an answer of Greengrass's was lost and asked for again.
            if "already exists" not in error.message:
                raise
            self._same(one.release)

    def _same(self, release: Release) -> None:
        stored = self._versions.recipe(release.name, release.version)
        digests = {file.path.name: file.sha256 for file in release.files}
        differences = recipe_differences(release.document, digests, stored)
        if differences:
            raise CloudError(
                f"{release.name} {release.version} is in the account with other content: "
                f"{'; '.join(differences[:4])}{'; …' if len(differences) > 4 else ''}.",
                hint="A version never changes: raise the version and publish again. What another release "
                "of Vedette built differs, too; an application in the account is deployed from there by its name.",
                code="V014",
            )


def _order(release: Release) -> tuple[int, str, str]:
    """Candidates before applications: where an application can be deployed, it can be compared."""
    rank = 2 if release.name.startswith(APPLICATION_PREFIX) else 1 if release.name.startswith(CANDIDATE_PREFIX) else 0
    return rank, release.name, release.version
