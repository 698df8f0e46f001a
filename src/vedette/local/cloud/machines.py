"""State machines: how long their waits really take."""

from __future__ import annotations

from typing import Any

from vedette.local.cloud.api import ApiError, Request, Route, route
from vedette.local.cloud.world import World


class Waits:
    """The longest that any ``Wait`` state takes.

    Attributes:
        at_most_s: seconds; None where waits take what their definition says.
    """

    at_most_s: float | None = None


def install(world: World) -> None:
    """Let waits be cut short on request; until then they take what their definition says."""
    from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction

    waits = Waits()
    world.put(waits)
    whole = WaitFunction._wait_interval

    def wait_interval(function: Any, env: Any, wait_seconds: int) -> None:
        if waits.at_most_s is None or wait_seconds <= waits.at_most_s:
            whole(function, env, wait_seconds)
        else:
            env.program_state_event.wait(waits.at_most_s)

    WaitFunction._wait_interval = wait_interval


def _set_waits(world: World, request: Request) -> tuple[int, Any]:
    """``{at_most_s: seconds or null}``."""
    wanted = request.body.get("at_most_s")
    if wanted is not None and (isinstance(wanted, bool) or not isinstance(wanted, int | float) or wanted < 0):
        raise ApiError("ValidationException", f"at_most_s={wanted!r} is no number of seconds.")
    world.part(Waits).at_most_s = wanted
    return 200, {"at_most_s": wanted}


ROUTES: tuple[Route, ...] = (route("POST", "/vedette/waits", _set_waits),)
