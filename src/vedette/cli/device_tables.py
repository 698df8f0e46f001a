"""The tables of ``docs/devices.md``, from the data that decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from vedette.core.fleet.neo import MAX_OPSET, NEO_FRAMEWORKS
from vedette.core.fleet.targets import TARGETS, TargetFacts

#: Below it the tables stand.
MARKER: Final = "<!-- tables: made by `vedette schema devices` -->\n\n"


def device_tables() -> str:
    """Devices, then frameworks."""
    return f"## Kinds of devices\n\n{_devices()}\n## What SageMaker Neo lists\n\n{_frameworks()}"


def _devices() -> str:
    head = ("target", "devices", "system", "Python · glibc · CUDA", "GPU", "ONNX Runtime", "GPU wheel", "Neo")
    return _table(head, (_device(facts) for facts in TARGETS.values()))


def _device(facts: TargetFacts) -> tuple[str, ...]:
    versions = " · ".join(filter(None, (facts.python, f"{facts.glibc[0]}.{facts.glibc[1]}", facts.cuda)))
    if not facts.runs_onnx:
        onnx = "no: its wheels need glibc 2.28"
    else:
        onnx = f"with {facts.onnx_system}" if facts.onnx_system else "yes"
    if facts.neo is None:
        neo = "not listed"
    elif facts.neo.device:
        neo = f"`{facts.neo.device}`, TensorRT {facts.neo.trt_ver}, CUDA {facts.neo.cuda_ver}"
    else:
        neo = f"`LINUX` `{facts.neo.arch}`, processor"
    return (
        f"`{facts.target.value}`",
        facts.device,
        facts.system,
        versions,
        facts.sm or "none",
        onnx,
        facts.gpu_wheel or "none",
        neo,
    )


def _frameworks() -> str:
    rows = []
    for framework, listed in NEO_FRAMEWORKS.items():
        newest = ", ".join(f"{major}.{minor}" for major, minor in listed.versions) or "any"
        if framework.value == "onnx":
            newest = f"1.7 (opset {MAX_OPSET}) or earlier"
        elif listed.versions:
            newest += " or earlier"
        tasks = "classification, detection" if listed.detection else "classification"
        rows.append((f"`{framework.value}`", newest, tasks, f"one `{listed.file}`" if listed.file else "a `.tar.gz`"))
    return _table(("framework", "versions", "tasks", "file"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
