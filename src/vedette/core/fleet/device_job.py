"""What the device agent does next with a job: a pure state machine.

    reboot   rebooting ─another boot─► done
    update   loading ─► applying ─► probation ─well for long enough─► confirming ─► done
                           └────────────┴─────────────────────────────► restoring ─► done

Whatever the machine sees is a value: what boot this is, what the helper answered, what is wrong with the device. So a
kill or a power cut at any point is nothing but the same look once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from vedette.contracts.device_job import MAX_DETAIL, DeviceJob, JobProgress, JobStatus, Stage, UpdateJob
from vedette.core.device_health import SILENT_S, WELL

#: How long the helper may take with a request, and the machine to restart, seconds.
ANSWER_S: Final = 1200.0
REBOOT_S: Final = 900.0
#: How long a package may take to arrive, seconds.
LOAD_S: Final = 3600.0
#: Restarts of the machine during a probation that are taken for chance.
BOOTS: Final = 2
_MAX_WRONG: Final = 8


class Ask(StrEnum):
    """What the agent does besides looking."""

    LOAD = "load"
    REBOOT = "reboot"
    APPLY = "apply"
    CONFIRM = "confirm"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the device is like at a moment.

    Attributes:
        boot_id: of this boot of the machine.
        now_s: monotonic, seconds, of this boot.
        answer: of the helper to this job's last request: ``done``, ``confirmed``, ``restored``, ``reverted``,
            ``refused``, ``failed``; empty where there is none yet.
        said: the helper's reason.
        wrong: what is wrong with the device.
        loaded: whether the package is there and is the right one.
        load_failure: why it cannot be had at all; empty where it may still come.
    """

    boot_id: str
    now_s: float
    answer: str = ""
    said: str = ""
    wrong: tuple[str, ...] = ()
    loaded: bool = False
    load_failure: str = ""


def begun(job_id: str, execution: int, job: DeviceJob, seen: Seen) -> tuple[JobProgress, Ask]:
    """A job that has just been taken, and what is to be done first. It is written down before that is done."""
    update = isinstance(job, UpdateJob)
    progress = JobProgress(
        job_id=job_id,
        execution=execution,
        job=job,
        stage=Stage.LOADING if update else Stage.REBOOTING,
        boot_id=seen.boot_id,
        since_s=seen.now_s,
        wrong_before=seen.wrong,
    )
    return progress, Ask.LOAD if update else Ask.REBOOT


def step(progress: JobProgress, seen: Seen) -> tuple[JobProgress, Ask | None]:
    """Where the job stands now, and what is to be done; None where nothing is."""
    return _STEPS[progress.stage](progress, seen)


def _loading(progress: JobProgress, seen: Seen) -> tuple[JobProgress, Ask | None]:
    if seen.loaded:
        return _to(progress, Stage.APPLYING, seen), Ask.APPLY
    if seen.load_failure:
        return _done(progress, JobStatus.FAILED, f"the package cannot be loaded: {seen.load_failure}"), None
    if progress.boot_id != seen.boot_id:  # the machine was restarted meanwhile
        return _to(progress, Stage.LOADING, seen), Ask.LOAD
    if seen.now_s - progress.since_s > LOAD_S:
        return _done(progress, JobStatus.FAILED, f"the package did not arrive within {LOAD_S:.0f} s"), None
    return progress, None


def _rebooting(progress: JobProgress, seen: Seen) -> tuple[JobProgress, Ask | None]:
    if progress.boot_id != seen.boot_id:
        return _done(progress, JobStatus.SUCCEEDED, "the machine was restarted"), None
    if seen.answer in {"refused", "failed"}:
        return _done(progress, JobStatus.FAILED, seen.said), None
    if seen.now_s - progress.since_s > REBOOT_S:
        return _done(progress, JobStatus.FAILED, f"the machine did not restart within {REBOOT_S:.0f} s"), None
    return progress, None


def _applying(progress: JobProgress, seen: Seen) -> tuple[JobProgress, Ask | None]:
    if seen.answer == "done":
        return _to(progress, Stage.PROBATION, seen), None
    if seen.answer in {"refused", "failed", "reverted"}:
        return _done(progress, JobStatus.FAILED, seen.said), None
    if progress.boot_id != seen.boot_id:
        return _restore(progress, seen, "the machine was restarted while the update was being put in")
    if seen.now_s - progress.since_s > ANSWER_S:
        return _restore(progress, seen, f"the helper did not answer within {ANSWER_S:.0f} s")
    return progress, None


def _probation(progress: JobProgress, seen: Seen) -> tuple[JobProgress, Ask | None]:
    assert isinstance(progress.job, UpdateJob)
    if seen.answer == "reverted":
        return _done(progress, JobStatus.FAILED, f"the previous one was put back: {seen.said}"), None
    if progress.boot_id != seen.boot_id:
        if progress.boots >= BOOTS:
            return _restore(progress, seen, "the machine restarts again and again")
        return _to(progress, Stage.PROBATION, seen).model_copy(update={"boots": progress.boots + 1}), None
    fresh = [one for one in seen.wrong if one not in progress.wrong_before]
    if not fresh:
        since_s = progress.well_since_s if progress.well_since_s is not None else seen.now_s
        if seen.now_s - since_s >= progress.job.probation_s:
            return _to(progress, Stage.CONFIRMING, seen), Ask.CONFIRM
        return progress.model_copy(update={"well_since_s": since_s}), None
    if seen.now_s - progress.since_s > progress.job.probation_s + progress.job.settle_s:
        return _restore(progress, seen, f"not well with it: {', '.join(fresh[:_MAX_WRONG])}")
    return progress.model_copy(update={"well_since_s": None}), None


def _confirming(progress: JobProgress, seen: Seen) -> tuple[JobProgress, Ask | None]:
    assert isinstance(progress.job, UpdateJob)
    if seen.answer == "confirmed":
        return _done(progress, JobStatus.SUCCEEDED, f"{progress.job.kind} {progress.job.version} runs"), None
    if seen.answer in {"refused", "failed", "reverted"}:
        return _done(progress, JobStatus.FAILED, seen.said), None
    if progress.boot_id != seen.boot_id:  # the request may have been lost
        return _to(progress, Stage.CONFIRMING, seen), Ask.CONFIRM
    if seen.now_s - progress.since_s > ANSWER_S:
        return _restore(progress, seen, "the helper does not answer")
    return progress, None


def _restoring(progress: JobProgress, seen: Seen) -> tuple[JobProgress, Ask | None]:
    after = {
        "restored": "the previous one was put back",
        "reverted": "the previous one was put back",
        "refused": f"nothing was put back: {seen.said}",
        "failed": seen.said,
    }.get(seen.answer)
    if after is not None:
        return _done(progress, JobStatus.FAILED, f"{progress.reason}; {after}"), None
    if progress.boot_id != seen.boot_id:
        return _to(progress, Stage.RESTORING, seen), Ask.RESTORE
    if seen.now_s - progress.since_s > ANSWER_S:
        return _done(progress, JobStatus.FAILED, f"{progress.reason}; the helper does not answer"), None
    return progress, None


def _finished(progress: JobProgress, _: Seen) -> tuple[JobProgress, Ask | None]:
    return progress, None


_STEPS: Final = {
    Stage.LOADING: _loading,
    Stage.REBOOTING: _rebooting,
    Stage.APPLYING: _applying,
    Stage.PROBATION: _probation,
    Stage.CONFIRMING: _confirming,
    Stage.RESTORING: _restoring,
    Stage.DONE: _finished,
}


def _to(progress: JobProgress, stage: Stage, seen: Seen) -> JobProgress:
    changes = {"stage": stage, "boot_id": seen.boot_id, "since_s": seen.now_s, "well_since_s": None}
    return progress.model_copy(update=changes)


def _restore(progress: JobProgress, seen: Seen, reason: str) -> tuple[JobProgress, Ask | None]:
    after = _to(progress, Stage.RESTORING, seen).model_copy(update={"reason": reason[:MAX_DETAIL]})
    return after, Ask.RESTORE


def _done(progress: JobProgress, status: JobStatus, reason: str) -> JobProgress:
    return progress.model_copy(update={"stage": Stage.DONE, "status": status, "reason": reason[:MAX_DETAIL]})


def wrong_with(components: Mapping[str, Mapping[str, Any]], now_s: float) -> tuple[str, ...]:
    """What is wrong with a device, in words that are the same as long as it is.

    Args:
        components: their status files, by component.
        now_s: seconds since 1970.
    """
    return tuple(sorted(_wrong(components, now_s)))


def _wrong(components: Mapping[str, Mapping[str, Any]], now_s: float) -> Iterable[str]:
    for name, status in components.items():
        written_s = status.get("wall_s")
        if not isinstance(written_s, int | float) or now_s - written_s > SILENT_S:
            yield f"{name} is silent"
        cameras, models = status.get("cameras"), status.get("models")
        for camera in cameras if isinstance(cameras, list) else ():
            if isinstance(camera, dict) and str(camera.get("state")) not in WELL:
                yield f"camera {camera.get('camera')} does not stream"
        for model, state in models.items() if isinstance(models, dict) else ():
            if isinstance(state, dict) and state.get("state") in {"FAILED", "RESTARTING", "DEGRADED"}:
                yield f"model {model} does not run well"
        programs = status.get("panorama")
        for name, state in programs.items() if isinstance(programs, dict) else ():
            if isinstance(state, dict) and state.get("state") in {"FAILED", "RESTARTING", "REFUSED"}:
                yield f"Panorama code of {name} does not run well"
