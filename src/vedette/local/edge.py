"""The edge side on this machine: the deployment that ``vedette run`` hands to LocalCore.

The same recipes, processes and inter-process communication as on a device. What differs is only what an operator
would set there too: the state directory, the cameras, the bindings.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vedette.adapters.state.files import write_durably
from vedette.adapters.state.layout import StateLayout
from vedette.contracts.camera import CameraConfig
from vedette.contracts.comparison import ComparisonTask
from vedette.contracts.errors import StorageError
from vedette.contracts.manifest import FileAction, Manifest, ParameterValue
from vedette.contracts.manifest.panorama import OWN_PYTHON
from vedette.contracts.privacy import Privacy
from vedette.contracts.versions import APPLICATION_PREFIX, CANDIDATE_PREFIX
from vedette.local.application_files import copy_application, copy_panorama_code
from vedette.local.application_recipe import (
    CANDIDATE_ARCHIVE,
    EDGE_COMPONENTS,
    RUNTIME_ARCHIVE,
    Form,
    application_document,
    application_recipe,
    application_text,
)
from vedette.local.core import BrokerIot, ComponentSpec, FileIot, LocalCore, LocalCoreConfig
from vedette.local.data import data_directory
from vedette.local.recipe import parse_recipe

__all__ = ["EDGE_COMPONENTS", "Edge", "EdgeSettings", "RunApplication", "application_recipe", "with_alerts_file"]

#: Journal, outbox and logs need some room from the first second.
LEAST_FREE_BYTES: Final = 32_000_000
#: Name of the file action that `run` adds, so that every alert reaches the person watching exactly once.
RUN_ACTION: Final = "vedette-run"


@dataclass(frozen=True, slots=True)
class RunApplication:
    """One application of a run.

    Attributes:
        manifest: of the application; model files absolute or names in the model store.
        bindings: the application's camera → the device's cameras; by name where absent.
        parameters: values as a deployment would give them.
        directory: where the manifest lies; the files beside it are copied where the application has hooks.
    """

    manifest: Manifest
    bindings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    directory: Path | None = None

    @property
    def component(self) -> str:
        """Name of the application's component."""
        return f"{APPLICATION_PREFIX}{self.manifest.name}"


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Applications on this machine.

    Attributes:
        applications: what runs at first, one entry per name.
        cameras: the device's cameras, shared by all applications.
        root: everything the run writes: LocalCore's root, the state directory, the applications' directories.
        alerts_file: JSON lines, one alert each, in addition to the manifests' own actions.
        secrets: secret name → key-value pairs, served by GetSecretValue.
        iot: where IoT Core messages go.
        model_directory: the model store.
        lite_quirks: behave as nucleus lite does.
        trust_code: run applications' own code also where it cannot be confined.
        privacy_ceiling: what evidence of any application may show at most.
        face_model: name of a face model in the model store, for covering people; none where empty.
        person_model: likewise a model that finds people.
        app_python: application → interpreter of its Panorama code; where absent its own, or this one.
    """

    applications: tuple[RunApplication, ...]
    cameras: tuple[CameraConfig, ...]
    root: Path
    alerts_file: Path
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    iot: FileIot | BrokerIot | None = None
    model_directory: Path | None = None
    thing_name: str = "laptop"
    log_level: str = "INFO"
    lite_quirks: bool = False
    trust_code: bool = False
    privacy_ceiling: Privacy = Privacy.BLUR
    face_model: str = ""
    person_model: str = ""
    app_python: Mapping[str, Path] = field(default_factory=dict)

    @property
    def state_directory(self) -> Path:
        """Journal, outbox and sockets."""
        return self.root / "state"


def with_alerts_file(manifest: Manifest, alerts_file: Path) -> Manifest:
    """The manifest with one more file action that every rule and hook uses."""
    actions = {**manifest.actions, RUN_ACTION: FileAction(type="file", path=str(alerts_file))}
    rules = {
        name: rule.model_copy(update={"actions": (*rule.actions, RUN_ACTION)}) if rule.actions is not None else rule
        for name, rule in manifest.rules.items()
    }
    hooks = {
        name: hook.model_copy(update={"actions": (*hook.actions, RUN_ACTION)}) if hook.actions is not None else hook
        for name, hook in manifest.hooks.items()
    }
    return manifest.model_copy(update={"actions": actions, "rules": rules, "hooks": hooks})


def _given(application: RunApplication) -> dict[str, Any]:
    """What a deployment says of an application."""
    return {
        "bindings": {name: list(bound) for name, bound in application.bindings.items()},
        "parameters": {
            name: list(value) if isinstance(value, tuple) else value for name, value in application.parameters.items()
        },
    }


class Edge:
    """A running edge side. Use as a context manager; applications come and go while it runs."""

    def __init__(self, settings: EdgeSettings) -> None:
        """Prepare LocalCore; nothing is written or started."""
        self.settings = settings
        components = data_directory("components")
        self.core = LocalCore(
            LocalCoreConfig(
                root=settings.root / "core",
                thing_name=settings.thing_name,
                recipe_dirs=(data_directory("recipes"),),
                artifact_sources={f"{folder}.zip": components for folder in EDGE_COMPONENTS.values()},
                secrets_file=self._secrets_file if settings.secrets else None,
                iot=settings.iot or FileIot(settings.root / "iot-core.jsonl"),
                lite_quirks=settings.lite_quirks,
            )
        )

    @property
    def _secrets_file(self) -> Path:
        return self.settings.root / "secrets.json"

    def __enter__(self) -> Edge:
        """Start LocalCore and deploy the components and the applications.

        Raises:
            StorageError: V401, the folder cannot be used.
            CoreError: V401, another run uses it; V6xx, see ``LocalCore``.
        """
        try:
            self._check_space()
            self.core.__enter__()
            # Not before: until the core holds the folder, it may be another run's.
            self._forget_others()
            self._write_secrets()
            self._deploy(self._components(), self.settings.applications)
        except OSError as error:
            self.core.stop(self._clean_up)
            raise StorageError(
                f"{error.filename or self.settings.root} cannot be used: {error.strerror or error}.",
                hint="Name a folder that this user may write to, with --state.",
            ) from error
        except BaseException:
            self.core.stop(self._clean_up)
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop everything, in the reverse order."""
        self.core.stop(self._clean_up)

    def add(self, application: RunApplication) -> None:
        """Deploy one more application, or another version of one; the others are not touched.

        Raises:
            CoreError: V6xx, see ``LocalCore.deploy``; everything stays as it was.
        """
        self._deploy({}, (application,))

    def add_candidate(self, application: RunApplication, task: ComparisonTask) -> None:
        """Put another version beside a running application, to be compared with it.

        Raises:
            CoreError: V6xx, see ``LocalCore.deploy``; everything stays as it was.
        """
        manifest = application.manifest
        folder = self.settings.root / "candidate" / manifest.name / manifest.version
        self._write_files(manifest, application.directory, folder, whole=True)  # with its tests
        merge = self._common() | _given(application) | {"task": task.model_dump(mode="json")}
        recipe = parse_recipe(application_document(manifest, Form.CANDIDATE), source=f"candidate of {manifest.name}")
        self.core.deploy(
            {recipe.name: ComponentSpec(recipe.version, configuration_merge=merge, reset=("",))},
            extra_recipes=[recipe],
            artifact_sources={CANDIDATE_ARCHIVE: folder, RUNTIME_ARCHIVE: data_directory("components")},
        )

    def remove_candidate(self, name: str) -> None:
        """Take a candidate away; the running application is not touched.

        Raises:
            CoreError: V602, there is none.
        """
        self.core.remove(f"{CANDIDATE_PREFIX}{name}")
        shutil.rmtree(self.settings.root / "candidate" / name, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Take an application away; the others are not touched.

        Args:
            name: of the application.

        Raises:
            CoreError: V602, it does not run here.
        """
        self.core.remove(f"{APPLICATION_PREFIX}{name}")
        shutil.rmtree(self.settings.root / "application" / name, ignore_errors=True)

    def _deploy(self, components: dict[str, ComponentSpec], applications: tuple[RunApplication, ...]) -> None:
        recipes, sources = [], {}
        for app in applications:
            manifest = with_alerts_file(app.manifest, self.settings.alerts_file)
            sources[f"{manifest.name}.zip"] = self._write_application(manifest, app.directory)
            recipe = application_recipe(manifest)
            recipes.append(recipe)
            merge = self._common() | _given(app)
            # By its version: without it, the highest that was ever there would run, and none could be taken back.
            components[app.component] = ComponentSpec(recipe.version, configuration_merge=merge, reset=("",))
        self.core.deploy(components, extra_recipes=recipes, artifact_sources=sources)

    def _write_application(self, manifest: Manifest, source: Path | None) -> Path:
        """The application's directory, one per version, so that the one that runs keeps its own."""
        folder = self.settings.root / "application" / manifest.name / manifest.version / manifest.name
        self._write_files(manifest, source, folder, whole=bool(manifest.hooks))
        return folder

    def _write_files(self, manifest: Manifest, source: Path | None, folder: Path, *, whole: bool) -> None:
        if source is not None and whole:
            copy_application(source, folder)
        folder.mkdir(parents=True, exist_ok=True)
        if source is not None and manifest.panorama is not None:
            folder.chmod(0o755)
            copy_panorama_code(source, folder, manifest.panorama)
        (folder / "vedette.yaml").write_text(application_text(manifest))

    def _check_space(self) -> None:
        self.settings.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.settings.root).free
        if free < LEAST_FREE_BYTES:
            raise StorageError(
                f"{self.settings.root}: {free / 1e6:.1f} MB are free; a run needs {LEAST_FREE_BYTES / 1e6:.0f} MB.",
                hint="Free some space, or name a folder on another disk with --state.",
            )

    def _forget_others(self) -> None:
        """A run that was killed could not detach its applications; those that are not of this run are not run."""
        path = StateLayout(self.settings.state_directory).attachments
        names = {app.manifest.name for app in self.settings.applications}
        try:
            document = json.loads(path.read_bytes())
            kept = [entry for entry in document["applications"] if entry["manifest"]["name"] in names]
        except (OSError, ValueError, KeyError, TypeError):
            return  # nothing there, or for its owner to judge
        if len(kept) < len(document["applications"]) or document.get("candidates"):
            write_durably(path, json.dumps({**document, "applications": kept, "candidates": []}).encode())

    def _write_secrets(self) -> None:
        self._forget_secrets()  # those of a run that was killed
        if not self.settings.secrets:
            return
        descriptor = os.open(self._secrets_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump({name: dict(values) for name, values in self.settings.secrets.items()}, file)

    def _clean_up(self) -> None:
        """What is of no use when nothing runs: secrets, and the sockets of processes that were killed."""
        self._forget_secrets()
        run = self.settings.state_directory / "run"
        with contextlib.suppress(OSError):
            for path in (
                *run.glob("*.sock"),
                *run.glob("*.bell"),
                *run.glob("frames/*.sock"),
                *run.glob("packets/*.sock"),
            ):
                path.unlink(missing_ok=True)

    def _forget_secrets(self) -> None:
        """A run is given its passwords anew each time: none stays on disk."""
        with contextlib.suppress(OSError):
            self._secrets_file.unlink(missing_ok=True)
            for cached in (self.settings.state_directory / "secrets").glob("*"):
                cached.unlink(missing_ok=True)

    def _common(self) -> dict[str, Any]:
        return {"stateDirectory": str(self.settings.state_directory), "logLevel": self.settings.log_level}

    def _interpreters(self) -> dict[str, Path]:
        """Application → interpreter of its Panorama code: the one given, or that of the folder ``venv`` beside it."""
        own = {
            app.manifest.name: app.directory / OWN_PYTHON
            for app in self.settings.applications
            if app.directory is not None and app.manifest.panorama is not None and (app.directory / OWN_PYTHON).exists()
        }
        return own | dict(self.settings.app_python)

    def _components(self) -> dict[str, ComponentSpec]:
        settings = self.settings
        cameras = {
            camera.name: camera.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
            for camera in settings.cameras
        }
        inference = self._common()
        alerting = self._common() | {
            "privacyCeiling": settings.privacy_ceiling.value,
            "faceModel": settings.face_model,
            "personModel": settings.person_model,
        }
        app_host = {
            **self._common(),
            "trustCode": settings.trust_code,
            "panoramaPython": {name: str(path) for name, path in self._interpreters().items()},
        }
        if settings.model_directory is not None:
            for component in (inference, alerting, app_host):
                component["modelDirectory"] = str(settings.model_directory)
        merges: dict[str, dict[str, Any]] = {
            "vedette.CameraIngest": {**self._common(), "cameras": cameras},
            "vedette.Inference": inference,
            "vedette.Alerting": alerting,
            "vedette.AppHost": app_host,
        }
        # A run says everything anew: cameras of an earlier run in the same folder must not stay.
        return {name: ComponentSpec(configuration_merge=merge, reset=("",)) for name, merge in merges.items()}
