"""Component versions of Greengrass V2: made once, never changed, checked as the service checks them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from botocore.exceptions import ClientError

from vedette.local.cloud.api import ApiError
from vedette.local.cloud.world import ACCOUNT, World

#: Quota of the service.
_MOST_RECIPE_BYTES: Final = 16 << 10
_RECIPE_FORMAT: Final = "2020-01-25"
_SEMANTIC: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
_NAME: Final = re.compile(r"[a-zA-Z0-9-_.]{1,128}")


@dataclass(frozen=True, slots=True)
class Component:
    """One version."""

    arn: str
    name: str
    version: str
    recipe: dict[str, Any]
    tags: dict[str, str]
    created: float


@dataclass
class Components:
    """All versions of all components, by ARN."""

    world: World
    _all: dict[str, Component] = field(default_factory=dict)

    def has(self, name: str, version: str) -> bool:
        """Whether a version exists."""
        return self._arn(name, version) in self._all

    def _arn(self, name: str, version: str) -> str:
        return f"arn:aws:greengrass:{self.world.region}:{ACCOUNT}:components:{name}:versions:{version}"

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """A new version from an inline recipe.

        Raises:
            ApiError: the recipe, or an artefact that it names, cannot be used; the version exists.
        """
        if "inlineRecipe" not in body:
            raise ApiError("ValidationException", "The sandbox makes components from recipes, not from functions.")
        raw = base64.b64decode(body["inlineRecipe"])
        if len(raw) > _MOST_RECIPE_BYTES:
            raise ApiError("ValidationException", f"The recipe has {len(raw)} bytes; {_MOST_RECIPE_BYTES} are allowed.")
        recipe = _read(raw)
        name, version = str(recipe["ComponentName"]), str(recipe["ComponentVersion"])
        arn = self._arn(name, version)
        if arn in self._all:
            message = f"Component [{name} : {version}] for account [{ACCOUNT}] already exists with state: [DEPLOYABLE]"
            raise ApiError("ConflictException", message, 409)
        for artefact in _artefacts(recipe):
            # As the service does: it reads every artefact once, and keeps in the recipe what it found.
            artefact |= {"Digest": self._digest(artefact), "Algorithm": "SHA-256"}
        made = Component(arn, name, version, recipe, dict(body.get("tags") or {}), time.time())
        self._all[arn] = made
        return {**_names(made), "creationTimestamp": made.created, "status": _STATUS}

    def _digest(self, artefact: dict[str, Any]) -> str:
        uri = str(artefact.get("Uri") or artefact["URI"])
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        digest = hashlib.sha256()
        try:
            for piece in self.world.client("s3").get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20):
                digest.update(piece)
        except ClientError as error:
            message = f"Cannot access S3 artifact {uri}: {error.response['Error']['Code']}."
            raise ApiError("ValidationException", message) from None
        return base64.b64encode(digest.digest()).decode()

    def one(self, arn: str) -> Component:
        """A version.

        Raises:
            ApiError: there is none.
        """
        if arn not in self._all:
            raise ApiError("ResourceNotFoundException", f"The component {arn} does not exist.", 404)
        return self._all[arn]

    def newest(self) -> list[dict[str, Any]]:
        """The newest version of each component."""
        latest: dict[str, Component] = {}
        for component in sorted(self._all.values(), key=_order):
            latest[component.name] = component
        return [
            {
                "arn": one.arn.rpartition(":versions:")[0],
                "componentName": one.name,
                "latestVersion": {
                    "arn": one.arn,
                    "componentVersion": one.version,
                    "creationTimestamp": one.created,
                    "description": str(one.recipe.get("ComponentDescription", "")),
                },
            }
            for one in latest.values()
        ]

    def versions(self, arn: str) -> list[dict[str, Any]]:
        """All versions of a component, newest first."""
        found = [one for one in self._all.values() if one.arn.startswith(f"{arn}:versions:")]
        return [_names(one) for one in sorted(found, key=_order, reverse=True)]

    def recipe(self, arn: str) -> dict[str, Any]:
        """A version's recipe, as JSON."""
        one = self.one(arn)
        recipe = base64.b64encode(json.dumps(one.recipe).encode()).decode()
        return {"recipeOutputFormat": "JSON", "recipe": recipe, "tags": one.tags}

    def describe(self, arn: str) -> dict[str, Any]:
        """What is known of a version."""
        one = self.one(arn)
        about = {
            "publisher": str(one.recipe.get("ComponentPublisher", "")),
            "description": str(one.recipe.get("ComponentDescription", "")),
            "creationTimestamp": one.created,
            "status": _STATUS,
            "tags": one.tags,
        }
        return {**_names(one), **about}

    def delete(self, arn: str) -> None:
        """End a version.

        Raises:
            ApiError: there is none.
        """
        del self._all[self.one(arn).arn]


_STATUS: Final = {"componentState": "DEPLOYABLE", "message": "NONE", "errors": {}}


def _names(one: Component) -> dict[str, Any]:
    return {"arn": one.arn, "componentName": one.name, "componentVersion": one.version}


def _order(one: Component) -> tuple[int, ...]:
    found = _SEMANTIC.fullmatch(one.version)
    assert found is not None
    return tuple(int(part) for part in found.groups())


def _read(raw: bytes) -> dict[str, Any]:
    try:
        recipe = yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise ApiError("ValidationException", f"The recipe is neither JSON nor YAML: {error}") from None
    if not isinstance(recipe, dict):
        raise ApiError("ValidationException", "The recipe is no object.")
    if str(recipe.get("RecipeFormatVersion")) != _RECIPE_FORMAT:
        raise ApiError("ValidationException", f"RecipeFormatVersion must be {_RECIPE_FORMAT}.")
    if not _NAME.fullmatch(str(recipe.get("ComponentName", ""))):
        raise ApiError("ValidationException", f"ComponentName {recipe.get('ComponentName')!r} is not allowed.")
    if not _SEMANTIC.fullmatch(str(recipe.get("ComponentVersion", ""))):
        raise ApiError("ValidationException", f"ComponentVersion {recipe.get('ComponentVersion')!r} is not semantic.")
    return recipe


def _artefacts(recipe: dict[str, Any]) -> list[dict[str, Any]]:
    """Those in S3."""
    return [
        artefact
        for manifest in recipe.get("Manifests") or []
        for artefact in manifest.get("Artifacts") or []
        if str(artefact.get("Uri") or artefact.get("URI") or "").startswith("s3://")
    ]
