"""CloudFormation in moto, made strict: what it would silently leave out fails the deployment.

moto answers CREATE_COMPLETE for resource types it does not know, and drops attributes that it cannot give. Both would
make a deployment look right that is not.
"""

from __future__ import annotations

import traceback
from typing import Any, Final

from moto.cloudformation import models, parsing
from moto.cloudformation.exceptions import UnformattedGetAttTemplateException, ValidationError
from moto.core.exceptions import ServiceException

from vedette.local.cloud.world import World

#: Resources that mean nothing outside AWS.
_WITHOUT_EFFECT: Final = frozenset({"AWS::CDK::Metadata"})

#: What a template's values can be; anything else is an object of moto's.
_PLAIN: Final = (str, int, float, list, dict, type(None))


def install(world: World) -> None:
    """Make moto's engine strict."""
    unchecked = parsing.clean_json

    def clean_json(resource_json: Any, resources_map: Any) -> Any:
        if isinstance(resource_json, dict) and "Fn::GetAtt" in resource_json:
            return _attribute(resource_json["Fn::GetAtt"], resources_map)
        value = unchecked(resource_json, resources_map)
        if isinstance(resource_json, dict) and "Ref" in resource_json and not isinstance(value, _PLAIN):
            raise ValidationError(message=f"The sandbox cannot tell what Ref of {resource_json['Ref']} is.")
        return value

    parsing.clean_json = clean_json
    parsing.resource_class_from_type = resource_class
    parsing.resource_name_property_from_type = _name_property
    models.CloudFormationBackend._resolve_update_parameters = _update_parameters
    models.CloudFormationBackend.create_stack = _failing(world, models.CloudFormationBackend.create_stack)
    models.Stack.update = _failing_update(world, models.Stack.update)


def resource_class(resource_type: str) -> Any:
    """Moto's or our class of a resource type.

    Raises:
        ValidationError: nobody has one.
    """
    if resource_type in _WITHOUT_EFFECT or resource_type in parsing.NULL_MODELS:
        return None
    if resource_type.startswith("Custom::") or resource_type == "AWS::CloudFormation::CustomResource":
        raise ValidationError(
            message=f"The sandbox runs no custom resources ({resource_type}): nothing would answer them."
        )
    found = parsing.get_model_map().get(resource_type)
    if found is None:
        raise ValidationError(message=f"The sandbox does not emulate {resource_type}, so it cannot be deployed here.")
    return found


def _name_property(resource_type: str) -> str | None:
    """The property that holds a resource's name, by the class that is used: moto asks the first it knows."""
    found = parsing.get_model_map().get(resource_type)
    return found.cloudformation_name_type() or None if found else None


def _attribute(reference: Any, resources_map: Any) -> Any:
    name, _, attribute = reference.partition(".") if isinstance(reference, str) else (reference[0], ".", reference[1])
    if name not in resources_map.resources:
        raise ValidationError(message=f"Fn::GetAtt names {name}, which is no resource of this template.")
    resource = resources_map[name]
    if resource is None:
        raise ValidationError(message=f"Fn::GetAtt names {name}, whose condition is false.")
    try:
        return resource.get_cfn_attribute(attribute)
    except (NotImplementedError, KeyError, UnformattedGetAttTemplateException):
        kind = getattr(resource, "cf_resource_type", type(resource).__name__)
        raise ValidationError(
            message=f"The sandbox cannot tell the attribute {attribute} of {name} ({kind})."
        ) from None


def _update_parameters(_: Any, instance: Any, incoming_params: list[dict[str, str]]) -> dict[str, str]:
    """Parameters of an update. ``UsePreviousValue`` of one that had its default so far leaves it to the default."""
    given = {p["ParameterKey"]: p["ParameterValue"] for p in incoming_params if "ParameterValue" in p}
    previous = {
        p["ParameterKey"]
        for p in incoming_params
        if str(p.get("UsePreviousValue", "")).lower() == "true" and p["ParameterKey"] in instance.parameters
    }
    return given | {key: instance.parameters[key] for key in previous}


def _failing(world: World, original: Any) -> Any:
    """A stack of which a part cannot be made says why, and can be deployed again."""

    def create_stack(backend: Any, name: str, *arguments: Any, **named: Any) -> Any:
        known = set(backend.stacks)
        try:
            return original(backend, name, *arguments, **named)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            world.note("problem", what=f"stack {name}", error=reason, trace=traceback.format_exc())
            for identity in set(backend.stacks) - known:
                stack = backend.stacks[identity]
                if stack.name == name:
                    stack.status = "ROLLBACK_COMPLETE"
                    stack._add_stack_event("CREATE_FAILED", resource_status_reason=reason)
            if isinstance(error, ServiceException):
                raise
            raise ValidationError(message=f"Stack {name}: {reason}") from error

    return create_stack


def _failing_update(world: World, original: Any) -> Any:
    def update(stack: Any, *arguments: Any, **named: Any) -> None:
        try:
            original(stack, *arguments, **named)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            world.note("problem", what=f"update of {stack.name}", error=reason, trace=traceback.format_exc())
            stack.status = "UPDATE_ROLLBACK_COMPLETE"
            stack._add_stack_event("UPDATE_FAILED", resource_status_reason=reason)
            if isinstance(error, ServiceException):
                raise
            raise ValidationError(message=f"Stack {stack.name}: {reason}") from error

    return update
