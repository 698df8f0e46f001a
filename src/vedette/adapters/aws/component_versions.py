"""Versions of components in Greengrass, from outside: made once, never changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from vedette.adapters.aws.account import Account, aws_errors
from vedette.contracts.errors import CloudError

#: Greengrass looks at every artefact before a version can be deployed.
WAIT_LIMIT_S: Final = 600.0
_LOOK_S: Final = 1.0
_DEPLOYABLE: Final = "DEPLOYABLE"
_PENDING: Final = frozenset({"REQUESTED", "INITIATED"})


@dataclass(frozen=True, slots=True)
class VersionState:
    """How a version stands.

    Attributes:
        state: Greengrass's word: ``REQUESTED``, ``INITIATED``, ``DEPLOYABLE``, ``FAILED``, ``DEPRECATED``.
        reason: Greengrass's words, empty where it has none.
    """

    state: str
    reason: str = ""

    @property
    def deployable(self) -> bool:
        """Whether it can be deployed."""
        return self.state == _DEPLOYABLE

    @property
    def pending(self) -> bool:
        """Whether Greengrass has not decided yet."""
        return self.state in _PENDING


class ComponentVersions:
    """The account's own component versions.

    Args:
        account: whose.
        sleep: waits between two looks, seconds.
        monotonic: clock of the waiting.
    """

    def __init__(
        self,
        account: Account,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._sleep = sleep
        self._monotonic = monotonic

    def state(self, name: str, version: str) -> VersionState | None:
        """How a version stands; None where there is none.

        Raises:
            CloudError: V001, V003.
        """
        greengrass = self._client()
        with aws_errors(f"component {name} {version}"):
            try:
                found = greengrass.describe_component(arn=self._arn(name, version))
            except greengrass.exceptions.ResourceNotFoundException:
                return None
        status = found.get("status", {})
        said = str(status.get("message") or "")
        causes = "; ".join(f"{key}: {text}" for key, text in (status.get("errors") or {}).items())
        reason = " ".join(filter(None, ("" if said == "NONE" else said, causes)))
        return VersionState(str(status.get("componentState", "")), reason)

    def recipe(self, name: str, version: str) -> dict[str, Any]:
        """The recipe that is stored.

        Raises:
            CloudError: V001, V003; V014, it is no recipe that we could read.
        """
        with aws_errors(f"the recipe of {name} {version}"):
            found = self._client().get_component(arn=self._arn(name, version), recipeOutputFormat="JSON")
        try:
            document = json.loads(found["recipe"])
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CloudError(f"the recipe of {name} {version} in the account is not JSON.", code="V014")
        return document

    def newest(self, name: str) -> str | None:
        """The newest version of a component that can be deployed; None where there is none.

        Raises:
            CloudError: V001, V003.
        """
        greengrass = self._client()
        with aws_errors(f"versions of {name}"):
            try:
                pages = greengrass.get_paginator("list_component_versions").paginate(arn=self._arn(name))
                found = [str(one["componentVersion"]) for page in pages for one in page["componentVersions"]]
            except greengrass.exceptions.ResourceNotFoundException:
                return None
        for version in sorted(found, key=version_order, reverse=True):
            state = self.state(name, version)
            if state is not None and state.deployable:
                return version
        return None

    def create(self, name: str, version: str, recipe: bytes) -> None:
        """Ask for a version.

        Raises:
            CloudError: V014, Greengrass refuses it; V001, V003.
        """
        greengrass = self._client()
        refusals = (greengrass.exceptions.ValidationException, greengrass.exceptions.ConflictException)
        with aws_errors(f"component {name} {version}"):
            try:
                greengrass.create_component_version(inlineRecipe=recipe)
            except refusals as error:
                said = error.response["Error"].get("Message", "")
                raise CloudError(f"component {name} {version}: Greengrass refuses it: {said}", code="V014") from None

    def settled(self, name: str, version: str) -> None:
        """Wait until a version can be deployed.

        Raises:
            CloudError: V014, Greengrass could not make it, or does not come to an end; V001, V003.
        """
        began_s = self._monotonic()
        while True:
            found = self.state(name, version)
            if found is not None and found.deployable:
                return
            if found is not None and not found.pending:
                raise CloudError(
                    f"component {name} {version}: Greengrass could not make it: {found.state} {found.reason}".rstrip(),
                    code="V014",
                )
            if self._monotonic() - began_s > WAIT_LIMIT_S:
                raise CloudError(
                    f"component {name} {version}: not ready after {WAIT_LIMIT_S:.0f} s.",
                    hint="Type the same again: it goes on waiting.",
                    code="V014",
                    retryable=True,
                )
            self._sleep(_LOOK_S)

    def _client(self) -> Any:
        return self._account.client("greengrassv2")

    @cached_property
    def _components(self) -> str:
        with aws_errors("who you are"):
            caller = self._account.client("sts").get_caller_identity()
        partition = str(caller["Arn"]).split(":")[1]
        return f"arn:{partition}:greengrass:{self._account.region}:{caller['Account']}:components"

    def _arn(self, name: str, version: str = "") -> str:
        return f"{self._components}:{name}" + (f":versions:{version}" if version else "")


def version_order(version: str) -> tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]:
    """By which versions are sorted as semver.org has it: a release after its own pre-releases, numbers by value."""
    core, _, early = version.partition("+")[0].partition("-")
    parts = tuple((not one.isdigit(), int(one) if one.isdigit() else 0, one) for one in early.split(".") if one)
    return tuple(int(one) for one in core.split(".")), not early, parts
