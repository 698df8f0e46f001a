"""An application as components for devices: the one that runs it, and the one that tries it beside a version that runs.

artifacts/vedette.app.NAME/VERSION/NAME.zip
    ├── install.sh, run.sh, requirements.txt, target, installer/, wheelhouse/     what `vedette app attach` runs on
    └── application/    vedette.yaml, models/, hooks and what they read, tests/ with their recordings
artifacts/vedette.candidate.NAME/VERSION/application.zip    the same files
artifacts/vedette.candidate.NAME/VERSION/runtime.zip        what judges recordings; the same for every application
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vedette.adapters.artefact_file import measured
from vedette.adapters.manifest import load_manifest
from vedette.adapters.manifest.application_tests import application_tests, load_application_test
from vedette.adapters.manifest.loading import MANIFEST_NAME, manifest_path
from vedette.adapters.models.store import ModelStore, resolve_model
from vedette.contracts.application_test import Clip
from vedette.contracts.errors import ConfigurationError, ModelError
from vedette.contracts.manifest import Manifest, Panorama
from vedette.contracts.manifest.models import Model
from vedette.local.application_files import application_files, panorama_files
from vedette.local.application_recipe import (
    CANDIDATE_ARCHIVE,
    CONTENT_FOLDER,
    RUNTIME_ARCHIVE,
    Form,
    application_document,
    application_text,
)
from vedette.local.building.archive import Member
from vedette.local.building.code_notes import code_notes
from vedette.local.building.code_wheels import code_members
from vedette.local.building.libraries import APPLICATION_LIBRARIES, CANDIDATE_LIBRARIES
from vedette.local.building.packed import write_sbom
from vedette.local.building.settings import BuildSettings
from vedette.local.building.tree import Built, write_list
from vedette.local.building.wheelhouse import Wheelhouses, scratch
from vedette.local.component_tree import (
    bare_members,
    not_writable,
    rendered,
    script_members,
    wheelhouses,
    write_component,
)

_TESTS: Final = "tests"


@dataclass(frozen=True, slots=True)
class BuiltApplication:
    """What became of an application.

    Attributes:
        components: in the tree.
        notes: for people: what is not in it, and why.
    """

    components: tuple[Built, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """An application's files.

    Attributes:
        manifest: naming the models as they lie in the artefact.
        members: names below the application's folder.
        notes: what was left out, and why.
    """

    manifest: Manifest
    members: tuple[Member, ...]
    notes: tuple[str, ...]


def build_application(
    directory: Path,
    target: Path,
    settings: BuildSettings,
    *,
    clips: Sequence[Path] = (),
    models: bool = True,
    store: ModelStore | None = None,
) -> BuiltApplication:
    """Write an application's components into a tree.

    Args:
        directory: with ``vedette.yaml`` in it.
        target: the tree; other components in it stay.
        settings: what for.
        clips: folders of recordings besides the application's own.
        models: whether models of the store are packed; without, the fleet has to bring them.
        store: the user's where None.

    Raises:
        ConfigurationError: V101, V102 or V107, the manifest or a test has mistakes, or a recording is another one.
        ModelError: V301 or V305, a model is missing or is another one.
        UsageError: as ``build_tree``.
    """
    content = application_content(directory, clips, (store or ModelStore.default()) if models else None)
    notes = list(content.notes)
    with scratch() as work:
        houses = wheelhouses(settings, Path(work)) if settings.libraries else None
        code: list[Member] = []
        panorama = content.manifest.panorama
        if panorama is not None:
            folder = manifest_path(directory).resolve().parent
            code, said = _panorama(content.manifest.name, panorama, folder, settings, houses, Path(work))
            notes += said
        try:
            made = (
                _write(content, Form.BUILT, target, settings, houses, code),
                _write(content, Form.CANDIDATE, target, settings, houses, code),
            )
            write_list(target, made)
            write_sbom(target)
        except OSError as error:
            raise not_writable(target, error) from None
    return BuiltApplication(made, tuple(notes))


def _panorama(
    name: str, panorama: Panorama, folder: Path, settings: BuildSettings, houses: Wheelhouses | None, work: Path
) -> tuple[list[Member], list[str]]:
    """What is installed for Panorama code, and what is to be said of it."""
    files = panorama_files(folder, panorama)
    if not panorama.requirements:
        return [], code_notes(folder, files, None)
    if houses is None:
        return [], [
            f"the packages of {panorama.requirements} are not in it: built without libraries. Its code runs with what "
            "vedette.AppHost has, or with `panoramaPython` in its configuration."
        ]
    members, packages = code_members(
        name, panorama, folder / panorama.requirements, houses.plan, work, settings.progress
    )
    listed = ", ".join(f"{package} {version}" for package, version in packages.items()) or "nothing"
    note = (
        f"its code runs with Python {panorama.python or houses.plan.python}, which the device has to have, and "
        f"{listed}; versions in {panorama.requirements} with == stay the same in every build."
    )
    return members, [note, *code_notes(folder, files, packages)]


def _write(
    content: Content,
    form: Form,
    target: Path,
    settings: BuildSettings,
    houses: Wheelhouses | None,
    code: Sequence[Member],
) -> Built:
    manifest = content.manifest
    libraries = APPLICATION_LIBRARIES if form is Form.BUILT else CANDIDATE_LIBRARIES
    runtime = [*script_members(), *(houses.members(libraries) if houses is not None else bare_members())]
    document = application_document(manifest, form)
    settings.progress(f"building {document['ComponentName']}")
    if form is Form.CANDIDATE:
        # The runtime is the same for every application; what the code asks for is not.
        archives = {CANDIDATE_ARCHIVE: [*content.members, *code], RUNTIME_ARCHIVE: runtime}
    else:
        inside = [Member(f"{CONTENT_FOLDER}/{each.name}", each.source, each.part) for each in content.members]
        archives = {f"{manifest.name}.zip": [*runtime, *code, *inside]}
    return write_component(target, rendered(document, settings), archives, settings.target())


def application_content(directory: Path, clips: Sequence[Path], store: ModelStore | None) -> Content:
    """Collect an application's files; nothing is written.

    Args:
        directory: with ``vedette.yaml`` in it.
        clips: folders of recordings besides the application's own.
        store: of models; None where those that are not beside the manifest come to the devices on another way.

    Raises:
        ConfigurationError, ModelError: see ``build_application``.
    """
    path = manifest_path(directory)
    folder = path.resolve().parent
    manifest = load_manifest(path)
    packed: dict[str, Member] = {}
    notes: list[str] = []
    models = {}
    taken: set[Path] = set()
    for name, model in manifest.models.items():
        source = None if model.built_in else _model_file(model, folder, store)
        if source is None:
            if not model.built_in:
                notes.append(f"model {model.file} is not in it; a component of its own has to bring it.")
            models[name] = model
            continue
        taken.add(source.resolve())
        models[name] = _packed_model(name, model, source, packed)
    manifest = manifest.model_copy(update={"models": models})
    packed[MANIFEST_NAME] = Member(MANIFEST_NAME, application_text(manifest).encode())
    if manifest.hooks:
        for relative, file in application_files(folder):
            if relative.parts[0] != _TESTS and file.resolve() not in taken:
                packed[relative.as_posix()] = Member(relative.as_posix(), file)
    if manifest.panorama is not None:
        for name in panorama_files(folder, manifest.panorama):
            packed[name] = Member(name, folder / name, "code")
    _pack_tests(path, manifest, clips, packed, notes)
    return Content(manifest, tuple(packed.values()), tuple(notes))


def _model_file(model: Model, folder: Path, store: ModelStore | None) -> Path | None:
    beside = folder / model.file
    if beside.is_file():
        return beside
    return None if store is None else resolve_model(model.file, folder, store)


def _packed_model(name: str, model: Model, source: Path, packed: dict[str, Member]) -> Model:
    """The model as the manifest in the artefact names it: the device refuses any other content."""
    digest = measured(source).sha256
    if model.sha256 not in (None, digest):
        raise ModelError(
            f"models.{name}: {source} has the SHA-256 {digest}; the manifest says {model.sha256}.",
            hint="Take the file that is meant, or correct sha256 in vedette.yaml.",
            code="V305",
        )
    inside = f"models/{source.name}"
    if inside in packed and packed[inside].source != source:
        inside = f"models/{digest[:12]}-{source.name}"
    packed[inside] = Member(inside, source, "models")
    return model.model_copy(update={"file": inside, "sha256": digest})


def _pack_tests(
    path: Path, manifest: Manifest, folders: Sequence[Path], packed: dict[str, Member], notes: list[str]
) -> None:
    for file in application_tests(path):
        packed[f"{_TESTS}/{file.name}"] = Member(f"{_TESTS}/{file.name}", file, "tests")
        for clip in load_application_test(file, manifest).clips.values():
            if clip.file is None:
                continue  # rendered where it is needed
            recording = _recording(file, clip, folders)
            if recording is None:
                notes.append(f"{file.name}: recording {clip.file} is not here and not in it; name its folder: --clips")
                continue
            packed[f"{_TESTS}/{clip.file}"] = Member(f"{_TESTS}/{clip.file}", recording, "tests")


def _recording(test: Path, clip: Clip, folders: Sequence[Path]) -> Path | None:
    assert clip.file is not None
    others = []
    for folder in (test.parent, test.parent.parent, *folders):
        found = folder / clip.file
        if found.is_file():
            if measured(found).sha256 == clip.sha256:
                return found
            others.append(found)
    if others:
        raise ConfigurationError(
            f"{test}: {others[0]} is another recording: its SHA-256 is not {clip.sha256}.",
            hint="Take the recording that the test was written for, or correct the test.",
            code="V107",
        )
    return None
