"""How a model becomes ready for a kind of device: compiled by Neo, taken as ONNX, or refused with what would work."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vedette.contracts.model_card import Framework, ModelCard, Target
from vedette.core.fleet.neo import NeoJob, neo_job, neo_objection
from vedette.core.fleet.targets import TARGETS


class Path(StrEnum):
    """The way a model takes."""

    NEO = "neo"
    ONNX = "onnx"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """What happens for one target.

    Attributes:
        target: kind of device.
        path: the way.
        runtime: what runs it on the device, ``dlr`` or ``onnxruntime``; empty where nothing does.
        reason: why this way, and what the device needs; of a refusal, why and what would work.
        job: for Neo.
    """

    target: Target
    path: Path
    runtime: str
    reason: str
    job: NeoJob | None = None


def plan_target(card: ModelCard, target: Target) -> TargetPlan:
    """Decide. An ONNX model goes to ONNX Runtime where that runs on the processor alone, which needs no job."""
    facts = TARGETS[target]
    objection = neo_objection(card, target)
    is_onnx = card.framework is Framework.ONNX
    if not objection and not (is_onnx and not facts.sm):
        needs = f"On the device: {facts.system}, with the DLR runtime."
        return TargetPlan(target, Path.NEO, "dlr", f"Neo compiles it. {needs}", neo_job(card, target))
    if is_onnx and facts.runs_onnx:
        return TargetPlan(target, Path.ONNX, "onnxruntime", _onnx_reason(target, objection))
    return TargetPlan(target, Path.REFUSED, "", _refusal(card, target, objection))


def plan(card: ModelCard) -> tuple[TargetPlan, ...]:
    """For each of the model's targets, in their order."""
    return tuple(plan_target(card, target) for target in card.targets)


def _onnx_reason(target: Target, objection: str) -> str:
    facts = TARGETS[target]
    system = facts.onnx_system or facts.system
    why = f"{objection}; " if objection and facts.sm else ""
    gpu = f" GPU: {facts.gpu_wheel}." if facts.sm else ""
    text = f"{why}ONNX Runtime runs it. On the device: {system}.{gpu}"
    return text[:1].upper() + text[1:]


def _refusal(card: ModelCard, target: Target, objection: str) -> str:
    facts = TARGETS[target]
    if card.framework is Framework.ONNX:
        why = f"{objection}; ONNX Runtime's wheels do not load on {facts.system}"
    else:
        why = f"{objection}; only ONNX models run without Neo" if facts.neo is None else objection
    return f"{target.value} cannot run it: {why}. What would work: {'; '.join(_ways(card, target))}."


def _ways(card: ModelCard, target: Target) -> list[str]:
    """What the model's author could do, the nearest first."""
    facts = TARGETS[target]
    ways: list[str] = []
    if facts.runs_onnx and card.framework is not Framework.ONNX:
        ways.append(f"an export to ONNX for {target.value}")
    if facts.neo is not None and facts.sm and not facts.runs_onnx:
        ways.append(f"for {target.value} the same network traced with PyTorch 1.8 or earlier (.pth, float32, NCHW)")
    others = [
        other.value
        for other in TARGETS
        if other is not target
        and (not neo_objection(card, other) or (card.framework is Framework.ONNX and TARGETS[other].runs_onnx))
    ]
    if others:
        ways.append(f"this file for {', '.join(others)}")
    return ways
