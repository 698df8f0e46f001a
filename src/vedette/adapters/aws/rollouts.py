"""Rollouts of the account, from outside: ask its function, follow one to its end."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from vedette.adapters.aws.account import Account, aws_errors
from vedette.contracts.account import ShortName
from vedette.contracts.errors import CloudError
from vedette.contracts.rollout import Change, DesiredState, GatePolicy, Override, RingName, Rollout, RolloutStatus
from vedette.contracts.rollout_api import (
    AbortRequest,
    Answer,
    DesiredRequest,
    ListRequest,
    Plan,
    PlanRequest,
    PlanRollbackRequest,
    StartRequest,
    StatusRequest,
)

Value = TypeVar("Value")

#: How often a rollout that is followed is asked about, seconds.
_EVERY_S: Final = 5.0


class Rollouts:
    """The account's rollout function.

    Args:
        account: with the stacks.
        sleep: waits that many seconds.
    """

    def __init__(self, account: Account, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._account = account
        self._sleep = sleep

    def plan(
        self, fleet: ShortName, change: Change, *, rings: tuple[RingName, ...] = (), compare: bool = False
    ) -> Plan:
        """What a change would do.

        Args:
            fleet: of the rings.
            change: of each of them.
            rings: some of the fleet's, or one device as ``thing/NAME``; all of the fleet's where empty.
            compare: whether the first ring is to compare versions, so that what this needs is asked for, too.

        Raises:
            CloudError: V009 refused, V001 to V003.
        """
        return _there(self._ask(PlanRequest(fleet=fleet, change=change, rings=rings, compare=compare)).plan)

    def plan_rollback(self, fleet: ShortName, application: str, *, rings: tuple[RingName, ...] = ()) -> Plan:
        """What would give each ring back what it ran before the last rollout of an application that succeeded.

        Args:
            fleet: of the rings.
            application: only its entry is given back.
            rings: some of those of that rollout, or one device; all of them where empty.

        Raises:
            CloudError: V009 there is nothing to give back; V001 to V003.
        """
        request = PlanRollbackRequest(fleet=fleet, application=application, rings=rings)
        return _there(self._ask(request).plan)

    def rollback(
        self,
        fleet: ShortName,
        application: str,
        *,
        rings: tuple[RingName, ...] = (),
        policy: GatePolicy | None = None,
    ) -> Rollout:
        """Plan to give back what ran before, and start that.

        Raises:
            CloudError: V009, V001 to V003.
        """
        return self.start(self.plan_rollback(fleet, application, rings=rings), policy=policy)

    def desired(self, fleet: ShortName) -> tuple[DesiredState, ...]:
        """What each ring should run, and each device with applications of its own (ring ``thing/NAME``).

        Raises:
            CloudError: V009 there is no such fleet; V001 to V003.
        """
        return _there(self._ask(DesiredRequest(fleet=fleet)).desired).states

    def start(self, plan: Plan, *, policy: GatePolicy | None = None, overrides: tuple[Override, ...] = ()) -> Rollout:
        """Roll out what was planned, if every ring still is as it was planned on.

        Args:
            plan: of a change, or of a rollback, which only the devices' health judges.
            policy: of the gate.
            overrides: checks that the operator passed over; they are recorded.

        Raises:
            CloudError: V009 refused, V001 to V003.
        """
        request = StartRequest(
            rollout_id=f"r-{secrets.token_hex(8)}",
            fleet=plan.fleet,
            change=plan.change,
            rings=tuple(ring.ring for ring in plan.rings),
            policy=policy or GatePolicy(),
            by=self._caller(),
            overrides=overrides,
            takes_back=plan.takes_back,
            planned_on={ring.ring: ring.now for ring in plan.rings},
        )
        return _there(self._ask(request).rollout)

    def abort(self, rollout_id: str, *, reason: str = "") -> Rollout:
        """Ask for a rollout to be stopped and taken back; the next look at its ring does so.

        Raises:
            CloudError: V009 there is none, or it is over; V001 to V003.
        """
        return _there(self._ask(AbortRequest(rollout_id=rollout_id, by=self._caller(), reason=reason)).rollout)

    def status(self, rollout_id: str) -> Rollout:
        """How a rollout stands.

        Raises:
            CloudError: V009 there is none; V001 to V003.
        """
        return _there(self._ask(StatusRequest(rollout_id=rollout_id)).rollout)

    def newest(self, fleet: ShortName, *, limit: int = 20) -> tuple[Rollout, ...]:
        """The newest rollouts of a fleet, the newest first.

        Raises:
            CloudError: V009 there is no such fleet; V001 to V003.
        """
        return _there(self._ask(ListRequest(fleet=fleet, limit=limit)).list).rollouts

    def follow(self, rollout_id: str) -> Iterator[Rollout]:
        """A rollout each time that it has changed, until it is over.

        Raises:
            CloudError: V010, it was taken back; V009, V001 to V003.
        """
        seen: Rollout | None = None
        while seen is None or seen.status is RolloutStatus.RUNNING:
            if seen is not None:
                self._sleep(_EVERY_S)
            now = self.status(rollout_id)
            if now != seen:
                yield now
            seen = now
        if seen.status is RolloutStatus.ROLLED_BACK:
            raise CloudError(f"rollout {rollout_id!r} was taken back: {seen.reason}.", code="V010")

    def _caller(self) -> str:
        with aws_errors("who you are"):
            return str(self._account.client("sts").get_caller_identity()["Arn"])

    def _ask(self, request: Any) -> Answer:
        name = self._account.made("rollout-function")
        with aws_errors("the rollout function"):
            said = self._account.client("lambda").invoke(
                FunctionName=name, Payload=request.model_dump_json(exclude_none=False).encode()
            )
            text = said["Payload"].read()
        if "FunctionError" in said:
            what = json.loads(text or b"{}").get("errorMessage", "no reason given")
            raise CloudError(f"the rollout function failed: {what}.", hint=f"Its log: aws logs tail of {name}.")
        try:
            answer = Answer.model_validate_json(text)
        except ValidationError:
            raise CloudError(
                "the rollout function answered something that this version does not know.",
                hint="Deploy the stacks again: cdk deploy --all",
                code="V002",
            ) from None
        if answer.refused is not None:
            refused = answer.refused
            raise CloudError(refused.message, hint=refused.hint, code=refused.code, retryable=refused.retryable)
        return answer


def _there(value: Value | None) -> Value:
    if value is None:
        raise CloudError("the rollout function answered another question.", code="V002")
    return value
