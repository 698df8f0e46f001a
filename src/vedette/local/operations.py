"""What each IPC operation does. Everything runs in LocalCore's event loop."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from vedette.contracts.errors import CoreError
from vedette.local.access import (
    MQTT_SERVICE,
    PUBSUB_SERVICE,
    SECRET_SERVICE,
    AccessPolicy,
    TopicError,
    check_filter,
    check_topic,
)
from vedette.local.bus import Bus, Subscription
from vedette.local.iot import IotBridge
from vedette.local.secretfile import read_secret
from vedette.local.server import Call, IpcError, Json
from vedette.local.settings import KeyPath, Settings, StaleUpdateError

MAX_KEY_DEPTH: Final = 32

LocalMessage = dict[str, Any]
"""``{"jsonMessage": {"message": …}}`` or ``{"binaryMessage": {"message": base64}}``, as on the wire."""


@dataclass(slots=True)
class Identity:
    """One component as the operations see it."""

    token: str
    settings: Settings
    policy: AccessPolicy


class Reports(Protocol):
    """Receives what components say of themselves."""

    def reported(self, component: str, state: str) -> None:
        """A component's UpdateState."""
        ...


@dataclass(slots=True)
class _Watch:
    component: str
    path: KeyPath
    call: Call


@dataclass(slots=True)
class CoreOperations:
    """The operations of the Greengrass IPC service that LocalCore has.

    Attributes:
        reports: receives UpdateState.
        iot: the bridge to IoT Core.
        secrets_file: for GetSecretValue; None where there are none.
        lite: imitate nucleus lite.
        components: by name; only these can connect.
        bus: local messages.
    """

    reports: Reports
    iot: IotBridge
    secrets_file: Path | None
    lite: bool
    components: dict[str, Identity] = field(default_factory=dict)
    bus: Bus[LocalMessage] = field(default_factory=Bus)
    _watches: list[_Watch] = field(default_factory=list)

    def component_of(self, token: str) -> str | None:
        """The component a token belongs to, compared in constant time."""
        found = None
        for name, identity in self.components.items():
            if hmac.compare_digest(identity.token.encode(), token.encode()):
                found = name
        return found

    def handle(self, call: Call) -> Json | Awaitable[Json]:
        """Carries one request out.

        Raises:
            IpcError: the answer is an error.
        """
        handlers: dict[str, Callable[[Call], Json | Awaitable[Json]]] = {
            "PublishToTopic": self._publish,
            "SubscribeToTopic": self._subscribe,
            "GetConfiguration": self._get_configuration,
            "UpdateConfiguration": self._update_configuration,
            "SubscribeToConfigurationUpdate": self._watch_configuration,
            "UpdateState": self._update_state,
            "PublishToIoTCore": self._publish_cloud,
            "SubscribeToIoTCore": self._subscribe_cloud,
        }
        if not self.lite:
            handlers["GetSecretValue"] = self._get_secret
        handler = handlers.get(call.operation)
        if handler is None:
            text = None if self.lite else f"{call.operation} is not supported by this nucleus"
            raise IpcError("ServiceError", text)
        if call.component not in self.components:
            raise IpcError("UnauthorizedError", "the component has been removed")
        try:
            return handler(call)
        except TopicError as error:
            raise IpcError("InvalidArgumentsError", error.message) from None

    def notify_configuration(self, component: str, paths: list[KeyPath]) -> None:
        """Tells everyone who watches: one event for each leaf."""
        for path in paths:
            if path[:1] == ("accessControl",):
                continue
            for watch in list(self._watches):
                if watch.component == component and path[: len(watch.path)] == watch.path:
                    watch.call.event(
                        "ConfigurationUpdateEvents",
                        {"configurationUpdateEvent": {"componentName": component, "keyPath": list(path)}},
                    )

    def _authorize(self, call: Call, service: str, resource: str) -> None:
        if not self.components[call.component].policy.allows(service, call.operation, resource):
            raise IpcError(
                "UnauthorizedError",
                f"{call.component} is not authorized to perform {service}:aws.greengrass#{call.operation} "
                f"on resource {resource}",
            )

    def _publish(self, call: Call) -> Json:
        topic = check_topic(_text(call, "topic"))
        self._authorize(call, PUBSUB_SERVICE, topic)
        message = call.request.get("publishMessage")
        bodies = {} if not isinstance(message, dict) else {key: message.get(key) for key in _BODIES if message.get(key)}
        if len(bodies) != 1:
            raise IpcError("InvalidArgumentsError", "publishMessage needs one of jsonMessage and binaryMessage")
        kind, body = next(iter(bodies.items()))
        if not isinstance(body, dict) or "message" not in body:
            raise IpcError("InvalidArgumentsError", f"publishMessage.{kind}.message is missing")
        if kind == "binaryMessage":
            _bytes(body["message"], f"publishMessage.{kind}.message")
        self.bus.publish(topic, {kind: {"message": body["message"]}}, publisher=call.connection)
        return {}

    def _subscribe(self, call: Call) -> Json:
        topic = check_filter(_text(call, "topic"))
        self._authorize(call, PUBSUB_SERVICE, topic)
        others = call.request.get("receiveMode") == "RECEIVE_MESSAGES_FROM_OTHERS" and not self.lite

        def deliver(found: str, message: LocalMessage) -> None:
            body = {kind: {**part, "context": {"topic": found}} for kind, part in message.items()}
            call.event("SubscriptionResponseMessage", body)

        subscription = Subscription(topic, deliver, call.connection, others)
        call.keep_open(lambda: self.bus.remove(subscription))
        self.bus.add(subscription)
        return {}

    def _get_configuration(self, call: Call) -> Json:
        name, settings = self._settings(call)
        path = _key_path(call)
        try:
            value = settings.get(path)
        except KeyError:
            raise _not_found("Key not found", "/".join(path)) from None
        if not isinstance(value, dict):
            value = {path[-1]: value}
        return {"componentName": name, "value": value}

    def _update_configuration(self, call: Call) -> Json:
        path = _key_path(call)
        if "valueToMerge" not in call.request:
            raise IpcError("InvalidArgumentsError", "valueToMerge is missing")
        value, time_s = call.request["valueToMerge"], call.request.get("timestamp")
        if not isinstance(time_s, (int, float)) or isinstance(time_s, bool):
            raise IpcError("InvalidArgumentsError", "timestamp must be a number of seconds")
        top = path[:1] or (tuple(value) if isinstance(value, dict) else ())
        if "accessControl" in top:
            raise IpcError("InvalidArgumentsError", "Config update is not allowed for following field [accessControl]")
        if not path and not isinstance(value, dict):
            raise IpcError("InvalidArgumentsError", "valueToMerge must be a mapping at the root")
        try:
            changed = self.components[call.component].settings.merge(value, time_s=float(time_s), at=path)
        except StaleUpdateError as error:
            if self.lite:
                return {}
            raise IpcError("FailedUpdateConditionCheckError", error.message) from None
        except CoreError as error:
            raise IpcError("ServiceError", error.message) from None
        except OSError as error:
            raise IpcError("ServiceError", f"the configuration cannot be kept: {error.strerror}") from None
        self.notify_configuration(call.component, changed)
        return {}

    def _watch_configuration(self, call: Call) -> Json:
        name, settings = self._settings(call)
        path = _key_path(call)
        try:
            settings.get(path)
        except KeyError:
            raise _not_found("Key not found", "/".join(path)) from None
        watch = _Watch(name, tuple(path), call)
        call.keep_open(lambda: self._watches.remove(watch))
        self._watches.append(watch)
        return {}

    def _update_state(self, call: Call) -> Json:
        state = _text(call, "state")
        if state not in ("RUNNING", "ERRORED"):
            raise IpcError("InvalidArgumentsError", f"state {state!r}; RUNNING and ERRORED are allowed")
        self.reports.reported(call.component, state)
        return {}

    async def _publish_cloud(self, call: Call) -> Json:
        topic = _checked(check_topic, _text(call, "topicName"))
        self._authorize(call, MQTT_SERVICE, topic)
        payload = _bytes(call.request.get("payload", ""), "payload")
        await self.iot.publish(topic, payload, _qos(call))
        return {}

    async def _subscribe_cloud(self, call: Call) -> Json:
        topic = _checked(check_filter, _text(call, "topicName"))
        self._authorize(call, MQTT_SERVICE, topic)

        def deliver(found: str, payload: bytes) -> None:
            message = {"topicName": found, "payload": base64.b64encode(payload).decode()}
            call.event("IoTCoreMessage", {"message": message})

        subscription = Subscription(topic, deliver, call.connection)
        await self.iot.subscribe(subscription, _qos(call))
        try:
            call.keep_open(lambda: self.iot.unsubscribe(subscription))
        except IpcError:
            self.iot.unsubscribe(subscription)
            raise
        return {}

    def _get_secret(self, call: Call) -> Json:
        name = _text(call, "secretId")
        self._authorize(call, SECRET_SERVICE, name)
        if self.secrets_file is None:
            raise _not_found("no secrets are configured", name)
        try:
            value = read_secret(self.secrets_file, name)
        except KeyError:
            raise _not_found("secret not found", name) from None
        except CoreError as error:
            raise IpcError("ServiceError", str(error)) from None
        return {
            "secretId": name,
            "versionId": "local",
            "versionStage": ["AWSCURRENT"],
            "secretValue": {"secretString": value},
        }

    def _settings(self, call: Call) -> tuple[str, Settings]:
        name = call.request.get("componentName") or call.component
        if not isinstance(name, str) or name not in self.components:
            raise _not_found("component not found", str(name))
        return name, self.components[name].settings


_BODIES: Final = ("jsonMessage", "binaryMessage")


def _not_found(message: str, name: str) -> IpcError:
    return IpcError("ResourceNotFoundError", message, resourceName=name)


def _checked(check: Callable[[str], str], topic: str) -> str:
    try:
        return check(topic)
    except TopicError as error:
        raise IpcError("InvalidArgumentsError", error.message) from None


def _text(call: Call, key: str) -> str:
    value = call.request.get(key)
    if not isinstance(value, str) or not value:
        raise IpcError("InvalidArgumentsError", f"{key} must be a text")
    return value


def _bytes(value: object, key: str) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise IpcError("InvalidArgumentsError", f"{key} must be base64")


def _qos(call: Call) -> int:
    value = str(call.request.get("qos", "0"))
    if value not in ("0", "1"):
        raise IpcError("InvalidArgumentsError", "qos must be 0 or 1")
    return int(value)


def _key_path(call: Call) -> list[str]:
    path = call.request.get("keyPath") or []
    if not isinstance(path, list) or len(path) > MAX_KEY_DEPTH or not all(isinstance(key, str) for key in path):
        raise IpcError("InvalidArgumentsError", f"keyPath must be a list of at most {MAX_KEY_DEPTH} texts")
    return path
