"""An application's tests: clips found, application run over them, alerts compared."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from vedette.adapters.manifest import load_manifest
from vedette.adapters.manifest.application_tests import application_tests, load_application_test
from vedette.adapters.manifest.loading import manifest_path
from vedette.adapters.models.store import ModelStore
from vedette.cli.run import with_resolved_models
from vedette.compose.backtest import Backtest
from vedette.compose.clips import file_digest
from vedette.contracts.alert import Alert
from vedette.contracts.application_test import ApplicationTest, Clip
from vedette.contracts.errors import CameraError, UsageError, VedetteError
from vedette.contracts.manifest import Manifest
from vedette.core.application_tests import Verdict, compare
from vedette.core.parameters import with_parameters
from vedette.local.camera_arguments import parse_camera_arguments
from vedette.local.data import data_directory
from vedette.local.overrides import with_overrides
from vedette.testing.belt import BeltSettings, footage
from vedette.testing.parcels import ParcelSettings, parcel_footage

#: Called with camera and seconds of footage done.
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class AppUnderTest:
    """An application as it is tested.

    Attributes:
        path: its manifest.
        manifest: as read, with what ``--set`` says.
        store: where models are looked for besides the application's folders.
        model_folders: where files beside a manifest are looked for.
        python: interpreter of its Panorama code; None: the application's own, or this one.
    """

    path: Path
    manifest: Manifest
    store: ModelStore
    model_folders: tuple[Path, ...]
    python: Path | None = None

    @classmethod
    def load(
        cls,
        path: Path,
        assignments: Sequence[str] = (),
        *,
        store: ModelStore | None = None,
        beside: Path | None = None,
        python: Path | None = None,
    ) -> AppUnderTest:
        """Read an application.

        Args:
            path: its manifest, or the directory it lies in.
            assignments: of ``--set``.
            store: the user's where None.
            beside: another directory with the application's model files.
            python: interpreter of its Panorama code; None: the application's own, or this one.

        Raises:
            ConfigurationError: V101, V102 or V106, see ``load_manifest`` and ``with_overrides``.
        """
        file = manifest_path(path)
        manifest = with_overrides(load_manifest(file), assignments)
        folders = (file.resolve().parent, *((beside.resolve(),) if beside is not None else ()))
        return cls(file, manifest, store or ModelStore.default(), folders, python)


@dataclass(frozen=True, slots=True)
class Case:
    """One test file and the recordings it is about.

    Attributes:
        file: of the test.
        test: what is in it.
        clips: camera → recording; without those that are not here.
        lacking: why the test cannot be run, for people; empty where it can.
        wrong: whether a recording is here that is another one than the test means.
    """

    file: Path
    test: ApplicationTest
    clips: dict[str, Path] = field(default_factory=dict)
    lacking: str = ""
    wrong: bool = False


def find_cases(application: AppUnderTest, folders: Sequence[Path] = ()) -> list[Case]:
    """All tests of an application.

    Args:
        application: whose.
        folders: where recordings are looked for besides the test's own.

    Raises:
        ConfigurationError: V107, a test file has mistakes.
    """
    files = application_tests(application.path)
    return [
        make_case(file, load_application_test(file, application.manifest), [*folders, *clip_folders()])
        for file in files
    ]


def make_case(file: Path, test: ApplicationTest, folders: Sequence[Path]) -> Case:
    """A test with its recordings, as far as they are here."""
    found: dict[str, Path] = {}
    for camera, clip in test.clips.items():
        path, problem, wrong = _find(clip, [file.parent, file.parent.parent, *folders])
        if path is None:
            return Case(file, test, found, problem, wrong)
        found[camera] = path
    return Case(file, test, found)


def clip_folders() -> list[Path]:
    """Folders of recordings of this machine: ``VEDETTE_DATA``, and the one beside a clone."""
    named = os.environ.get("VEDETTE_DATA")
    roots = [Path(named)] if named else []
    with suppress(UsageError):  # an installation without examples has no clone either
        roots.append(data_directory("examples").parent.parent / "shared" / "data")
    return [folder for root in roots for folder in (root, root / "videos") if folder.is_dir()]


def run_case(
    application: AppUnderTest, case: Case, progress: Progress | None = None, notes: list[str] | None = None
) -> list[Alert]:
    """All alerts of an application on the recordings of a test; the same on every run.

    Args:
        application: whose alerts.
        case: the test.
        progress: called with the camera and the seconds of footage done.
        notes: gets what is to be said of the recordings, such as that one is damaged.

    Raises:
        CameraError: V203 or V204, a recording cannot be decoded.
        VedetteError: the test asks for what the application does not have, or a model is missing.
    """
    test = case.test
    places = [f"{place}={json.dumps(value)}" for place, value in test.overrides.items()]
    manifest = with_parameters(with_overrides(application.manifest, places), test.parameters)
    manifest = _resolved(manifest, application)
    alerts: list[Alert] = []
    # One recording at a time: each may have a time of its own at which it begins.
    for camera, path in sorted(case.clips.items()):
        arguments = parse_camera_arguments(manifest, [f"{camera}={path}"])
        backtest = Backtest(
            manifest,
            application.path.parent,
            arguments.cameras,
            dict(arguments.bindings),
            start=test.clips[camera].start,
            python=application.python,
        )
        alerts += backtest.alerts(progress)
        if not backtest.report.pictures.get(camera):
            raise CameraError(f"recording {path} holds no picture that can be decoded.", code="V203")
        if notes is not None:
            notes += [problem for problem in backtest.report.problems if problem.startswith(f"{camera}: ")]
            notes += backtest.report.hook_problems
    return alerts


def judge(case: Case, alerts: Sequence[Alert]) -> Verdict:
    """The alerts against what the test expects."""
    return compare(case.test, alerts)


def _resolved(manifest: Manifest, application: AppUnderTest) -> Manifest:
    first, *others = application.model_folders
    try:
        return with_resolved_models(manifest, first, application.store)
    except VedetteError:
        for folder in others:
            try:
                return with_resolved_models(manifest, folder, application.store)
            except VedetteError:
                continue
        raise


def _find(clip: Clip, folders: Sequence[Path]) -> tuple[Path | None, str, bool]:
    """The recording, or why there is none, and whether one of its name is another one."""
    if clip.belt is not None:
        return footage(BeltSettings(**clip.belt.model_dump())).video, "", False
    if clip.parcels is not None:
        return parcel_footage(ParcelSettings(**clip.parcels.model_dump()))[0], "", False
    assert clip.file is not None
    assert clip.sha256 is not None
    others: list[Path] = []
    for folder in folders:
        path = folder / clip.file
        try:
            if not path.is_file():
                continue
            if file_digest(path) == clip.sha256:
                return path, "", False
        except OSError:
            continue
        others.append(path)
    if others:
        return None, f"{others[0]} is another recording: its SHA-256 is not {clip.sha256[:12]}…", True
    return None, f"recording {clip.file} is not on this machine", False
