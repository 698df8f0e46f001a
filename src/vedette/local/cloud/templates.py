"""Resource types that moto has and reads wrongly from templates."""

from __future__ import annotations

from typing import Any

from vedette.local.cloud.world import World


def install(world: World) -> None:
    """Mend them."""
    import moto.events.models as events
    import moto.kms.models as kms

    made = kms.Key.create_from_cloudformation_json.__func__

    def create_key(cls: Any, resource_name: str, cloudformation_json: Any, *rest: Any, **named: Any) -> Any:
        properties = dict(cloudformation_json["Properties"])
        # A template's tags have Key and Value; the API's, which moto expects here, TagKey and TagValue.
        properties["Tags"] = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in properties.get("Tags", [])]
        return made(cls, resource_name, {**cloudformation_json, "Properties": properties}, *rest, **named)

    kms.Key.create_from_cloudformation_json = classmethod(create_key)
    # What Ref gives; moto has none.
    events.EventBus.physical_resource_id = property(lambda bus: bus.name)
