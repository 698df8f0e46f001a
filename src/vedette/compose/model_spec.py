"""What a model's process is told, and what it tells."""

from __future__ import annotations

from enum import StrEnum

from vedette.contracts.base import Contract


class ModelSpec(Contract):
    """What a model's process is told on its standard input.

    Attributes:
        key: ``ModelPlan.key``.
        state_directory: journal, plan, sockets.
        model_directory: the model store.
        threads: analyses at the same time.
        publish_tracks: whether batches are sent to the supervisor too.
        dlr_python: interpreter that runs what Neo compiled.
        background: whether every other process of the device goes before this one.
        gpu: number of the graphics processor.
        gpu_memory_bytes: limit of the CUDA provider's memory; 0 is none.
        engine_workspace_bytes: memory TensorRT may try out while it builds; 0 leaves it to TensorRT.
        passed: mark of what the process before ran well; empty: everything is tried first.
        passed_run_s: what one run of it takes.
        passed_parts: marks of the models of attributes that it ran well.
    """

    key: str
    state_directory: str
    model_directory: str
    threads: int
    publish_tracks: bool = False
    dlr_python: str = "/usr/bin/python3"
    background: bool = False
    gpu: int = 0
    gpu_memory_bytes: int = 0
    engine_workspace_bytes: int = 0
    passed: str = ""
    passed_run_s: float = 0.0
    passed_parts: tuple[str, ...] = ()


class ModelState(StrEnum):
    """Where a model's process stands."""

    WAITING = "WAITING"
    LOADING = "LOADING"
    BUILDING = "BUILDING"
    RUNNING = "RUNNING"
    DEGRADED = "DEGRADED"
    FAILED = "FAILED"
