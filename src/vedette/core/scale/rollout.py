"""How long a rollout takes where all goes well, and what it asks for. Pure."""

from __future__ import annotations

import math
from typing import Final

from vedette.contracts.rollout import GatePolicy
from vedette.contracts.scale import RingTime, RolloutScale, ScaleInputs
from vedette.core.fleet.document import FIRST_RATE, MAX_RATE, STEP

#: Requests of one check: the rollout, the ring's desired state and the last count are read, the newest deployment is
#: found, it and its job are looked up, and the rollout is written. A test counts them.
CALLS_PER_CHECK: Final = 7
#: Requests of the first step of a ring and of what follows its last check: the same for any size. A test counts them.
CALLS_PER_RING: Final = 15
#: Requests of the end.
CALLS_AT_END: Final = 4
#: From when a device is told until it has succeeded, and until its answer is counted, seconds: a guess for a ring.
_DEVICE_S: Final = 60.0
_MINUTE_S: Final = 60.0


def told_after_s(devices: int) -> float:
    """Seconds until the last of so many devices is told, by the rates of the deployment's document.

    The rate doubles each time that so many devices as its step have succeeded, which each does a minute after it was
    told. Up to the greatest rate this is counted minute by minute; beyond it, it is a division.
    """
    told = succeeded = doubled = 0
    rate, minutes, last = float(FIRST_RATE), 0, 0
    while told < devices:
        if rate >= MAX_RATE:
            return (minutes + (devices - told) / MAX_RATE) * _MINUTE_S
        now = min(devices - told, int(rate))
        told, succeeded, last = told + now, succeeded + last, now
        minutes += 1
        while rate < MAX_RATE and succeeded >= (doubled + 1) * STEP:
            doubled += 1
            rate = min(float(MAX_RATE), rate * 2)
    return minutes * _MINUTE_S


def ring_time(ring: str, devices: int, policy: GatePolicy) -> RingTime:
    """One ring."""
    if devices == 0:
        return RingTime(ring=ring, devices=0, told_after_s=0, passed_after_s=0, checks=1, fits_limit=True)
    told = told_after_s(devices)
    needed = told_after_s(max(1, math.ceil(devices * policy.least_succeeded)))
    # A count that began after the soak decides: one more check.
    passed = needed + _DEVICE_S + policy.soak_s + policy.check_every_s
    return RingTime(
        ring=ring,
        devices=devices,
        told_after_s=told,
        passed_after_s=passed,
        checks=math.ceil(passed / policy.check_every_s),
        fits_limit=passed < policy.timeout_s,
    )


def rollout_scale(inputs: ScaleInputs) -> RolloutScale:
    """A rollout to all rings with the default policy."""
    rings, left = [], inputs.devices
    for ring, share in inputs.rings.items():
        devices = min(left, round(inputs.devices * share))
        left -= devices
        rings.append((ring, devices))
    rings[-1] = (rings[-1][0], rings[-1][1] + left)
    times = tuple(ring_time(ring, devices, GatePolicy()) for ring, devices in rings)
    checks = sum(one.checks for one in times)
    return RolloutScale(
        rings=times,
        seconds=sum(one.passed_after_s for one in times),
        calls_per_check=CALLS_PER_CHECK,
        calls=checks * CALLS_PER_CHECK + len(times) * CALLS_PER_RING + CALLS_AT_END,
        artefact_gb=inputs.devices * inputs.release_mb / 1024,
    )
