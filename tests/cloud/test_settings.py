"""What the owner writes into cdk.json: allowed, or refused by name."""

from __future__ import annotations

import pytest

from infra.settings import read_settings
from vedette.contracts.errors import ConfigurationError
from vedette.local.recipe import CORE_COMPONENTS


def test_nothing_said_is_a_complete_choice() -> None:
    settings = read_settings({})
    assert (settings.stage, [fleet.name for fleet in settings.fleets]) == ("prod", ["main"])
    assert settings.fleets[0].rings == ("canary", "early", "rest")
    assert settings.keep_data
    assert read_settings(None) == settings == read_settings("{}")


def test_a_new_ring_begins_with_nothing_that_nucleus_lite_has_not() -> None:
    """It fails a deployment that names a component which AWS has for the classic nucleus only."""
    first = read_settings({}).first_components
    assert list(first) == ["aws.greengrass.TokenExchangeService"]
    assert set(first) <= CORE_COMPONENTS
    assert "aws.greengrass.Nucleus" not in first, "a device has the nucleus that its bundle says"


@pytest.mark.parametrize(
    ("context", "told"),
    [
        ({"stag": "x"}, "stag: Extra inputs"),
        ({"stage": "Prod"}, "stage: String should match"),
        ({"fleets": []}, "fleets: Tuple should have at least 1"),
        ({"fleets": [{"name": "a"}, {"name": "a"}]}, "each fleet has a name of its own"),
        ({"fleets": [{"name": "a", "rings": ["x", "x"]}]}, "each ring has a name of its own"),
        ({"subscribers": [{"protocol": "pager", "endpoint": "12345"}]}, "subscribers.0.protocol"),
        ({"log_days": 8}, "log_days"),
        ('{"stage":', "vedette"),
        ("[]", "valid dictionary"),
    ],
)
def test_a_mistake_is_named(context: object, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings(context)
    assert caught.value.code == "V103"
    assert told in caught.value.message
