"""Recipes against topics and code: a component may do what it does, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vedette.contracts import topics
from vedette.contracts.config import (
    AlertingConfig,
    AppHostConfig,
    CameraIngestConfig,
    ComponentConfig,
    DeviceAgentConfig,
    InferenceConfig,
)
from vedette.local.access import MQTT_SERVICE, PUBSUB_SERVICE, SECRET_SERVICE, parse_access_control
from vedette.local.data import data_directory
from vedette.local.edge import EDGE_COMPONENTS
from vedette.local.recipe import Recipe, load_recipe

PUBLISH = "PublishToTopic"
TO_CLOUD = "PublishToIoTCore"
FROM_CLOUD = "SubscribeToIoTCore"
SECRET = "GetSecretValue"
THING = "device-7"

SHADOW_ANSWERS = ("get/accepted", "get/rejected", "update/delta", "update/rejected", "delete/accepted")

#: component → (service, operation, resource) it needs.
NEEDED: dict[str, list[tuple[str, str, str]]] = {
    "vedette.CameraIngest": [
        (PUBSUB_SERVICE, PUBLISH, topics.local_status("cam-12")),
        (SECRET_SERVICE, SECRET, "vedette/camera/cam-12"),
        (MQTT_SERVICE, TO_CLOUD, topics.shadow(THING, "get")),
        (MQTT_SERVICE, TO_CLOUD, topics.shadow(THING, "update")),
        *((MQTT_SERVICE, FROM_CLOUD, topics.shadow(THING, answer)) for answer in SHADOW_ANSWERS),
    ],
    "vedette.Inference": [
        (PUBSUB_SERVICE, PUBLISH, topics.local_inference("yolox_nano-0123456789ab")),
        (PUBSUB_SERVICE, PUBLISH, topics.local_tracks("cam-12")),
    ],
    "vedette.Alerting": [
        (PUBSUB_SERVICE, PUBLISH, topics.local_alerts()),
        (MQTT_SERVICE, TO_CLOUD, topics.cloud_alerts(THING)),
        (MQTT_SERVICE, TO_CLOUD, topics.cloud_insights(THING)),
        (MQTT_SERVICE, TO_CLOUD, topics.cloud_health(THING)),
        (MQTT_SERVICE, FROM_CLOUD, topics.cloud_ack(THING)),
    ],
    "vedette.AppHost": [
        (PUBSUB_SERVICE, PUBLISH, topics.local_hooks("shop")),
    ],
    "vedette.DeviceAgent": [
        *((MQTT_SERVICE, TO_CLOUD, topics.jobs(THING, rest)) for rest in ("start-next", "vedette-1/update")),
        *((MQTT_SERVICE, FROM_CLOUD, topics.jobs(THING, rest)) for rest in ("notify-next", "+/update/accepted")),
    ],
}
#: Folder of each component's code.
FOLDERS = {**EDGE_COMPONENTS, "vedette.DeviceAgent": "device_agent"}
CONFIGS: dict[str, type[ComponentConfig]] = {
    "vedette.CameraIngest": CameraIngestConfig,
    "vedette.Inference": InferenceConfig,
    "vedette.Alerting": AlertingConfig,
    "vedette.AppHost": AppHostConfig,
    "vedette.DeviceAgent": DeviceAgentConfig,
}
EVERYTHING = [entry for entries in NEEDED.values() for entry in entries]


def recipe_of(name: str, *, lite: bool = False) -> Recipe:
    return load_recipe(recipe_file(name), lite_quirks=lite)


def recipe_file(name: str) -> Path:
    return data_directory("recipes") / f"{name}.yaml"


@pytest.mark.parametrize("lite", [False, True])
@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_component_may_do_what_it_does_and_nothing_else(name: str, lite: bool) -> None:
    configuration = recipe_of(name, lite=lite).configuration.default_configuration
    policy = parse_access_control(configuration.get("accessControl"), where=name, lite=lite)
    for entry in NEEDED[name]:
        assert policy.allows(*entry), f"{name} lacks {entry}"
    for entry in EVERYTHING:
        if entry not in NEEDED[name]:
            assert not policy.allows(*entry), f"{name} may {entry} and has no need to"
    assert not policy.allows(PUBSUB_SERVICE, "SubscribeToTopic", topics.local_alerts())
    assert not policy.allows(MQTT_SERVICE, TO_CLOUD, "$aws/things/device-7/shadow/update")
    assert not policy.allows(SECRET_SERVICE, SECRET, "another/secret")


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_default_configuration_is_what_the_component_reads(name: str) -> None:
    for lite in (False, True):
        document = dict(recipe_of(name, lite=lite).configuration.default_configuration)
        document.pop("accessControl")
        read = CONFIGS[name].model_validate(document)
        assert read.stateDirectory == "/var/lib/vedette"
    fields = set(CONFIGS[name].model_fields)
    assert set(document) <= fields


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_scripts_follow_the_rules_both_nuclei_need(name: str) -> None:
    text = recipe_file(name).read_text()
    assert len(text.encode()) < 16_000
    scripts = re.findall(r"Script: (.*)", text)
    assert scripts
    for script in scripts:
        assert script.startswith("exec sh {artifacts:decompressedPath}/"), script
        assert set(re.findall(r"\{[^}]*\}?", script)) <= {
            "{artifacts:decompressedPath}",
            "{configuration:/stateDirectory}",
        }
    # Root's rights are for making the state directory, which one component owns.
    assert text.count("RequiresPrivilege") == (1 if name == "vedette.CameraIngest" else 0)
    folder = FOLDERS[name]
    assert f"/{folder}.zip" in text
    for file in ("run.sh", "install.sh", f"{folder}/__main__.py", f"{folder}/README.md"):
        assert (data_directory("components") / file).is_file()
