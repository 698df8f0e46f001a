"""A version of a component in Greengrass: made once, never changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from lambdas.common.model_book import OtherContentError
from lambdas.common.objects import store_file
from lambdas.common.runtime import client
from vedette.contracts.errors import CloudError
from vedette.contracts.model_card import ModelCard, Target
from vedette.core.fleet.model_pack import ARCHIVE_NAME, pack_component, recipe


def release_component(
    bucket: str, card: ModelCard, target: Target, file: Path, file_name: str, sha256: str, source: str
) -> None:
    """Make the component version of a model for a kind of device, or find that it is there with the same content.

    Args:
        bucket: of artefacts.
        card: of the model.
        target: kind of device.
        file: what the device runs.
        file_name: of that file in the archive.
        sha256: of that file.
        source: digest of what it was made from.

    Raises:
        OtherContentError: V006, this version is there with other content.
        CloudError: V007, Greengrass could not make it.
        botocore.exceptions.ClientError: refused.
    """
    archive = file.with_name(ARCHIVE_NAME)
    with archive.open("w+b") as target_file:
        pack_component(target_file, card, file_name, file, sha256)
        target_file.seek(0)
        digest = hashlib.file_digest(target_file, "sha256").hexdigest()
    key = f"models/{card.name}/{card.version}/{target.value}/{digest[:16]}/{ARCHIVE_NAME}"
    store_file(bucket, key, archive)
    document = recipe(card, target, file_name=file_name, sha256=sha256, source=source, uri=f"s3://{bucket}/{key}")
    try:
        answer = client("greengrassv2").create_component_version(inlineRecipe=json.dumps(document).encode())
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConflictException":
            raise
        if _source_of(document) != source:
            raise OtherContentError(card.name, card.version) from None
        return
    status = answer.get("status", {})
    if status.get("componentState") == "FAILED":
        raise CloudError(f"Greengrass could not make the component: {status.get('message')}", code="V007")


def _source_of(document: dict[str, Any]) -> str:
    """What the version that is there was made from."""
    greengrass = client("greengrassv2")
    name, version = document["ComponentName"], document["ComponentVersion"]
    pages = greengrass.get_paginator("list_components").paginate(scope="PRIVATE")
    arns = [c["arn"] for page in pages for c in page["components"] if c["componentName"] == name]
    if not arns:
        return ""
    there = greengrass.get_component(arn=f"{arns[0]}:versions:{version}", recipeOutputFormat="JSON")
    configuration = json.loads(there["recipe"]).get("ComponentConfiguration", {})
    return str(configuration.get("DefaultConfiguration", {}).get("source", ""))
