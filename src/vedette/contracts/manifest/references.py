"""The references between the parts of a manifest: every name used is a name given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from vedette.contracts.manifest.models import ModelFamily

if TYPE_CHECKING:
    from vedette.contracts.manifest.application import Manifest
    from vedette.contracts.manifest.watching import Watching

#: Where in the manifest, and what is wrong there.
Mistake = tuple[tuple[str | int, ...], str]

NO_PIPELINE: Final = "there must be at least one, or a `panorama` section"
WHICH_PIPELINE: Final = "`pipeline` is needed because there is more than one"


def track_sources(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """What rules, insights and hooks can listen to, with its cameras: pipelines, and outputs of ``panorama``."""
    sources = {name: pipeline.cameras for name, pipeline in manifest.pipelines.items()}
    if manifest.panorama is not None:
        sources |= {name: manifest.panorama.cameras for name in manifest.panorama.outputs if name not in sources}
    return sources


def reference_mistakes(manifest: Manifest) -> list[Mistake]:
    """Names that are used but not given.

    Args:
        manifest: the manifest, or what has those of its attributes that could be read.
    """
    if not manifest.pipelines and manifest.panorama is None:
        return [(("pipelines",), NO_PIPELINE)]
    sources = track_sources(manifest)
    return [
        *_of_pipelines(manifest),
        *_of_watching(manifest, sources),
        *_of_hooks(manifest, sources),
        *_of_panorama(manifest),
    ]


def _unknown(path: tuple[str | int, ...], kind: str, name: str, known: Mapping[str, object]) -> Iterator[Mistake]:
    if name not in known:
        yield path, f"no {kind} is called {name!r}; there is {', '.join(sorted(known)) or 'none'}"


def _of_pipelines(manifest: Manifest) -> Iterator[Mistake]:
    for key, pipeline in manifest.pipelines.items():
        yield from _unknown(("pipelines", key, "model"), "model", pipeline.model, manifest.models)
        for index, camera in enumerate(pipeline.cameras):
            yield from _unknown(("pipelines", key, "cameras", index), "camera", camera, manifest.cameras)
        for name, settings in pipeline.attributes.items():
            model = getattr(settings, "model", None)
            if model is not None:
                path = ("pipelines", key, "attributes", name, "model")
                yield from _unknown(path, "model", model, manifest.models)


def _of_watching(manifest: Manifest, sources: Mapping[str, object]) -> Iterator[Mistake]:
    sections: tuple[tuple[str, Mapping[str, Watching]], ...] = (
        ("rules", manifest.rules),
        ("insights", manifest.insights),
    )
    for section, entries in sections:
        for key, entry in entries.items():
            if entry.pipeline is not None:
                yield from _unknown((section, key, "pipeline"), "pipeline", entry.pipeline, sources)
            elif len(sources) != 1:
                yield (section, key), WHICH_PIPELINE
            for index, camera in enumerate(entry.cameras or ()):
                yield from _unknown((section, key, "cameras", index), "camera", camera, manifest.cameras)
    for key, rule in manifest.rules.items():
        for index, action in enumerate(rule.actions or ()):
            yield from _unknown(("rules", key, "actions", index), "action", action, manifest.actions)
    if manifest.evidence is not None:
        raising: dict[str, object] = {**manifest.rules, **manifest.hooks}
        for index, name in enumerate(manifest.evidence.rules or ()):
            yield from _unknown(("evidence", "rules", index), "rule or hook", name, raising)


def _of_hooks(manifest: Manifest, sources: Mapping[str, object]) -> Iterator[Mistake]:
    for key, hook in manifest.hooks.items():
        for part, kind, names, known in (
            ("pipelines", "pipeline", hook.pipelines or (), sources),
            ("cameras", "camera", hook.cameras, manifest.cameras),
            ("actions", "action", hook.actions or (), manifest.actions),
        ):
            for index, name in enumerate(names):
                yield from _unknown(("hooks", key, part, index), kind, name, known)
        if key in manifest.rules:
            yield ("hooks", key), f"a rule is called {key!r} too; alerts could not be told apart"


def _of_panorama(manifest: Manifest) -> Iterator[Mistake]:
    code = manifest.panorama
    for key, pipeline in manifest.pipelines.items():
        model = manifest.models.get(pipeline.model)
        if model is not None and model.family == ModelFamily.TENSORS:
            yield ("pipelines", key, "model"), "a model of the family tensors is used by `panorama` code only"
    if code is None:
        return
    for port, cameras in code.inputs.items():
        for index, camera in enumerate(cameras):
            yield from _unknown(("panorama", "inputs", port, index), "camera", camera, manifest.cameras)
    for port, given in code.parameters.items():
        if given.parameter is not None:
            path = ("panorama", "parameters", port, "parameter")
            yield from _unknown(path, "parameter", given.parameter, manifest.parameters)
    for node, name in code.models.items():
        yield from _unknown(("panorama", "models", node), "model", name, manifest.models)
        model = manifest.models.get(name)
        if model is not None and model.family != ModelFamily.TENSORS:
            yield ("panorama", "models", node), f"model {name!r} is not of the family tensors"
    for index, name in enumerate(code.outputs):
        if name in manifest.pipelines:
            yield ("panorama", "outputs", index), f"a pipeline is called {name!r} too; rules could not tell them apart"
