"""The part of an account that models go through: real functions over moto's services, and a Greengrass by hand."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lambdas.common import model_book, objects, runtime
from lambdas.model_failure import handler as failure
from lambdas.model_intake import handler as intake
from lambdas.model_intake import staging
from lambdas.model_release import component
from lambdas.model_release import handler as release

REGION = "eu-central-1"
EVENTS = Path(__file__).parent / "events"


def event(name: str) -> dict[str, Any]:
    """An event of the folder."""
    document: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return document


def throttled(operation: str) -> ClientError:
    """What AWS says where there are too many requests."""
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, operation)


class Greengrass:
    """Component versions: made once. Implements what the functions call of ``greengrassv2``."""

    def __init__(self) -> None:
        self.recipes: dict[tuple[str, str], dict[str, Any]] = {}
        self.refuse_with: list[Exception] = []
        self.state = "DEPLOYABLE"

    def create_component_version(self, *, inlineRecipe: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if self.refuse_with:
            raise self.refuse_with.pop(0)
        recipe = json.loads(inlineRecipe)
        key = (recipe["ComponentName"], recipe["ComponentVersion"])
        if key in self.recipes:
            said = {"Error": {"Code": "ConflictException", "Message": "exists"}}
            raise ClientError(said, "CreateComponentVersion")
        self.recipes[key] = recipe
        return {"status": {"componentState": self.state, "message": "no such artefact"}}

    def get_paginator(self, name: str) -> Greengrass:
        assert name == "list_components"
        return self

    def paginate(self, *, scope: str) -> list[dict[str, Any]]:
        assert scope == "PRIVATE"
        names = {name for name, _ in self.recipes}
        return [{"components": [{"componentName": name, "arn": f"arn:components:{name}"} for name in sorted(names)]}]

    def get_component(self, *, arn: str, recipeOutputFormat: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        assert recipeOutputFormat == "JSON"
        name, _, version = arn.removeprefix("arn:components:").partition(":versions:")
        return {"recipe": json.dumps(self.recipes[name, version]).encode()}


class ModelAccount:
    """Buckets, table, event bus and the three functions.

    Attributes:
        greengrass: components that were made.
        failing: service and operation → errors, raised one after the other before it works.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {
            "AWS_DEFAULT_REGION": REGION,
            "STAGE": "prod",
            "MODELS_BUCKET": "models",
            "ARTEFACTS_BUCKET": "artefacts",
            "MODELS_TABLE": "Models",
            "EVENT_BUS": "default",
            "OBJECTS_KEY": "arn:aws:kms:eu-central-1:123456789012:key/1",
        }.items():
            monkeypatch.setenv(name, value)
        self.greengrass = Greengrass()
        self.failing: dict[str, list[Exception]] = {}
        self.s3 = boto3.client("s3", region_name=REGION)
        for bucket in ("models", "artefacts"):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.table = boto3.resource("dynamodb", region_name=REGION).create_table(
            TableName="Models",
            KeySchema=[{"AttributeName": "model", "KeyType": "HASH"}, {"AttributeName": "release", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "model", "AttributeType": "S"},
                {"AttributeName": "release", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        self.sent: list[dict[str, Any]] = []
        clients: dict[str, Any] = {}

        def client(service: str) -> Any:
            if service == "greengrassv2":
                return self.greengrass
            made = clients.setdefault(service, boto3.client(service, region_name=REGION))
            return _Failing(made, self.failing, self._heard)

        for module in (model_book, objects, staging, component):
            monkeypatch.setattr(module, "client", client)
        runtime.settings.cache_clear()

    def _heard(self, operation: str, arguments: Mapping[str, Any]) -> None:
        if operation == "put_events":
            self.sent += [json.loads(entry["Detail"]) for entry in arguments["Entries"]]

    def upload(self, card: bytes, file: bytes | None, *, name: str = "parts.onnx", version: str = "1.0.0") -> None:
        """What a data scientist puts into the bucket."""
        if file is not None:
            self.s3.put_object(Bucket="models", Key=f"incoming/parts/{version}/{name}", Body=file)
        self.s3.put_object(Bucket="models", Key=f"incoming/parts/{version}/model.yaml", Body=card)

    def intake(self, source: str = "model_uploaded", execution: str = "run-1") -> dict[str, Any]:
        """Run the function on an event."""
        return intake.handle({"event": event(source), "execution": execution}, None)

    def call(self, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Run one of the functions."""
        handlers: dict[str, Callable[[dict[str, Any], object], dict[str, Any]]] = {
            "intake": intake.handle,
            "release": release.handle,
            "failure": failure.handle,
        }
        return handlers[function](payload, None)

    def states(self) -> dict[str, tuple[str, str]]:
        """Release → (state, reason)."""
        items = self.table.scan()["Items"]
        return {str(item["release"]): (str(item["state"]), str(item["reason"])) for item in items}

    def keys(self, bucket: str) -> list[str]:
        """Keys of all objects."""
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def content(self, bucket: str, key: str) -> bytes:
        """An object."""
        body: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body


class _Failing:
    """A client whose operations fail first, where that is wanted."""

    def __init__(self, client: Any, failing: dict[str, list[Exception]], heard: Callable[..., None]) -> None:
        self._client, self._failing, self._heard = client, failing, heard

    def __getattr__(self, operation: str) -> Any:
        real = getattr(self._client, operation)

        def call(*arguments: Any, **named: Any) -> Any:
            if self._failing.get(operation):
                raise self._failing[operation].pop(0)
            self._heard(operation, named)
            return real(*arguments, **named)

        return call


def archive(**files: bytes) -> bytes:
    """A tar.gz; ``__`` in a name stands for a dot."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as target:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(content)
            target.addfile(info, io.BytesIO(content))
    return packed.getvalue()
