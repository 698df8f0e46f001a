"""``/vedette/state``: what happened in the sandbox, for tests and for people who look for the reason of something."""

from __future__ import annotations

import os
from typing import Any

from vedette.local.cloud.api import Request, Route, route
from vedette.local.cloud.broker import Broker
from vedette.local.cloud.world import ACCOUNT, World


def _state(world: World, _: Request) -> tuple[int, Any]:
    kinds = {kind: len(world.happened(kind)) for kind in world.kinds()}
    port = world.part(Broker).port if world.has(Broker) else None
    return 200, {
        "broker": port,
        "pid": os.getpid(),
        "account": ACCOUNT,
        "region": world.region,
        "busy": world.busy(),
        "happened": kinds,
    }


def _kind(world: World, request: Request) -> tuple[int, Any]:
    found = world.happened(request.arguments["kind"])
    return 200, {"entries": [{"at": entry.at, **entry.detail} for entry in found]}


def _sent(world: World, _: Request) -> tuple[int, Any]:
    """What SNS was given, by topic; moto keeps it."""
    from moto.sns.models import sns_backends

    topics = sns_backends[ACCOUNT][world.region].topics
    sent = {
        arn: [
            {"message": message, "subject": subject, "attributes": attributes}
            for _, message, subject, attributes, _ in topic.sent_notifications
        ]
        for arn, topic in topics.items()
    }
    return 200, {"topics": sent}


ROUTES: tuple[Route, ...] = (
    route("GET", "/vedette/state", _state),
    route("GET", "/vedette/state/{kind}", _kind),
    route("GET", "/vedette/sent", _sent),
)
