"""What a pipeline finds out about its objects, and rules that ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vedette.contracts.tracks import TEXT
from vedette.core.manifest_checks.finding import Finding, near_miss
from vedette.core.manifest_checks.labels import unknown_labels
from vedette.core.manifest_checks.plain import dicts, model_labels, pipeline_of, some, watching
from vedette.core.symbologies import SYMBOLOGIES

#: Families that tell a picture's class rather than where objects are.
_WHOLE_PICTURE: Final = ("classifier",)


def check_attributes(document: dict[str, Any]) -> Iterator[Finding]:
    """Attributes have models that can tell them; rules and insights ask for what is told."""
    pipelines, models = dicts(document, "pipelines"), dicts(document, "models")
    told: dict[str, dict[str, tuple[str, ...] | None]] = {}
    for name, pipeline in pipelines.items():
        detector = models.get(str(pipeline.get("model")), {})
        told[name] = {TEXT: None} if detector.get("family") == "codes" else {}
        known = model_labels(detector) if detector else None
        for attribute, settings in dicts(pipeline, "attributes").items():
            path = ("pipelines", name, "attributes", attribute)
            if known is not None:
                text = f"model {pipeline['model']!r} does not know the class"
                yield from unknown_labels((*path, "labels"), settings.get("labels"), known, text)
            told[name][attribute] = None
            if settings.get("type") == "classifier":
                model = models.get(str(settings.get("model")))
                if model is not None and model.get("family") not in _WHOLE_PICTURE:
                    found = f"model {settings['model']!r} is of the family {model.get('family')!r}"
                    yield Finding((*path, "model"), found, "a model of the family classifier")
                elif model is not None:
                    told[name][attribute] = model_labels(model)
            elif settings.get("type") == "codes":
                yield from unknown_labels(
                    (*path, "formats"), settings.get("formats"), SYMBOLOGIES, "there is no code of the kind"
                )
    for name, model in models.items():
        if model.get("family") == "codes":
            yield from unknown_labels(
                ("models", name, "labels"), model.get("labels"), SYMBOLOGIES, "there is no code of the kind"
            )
    yield from _conditions(document, pipelines, told)
    yield from _read_attributes(document, pipelines, told)


def _read_attributes(
    document: dict[str, Any],
    pipelines: dict[str, dict[str, Any]],
    told: dict[str, dict[str, tuple[str, ...] | None]],
) -> Iterator[Finding]:
    """Rules about codes name an attribute that holds a text."""
    for name, rule in dicts(document, "rules").items():
        wanted = pipeline_of(rule, pipelines)
        if rule.get("type") != "code_read" or wanted not in told:
            continue
        attribute = rule.get("attribute", TEXT)
        texts = tuple(key for key, values in told[wanted].items() if values is None)
        if attribute not in texts:
            yield Finding(
                ("rules", name, *(("attribute",) if "attribute" in rule else ())),
                f"pipeline {wanted!r} reads no text {attribute!r}",
                some(texts) or "a model of the family codes, or an attribute of the type codes",
                near_miss(str(attribute), texts),
            )


def _conditions(
    document: dict[str, Any],
    pipelines: dict[str, dict[str, Any]],
    told: dict[str, dict[str, tuple[str, ...] | None]],
) -> Iterator[Finding]:
    for part, name, entry in watching(document):
        wanted, where = pipeline_of(entry, pipelines), entry.get("where")
        if wanted not in told or not isinstance(where, dict):
            continue
        for attribute, values in where.items():
            path = (part, name, "where", attribute)
            if attribute not in told[wanted]:
                names = tuple(told[wanted])
                allowed = some(names) or "no attribute: the pipeline has no `attributes`"
                text = f"pipeline {wanted!r} does not tell {attribute!r}"
                yield Finding(path, text, allowed, near_miss(str(attribute), names))
                continue
            possible = told[wanted][attribute]
            if possible is not None:
                yield from unknown_labels(path, values, possible, f"attribute {attribute!r} never has")
