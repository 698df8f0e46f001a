"""Every topic name, one function each. Recipes, policies and documents are tested against this file."""

from __future__ import annotations

from typing import Final

ALERTS: Final = "vedette/alerts"

#: Names of the rules in the account that take what devices send. A device's topics hold them, so they are the same in
#: every account.
RULE_ALERTS: Final = "vedette_alerts"
RULE_INSIGHTS: Final = "vedette_insights"
RULE_HEALTH: Final = "vedette_health"
RULE_COMPARISON: Final = "vedette_comparison"


#: Second levels of local topics that are not of a camera, so that none may be called so.
NOT_CAMERAS: Final = frozenset({"hooks", "inference"})


def local_tracks(camera: str) -> str:
    """Local topic of a camera's track batches (off until asked for)."""
    return f"vedette/{camera}/tracks"


def local_status(camera: str) -> str:
    """Local topic of a camera's state, once a second and at each change."""
    return f"vedette/{camera}/status"


def local_inference(model: str) -> str:
    """Local topic of a model session's state and figures, once a second and at each change."""
    return f"vedette/inference/{model}"


def local_hooks(application: str) -> str:
    """Local topic of how an application's own code fares, once a second and at each change."""
    return f"vedette/hooks/{application}"


def local_alerting() -> str:
    """Local topic of the alerting component's state and figures."""
    return "vedette/alerting"


def local_alerts() -> str:
    """Local topic of all alerts of the device."""
    return ALERTS


def cloud_alerts(thing: str) -> str:
    """IoT Core topic on which a device sends its alerts: straight to the rule, past the message broker."""
    return basic_ingest(RULE_ALERTS, f"vedette/{thing}/alerts")


def cloud_ack(thing: str) -> str:
    """IoT Core topic on which the ledger answers ``{epoch, through_seq}``."""
    return f"vedette/{thing}/ack"


def cloud_insights(thing: str) -> str:
    """IoT Core topic of anonymised figures."""
    return basic_ingest(RULE_INSIGHTS, f"vedette/{thing}/insights")


def cloud_health(thing: str) -> str:
    """IoT Core topic of a device's own state."""
    return basic_ingest(RULE_HEALTH, f"vedette/{thing}/health")


def cloud_comparison(thing: str) -> str:
    """IoT Core topic on which a candidate tells how it compares with the running version."""
    return basic_ingest(RULE_COMPARISON, f"vedette/{thing}/comparison")


def basic_ingest(rule: str, topic: str) -> str:
    """The topic by which a message reaches one rule and nobody else, and is not charged as a message.

    The rule sees ``topic`` alone (AWS IoT Core developer guide, "Reducing messaging costs with Basic Ingest").
    """
    return f"$aws/rules/{rule}/{topic}"


def shadow(thing: str, what: str) -> str:
    """IoT Core topic of a device's shadow ``vedette``: ``get``, ``get/accepted``, ``update``, ``update/delta``, …"""
    return f"$aws/things/{thing}/shadow/name/vedette/{what}"


def jobs(thing: str, rest: str) -> str:
    """Reserved topic of AWS IoT Jobs for a device, such as ``start-next`` or ``JOB/update/accepted``."""
    return f"$aws/things/{thing}/jobs/{rest}"
