"""The bus of Greengrass, through the unmodified ``awsiotsdk`` client, on a real nucleus or on ours.

Nucleus lite answers operations that it does not have, and publishes it cannot make, with an error whose message is
``None``: everything here looks at the exception's type. A nucleus that was restarted finds its components' connections
closed: a keeper thread connects again and renews every subscription, because a subscription that silently ended would
look like a quiet site.
"""

from __future__ import annotations

import concurrent.futures
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from vedette.contracts.errors import CoreError, DeliveryError

log = logging.getLogger(__name__)

#: Longest wait for an answer of the nucleus, which sits on the same machine.
REQUEST_TIMEOUT_S: Final = 10.0
#: First and longest pause between two attempts to connect again.
RECONNECT_FIRST_S: Final = 0.2
RECONNECT_MAX_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Subscription:
    """One stream to keep open: ``open_stream(client, call when it has ended)`` gives (future, operation)."""

    name: str
    open_stream: Callable[[Any, Callable[[], None]], Any]


class _Events(concurrent.futures.ThreadPoolExecutor):
    """One worker, so that events stay in order. Unlike its base it takes what comes after its end, and drops it:
    the SDK hands over the end of streams after the client was closed.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="bus-events")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError:
            dropped: concurrent.futures.Future[Any] = concurrent.futures.Future()
            dropped.cancel()
            return dropped


class GreengrassBus:
    """Implements ``vedette.ports.bus.Bus``. Safe to call from several threads.

    Callbacks run one after the other on one thread of the bus, in the order of arrival; they may call the bus.

    Args:
        connect: makes a connected IPC client (``awsiot.greengrasscoreipc.connect`` where absent, which reads the
            socket and token from the environment the nucleus sets).
        timeout_s: longest wait for an answer.

    Raises:
        CoreError: V603, the nucleus cannot be reached or refused the token.
    """

    def __init__(self, *, connect: Callable[[Any], Any] | None = None, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self._connect = connect or _connect
        self._timeout_s = timeout_s
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._broken = threading.Event()
        self._subscriptions: list[_Subscription] = []
        self._changed: list[Callable[[], None]] = []
        self._client: Any = None
        self._client = self._new_client()
        self._keeper = threading.Thread(target=self._keep, name="bus-keeper", daemon=True)
        self._keeper.start()

    # -- what a component asks ------------------------------------------------------------------------------------

    def configuration(self) -> dict[str, Any]:
        """The component's whole configuration, without ``accessControl``; empty where there is none.

        Raises:
            CoreError: V603, the nucleus refused or did not answer.
        """
        from awsiot.greengrasscoreipc.model import ResourceNotFoundError

        try:
            answer = self._ask("GetConfiguration", lambda c: c.get_configuration_async(key_path=[]))
        except ResourceNotFoundError:
            return {}
        except Exception as error:  # noqa: BLE001 - the SDK raises whatever the wire brought; ours leaves here
            _refused("GetConfiguration", error)
        return {key: value for key, value in (answer.value or {}).items() if key != "accessControl"}

    def on_configuration_change(self, callback: Callable[[], None]) -> None:
        """Call back from the bus thread when any part of the configuration may have changed.

        Lite sends one event for each leaf of an update: callers have to be idempotent.
        """
        self._changed.append(callback)

        def open_stream(client: Any, ended: Callable[[], None]) -> Any:
            return client.subscribe_to_configuration_update_async(
                key_path=[],
                on_stream_event=lambda _event: _guarded("configuration", callback),
                on_stream_error=lambda _error: True,
                on_stream_closed=ended,
            )

        self._subscribe(_Subscription("configuration updates", open_stream))

    def publish_local(self, topic: str, message: dict[str, Any]) -> None:
        """Publish JSON to other components.

        Raises:
            CoreError: V603, not allowed by the recipe's access control, or no answer.
        """
        from awsiot.greengrasscoreipc.model import JsonMessage, PublishMessage

        publish = PublishMessage(json_message=JsonMessage(message=message))
        try:
            self._ask("PublishToTopic", lambda c: c.publish_to_topic_async(topic=topic, publish_message=publish))
        except Exception as error:  # noqa: BLE001 - as above
            _refused(f"PublishToTopic {topic}", error)

    def subscribe_local(self, topic: str, callback: Callable[[str, dict[str, Any]], None]) -> None:
        """Receive JSON objects from other components; what is none is left out.

        Raises:
            CoreError: V603, not allowed by the recipe's access control, or no answer.
        """

        def on_event(event: Any) -> None:
            found = _local_message(event, topic)
            if found is not None:
                _guarded(topic, lambda: callback(*found))

        def open_stream(client: Any, ended: Callable[[], None]) -> Any:
            return client.subscribe_to_topic_async(
                topic=topic, on_stream_event=on_event, on_stream_error=lambda _error: True, on_stream_closed=ended
            )

        self._subscribe(_Subscription(f"local topic {topic}", open_stream))

    def publish_cloud(self, topic: str, payload: bytes) -> None:
        """Publish to IoT Core with QoS 1. Returning does NOT mean delivered.

        Raises:
            DeliveryError: V502, the nucleus could not take it (lite: the broker is away).
        """
        from awsiot.greengrasscoreipc.model import QOS

        try:
            self._ask(
                "PublishToIoTCore",
                lambda c: c.publish_to_iot_core_async(topic_name=topic, qos=QOS.AT_LEAST_ONCE, payload=payload),
            )
        except Exception as error:
            raise DeliveryError(
                f"IoT Core topic {topic}: the nucleus could not take the message ({_what(error)}).",
                hint="It is kept and sent again; check the device's uplink and the recipe's mqttproxy policy.",
                code="V502",
            ) from error

    def subscribe_cloud(self, topic: str, callback: Callable[[str, bytes], None]) -> None:
        """Receive from IoT Core.

        Raises:
            CoreError: V603, not allowed by the recipe's access control, or no answer.
        """
        from awsiot.greengrasscoreipc.model import QOS

        def on_event(event: Any) -> None:
            message = getattr(event, "message", None)
            if message is not None:
                _guarded(topic, lambda: callback(message.topic_name or topic, _bytes(message.payload)))

        def open_stream(client: Any, ended: Callable[[], None]) -> Any:
            return client.subscribe_to_iot_core_async(
                topic_name=topic,
                qos=QOS.AT_LEAST_ONCE,
                on_stream_event=on_event,
                on_stream_error=lambda _error: True,
                on_stream_closed=ended,
            )

        self._subscribe(_Subscription(f"IoT Core topic {topic}", open_stream))

    def secret(self, name: str) -> dict[str, str]:
        """A secret's key-value pairs. The value never reaches a log or an error.

        Raises:
            DeliveryError: V503, not available, or not a JSON object.
        """
        try:
            answer = self._ask("GetSecretValue", lambda c: c.get_secret_value_async(secret_id=name))
            text = answer.secret_value.secret_string
        except Exception as error:
            raise DeliveryError(
                f"secret {name!r} is not available from the nucleus ({_what(error)}).",
                hint="Nucleus lite has no secret manager; the last known value is used where there is one.",
                code="V503",
            ) from error
        try:
            pairs = json.loads(text)
        except (TypeError, ValueError):
            pairs = None
        if not isinstance(pairs, dict):
            raise DeliveryError(
                f"secret {name!r} is not a JSON object of key-value pairs.",
                hint="Store it in Secrets Manager as key/value.",
                code="V503",
            )
        return {str(key): str(value) for key, value in pairs.items()}

    def report_running(self) -> None:
        """Tell the nucleus that the component works; a nucleus that does not listen is no failure."""
        from awsiot.greengrasscoreipc.model import ReportedLifecycleState

        try:
            self._ask("UpdateState", lambda c: c.update_state_async(state=ReportedLifecycleState.RUNNING))
        except Exception as error:  # noqa: BLE001 - as above; the state is a courtesy
            log.warning("the nucleus did not take the state RUNNING (%s)", _what(error))

    def close(self) -> None:
        """Disconnect; idempotent. Must not be called from a callback."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._broken.set()
        self._keeper.join(self._timeout_s)
        with self._lock:
            client, self._client = self._client, None
        _dispose(client)

    # -- the connection -------------------------------------------------------------------------------------------

    def _new_client(self) -> Any:
        from awsiot.eventstreamrpc import LifecycleHandler
        from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

        lost = self._lost
        client: Any = None

        class Lifecycle(LifecycleHandler):  # type: ignore[misc]  # the SDK has no types
            def on_disconnect(self, reason: Exception | None) -> None:
                lost(client, _what(reason))

        try:
            connection = self._connect(Lifecycle())
        except Exception as error:
            raise CoreError(
                f"the nucleus cannot be reached over its socket ({_what(error)}).",
                hint="Components are started by Greengrass or by `vedette run`, which set the socket and the token.",
                code="V603",
            ) from error
        client = GreengrassCoreIPCClientV2(client=connection, executor=_Events())
        return client

    def _lost(self, client: Any, what: str) -> None:
        """Something of ``client`` ended; of no interest where it has been replaced or closed on purpose."""
        if self._closed.is_set() or (client is not None and client is not self._client):
            return
        log.warning("connection to the nucleus, or a subscription, has ended (%s)", what)
        self._broken.set()

    def _ask(self, operation: str, request: Callable[[Any], Any]) -> Any:
        with self._lock:
            client = self._client
        if client is None or self._broken.is_set():
            raise ConnectionError(f"{operation}: no connection to the nucleus at the moment")
        return request(client).result(self._timeout_s)

    def _subscribe(self, subscription: _Subscription) -> None:
        try:
            self._open(subscription)
        except Exception as error:  # noqa: BLE001 - as above
            _refused(f"subscription to {subscription.name}", error)
        with self._lock:
            self._subscriptions.append(subscription)

    def _open(self, subscription: _Subscription) -> None:
        with self._lock:
            client = self._client
        if client is None:
            raise ConnectionError("no connection to the nucleus at the moment")
        future, _operation = subscription.open_stream(client, lambda: self._lost(client, subscription.name))
        future.result(self._timeout_s)

    def _keep(self) -> None:
        """Connect again and renew subscriptions whenever something broke."""
        pause_s = RECONNECT_FIRST_S
        while True:
            self._broken.wait()
            if self._closed.wait(pause_s):
                return
            old = self._client
            try:
                client = self._new_client()
            except CoreError as error:
                log.warning("%s", error.message)
                pause_s = min(pause_s * 2, RECONNECT_MAX_S)
                continue
            with self._lock:
                self._client = client
            self._broken.clear()
            _dispose(old)
            try:
                for subscription in list(self._subscriptions):
                    self._open(subscription)
            except Exception as error:  # noqa: BLE001 - as above; tried again
                log.warning("a subscription could not be renewed (%s)", _what(error))
                self._broken.set()
                pause_s = min(pause_s * 2, RECONNECT_MAX_S)
                continue
            pause_s = RECONNECT_FIRST_S
            log.info("connected to the nucleus again")
            for callback in list(self._changed):  # an update may have come in between
                _guarded("configuration", callback)


def _connect(lifecycle: Any) -> Any:
    from awsiot.greengrasscoreipc import connect

    return connect(lifecycle_handler=lifecycle, timeout=REQUEST_TIMEOUT_S)


def _dispose(client: Any) -> None:
    if client is None:
        return
    try:
        client.close(executor_wait=False).result(REQUEST_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 - a connection that is already gone says so in many ways
        log.debug("closing the connection to the nucleus: %s", _what(error))


def _guarded(name: str, call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:
        log.exception("callback of %s failed", name)


def _refused(what: str, error: Exception) -> NoReturn:
    raise CoreError(
        f"{what}: the nucleus refused or did not answer ({_what(error)}).",
        hint="Check the accessControl of the component's recipe.",
        code="V603",
    ) from error


def _what(error: BaseException | None) -> str:
    """An error of the SDK in a few words; lite's carry no message."""
    if error is None:
        return "closed"
    text = getattr(error, "message", None) or str(error)
    return f"{type(error).__name__}: {text}" if text and text != "None" else type(error).__name__


def _bytes(payload: Any) -> bytes:
    return payload.encode() if isinstance(payload, str) else bytes(payload or b"")


def _local_message(event: Any, topic: str) -> tuple[str, dict[str, Any]] | None:
    """Topic and JSON object of a local message, whether it came as JSON or as bytes."""
    for part in (event.json_message, event.binary_message):
        if part is None:
            continue
        message = part.message
        if isinstance(message, bytes | str):
            try:
                message = json.loads(message)
            except ValueError:
                return None
        where = part.context.topic if part.context is not None and part.context.topic else topic
        return (where, message) if isinstance(message, dict) else None
    return None
