"""Log groups of applications, made before devices write to them: a group that a device made would have no end."""

from __future__ import annotations

from lambdas.common.requests import asking
from lambdas.common.runtime import client
from vedette.contracts.functions import RolloutSettings
from vedette.contracts.logs import component_group


def keep_logs_of(settings: RolloutSettings, component: str) -> None:
    """Make a component's log group, encrypted and with the stage's days, unless it is there.

    Raises:
        CloudError: V003, AWS refused.
    """
    region = settings.groups_arn.split(":")[3]
    name, logs = component_group(region, component), client("logs")
    with asking(f"the log group {name}"):
        try:
            logs.create_log_group(logGroupName=name, kmsKeyId=settings.log_key)
        except logs.exceptions.ResourceAlreadyExistsException:
            return
        logs.put_retention_policy(logGroupName=name, retentionInDays=settings.log_days)
