"""docs/cloud.md against the settings and the stacks."""

from __future__ import annotations

import json
import re
from pathlib import Path

from infra.settings import PrivateNetwork, Settings, Subscriber, read_settings
from tests.cloud.conftest import EVERYTHING, templates

TEXT = (Path(__file__).parents[2] / "docs" / "cloud.md").read_text()


def test_every_setting_is_described_and_no_other() -> None:
    table = TEXT.partition("| field |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    assert sorted(named) == sorted(Settings.model_fields)
    for model in (Subscriber, PrivateNetwork):
        for field in model.model_fields:
            assert f"`{field}`" in table


def test_the_example_is_allowed() -> None:
    example = json.loads(re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)[0])
    settings = read_settings(example["context"]["vedette"])
    assert [fleet.name for fleet in settings.fleets] == ["warehouses", "plants"]


def test_what_new_rings_run_in_the_examples_is_allowed_and_lends_credentials() -> None:
    examples = re.findall(r"```json\n(\"baseline\".*?)```", TEXT, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        first = read_settings(json.loads(f"{{{example}}}")).first_components
        assert {"aws.greengrass.Nucleus", "aws.greengrass.TokenExchangeService"} <= set(first)


def test_every_stack_is_in_the_table() -> None:
    named = re.findall(r"^\| `vedette-STAGE-(\w+)`", TEXT, re.MULTILINE)
    assert set(templates(EVERYTHING)) <= set(named)
