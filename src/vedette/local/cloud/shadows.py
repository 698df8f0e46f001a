"""Shadows of things as AWS IoT keeps them: by the API, and by MQTT on the reserved topics, which devices use.

moto keeps shadows too, but without a limit, without a message to anybody, and a version that is only looked at where
there is a shadow already. This takes their place.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

from vedette.contracts.device_document import MAX_SHADOW_BYTES
from vedette.core.shadow import compact, difference, merged, stamped
from vedette.local.cloud.topic_rules import Rules
from vedette.local.cloud.world import ACCOUNT, World

_TOPIC: Final = re.compile(r"\$aws/things/([^/]+)/shadow/(?:name/([^/]+)/)?(get|update|delete)")
#: Levels of a section, as the service's own error message says.
_DEEPEST: Final = 6
_TOKEN_BYTES: Final = 64
_SECTIONS: Final = ("desired", "reported")


class ShadowError(Exception):
    """A refusal.

    Args:
        status: of HTTP.
        message: AWS's words.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class _Shadow:
    """One shadow; one that was deleted is kept for its version."""

    state: dict[str, dict[str, Any]] = field(default_factory=dict)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: int = 0
    exists: bool = False

    @property
    def delta(self) -> dict[str, Any]:
        return difference(self.state.get("desired", {}), self.state.get("reported", {}))


class Shadows:
    """All shadows of the account.

    Args:
        world: the sandbox.
        rules: carries messages from and to devices.
    """

    def __init__(self, world: World, rules: Rules) -> None:
        self._world = world
        self._rules = rules
        self._lock = threading.RLock()
        self._shadows: dict[tuple[str, str], _Shadow] = {}

    def update(self, thing: str, name: str, payload: bytes | str) -> dict[str, Any]:
        """Merge a change in, and tell subscribers.

        Raises:
            ShadowError: it is refused; nothing is changed.
        """
        request = _request(payload)
        sections = _sections(request)
        now_s = int(time.time())
        with self._lock:
            self._check_thing(thing)
            shadow = self._shadows.setdefault((thing, name), _Shadow())
            wanted = request.get("version")
            if wanted is not None and wanted != (shadow.version if shadow.exists else 0):
                raise ShadowError(409, "Version conflict")
            state, metadata = _changed(shadow, sections, now_s)
            if sum(len(compact(state[part])) for part in state) > MAX_SHADOW_BYTES:
                raise ShadowError(413, "The payload exceeds the maximum size allowed")
            before = {"state": shadow.state, "version": shadow.version}
            shadow.state, shadow.metadata = state, metadata
            shadow.version, shadow.exists = shadow.version + 1, True
            common = {"version": shadow.version, "timestamp": now_s, **_token(request)}
            told = None if sections is None else sections
            answer = {"state": told, "metadata": stamped(told or {}, now_s), **common}
            self._tell(thing, name, "update/accepted", answer)
            self._tell(thing, name, "update/documents", {"previous": before, "current": {"state": state, **common}})
            if delta := shadow.delta:
                self._tell(thing, name, "update/delta", {"state": delta, "metadata": stamped(delta, now_s), **common})
            return answer

    def get(self, thing: str, name: str, payload: bytes | str = b"") -> dict[str, Any]:
        """The whole document.

        Raises:
            ShadowError: there is none.
        """
        request = _request(payload) if payload.strip() else {}
        with self._lock:
            self._check_thing(thing)
            shadow = self._found(thing, name)
            state: dict[str, Any] = dict(shadow.state)
            if delta := shadow.delta:
                state["delta"] = delta
            about = {"version": shadow.version, "timestamp": int(time.time()), **_token(request)}
            return {"state": state, "metadata": dict(shadow.metadata), **about}

    def delete(self, thing: str, name: str, payload: bytes | str = b"") -> dict[str, Any]:
        """Forget the document; its version goes on.

        Raises:
            ShadowError: there is none.
        """
        request = _request(payload) if payload.strip() else {}
        with self._lock:
            self._check_thing(thing)
            shadow = self._found(thing, name)
            answer = {"version": shadow.version, "timestamp": int(time.time()), **_token(request)}
            self._shadows[thing, name] = _Shadow(version=shadow.version)
            self._tell(thing, name, "delete/accepted", answer)
            return answer

    def names(self, thing: str) -> list[str]:
        """Named shadows of a thing."""
        with self._lock:
            self._check_thing(thing)
            return sorted(name for (of, name), one in self._shadows.items() if of == thing and name and one.exists)

    def receive(self, topic: str, payload: bytes) -> None:
        """A message of a device's, on whatever topic; answers those of shadows."""
        found = _TOPIC.fullmatch(topic)
        if found is None:
            return
        thing, name, what = found[1], found[2] or "", found[3]
        try:
            if what == "update":
                self.update(thing, name, payload)
            elif what == "delete":
                self.delete(thing, name, payload)
            else:
                self._tell(thing, name, "get/accepted", self.get(thing, name, payload))
        except ShadowError as error:
            token: dict[str, Any] = {}
            with contextlib.suppress(ShadowError):
                token = _token(_request(payload)) if payload.strip() else {}
            refused = {"code": error.status, "message": error.message, "timestamp": int(time.time()), **token}
            self._tell(thing, name, f"{what}/rejected", refused)

    def _found(self, thing: str, name: str) -> _Shadow:
        shadow = self._shadows.get((thing, name))
        if shadow is None or not shadow.exists:
            raise ShadowError(404, f"No shadow exists with name: '{name or thing}'")
        return shadow

    def _check_thing(self, thing: str) -> None:
        from moto.iot.models import iot_backends

        if not any(one.thing_name == thing for one in iot_backends[ACCOUNT][self._world.region].things.values()):
            raise ShadowError(404, "Thing not found")

    def _tell(self, thing: str, name: str, what: str, document: dict[str, Any]) -> None:
        named = f"name/{name}/" if name else ""
        self._rules.publish(f"$aws/things/{thing}/shadow/{named}{what}", compact(document))


def _request(payload: bytes | str) -> dict[str, Any]:
    try:
        request = json.loads(payload)
    except (ValueError, RecursionError):
        raise ShadowError(400, "Invalid JSON") from None
    if not isinstance(request, dict):
        raise ShadowError(400, "Invalid JSON")
    token = request.get("clientToken", "")
    if not isinstance(token, str) or len(token.encode()) > _TOKEN_BYTES:
        raise ShadowError(400, "Invalid clientToken")
    version = request.get("version")
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        raise ShadowError(400, "Invalid version")
    return request


def _sections(request: dict[str, Any]) -> dict[str, Any] | None:
    """``desired`` and ``reported`` as far as they are there; None where the whole state is to go."""
    if "state" not in request:
        raise ShadowError(400, "Missing required node: state")
    state = request["state"]
    if state is None:
        return None
    if not isinstance(state, dict):
        raise ShadowError(400, "State node must be an object")
    for part, value in state.items():
        if part not in _SECTIONS:
            raise ShadowError(400, f"State contains an invalid node: '{part}'")
        if value is not None and not isinstance(value, dict):
            raise ShadowError(400, f"{part.capitalize()} node must be an object")
        if _depth(value) > _DEEPEST:
            raise ShadowError(400, f"JSON contains too many levels of nesting; maximum is {_DEEPEST}")
    return state


def _changed(
    shadow: _Shadow, sections: dict[str, Any] | None, now_s: int
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    if sections is None:
        return {}, {}
    state, metadata = dict(shadow.state), dict(shadow.metadata)
    for part, value in sections.items():
        if value is None:
            state.pop(part, None)
            metadata.pop(part, None)
            continue
        state[part] = merged(state.get(part, {}), value)
        metadata[part] = merged(metadata.get(part, {}), _stamps(value, now_s))
        if not state[part]:
            del state[part], metadata[part]
    return state, metadata


def _stamps(value: Any, now_s: int) -> Any:
    """As ``stamped``, with null where a key goes."""
    if isinstance(value, dict):
        return {key: _stamps(inner, now_s) for key, inner in value.items()}
    return None if value is None else stamped(value, now_s)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _token(request: dict[str, Any]) -> dict[str, Any]:
    return {"clientToken": request["clientToken"]} if "clientToken" in request else {}


@dataclass(frozen=True, slots=True)
class _Answer:
    """What moto's responses turn into JSON."""

    document: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.document

    def to_response_dict(self) -> dict[str, Any]:
        return self.document


_CODES: Final = {
    404: "ResourceNotFoundException",
    409: "ConflictException",
    413: "RequestEntityTooLargeException",
}


def install(world: World, rules: Rules) -> Shadows:
    """Keep shadows here, for the API and for devices."""
    from moto.core.exceptions import JsonRESTError
    from moto.iotdata.models import IoTDataPlaneBackend

    shadows = Shadows(world, rules)

    class RefusedError(JsonRESTError):
        def __init__(self, error: ShadowError) -> None:
            self.code = error.status
            super().__init__(_CODES.get(error.status, "InvalidRequestException"), error.message)

    def served(ask: Any) -> Any:
        def ask_for(_backend: Any, thing_name: str, *given: Any, **named: Any) -> Any:
            try:
                return ask(thing_name, *given, **named)
            except ShadowError as error:
                raise RefusedError(error) from None

        return ask_for

    IoTDataPlaneBackend.update_thing_shadow = served(
        lambda thing, payload, shadow_name: _Answer(shadows.update(thing, shadow_name or "", payload))
    )
    IoTDataPlaneBackend.get_thing_shadow = served(
        lambda thing, shadow_name: _Answer(shadows.get(thing, shadow_name or ""))
    )
    IoTDataPlaneBackend.delete_thing_shadow = served(
        lambda thing, shadow_name: _Answer(shadows.delete(thing, shadow_name or ""))
    )
    IoTDataPlaneBackend.list_named_shadows_for_thing = served(shadows.names)
    rules.serve(shadows.receive)
    world.put(shadows)
    return shadows
