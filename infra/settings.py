"""What the owner may choose, read from the CDK's context (``cdk.json``, ``-c key=value``)."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from vedette.contracts.account import DEFAULT_FLEET, DEFAULT_STAGE, RINGS, ShortName, fleet_group, ring_group
from vedette.contracts.alert import Severity
from vedette.contracts.base import Contract, mistakes
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.rollout import ComponentChoice
from vedette.contracts.versions import ComponentName

#: Context key that holds everything.
CONTEXT_KEY: Final = "vedette"

NUCLEUS: Final = "aws.greengrass.Nucleus"
#: Greengrass's data plane and S3 by the names that the private network answers.
_PRIVATE_NUCLEUS: Final = {"greengrassDataPlaneEndpoint": "iotdata", "s3EndpointType": "REGIONAL"}
#: What devices need of AWS's, whichever nucleus they have: credentials. The classic nucleus and its secret manager are
#: no components of nucleus lite, where a deployment that names one fails; rings that have them name them.
BASELINE: Final = {"aws.greengrass.TokenExchangeService": ComponentChoice(version="2.0.3")}

#: Largest and smallest network that AWS and our subnets take, bits.
_LARGEST, _SMALLEST = 16, 24


class LambdaPlatform(StrEnum):
    """What the functions' zips are built for."""

    ARM64 = "arm64"
    HOST = "host"


class Fleet(Contract):
    """Devices that are rolled out to together, ring by ring."""

    name: ShortName
    rings: Annotated[tuple[ShortName, ...], Field(min_length=1, max_length=8)] = RINGS

    @field_validator("rings")
    @classmethod
    def _different(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each ring has a name of its own")
        return value


class Subscriber(Contract):
    """Who is told of alerts."""

    protocol: Literal["email", "sms", "https"]
    endpoint: Annotated[str, Field(min_length=3, description="Address, telephone number or URL.")]
    severities: Annotated[tuple[Severity, ...], Field(min_length=1)] = (Severity.CRITICAL,)
    sites: Annotated[tuple[ShortName, ...], Field(description="Of these sites only; of all where empty.")] = ()


class PrivateNetwork(Contract):
    """The optional stack of private endpoints."""

    cidr: Annotated[str, Field(description="Of the account's side, /16 to /24; no site may use these addresses.")] = (
        "10.80.0.0/16"
    )
    zones: Annotated[int, Field(ge=2, le=3, description="Name resolution needs two addresses, in different zones.")] = 2
    on_premises_cidrs: Annotated[
        tuple[str, ...],
        Field(min_length=1, max_length=20, description="Networks of the sites, which may use the endpoints."),
    ]

    @model_validator(mode="after")
    def _apart(self) -> PrivateNetwork:
        own = ipaddress.IPv4Network(self.cidr)
        if not _LARGEST <= own.prefixlen <= _SMALLEST:
            raise ValueError(f"cidr: {own} is not between /{_LARGEST} and /{_SMALLEST}")
        for text in self.on_premises_cidrs:
            site = ipaddress.IPv4Network(text)
            if site.prefixlen == 0:
                raise ValueError(f"on_premises_cidrs: {site} is the whole internet")
            if site.overlaps(own):
                raise ValueError(f"on_premises_cidrs: {site} overlaps {own}, the account's side")
        return self


class Settings(Contract):
    """Everything about one stage of the stacks."""

    stage: ShortName = DEFAULT_STAGE
    fleets: Annotated[tuple[Fleet, ...], Field(min_length=1, max_length=20)] = (Fleet(name=DEFAULT_FLEET),)
    subscribers: tuple[Subscriber, ...] = ()
    operators: Annotated[tuple[str, ...], Field(description="E-mail addresses that alarms go to.")] = ()
    ledger_days: Annotated[int, Field(ge=1, le=3650, description="How long an alert stays in the ledger.")] = 90
    evidence_days: Annotated[int, Field(ge=1, le=3650, description="How long pictures and clips are kept.")] = 30
    log_days: Literal[7, 14, 30, 60, 90, 180, 365] = 30
    network: PrivateNetwork | None = None
    baseline: Annotated[
        dict[ComponentName, ComponentChoice],
        Field(min_length=1, description="Components of a ring for which nothing else was decided yet."),
    ] = Field(default_factory=lambda: dict(BASELINE))
    components: Annotated[
        str | None, Field(description="Folder of built components (recipes/, artifacts/), part of every new ring.")
    ] = None
    keep_data: Annotated[bool, Field(description="Buckets, tables and keys survive `cdk destroy`.")] = True
    lambda_platform: LambdaPlatform = LambdaPlatform.ARM64
    runbooks: Annotated[str, Field(description="Address of the runbooks, which alarms link to.")] = "docs/runbooks.md"

    @property
    def first_components(self) -> dict[str, ComponentChoice]:
        """The baseline; with a private network the classic nucleus asks there for everything, as lite always does."""
        nucleus = self.baseline.get(NUCLEUS)
        if self.network is None or nucleus is None:
            return dict(self.baseline)
        private = nucleus.model_copy(update={"configuration": {**_PRIVATE_NUCLEUS, **nucleus.configuration}})
        return {**self.baseline, NUCLEUS: private}

    @field_validator("fleets")
    @classmethod
    def _fleets_differ(cls, value: tuple[Fleet, ...]) -> tuple[Fleet, ...]:
        if len({fleet.name for fleet in value}) != len(value):
            raise ValueError("each fleet has a name of its own")
        groups = [fleet_group(fleet.name) for fleet in value]
        groups += [ring_group(fleet.name, ring) for fleet in value for ring in fleet.rings]
        twice = [name for name, number in Counter(groups).items() if number > 1]
        if twice:
            raise ValueError(f"two groups would be called {twice[0]!r}; give a fleet or ring another name")
        return value

    @model_validator(mode="after")
    def _nucleus_is_told(self) -> Settings:
        if self.network is not None and "baseline" not in self.model_fields_set:
            raise ValueError(
                f"network: say in baseline which nucleus the devices have: with {NUCLEUS} in it, the classic one, which"
                " is told there to use the private endpoints; without it, nucleus lite, which needs no telling"
            )
        return self


def read_settings(context: Any) -> Settings:
    """Read the value of the context key, an object or its JSON.

    Raises:
        ConfigurationError: V103, a field or value is not allowed.
    """
    try:
        if isinstance(context, str):
            context = json.loads(context)
        return Settings.model_validate({} if context is None else context)
    except (ValidationError, ValueError) as error:
        lines = mistakes(error, CONTEXT_KEY) if isinstance(error, ValidationError) else [str(error)]
        raise ConfigurationError(
            f"the stacks' settings (context {CONTEXT_KEY!r}) are not usable: {'; '.join(lines)}.",
            hint="Every field is described in docs/cloud.md.",
        ) from None
