"""Steps of state machines that are tried again: soon at first, then ever later, and not all at the same moment."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_stepfunctions as sfn


def repeat(step: sfn.TaskStateBase, errors: Sequence[str], *, times: int) -> None:
    """Try a step again after 2 s, then after twice as long each time up to a minute.

    Args:
        step: of the machine.
        errors: names of those that may pass.
        times: at most.
    """
    step.add_retry(
        errors=list(errors),
        interval=Duration.seconds(2),
        max_attempts=times,
        backoff_rate=2,
        max_delay=Duration.minutes(1),
        jitter_strategy=sfn.JitterType.FULL,
    )
