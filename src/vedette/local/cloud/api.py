"""Requests that moto does not answer: which path leads where, and answers as AWS gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from vedette.local.cloud.world import World


class ApiError(Exception):
    """A refusal in AWS's form.

    Args:
        code: AWS's name of it, such as ``ResourceNotFoundException``.
        message: for people.
        status: of HTTP.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: of HTTP.
        path: decoded.
        query: of the address.
        body: JSON object; empty where there was none.
        arguments: groups of the route's pattern.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any]
    arguments: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[World, Request], tuple[int, Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """Which handler answers which requests.

    Attributes:
        method: of HTTP.
        pattern: the whole path, with named groups.
        handler: answers with a status and what becomes JSON.
    """

    method: str
    pattern: re.Pattern[str]
    handler: Handler


def route(method: str, pattern: str, handler: Handler) -> Route:
    """A route; ``{name}`` in the pattern is one part of the path, ``{name*}`` all the rest."""
    parts = re.split(r"\{(\w+)(\*?)\}", pattern)
    expression = re.escape(parts[0])
    for name, star, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        expression += f"(?P<{name}>{'.+' if star else '[^/]+'})" + re.escape(text)
    return Route(method, re.compile(expression), handler)


def answer(world: World, routes: Iterable[Route], environ: Mapping[str, Any]) -> tuple[int, str, bytes] | None:
    """Status, error code (empty where all is well) and body; None where no route has this path."""
    path = unquote(environ.get("RAW_URI", "").partition("?")[0]) or str(environ.get("PATH_INFO", ""))
    path = re.sub(r"^https?://[^/]+", "", path)
    matching = [(r, found) for r in routes if (found := r.pattern.fullmatch(path))]
    if not matching:
        return None
    method = str(environ["REQUEST_METHOD"])
    for candidate, found in matching:
        if candidate.method == method:
            return _call(world, candidate, environ, path, found.groupdict())
    return _refused(ApiError("MethodNotAllowed", f"{method} {path} is not emulated.", 405))


def _call(
    world: World, chosen: Route, environ: Mapping[str, Any], path: str, arguments: Mapping[str, str]
) -> tuple[int, str, bytes]:
    try:
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = json.loads(raw) if raw else {}
        if not isinstance(body, dict):
            raise ApiError("SerializationException", "the body is no JSON object.")
        query = dict(parse_qsl(str(environ.get("QUERY_STRING", ""))))
        status, document = chosen.handler(world, Request(chosen.method, path, query, body, arguments))
        return status, "", json.dumps(document, default=str).encode()
    except ApiError as error:
        return _refused(error)
    except ValueError as error:
        return _refused(ApiError("SerializationException", f"the body is not JSON: {error}"))
    except Exception as error:  # noqa: BLE001 - edge of the server: a client gets an answer, the record the reason
        world.note("problem", what=f"{chosen.method} {path}", error=f"{type(error).__name__}: {error}")
        return _refused(ApiError("InternalServerException", f"{type(error).__name__}: {error}", 500))


def _refused(error: ApiError) -> tuple[int, str, bytes]:
    return error.status, error.code, json.dumps({"message": error.message, "__type": error.code}).encode()
