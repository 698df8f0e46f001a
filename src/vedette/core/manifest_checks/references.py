"""Every name used is a name given."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from vedette.contracts.manifest import Manifest
from vedette.core.manifest_checks.finding import Finding, Path, near_miss
from vedette.core.manifest_checks.plain import dicts, get, pipeline_of, section, texts, watching


def check_references(document: dict[str, Any]) -> Iterator[Finding]:
    """Every name used is a name given, and rules watch cameras that their pipeline analyses."""
    cameras, models = section(document, "cameras"), section(document, "models")
    actions = section(document, "actions") or {"file": {}}
    pipelines = dicts(document, "pipelines")
    raising = {**section(document, "rules"), **section(document, "hooks")}
    known = {
        "model": models,
        "camera": cameras,
        "pipeline": pipelines,
        "action": actions,
        "rule or hook": raising,
    }
    for path, message in _reference_mistakes(document, cameras, models, actions):
        kind = next((kind for kind in known if message.startswith(f"no {kind} ")), None)
        if message.startswith("a rule is called"):
            yield Finding(path, message, "a name that no rule has")
            continue
        if kind is None:
            yield Finding(path, "`pipeline` is missing, and there is more than one pipeline", ", ".join(pipelines))
            continue
        text, _, allowed = message.partition("; there is ")
        near = near_miss(str(get(document, path)), known[kind])
        yield Finding(path, text, allowed, near)
    for part, name, entry in watching(document):
        wanted = pipeline_of(entry, pipelines)
        pipeline = pipelines.get(wanted)
        if pipeline is None:
            continue
        served = texts(pipeline.get("cameras"))
        for index, camera in enumerate(texts(entry.get("cameras"))):
            if camera in cameras and camera not in served:
                yield Finding(
                    (part, name, "cameras", index),
                    f"camera {camera!r} is not analysed by the {part.removesuffix('s')}'s pipeline {wanted!r}",
                    ", ".join(served),
                    near_miss(camera, served),
                )


def _reference_mistakes(
    document: dict[str, Any], cameras: dict[str, Any], models: dict[str, Any], actions: dict[str, Any]
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
    evidence = SimpleNamespace(rules=texts(section(document, "evidence").get("rules")))
    stand_in = SimpleNamespace(
        cameras=cameras, models=models, pipelines=pipelines, actions=actions, evidence=evidence, **entries
    )
    mistakes = Manifest.reference_mistakes(cast(Manifest, stand_in))
    return [(path, text) for path, text in mistakes if pipelines or "`pipeline` is needed" not in text]
