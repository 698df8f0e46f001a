"""Every class that is asked for exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vedette.core.manifest_checks.finding import Finding, Path, near_miss
from vedette.core.manifest_checks.plain import dicts, model_labels, pipeline_of, some, texts, watching


def check_labels(document: dict[str, Any]) -> Iterator[Finding]:
    """Every class that is asked for is one that the model knows and the pipeline keeps."""
    pipelines, models = dicts(document, "pipelines"), dicts(document, "models")
    kept: dict[str, tuple[str, ...]] = {}
    for name, pipeline in pipelines.items():
        model = models.get(str(pipeline.get("model")))
        if model is None:
            continue
        known = model_labels(model)
        if known is None:
            continue
        wanted = pipeline.get("labels")
        yield from unknown_labels(
            ("pipelines", name, "labels"), wanted, known, f"model {pipeline['model']!r} does not know the class"
        )
        listed = texts(wanted)
        kept[name] = tuple(label for label in known if not listed or label in listed)
    for part, name, entry in watching(document):
        wanted = pipeline_of(entry, pipelines)
        if wanted in kept:
            text = f"pipeline {wanted!r} does not keep the class"
            yield from unknown_labels((part, name, "labels"), entry.get("labels"), kept[wanted], text)


def unknown_labels(path: Path, labels: Any, known: tuple[str, ...], text: str) -> Iterator[Finding]:
    """Findings for every entry of a list that is not known; ``text`` stands before the entry."""
    if not isinstance(labels, list):
        return
    for index, label in enumerate(labels):
        if isinstance(label, str) and label not in known:
            yield Finding((*path, index), f"{text} {label!r}", some(known), near_miss(label, known))
