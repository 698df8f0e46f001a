"""What a device's components left in their status files, as one message for the account. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vedette.contracts.camera import CameraState
from vedette.contracts.device_health import (
    MAX_CAMERAS,
    MAX_HEALTH_BYTES,
    MAX_MODELS,
    MAX_PROBLEMS,
    MAX_TEXT,
    AlertingDigest,
    DeviceHealth,
    ModelHealth,
)
from vedette.contracts.health import AlertingHealth
from vedette.core.messages import one_line
from vedette.core.plan_candidates import SUFFIX

#: A component writes its status once a second; one that was silent for so long is stuck or gone.
SILENT_S: Final = 15.0
#: States of a camera in which nothing is wrong: it streams, nobody wants it to, or its file is over.
WELL: Final = frozenset({CameraState.STREAMING, CameraState.DISABLED, CameraState.ENDED})
_RUNNING: Final = "RUNNING"
_KEY: Final = 64
_MAX_SILENT: Final = 8


def digest(health: AlertingHealth) -> AlertingDigest:
    """Of the alerting side, what the account acts on."""
    ages = [one.oldest_age_s for one in health.receivers.values() if one.oldest_age_s is not None]
    return AlertingDigest(
        durable=health.durable,
        pending=max((one.pending for one in health.receivers.values()), default=0),
        oldest_age_s=round(max(ages), 1) if ages else None,
        volatile=health.volatile,
        evicted=sum(health.evicted.values()),
        dead_letters=health.dead_letters,
        outbox_bytes=health.outbox_bytes,
        lag_s=health.lag_s,
        not_analysed_s=health.not_analysed_s,
        unjudged=health.unjudged,
        reports_pending=health.reports_pending,
        reports_dropped=health.reports_dropped,
    )


def device_health(
    alerting: AlertingHealth,
    components: Mapping[str, Mapping[str, Any]],
    *,
    version: str,
    now_s: float,
    machine: Mapping[str, Any],
) -> DeviceHealth:
    """Everything in one message, which may be larger than a message may be: see ``fitted``.

    Args:
        alerting: of the component that sends it.
        components: status files by component; what in them has another form than expected is left out.
        version: of the components.
        now_s: seconds since 1970.
        machine: fields of ``DeviceHealth`` about the machine: disk, memory, load, temperature_c.
    """
    cameras = _cameras(components.get("vedette.CameraIngest", {}))
    models = _models(components.get("vedette.Inference", {}), components.get("vedette.AppHost", {}))
    problems = list(alerting.problems)
    for status in components.values():
        said = status.get("problems")
        problems += [text for text in said if isinstance(text, str)] if isinstance(said, list) else []
    return DeviceHealth(
        time=alerting.time,
        device=alerting.device,
        version=version[:32],
        alerting=digest(alerting),
        silent=_silent(components, now_s),
        cameras=dict(list(cameras.items())[:MAX_CAMERAS]),
        cameras_total=len(cameras),
        cameras_down=sum(state not in WELL for state in cameras.values()),
        models=dict(list(models.items())[:MAX_MODELS]),
        models_total=len(models),
        problems=tuple(dict.fromkeys(one_line(text, MAX_TEXT) for text in problems))[:MAX_PROBLEMS],
        **machine,
    )


def fitted(health: DeviceHealth, limit: int = MAX_HEALTH_BYTES) -> bytes:
    """The message as JSON of at most ``limit`` bytes.

    Problems go first, from the last on, then cameras and models from the last on, the well ones being last; the
    totals stay. What is left at the end is far below the limit.
    """
    while len(body := health.model_dump_json(exclude_none=True).encode()) > limit:
        if health.problems:
            health = health.model_copy(update={"problems": health.problems[:-1]})
        elif len(health.cameras) >= len(health.models) and health.cameras:
            health = health.model_copy(update={"cameras": dict(list(health.cameras.items())[:-1])})
        elif health.models:
            health = health.model_copy(update={"models": dict(list(health.models.items())[:-1])})
        else:
            break
    return body


def _silent(components: Mapping[str, Mapping[str, Any]], now_s: float) -> tuple[str, ...]:
    found = []
    for name, status in sorted(components.items()):
        written_s = status.get("wall_s")
        if not isinstance(written_s, int | float) or now_s - written_s > SILENT_S:
            found.append(name[:_KEY])
    return tuple(found[:_MAX_SILENT])


def _cameras(status: Mapping[str, Any]) -> dict[str, CameraState]:
    found: dict[str, CameraState] = {}
    entries = status.get("cameras")
    for entry in entries if isinstance(entries, list) else ():
        state, name = (entry.get("state"), entry.get("camera")) if isinstance(entry, dict) else (None, None)
        if isinstance(name, str) and isinstance(state, str) and state in set(CameraState):
            found[name[:_KEY]] = CameraState(state)
    return dict(sorted(found.items(), key=lambda item: (item[1] in WELL, item[0])))


def _models(status: Mapping[str, Any], code: Mapping[str, Any]) -> dict[str, ModelHealth]:
    """Sessions, and Panorama code, which calls its models itself."""
    found: dict[str, ModelHealth] = {}
    programs = code.get("panorama")
    for name, entry in programs.items() if isinstance(programs, dict) else ():
        if isinstance(entry, dict):
            found[f"panorama:{name}"[:_KEY]] = ModelHealth(
                state=str(entry.get("state", "?"))[:32],
                code=str(entry.get("code", ""))[:8],
                p50_ms=_highest([entry], "call_p50_ms"),
            )
    entries = status.get("models")
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        if not isinstance(entry, dict) or str(name).endswith(SUFFIX):
            continue  # a candidate may be slow, and tells itself what is wrong with it
        cameras = entry.get("cameras")
        figures = [one for one in cameras.values() if isinstance(one, dict)] if isinstance(cameras, dict) else []
        found[str(name)[:_KEY]] = ModelHealth(
            state=str(entry.get("state", "?"))[:32],
            code=str(entry.get("code", ""))[:8],
            p50_ms=_highest(figures, "inference_p50_ms"),
            p99_ms=_highest(figures, "inference_p99_ms"),
            age_p99_ms=_highest(figures, "age_p99_ms"),
        )
    return dict(sorted(found.items(), key=lambda item: (item[1].state == _RUNNING, item[0])))


def _highest(figures: list[dict[str, Any]], name: str) -> float | None:
    values = [value for one in figures if isinstance(value := one.get(name), int | float) and value >= 0]
    return round(max(values), 1) if values else None
