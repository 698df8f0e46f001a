"""Who is told of alerts: a topic for each severity, subscriptions filtered by site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.queue import QueueProps, dead_letters
from infra.settings import Settings
from vedette.contracts.account import ShortName
from vedette.contracts.alert import Severity

_PROTOCOLS: Final = {
    "email": sns.SubscriptionProtocol.EMAIL,
    "sms": sns.SubscriptionProtocol.SMS,
    "https": sns.SubscriptionProtocol.HTTPS,
}


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """One subscription: SNS allows one for each topic and address.

    Attributes:
        severity: topic.
        protocol: way there.
        endpoint: address.
    """

    severity: Severity
    protocol: str
    endpoint: str


def wanted(settings: Settings) -> dict[Wanted, frozenset[ShortName]]:
    """Every subscription with its sites, all of them where empty. Who is named twice gets the sites of both."""
    found: dict[Wanted, frozenset[ShortName]] = {}
    for one in settings.subscribers:
        for severity in one.severities:
            key, sites = Wanted(severity, one.protocol, one.endpoint), frozenset(one.sites)
            everywhere = not sites or (key in found and not found[key])
            found[key] = frozenset() if everywhere else sites | found.get(key, frozenset())
    return found


class AlertTopics(Construct):
    """The topics.

    Attributes:
        topics: severity → topic.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, key: kms.IKey, operators: sns.ITopic
    ) -> None:
        super().__init__(scope, construct_id)
        self.topics: Mapping[Severity, sns.Topic] = {
            severity: sns.Topic(
                self,
                severity.value.title(),
                master_key=key,
                enforce_ssl=True,
                display_name=f"Vedette {severity.value}",
            )
            for severity in Severity
        }
        subscriptions = wanted(settings)
        if not subscriptions:
            return
        what = QueueProps(settings=settings, key=key, operators=operators, what="alerts to subscribers")
        undelivered = dead_letters(self, "Undelivered", "Alarm", what)
        for number, (one, sites) in enumerate(sorted(subscriptions.items())):
            by_site = {"site": sns.SubscriptionFilter.string_filter(allowlist=sorted(sites))} if sites else None
            sns.Subscription(
                self,
                f"Subscriber{number}",
                topic=self.topics[one.severity],
                protocol=_PROTOCOLS[one.protocol],
                endpoint=one.endpoint,
                filter_policy=by_site,
                dead_letter_queue=undelivered,
            )
