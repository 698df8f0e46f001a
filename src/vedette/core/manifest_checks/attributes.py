"""What a pipeline finds out about its objects, and rules that ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vedette.contracts.manifest import BUILT_IN, ModelFamily
from vedette.contracts.tracks import TEXT
from vedette.core.manifest_checks.finding import Finding, Path, near_miss
from vedette.core.manifest_checks.labels import unknown_labels
from vedette.core.manifest_checks.plain import dicts, model_labels, number, pipeline_of, some, texts, watching
from vedette.core.symbologies import SYMBOLOGIES

#: Families that tell a picture's class rather than where objects are.
_WHOLE_PICTURE: Final = ("classifier",)
#: Families that a detector of parts can be of: all that find objects and come as a file.
_FINDS_OBJECTS: Final = tuple(
    family.value for family in ModelFamily if family not in BUILT_IN and family.value not in _WHOLE_PICTURE
)
#: A colour of one's own that reaches so far down takes in greys and blacks, which are everywhere.
_GREY: Final = 0.15
_DARK: Final = 0.15


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
            values, findings = _look(path, settings, models)
            told[name][attribute] = values
            yield from findings
    for name, model in models.items():
        if model.get("family") == "codes":
            yield from unknown_labels(
                ("models", name, "labels"), model.get("labels"), SYMBOLOGIES, "there is no code of the kind"
            )
    yield from _conditions(document, pipelines, told)
    yield from _read_attributes(document, pipelines, told)


def _look(
    path: Path, settings: dict[str, Any], models: dict[str, dict[str, Any]]
) -> tuple[tuple[str, ...] | None, list[Finding]]:
    """Values that an attribute can have, None where that cannot be said, and what is wrong with it."""
    kind = settings.get("type")
    if kind == "codes":
        text = "there is no code of the kind"
        return None, list(unknown_labels((*path, "formats"), settings.get("formats"), SYMBOLOGIES, text))
    if kind == "colour":
        said = (settings.get("present", "yes"), settings.get("absent", "no"))
        return texts(list(said)), list(_wide_colours(path, settings))
    model = models.get(str(settings.get("model")))
    if kind not in ("classifier", "detector") or model is None:
        return None, []
    families = _WHOLE_PICTURE if kind == "classifier" else _FINDS_OBJECTS
    family = model.get("family")
    if family in tuple(ModelFamily) and family not in families:
        found = f"model {settings['model']!r} is of the family {family!r}"
        names = ", ".join(families[:-1]) + (" or " if families[1:] else "") + families[-1]
        return None, [Finding((*path, "model"), found, f"a model of the family {names}")]
    known, classes = model_labels(model), settings.get("classes")
    if kind == "classifier":
        return known, []
    if not isinstance(classes, dict) or not classes:
        return None, []
    unknown = [str(label) for label in classes if known is not None and label not in known]
    text = f"model {settings['model']!r} does not know the class"
    return texts(list(classes.values())), [
        Finding((*path, "classes", label), f"{text} {label!r}", some(known or ()), near_miss(label, known or ()))
        for label in unknown
    ]


def _wide_colours(path: Path, settings: dict[str, Any]) -> Iterator[Finding]:
    """Warnings about colours that are no colours."""
    colours = settings.get("colours")
    for index, colour in enumerate(colours if isinstance(colours, list) else ()):
        if not isinstance(colour, dict):
            continue
        lows = [
            number(pair[0]) if isinstance(pair, list) and pair else number(usual)
            for pair, usual in ((colour.get("saturation"), 0.45), (colour.get("brightness"), 0.4))
        ]
        if lows[0] is not None and lows[1] is not None and lows[0] < _GREY and lows[1] < _DARK:
            text = f"takes in grey and black (saturation from {lows[0]:g}, brightness from {lows[1]:g})"
            allowed = f"saturation from {_GREY:g} up, or brightness from {_DARK:g} up"
            yield Finding((*path, "colours", index), text, allowed, level="warning")


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
