"""Rules about distances need to know where the ground is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vedette.core.manifest_checks.finding import Finding
from vedette.core.manifest_checks.labels import unknown_labels
from vedette.core.manifest_checks.plain import dicts, model_labels, pipeline_of, texts


def check_ground(document: dict[str, Any]) -> Iterator[Finding]:
    """Rules about distances watch cameras whose ground is known, and classes that are kept."""
    cameras, pipelines, models = dicts(document, "cameras"), dicts(document, "pipelines"), dicts(document, "models")
    for name, rule in dicts(document, "rules").items():
        if rule.get("type") != "proximity":
            continue
        pipeline = pipelines.get(pipeline_of(rule, pipelines), {})
        watched = texts(rule.get("cameras")) or texts(pipeline.get("cameras"))
        for camera in watched:
            if camera in cameras and cameras[camera].get("ground") is None:
                text = f"camera {camera!r} has no `ground`, so nobody knows its metres"
                yield Finding(("rules", name), text, "`ground` in the camera: four points in the picture and in metres")
        known = model_labels(models.get(str(pipeline.get("model")), {"labels": None}))
        if known is not None:
            listed = texts(pipeline.get("labels")) or known
            wanted = pipeline_of(rule, pipelines)
            yield from unknown_labels(
                ("rules", name, "to"), rule.get("to"), listed, f"pipeline {wanted!r} does not keep the class"
            )
