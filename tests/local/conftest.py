"""A LocalCore with probe components in it."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from vedette.local.core import ComponentSpec, ComponentState, FileIot, LocalCore, LocalCoreConfig, LocalMessage
from vedette.local.recipe import Recipe, parse_recipe

COMPONENTS = Path(__file__).parent / "components"
TIMEOUT_S = 20.0

#: The same examples on every run; no clock decides, because the machine may be busy.
PROPERTY = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def access(**services: dict[str, list[str]]) -> dict[str, Any]:
    """``accessControl`` from service names (dots as underscores are not needed: short names) and operations."""
    full = {
        "pubsub": "aws.greengrass.ipc.pubsub",
        "mqtt": "aws.greengrass.ipc.mqttproxy",
        "secret": "aws.greengrass.SecretManager",
    }
    return {
        full[service]: {
            f"{service}:{index}": {"operations": [f"aws.greengrass#{name}"], "resources": resources}
            for index, (name, resources) in enumerate(operations.items())
        }
        for service, operations in services.items()
    }


def recipe(
    name: str,
    script: str,
    *,
    version: str = "1.0.0",
    configuration: dict[str, Any] | None = None,
    depends: dict[str, str] | None = None,
    lifecycle: dict[str, Any] | None = None,
    artifacts: list[dict[str, Any]] | None = None,
) -> Recipe:
    """A recipe that runs one script."""
    run: dict[str, Any] = {"run": {"Script": script}} if script else {}
    return parse_recipe(
        {
            "RecipeFormatVersion": "2020-01-25",
            "ComponentName": name,
            "ComponentVersion": version,
            "ComponentConfiguration": {"DefaultConfiguration": configuration or {}},
            "ComponentDependencies": {
                other: {"VersionRequirement": ">=1.0.0", "DependencyType": kind}
                for other, kind in (depends or {}).items()
            },
            "Manifests": [
                {
                    "Platform": {"os": "linux", "runtime": "*"},
                    "Lifecycle": run | (lifecycle or {}),
                    "Artifacts": artifacts or [],
                }
            ],
        }
    )


PROBE_ACCESS = access(
    pubsub={"PublishToTopic": ["probe/*", "allowed/*"], "SubscribeToTopic": ["probe/*", "allowed/*"]},
    mqtt={
        "PublishToIoTCore": ["$aws/rules/vedette_alerts/#", "cloud/#"],
        "SubscribeToIoTCore": ["vedette/+/ack", "cloud/#"],
    },
    secret={"GetSecretValue": ["camera"]},
)


def probe_recipe(name: str = "test.Probe", **fields: Any) -> Recipe:
    """The recipe of ``components/probe.py``, with a wide enough access control."""
    configuration = {"accessControl": PROBE_ACCESS, **fields.pop("configuration", {})}
    return recipe(
        name,
        "exec python3 " + str(COMPONENTS / "probe.py") + f" {name}",
        configuration=configuration,
        **fields,
    )


class Probe:
    """Speaks with one running probe component."""

    def __init__(self, core: LocalCore, name: str = "test.Probe") -> None:
        self.core = core
        self.name = name
        self._heard: dict[str, queue.Queue[Any]] = {}
        for kind in ("done", "ready", "local", "cloud", "config"):
            self._heard[kind] = queue.Queue()
            core.subscribe_local(f"probe/{name}/{kind}", self._put)

    def _put(self, message: LocalMessage) -> None:
        self._heard[message.topic.rsplit("/", 1)[1]].put(message.json()["value"])

    def hear(self, kind: str, timeout_s: float = TIMEOUT_S) -> Any:
        """The next thing the probe told of one kind."""
        return self._heard[kind].get(timeout=timeout_s)

    def silent(self, kind: str) -> bool:
        """Whether nothing more of this kind has been told."""
        return self._heard[kind].empty()

    def do(self, what: str, argument: Any = None) -> Any:
        """Has the probe do something; its answer, or its error as ``{"error": …}``."""
        self.core.publish_local(f"probe/{self.name}/do", {"do": what, "with": argument})
        answer = self.hear("done")
        return answer.get("ok", answer)


@pytest.fixture(params=[False, True], ids=["strict", "lite"])
def lite(request: pytest.FixtureRequest) -> bool:
    """Whether nucleus lite is imitated."""
    return bool(request.param)


def make_core(root: Path, *recipes: Recipe, **fields: Any) -> LocalCore:
    """A LocalCore that is not started yet."""
    settings: dict[str, Any] = {"iot": FileIot(root / "iot.jsonl"), "stop_timeout_s": 5.0, **fields}
    return LocalCore(LocalCoreConfig(root=root, thing_name="thing-1", extra_recipes=recipes, **settings))


def deploy_probe(core: LocalCore, name: str = "test.Probe", **spec: Any) -> Probe:
    """Deploys a probe and waits until it listens."""
    probe = Probe(core, name)
    core.deploy({name: ComponentSpec(**spec)})
    core.wait_for(name, ComponentState.RUNNING, TIMEOUT_S)
    probe.hear("ready")
    return probe
