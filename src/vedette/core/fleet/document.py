"""From what a ring should run to the request that makes Greengrass run it: always the whole of it. Pure.

A deployment replaces the one before it on the same target, and Greengrass removes what the new one does not name. So a
document is made of the whole state, never of a change.
"""

from __future__ import annotations

import json
from typing import Any, Final

from vedette.contracts.logs import LOG_MANAGER
from vedette.contracts.rollout import ApplicationChoice, ComponentChoice, DesiredState
from vedette.contracts.versions import APPLICATION_PREFIX, CANDIDATE_PREFIX
from vedette.core.fleet.log_manager import with_logs_of

#: Components of ours have their configuration from the document alone: it is reset to the recipe's default first.
#: So has the log manager, which is told of each of them.
_OURS: Final = "vedette."
#: How long components may put off an update that they are told of, seconds.
_NOTICE_S: Final = 60
#: How long a component has to accept its configuration, seconds.
_VALIDATION_S: Final = 60
#: A device that has not answered by then has failed, minutes. Devices that are offline do not start this clock.
_DEVICE_LIMIT_MINUTES: Final = 60
#: Devices a minute, at first and at most, and how many must have succeeded before the rate doubles.
FIRST_RATE, MAX_RATE, STEP = 10, 500, 10
#: Share of failures, per cent, at which AWS itself stops before the gate is asked, and of how many devices at least.
_ABORT_PERCENT, _ABORT_LEAST = 20.0, 5


def deployment(state: DesiredState, target_arn: str, *, watched: bool) -> dict[str, Any]:
    """The request ``CreateDeployment``, without its client token.

    Args:
        state: of the ring.
        target_arn: the ring's thing group, or the one device.
        watched: whether a gate looks at what becomes of it. Only then AWS stops it where many devices fail: the gate
            sees the failures and has everything taken back. What nobody looks at would stay stopped half way.
    """
    applications = [APPLICATION_PREFIX + name for name in state.applications]
    running = [*state.components, *applications, *(CANDIDATE_PREFIX + name for name in state.candidates)]
    components = {
        name: _component(name, with_logs_of(choice, running) if name == LOG_MANAGER else choice)
        for name, choice in state.components.items()
    }
    for prefix, chosen in ((APPLICATION_PREFIX, state.applications), (CANDIDATE_PREFIX, state.candidates)):
        components |= {prefix + name: _application(prefix + name, choice) for name, choice in chosen.items()}
    return {
        "targetArn": target_arn,
        "deploymentName": deployment_name(state),
        "components": dict(sorted(components.items())),
        "deploymentPolicies": {
            # What a device ran before is back on it before the account hears of the failure.
            "failureHandlingPolicy": "ROLLBACK",
            "componentUpdatePolicy": {"action": "NOTIFY_COMPONENTS", "timeoutInSeconds": _NOTICE_S},
            "configurationValidationPolicy": {"timeoutInSeconds": _VALIDATION_S},
        },
        # One device is told by its shadow: there is no job whose pace could be set.
        **({} if ":thing/" in target_arn else {"iotJobConfiguration": _job(watched)}),
    }


def deployment_name(state: DesiredState) -> str:
    """Names the state in AWS's console."""
    return f"vedette {state.fleet}/{state.ring} {state.version}"


def _job(watched: bool) -> dict[str, Any]:
    return {**_PACE, **({"abortConfig": _ABORT} if watched else {})}


_PACE: Final[dict[str, Any]] = {
    "jobExecutionsRolloutConfig": {
        "maximumPerMinute": MAX_RATE,
        "exponentialRate": {
            "baseRatePerMinute": FIRST_RATE,
            "incrementFactor": 2.0,
            "rateIncreaseCriteria": {"numberOfSucceededThings": STEP},
        },
    },
    "timeoutConfig": {"inProgressTimeoutInMinutes": _DEVICE_LIMIT_MINUTES},
}
_ABORT: Final[dict[str, Any]] = {
    "criteriaList": [
        {
            "failureType": "ALL",
            "action": "CANCEL",
            "thresholdPercentage": _ABORT_PERCENT,
            "minNumberOfExecutedThings": _ABORT_LEAST,
        }
    ]
}


def _application(component: str, choice: ApplicationChoice) -> dict[str, Any]:
    configuration = choice.model_dump(mode="json", include={"bindings", "parameters", "task"})
    return _component(component, ComponentChoice(version=choice.version, configuration=configuration))


def _component(name: str, choice: ComponentChoice) -> dict[str, Any]:
    update: dict[str, Any] = {}
    if name.startswith(_OURS) or name == LOG_MANAGER:
        update["reset"] = [""]
    if choice.configuration:
        update["merge"] = json.dumps(choice.configuration, sort_keys=True, separators=(",", ":"))
    return {"componentVersion": choice.version} | ({"configurationUpdate": update} if update else {})
