"""EventBridge: targets that moto does not deliver to, constant and transformed inputs, schedules run on request."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from vedette.local.cloud.api import ApiError, Request, Route, route
from vedette.local.cloud.delivery import TARGETS, deliver
from vedette.local.cloud.world import ACCOUNT, World

_PLACE: Final = re.compile(r"<([\w.-]+)>")
#: Targets of EventBridge that moto itself serves: archives, API destinations.
_MOTOS: Final = ("archive", "api-destination")


def install(world: World) -> None:
    """Deliver events to every target that stacks here use; refuse rules with other targets."""
    import moto.events.models as models

    original, put = models.Rule.send_to_targets, models.Rule.put_targets

    def send_to_targets(rule: Any, original_event: Any, transform_input: bool = True) -> None:
        # moto takes a rule without a pattern, which has a schedule instead, for one that every event matches.
        if rule.state == "DISABLED" or not rule.event_pattern.dump():
            return
        if not rule.event_pattern.matches_event(original_event):
            return
        if any(_motos(target) for target in rule.targets):
            original(rule, original_event, transform_input)
            return
        event = as_event(original_event, world.region)
        world.note("event", rule=rule.name, event=event)
        for target in rule.targets:
            world.later(f"rule {rule.name}", partial(send, world, target, event))

    def put_targets(rule: Any, targets: list[dict[str, Any]]) -> None:
        for target in targets:
            if target["Arn"].split(":")[2] not in TARGETS:
                raise ValueError(f"Rule {rule.name}: the sandbox delivers no events to {target['Arn']}.")
        put(rule, targets)

    models.Rule.send_to_targets = send_to_targets
    models.Rule.put_targets = put_targets


def _motos(target: dict[str, Any]) -> bool:
    kind = target["Arn"].split(":", 5)[5]
    return target["Arn"].split(":")[2] == "events" and (not kind or kind.startswith(_MOTOS))


def as_event(given: Any, region: str) -> dict[str, Any]:
    """Moto's event in the form that targets get: its time as ISO 8601, never without an identifier."""
    at = given.get("time")
    when = datetime.now(UTC) if at is None else at if isinstance(at, str) else datetime.fromtimestamp(float(at), UTC)
    return {
        "version": "0",
        "id": given.get("id") or str(uuid.uuid4()),
        "detail-type": given.get("detail-type"),
        "source": given.get("source"),
        "account": given.get("account") or ACCOUNT,
        "time": when if isinstance(when, str) else when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": given.get("region") or region,
        "resources": given.get("resources") or [],
        "detail": given.get("detail") or {},
    }


def send(world: World, target: dict[str, Any], event: dict[str, Any]) -> None:
    """Deliver an event to one target; what cannot be delivered goes to the target's dead-letter queue."""
    body = shaped(target, event)
    try:
        deliver(world, target["Arn"], body, target)
    except Exception:
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if queue:
            deliver(world, queue, body)
        raise


def shaped(target: dict[str, Any], event: dict[str, Any]) -> str:
    """What a target gets: a constant, a part of the event, a template filled in, or the event."""
    if target.get("Input") is not None:
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(value_at(event, target["InputPath"]))
    if target.get("InputTransformer"):
        return filled(target["InputTransformer"], event)
    return json.dumps(event)


def filled(transformer: dict[str, Any], event: dict[str, Any]) -> str:
    """An input transformer's template with values of the event.

    A place inside quotation marks is filled with text, any other with JSON, as EventBridge does.
    """
    template: str = transformer["InputTemplate"]
    values = {name: value_at(event, path) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    values |= {"aws.events.event.json": event, "aws.events.event": event}

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            return found[0]
        quoted = template[: found.start()].replace('\\"', "").count('"') % 2 == 1
        value = values[name]
        as_json = json.dumps(value)
        if not quoted:
            return as_json
        return as_json[1:-1] if isinstance(value, str) else as_json.replace('"', '\\"')

    return _PLACE.sub(fill, template)


def value_at(event: Any, path: str) -> Any:
    """The value at a path such as ``$.detail.bucket.name``; None where there is none."""
    value = event
    for part in re.findall(r"[^.\[\]]+", path.removeprefix("$")):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _run_schedule(world: World, request: Request) -> tuple[int, Any]:
    """Run a schedule, or a rule that has one, now. The sandbox's own clock starts nothing."""
    from moto.events.models import events_backends

    name = request.arguments["name"]
    for summary in world.client("scheduler").list_schedules()["Schedules"]:
        if summary["Name"] == name:
            found = world.client("scheduler").get_schedule(Name=name, GroupName=summary["GroupName"])
            target = found["Target"]
            deliver(world, target["Arn"], str(target.get("Input") or "{}"), target)
            return 200, {"ran": target["Arn"]}
    rule = events_backends[ACCOUNT][world.region].event_buses["default"].rules.get(name)
    if rule is None or not rule.scheduled_expression:
        raise ApiError("ResourceNotFoundException", f"no schedule and no rule with a schedule is called {name!r}.", 404)
    event = as_event({"source": "aws.events", "detail-type": "Scheduled Event", "resources": [rule.arn]}, world.region)
    for target in rule.targets:
        send(world, target, event)
    return 200, {"ran": [target["Arn"] for target in rule.targets]}


ROUTES: tuple[Route, ...] = (route("POST", "/vedette/schedules/{name}/run", _run_schedule),)
