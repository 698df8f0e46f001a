"""CloudFormation resource types that moto lacks, each made by a call to the sandbox's own API.

So botocore's model of the service checks every property's name and type, as CloudFormation's own schema would.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.core.common_models import CloudFormationModel

from vedette.local.cloud.world import World

Properties = dict[str, Any]
#: Longest name that every service takes which names are made for; the end of a made name is what is random.
_NAME_LENGTH = 60
_GONE = ("NotFound", "NoSuch", "NonExistent", "DoesNotExist")


class Update(Enum):
    """What a changed property means.

    Attributes:
        AGAIN: the same call once more puts the new value in place of the old.
        REPLACE: the old resource is deleted, a new one made.
    """

    AGAIN = "again"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class Made:
    """One resource.

    Attributes:
        request: what it was made with.
        answer: what the service answered.
        region: it is in.
        account: it is in.
    """

    request: Mapping[str, Any]
    answer: Mapping[str, Any]
    region: str
    account: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type.

    Attributes:
        type: CloudFormation's name.
        service: boto3's name of the client.
        operation: that makes one.
        request: the operation's arguments from the properties and a name that is free.
        identity: what ``Ref`` gives.
        delete: ends one; None where it goes with what it belongs to.
        name: property that holds its name; empty where it has none.
        attributes: what ``Fn::GetAtt`` gives.
        update: what a change does; a function makes the change on the resource itself.
    """

    type: str
    service: str
    operation: str
    request: Callable[[Properties, str], Mapping[str, Any]]
    identity: Callable[[Made], str]
    delete: Callable[[Any, Made], object] | None = None
    name: str = ""
    attributes: Mapping[str, Callable[[Made], str | list[str]]] = field(default_factory=dict)
    update: Update | Callable[[Any, Made, Mapping[str, Any]], object] = Update.REPLACE


def install(world: World, kinds: Sequence[Kind]) -> tuple[type, ...]:
    """Make the types known to CloudFormation; the last one of a name wins, so moto's own can be replaced.

    They are known for as long as what is returned is kept.
    """
    made = tuple(_model(world, kind) for kind in kinds)
    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()
    return made


def _model(world: World, kind: Kind) -> type:
    class Resource(CloudFormationModel):
        """A resource of one type in a stack."""

        def __init__(self, made: Made) -> None:
            self.made = made

        @property
        def physical_resource_id(self) -> str:
            return kind.identity(self.made)

        @staticmethod
        def cloudformation_name_type() -> str:
            return kind.name

        @staticmethod
        def cloudformation_type() -> str:
            return kind.type

        @classmethod
        def has_cfn_attr(cls, attr: str) -> bool:
            return attr in kind.attributes

        def get_cfn_attribute(self, attribute_name: str) -> str | list[str]:
            return kind.attributes[attribute_name](self.made)

        def is_created(self) -> bool:
            return True

        @classmethod
        def create_from_cloudformation_json(
            cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
        ) -> Resource:
            request = _request(world, kind, cloudformation_json, resource_name)
            answer = _call(world, kind, request)
            return cls(Made(request, answer, region_name, account_id))

        @classmethod
        def update_from_cloudformation_json(
            cls,
            original_resource: Any,
            new_resource_name: str,
            cloudformation_json: Any,
            account_id: str,
            region_name: str,
        ) -> Any:
            name = _name_of(kind, original_resource, new_resource_name)
            request = _request(world, kind, cloudformation_json, name)
            _change(world, kind, original_resource, request)
            return original_resource

        def delete(self, account_id: str, region_name: str) -> None:
            _delete(world, kind, self.made)

    Resource.__name__ = Resource.__qualname__ = kind.type.replace("::", "")
    return Resource


def _name_of(kind: Kind, resource: Any, made_up: str) -> str:
    """A changed resource keeps a name that was made up for it."""
    kept = next((v for k, v in resource.made.request.items() if kind.name and k.lower() == kind.name.lower()), None)
    return str(kept) if kept else made_up


def _request(world: World, kind: Kind, document: Any, name: str) -> dict[str, Any]:
    properties = copy.deepcopy(document.get("Properties", {}))
    try:
        request = kind.request(properties, name[-_NAME_LENGTH:].lstrip("-"))
    except KeyError as error:
        raise ValidationError(message=f"{kind.type} {name}: the property {error} is missing.") from None
    model = world.client(kind.service).meta.service_model.operation_model(kind.operation)
    return dict(typed(model.input_shape, request))


def _call(world: World, kind: Kind, request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(getattr(world.client(kind.service), xform_name(kind.operation))(**request) or {})
    except (ClientError, BotoCoreError) as error:
        raise ValidationError(message=f"{kind.type}: {error}") from error


def _change(world: World, kind: Kind, resource: Any, request: Mapping[str, Any]) -> None:
    made: Made = resource.made
    if kind.update is Update.REPLACE:
        _delete(world, kind, made)
    if isinstance(kind.update, Update):
        answer: Mapping[str, Any] = _call(world, kind, request)
    else:
        kind.update(world.client(kind.service), made, request)
        answer = made.answer
    resource.made = Made(request, answer, made.region, made.account)


def _delete(world: World, kind: Kind, made: Made) -> None:
    if kind.delete is None:
        return
    try:
        kind.delete(world.client(kind.service), made)
    except ClientError as error:
        if not any(word in error.response["Error"]["Code"] for word in _GONE):
            raise


def typed(shape: Any, value: Any) -> Any:
    """A value from a template in the types of botocore's model: templates hold numbers and switches as text."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        members = shape.members
        return {k: typed(members[k], v) if k in members else v for k, v in value.items()}
    if kind == "list" and isinstance(value, list):
        return [typed(shape.member, entry) for entry in value]
    if kind == "map" and isinstance(value, Mapping):
        return {k: typed(shape.value, v) for k, v in value.items()}
    return _scalar(kind, value)


def _scalar(kind: str, value: Any) -> Any:
    if kind in ("integer", "long") and isinstance(value, str):
        return int(value)
    if kind in ("double", "float") and isinstance(value, str):
        return float(value)
    if kind == "boolean" and isinstance(value, str):
        return value.lower() == "true"
    if kind == "blob" and isinstance(value, str):
        return value.encode()
    if kind == "string" and isinstance(value, dict | list):
        return json.dumps(value)
    if kind == "string" and isinstance(value, bool):
        return str(value).lower()
    if kind == "string" and isinstance(value, int | float):
        return str(value)
    return value


def lower_first(value: Any, keep: frozenset[str] = frozenset()) -> Any:
    """CloudFormation's ``TopicRulePayload`` as the API's ``topicRulePayload``, at every depth but below ``keep``."""
    if isinstance(value, dict):
        return {k[:1].lower() + k[1:]: v if k in keep else lower_first(v, keep) for k, v in value.items()}
    if isinstance(value, list):
        return [lower_first(entry, keep) for entry in value]
    return value


def answered(*path: str) -> Callable[[Made], str]:
    """What stands in the service's answer."""
    return lambda made: _at(made.answer, path)


def requested(*path: str) -> Callable[[Made], str]:
    """What stands in the request."""
    return lambda made: _at(made.request, path)


def _at(document: Mapping[str, Any], path: Sequence[str]) -> str:
    found: Any = document
    for key in path:
        found = found[key]
    return str(found)


def named(key: str) -> Callable[[Properties, str], Properties]:
    """A request that is the properties, with a name where they have none."""
    return lambda properties, name: {key: name, **properties}


def arn(made: Made, service: str, name: str) -> str:
    """The ARN of a resource whose service does not answer with it."""
    return f"arn:aws:{service}:{made.region}:{made.account}:{name}"


def without(properties: Properties, *names: str) -> Properties:
    """The properties but these."""
    return {k: v for k, v in properties.items() if k not in names}


def tags_list(properties: Properties) -> list[dict[str, str]]:
    """The tags as a list, as most services want them."""
    return [{"Key": key, "Value": value} for key, value in tags_map(properties).items()]


def tags_map(properties: Properties) -> dict[str, str]:
    """CloudFormation's list of tags (or its map) as a map."""
    tags = properties.get("Tags") or {}
    return dict(tags) if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
