"""Every name used is a name given."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final, cast

from vedette.contracts.manifest import Manifest
from vedette.contracts.manifest.references import NO_PIPELINE, WHICH_PIPELINE, reference_mistakes
from vedette.core.manifest_checks.finding import Finding, Path, near_miss
from vedette.core.manifest_checks.plain import dicts, get, pipeline_of, section, sources_of, texts, watching

#: Mistakes that are no unknown name: what was found, what is allowed.
_WORDS: Final = {
    NO_PIPELINE: ("`pipelines` is missing", "at least one pipeline, or `panorama`"),
}


def check_references(document: dict[str, Any]) -> Iterator[Finding]:
    """Every name used is a name given, and rules watch cameras that their pipeline analyses."""
    cameras, models = section(document, "cameras"), section(document, "models")
    actions = section(document, "actions") or {"file": {}}
    sources = sources_of(document)
    raising = {**section(document, "rules"), **section(document, "hooks")}
    known = {
        "model": models,
        "camera": cameras,
        "parameter": section(document, "parameters"),
        "pipeline": sources,
        "action": actions,
        "rule or hook": raising,
    }
    for path, message in _reference_mistakes(document, cameras, actions):
        kind = next((kind for kind in known if message.startswith(f"no {kind} ")), None)
        if message == WHICH_PIPELINE:
            yield Finding(path, "`pipeline` is missing, and there is more than one pipeline", ", ".join(sources))
            continue
        if kind is None:
            yield Finding(path, *_WORDS.get(message, (message, "")))
            continue
        text, _, allowed = message.partition("; there is ")
        near = near_miss(str(get(document, path)), known[kind])
        yield Finding(path, text, allowed, near)
    for part, name, entry in watching(document):
        wanted = pipeline_of(entry, sources)
        served = sources.get(wanted)
        if served is None:
            continue
        for index, camera in enumerate(texts(entry.get("cameras"))):
            if camera in cameras and camera not in served:
                yield Finding(
                    (part, name, "cameras", index),
                    f"camera {camera!r} is not analysed by the {part.removesuffix('s')}'s pipeline {wanted!r}",
                    ", ".join(served),
                    near_miss(camera, served),
                )


def _reference_mistakes(
    document: dict[str, Any], cameras: dict[str, Any], actions: dict[str, Any]
) -> list[tuple[Path, str]]:
    """The contract's own check, on a stand-in that holds whatever part of the file has the right type."""

    def optional(value: Any) -> Any:
        return texts(value) if isinstance(value, list) else None

    pipelines = {
        name: SimpleNamespace(
            model=entry.get("model"),
            cameras=texts(entry.get("cameras")),
            attributes={
                key: SimpleNamespace(model=settings["model"])
                for key, settings in dicts(entry, "attributes").items()
                if isinstance(settings.get("model"), str)
            },
        )
        for name, entry in dicts(document, "pipelines").items()
        if isinstance(entry.get("model"), str)
    }
    entries: dict[str, dict[str, Any]] = {"rules": {}, "insights": {}}
    for part, name, entry in watching(document):
        if isinstance(entry.get("pipeline"), str | None):
            entries[part][name] = SimpleNamespace(
                pipeline=entry.get("pipeline"),
                cameras=optional(entry.get("cameras")),
                actions=optional(entry.get("actions")),
            )
    entries["hooks"] = {
        name: SimpleNamespace(
            pipelines=optional(entry.get("pipelines")),
            cameras=texts(entry.get("cameras")),
            actions=optional(entry.get("actions")),
        )
        for name, entry in dicts(document, "hooks").items()
    }
    stand_in = SimpleNamespace(
        cameras=cameras,
        models={name: SimpleNamespace(family=entry.get("family")) for name, entry in dicts(document, "models").items()},
        pipelines=pipelines,
        parameters=section(document, "parameters"),
        panorama=_panorama(document.get("panorama")),
        actions=actions,
        evidence=SimpleNamespace(rules=texts(section(document, "evidence").get("rules"))),
        **entries,
    )
    mistakes = reference_mistakes(cast(Manifest, stand_in))
    if document.get("pipelines") and not pipelines:  # they have mistakes of their own
        mistakes = [one for one in mistakes if one[1] not in (NO_PIPELINE, WHICH_PIPELINE)]
    return mistakes


def _panorama(given: Any) -> Any:
    """What stands for the section ``panorama``; None where there is none."""
    if not isinstance(given, dict):
        return None
    inputs = {port: texts(cameras) for port, cameras in section(given, "inputs").items()}
    return SimpleNamespace(
        inputs=inputs,
        cameras=tuple(dict.fromkeys(camera for cameras in inputs.values() for camera in cameras)),
        parameters={
            port: SimpleNamespace(parameter=name if isinstance(name := entry.get("parameter"), str) else None)
            for port, entry in dicts(given, "parameters").items()
        },
        models={node: name for node, name in section(given, "models").items() if isinstance(name, str)},
        outputs=texts(given.get("outputs")),
    )
