"""The sandbox's server: moto, its extensions, and the paths that only the sandbox has."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from vedette.contracts.errors import CloudError
from vedette.local.cloud import (
    broker,
    device_jobs,
    events,
    firehose,
    functions,
    greengrass,
    greengrass_jobs,
    greengrass_role,
    machines,
    neo,
    provisioning,
    queues,
    resources,
    shadows,
    state,
    storage,
    strict,
    tables,
    templates,
    topic_rules,
    training,
)
from vedette.local.cloud.api import Route, answer
from vedette.local.cloud.resources_data import KINDS as DATA
from vedette.local.cloud.resources_iot import KINDS as IOT
from vedette.local.cloud.resources_messages import KINDS as MESSAGES
from vedette.local.cloud.resources_network import KINDS as NETWORK
from vedette.local.cloud.world import World

#: Loopback and nothing else: whoever reaches the sandbox may do everything in it.
HOST: Final = "127.0.0.1"
KINDS: Final = (*MESSAGES, *IOT, *DATA, *NETWORK)


class Sandbox:
    """One account with its server.

    Args:
        world: where it is.

    Raises:
        CloudError: V004, the port is taken.
    """

    def __init__(self, world: World) -> None:
        from werkzeug.serving import make_server

        self._world = world
        _settle(world)
        self._functions = functions.install(world)
        self._mappings = queues.install(world, self._functions)
        self._rules = topic_rules.install(world)
        shadows.install(world, self._rules)
        device_jobs.install(world, self._rules)
        self._types = _install(world)
        self._routes: tuple[Route, ...] = (
            *events.ROUTES,
            *topic_rules.ROUTES,
            *greengrass.ROUTES,
            *greengrass_role.ROUTES,
            *provisioning.ROUTES,
            *broker.ROUTES,
            *machines.ROUTES,
            *state.ROUTES,
        )
        try:
            self._server = make_server(HOST, world.port, self._application(), threaded=True)
        except (OSError, SystemExit):
            raise CloudError(
                f"port {world.port} of this machine is taken.", hint="Another one: --port", code="V004"
            ) from None

    def _application(self) -> Any:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        moto = DomainDispatcherApplication(create_backend_app)

        def application(environ: Mapping[str, Any], start_response: Any) -> Iterable[bytes]:
            if environ.get("HTTP_ORIGIN"):
                # Functions run what they are given: no page that a browser of this machine shows may send anything.
                start_response("403 Forbidden", [("Content-Type", "text/plain")])
                return [b"The sandbox takes no requests from web pages.\n"]
            answered = answer(self._world, self._routes, environ)
            if answered is None:
                passed_on: Iterable[bytes] = moto(environ, start_response)
                return passed_on
            status, code, body = answered
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            if code:
                headers.append(("x-amzn-ErrorType", code))
            start_response(f"{status} {HTTPStatus(status).phrase}", headers)
            return [body]

        return application

    def run(self) -> None:
        """Serve until the process is told to end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=self._server.shutdown).start())
        self._mappings.start()
        # The server answers meanwhile: the broker may take seconds.
        threading.Thread(target=self._open_broker, name="broker", daemon=True).start()
        try:
            self._server.serve_forever()
        finally:
            self._mappings.stop()
            if self._world.has(broker.Broker):
                self._world.part(broker.Broker).stop()
            self._world.stop()
            self._functions.stop()

    def _open_broker(self) -> None:
        broker.install(self._world, self._rules, self._world.port + 1)


def _settle(world: World) -> None:
    """Before moto is imported: what it reads from the environment. A new server begins with nothing."""
    os.environ["MOTO_PORT"] = str(world.port)  # where state machines call services
    os.environ.update(world.environment())
    for name in ("code", "functions"):
        shutil.rmtree(world.directory / name, ignore_errors=True)
    world.directory.mkdir(parents=True, exist_ok=True)


def _install(world: World) -> tuple[type, ...]:
    from moto.core.config import default_user_config

    default_user_config["stepfunctions"]["execute_state_machine"] = True
    strict.install(world)
    templates.install(world)
    storage.install(world)
    tables.install(world)
    events.install(world)
    greengrass.install(world)
    greengrass_jobs.install(world)
    greengrass_role.install(world)
    provisioning.install(world)
    firehose.install(world)
    neo.install(world)
    training.install(world)
    machines.install(world)
    return resources.install(world, KINDS)
