"""Changing what a ring runs, beside others who change it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from vedette.contracts.errors import CloudError
from vedette.contracts.rollout import DesiredState, RingChange
from vedette.core.fleet.desired import applied, holds

#: Attempts to write or deploy before somebody else's turn is waited for.
_ATTEMPTS: Final = 20


class Ring(Protocol):
    """One ring's desired states and deployments."""

    def newest(self) -> DesiredState:
        """The newest desired state, read consistently."""

    def put(self, state: DesiredState) -> bool:
        """Add a version, unless there is one of this number."""

    def deploy(self, state: DesiredState, *, watched: bool) -> str:
        """Make it the ring's deployment.

        Args:
            state: to deploy.
            watched: whether a gate looks at what becomes of it; only then AWS may stop it by itself.

        Returns:
            The deployment's id.
        """


@dataclass(frozen=True, slots=True)
class Settled:
    """What a ring was left with: version of the newest desired state, and the deployment made of it."""

    version: int
    deployment_id: str


def settle(ring: Ring, change: RingChange, *, watched: bool) -> Settled:
    """Put a change into a ring's desired state and deploy the newest state.

    Nobody's change is lost: a version is written only where there is none of its number, on top of the newest. And
    whoever deploys looks again afterwards: if a newer version was written meanwhile, its deployment may have been made
    before this one and have been replaced by it, so the newer one is deployed again. The last deployment made is
    therefore of the newest version.

    Args:
        ring: to change.
        change: of its desired state.
        watched: whether a gate looks at the deployment; only then AWS may stop it by itself.

    Raises:
        CloudError: V003, retryable, others were faster every time.
    """
    _write(ring, change)
    for _ in range(_ATTEMPTS):
        state = ring.newest()
        deployment_id = ring.deploy(state, watched=watched)
        if ring.newest().version == state.version:
            return Settled(version=state.version, deployment_id=deployment_id)
    raise _busy()


def _write(ring: Ring, change: RingChange) -> None:
    for _ in range(_ATTEMPTS):
        state = ring.newest()
        if state.version and holds(state, change):
            return
        if ring.put(applied(state, change)):
            return
    raise _busy()


def _busy() -> CloudError:
    return CloudError("others are changing the same ring all the time.", hint="Try again.", retryable=True)
