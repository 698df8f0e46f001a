"""Versions of our components, from a tree that was built before."""

from __future__ import annotations

import copy
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_greengrassv2 as greengrass
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from vedette.contracts.errors import ConfigurationError
from vedette.contracts.rollout import ComponentChoice
from vedette.contracts.versions import APPLICATION_PREFIX, CANDIDATE_PREFIX

_DECOMPRESSED: Final = "{artifacts:decompressedPath}/"


@dataclass(frozen=True, slots=True)
class BuiltComponent:
    """A recipe of the tree and the folder of its artefacts."""

    name: str
    version: str
    document: dict[str, Any]
    artifacts: Path

    def artifact(self, entry: dict[str, Any]) -> Path:
        """The file of an artefact of the recipe.

        Raises:
            ConfigurationError: V103, it is missing.
        """
        file = self.artifacts / str(entry["Uri"]).rpartition("/")[2]
        if not file.is_file():
            raise ConfigurationError(f"components: {file} is missing, which {self.name} needs.")
        return file


def read_tree(directory: str) -> tuple[BuiltComponent, ...]:
    """What a tree holds, by name.

    Raises:
        ConfigurationError: V103, the folder holds no such tree.
    """
    top = Path(directory)
    found = []
    for path in sorted((top / "recipes").glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        name, version = str(document["ComponentName"]), str(document["ComponentVersion"])
        found.append(BuiltComponent(name, version, document, top / "artifacts" / name / version))
    if not found:
        raise ConfigurationError(
            f"components: {directory!r} holds no recipes/*.yaml.",
            hint="Build the components first, or leave the field out.",
        )
    return tuple(found)


class ComponentVersions(Construct):
    """Each component's version in the account, its artefacts where CloudFormation keeps files.

    Greengrass never changes a version once it is made. So a version stays when it leaves the stack, because devices may
    still run it, and the same version with another content is a new resource, which Greengrass then refuses by name.

    Args:
        scope: of the construct.
        construct_id: within it.
        built: what to make.
        readers: role that may load the artefacts.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, built: tuple[BuiltComponent, ...], readers: iam.IRole
    ) -> None:
        super().__init__(scope, construct_id)
        self._objects: list[str] = []
        self._bucket = ""
        for component in built:
            self._version(component)
        iam.Policy(
            self,
            "Load",
            roles=[readers],
            statements=[
                iam.PolicyStatement(actions=["s3:GetObject"], resources=self._objects),
                # The classic nucleus asks where a bucket is before it loads from it, and gives up where it may not.
                iam.PolicyStatement(actions=["s3:GetBucketLocation"], resources=[self._bucket]),
            ],
        )

    def _version(self, component: BuiltComponent) -> None:
        document = copy.deepcopy(component.document)
        digest = hashlib.sha256(yaml.safe_dump(document).encode())
        for manifest in document["Manifests"]:
            for artifact in manifest.get("Artifacts", ()):
                file = component.artifact(artifact)
                digest.update(file.read_bytes())
                manifest["Lifecycle"] = self._upload(component, file, artifact, manifest["Lifecycle"])
        identity = re.sub(r"\W", "", f"{component.name}{component.version}{digest.hexdigest()[:12]}")
        made = greengrass.CfnComponentVersion(self, identity, inline_recipe=Stack.of(self).to_json_string(document))
        made.override_logical_id(identity)
        made.apply_removal_policy(RemovalPolicy.RETAIN)

    def _upload(self, component: BuiltComponent, file: Path, artifact: dict[str, Any], lifecycle: Any) -> Any:
        """Upload a file; Greengrass unpacks it into a folder of the name that it has there."""
        asset = assets.Asset(self, f"{component.name}-{file.name}", path=str(file))
        artifact["Uri"] = asset.s3_object_url
        self._objects.append(asset.bucket.arn_for_objects(asset.s3_object_key))
        # The CDK puts all files of a stack into one bucket.
        self._bucket = asset.bucket.bucket_arn
        there = asset.s3_object_key.removesuffix(file.suffix)
        folder = re.compile(re.escape(f"{_DECOMPRESSED}{file.stem}") + r"(?![\w.-])")
        return _replaced(lifecycle, folder, f"{_DECOMPRESSED}{there}")


def choices(built: tuple[BuiltComponent, ...]) -> dict[str, ComponentChoice]:
    """What a new ring runs of them; an application comes to a ring by a rollout, which says its cameras."""
    return {
        component.name: ComponentChoice(version=component.version)
        for component in built
        if not component.name.startswith((APPLICATION_PREFIX, CANDIDATE_PREFIX))
    }


def _replaced(value: Any, old: re.Pattern[str], new: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(one, old, new) for key, one in value.items()}
    return old.sub(lambda _match: new, value) if isinstance(value, str) else value
