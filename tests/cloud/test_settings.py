"""What the owner writes into cdk.json: allowed, or refused by name."""

from __future__ import annotations

import pytest

from infra.settings import read_settings
from vedette.contracts.errors import ConfigurationError


def test_nothing_said_is_a_complete_choice() -> None:
    settings = read_settings({})
    assert (settings.stage, [fleet.name for fleet in settings.fleets]) == ("prod", ["main"])
    assert settings.fleets[0].rings == ("canary", "early", "rest")
    assert settings.keep_data
    assert read_settings(None) == settings == read_settings("{}")


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
