"""Recipes of an application's own components: linked by ``vedette run``, or built for devices."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final

from vedette.contracts.manifest import Manifest
from vedette.contracts.topics import cloud_comparison
from vedette.contracts.versions import APPLICATION_PREFIX, CANDIDATE_PREFIX
from vedette.local.recipe import Recipe, parse_recipe

EDGE_COMPONENTS: Final = {
    "vedette.CameraIngest": "camera_ingest",
    "vedette.Inference": "inference",
    "vedette.Alerting": "alerting",
    "vedette.AppHost": "app_host",
}
#: The application's files in its built artefact.
CONTENT_FOLDER: Final = "application"
#: Artefacts of a candidate: the application's files, and what it runs on, which is the same for every application.
CANDIDATE_ARCHIVE: Final = f"{CONTENT_FOLDER}.zip"
RUNTIME_ARCHIVE: Final = "runtime.zip"
#: Interpreter of Panorama code that brings packages of its own: in the component's working directory.
CODE_PYTHON: Final = "code-venv/bin/python3"
_WHERE: Final = "{artifacts:decompressedPath}"


class Form(StrEnum):
    """How an application comes to a device."""

    LINKED = "linked"
    BUILT = "built"
    CANDIDATE = "candidate"


def application_recipe(manifest: Manifest) -> Recipe:
    """The recipe of an application whose files are linked, run by the Python of the search path."""
    return parse_recipe(application_document(manifest, Form.LINKED), source=f"application {manifest.name}")


def application_document(manifest: Manifest, form: Form) -> dict[str, Any]:
    """The recipe of an application's component.

    Args:
        manifest: of the application.
        form: how its files and its Python come there.
    """
    candidate = form is Form.CANDIDATE
    title = manifest.title or manifest.name
    configuration: dict[str, Any] = {
        "stateDirectory": "/var/lib/vedette",
        "logLevel": "INFO",
        "bindings": {},
        "parameters": {},
    }
    name = f"{CANDIDATE_PREFIX if candidate else APPLICATION_PREFIX}{manifest.name}"
    if candidate:
        configuration["accessControl"] = _candidate_access(name)
    return {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": manifest.version,
        "ComponentDescription": f"{title}, tried beside the version that runs." if candidate else title,
        "ComponentDependencies": {
            each: {"VersionRequirement": ">=0.1.0", "DependencyType": "HARD"} for each in EDGE_COMPONENTS
        },
        "ComponentConfiguration": {"DefaultConfiguration": configuration},
        "Manifests": [
            {
                "Platform": {"os": "linux", "runtime": "*"},
                "Artifacts": [
                    {"Uri": f"s3://BUCKET_NAME/{file}", "Unarchive": "ZIP"} for file in _archives(manifest, form)
                ],
                "Lifecycle": _lifecycle(manifest, form),
            }
        ],
    }


def application_text(manifest: Manifest) -> str:
    """The manifest as its component finds it.

    JSON is YAML: the component reads it as it would read the file of the application's author. What the author did not
    write stays unwritten: a default may be a mistake where it is written (the bits of a coil).
    """
    return json.dumps(manifest.model_dump(mode="json", exclude_none=True, exclude_unset=True), indent=1)


def _archives(manifest: Manifest, form: Form) -> tuple[str, ...]:
    return (CANDIDATE_ARCHIVE, RUNTIME_ARCHIVE) if form is Form.CANDIDATE else (f"{manifest.name}.zip",)


def _lifecycle(manifest: Manifest, form: Form) -> dict[str, Any]:
    if form is Form.LINKED:
        return {"run": {"Script": f"exec python3 -m vedette app attach {_WHERE}/{manifest.name}"}}
    scripts, content = f"{_WHERE}/{manifest.name}", f"{_WHERE}/{manifest.name}/{CONTENT_FOLDER}"
    command = "attach"
    if form is Form.CANDIDATE:
        scripts, content, command = f"{_WHERE}/runtime", f"{_WHERE}/{CONTENT_FOLDER}", "try"
    if manifest.panorama is not None and manifest.panorama.requirements:
        content += f" --code-python {CODE_PYTHON}"
    return {
        "install": {"Script": f"exec sh {scripts}/install.sh", "Timeout": 600},
        "run": {"Script": f"exec sh {scripts}/run.sh -m vedette app {command} {content}"},
    }


def _candidate_access(name: str) -> dict[str, Any]:
    return {
        "aws.greengrass.ipc.mqttproxy": {
            f"{name}:mqttproxy:1": {
                "policyDescription": "Tell how the candidate compares with the version that runs.",
                "operations": ["aws.greengrass#PublishToIoTCore"],
                "resources": [cloud_comparison("*")],
            }
        }
    }
