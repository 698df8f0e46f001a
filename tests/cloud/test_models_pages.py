"""docs/models.md and docs/devices.md say what the code does."""

from __future__ import annotations

import re

from tests.conftest import REPOSITORY
from vedette.cli.device_tables import MARKER, device_tables
from vedette.contracts.model_card import Framework
from vedette.contracts.model_record import ModelState
from vedette.core.fleet.model_yaml import parse_model_card

MODELS = (REPOSITORY / "docs" / "models.md").read_text("utf-8")
DEVICES = (REPOSITORY / "docs" / "devices.md").read_text("utf-8")


def test_the_tables_of_devices_are_those_that_decide() -> None:
    """After a wanted change: `make schema`."""
    assert DEVICES.partition(MARKER)[2] == device_tables()


def test_the_description_in_the_document_is_one_with_all_its_comments_taken_in() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", MODELS, re.S)
    assert parse_model_card(text.encode(), "docs").name == "parts"
    optional = text.replace("# opset: 17", "# ").replace("# sha256: …", "# ")
    whole = re.sub(r"^# (?=\w+: )", "", optional, flags=re.M)
    assert "compiler_options" in whole
    card = parse_model_card(whole.encode(), "docs")
    assert card.compiler_options
    assert card.input is not None
    assert all(framework.value in text for framework in Framework)


def test_all_states_are_explained() -> None:
    assert set(re.findall(r"^\| `([A-Z]+)` \|", MODELS, re.M)) == {state.value for state in ModelState}


def test_the_digest_in_the_document_is_that_of_the_known_model() -> None:
    from vedette.adapters.models.catalogue import known_models

    assert known_models()["yolox_nano"].sha256 in MODELS
