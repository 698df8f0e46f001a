"""One pure function: attached applications and the device's cameras in, everything the device has to do out.

Decoders once per camera, sessions once per model. The result does not depend on the order of the arguments, so that
two computations of the same situation can be compared.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from vedette.contracts.camera import CameraConfig
from vedette.contracts.manifest import Action, Evidence, Manifest, Model, Motion, Pipeline, Watching
from vedette.contracts.plan import (
    AttachedApplication,
    AttributePlan,
    EvidencePlan,
    HookPlan,
    InsightPlan,
    ModelPlan,
    PanoramaPlan,
    PipelinePlan,
    Plan,
    RulePlan,
    StreamPlan,
)
from vedette.core.evidence import pre_roll_s
from vedette.core.plan_candidates import SUFFIX, beside, in_words_of_candidates, shares
from vedette.core.plan_hooks import hook_routes, plan_hooks
from vedette.core.plan_panorama import STEADY_FPS, panorama_routes, panorama_streams, plan_panorama

_KEY_DIGITS: Final = 12
_NAME_IN_KEY: Final = 32

_Named = TypeVar("_Named", AttachedApplication, CameraConfig)

#: The application's camera → the device's cameras that are there and switched on.
_Bound = dict[str, tuple[str, ...]]


def make_plan(
    applications: Sequence[AttachedApplication],
    cameras: Sequence[CameraConfig],
    revision: int = 0,
    candidates: Sequence[AttachedApplication] = (),
) -> Plan:
    """Work out what a device has to do.

    Nothing here fails: what cannot be done (a camera that is not bound, not there, switched off) is said in
    ``Plan.problems`` in words for people, and the rest is planned.

    Args:
        applications: what is deployed; one entry per application name.
        cameras: the device's cameras, with or without credentials; no address reaches the plan.
        revision: number of the plan, given by the owner of the state directory.
        candidates: versions that are only compared with the applications of the same names. They get pipelines and
            nothing else, and change nothing of what the applications get.
    """
    problems: list[str] = []
    apps = _one_each(applications, lambda app: app.manifest.name, "application", "attached", problems)
    known = _one_each(cameras, lambda camera: camera.name, "camera", "configured", problems)
    streams: dict[str, StreamPlan] = {}
    pipelines: list[tuple[str, Model, PipelinePlan]] = []
    rules: list[RulePlan] = []
    insights: list[InsightPlan] = []
    hooks: list[HookPlan] = []
    codes: list[PanoramaPlan] = []
    evidence: list[EvidencePlan] = []
    actions: dict[str, Action] = {}
    for app in apps.values():
        bound = _bind(app, known, problems)
        served = _pipelines(app, bound, known, problems)
        for file, model, plan in served:
            pipelines.append((file, model, plan))
            wanted = app.manifest.pipelines[plan.pipeline].stream
            streams[plan.camera] = _widen(streams.get(plan.camera), plan.camera, plan.fps, wanted, plan.motion)
        rates = {(plan.pipeline, plan.camera): plan.fps for _, _, plan in served}
        routes = hook_routes([plan for _, _, plan in served])
        code = plan_panorama(app, known, model_file, problems)
        if code is not None:
            codes.append(code)
            wanted_fps = panorama_streams(code, known)
            for camera, fps in wanted_fps.items():
                streams[camera] = _widen(streams.get(camera), camera, fps, "main")
            drawn = panorama_routes(code, wanted_fps)
            rates |= {(output, one.camera): min(STEADY_FPS, wanted_fps[one.camera]) for output, one in drawn}
            routes += drawn
        rules += _rules(app.manifest, bound, rates, problems)
        insights += _insights(app.manifest, bound, rates, problems)
        planned = plan_hooks(app, bound, routes, problems)
        for hook in planned:
            for picture in hook.pictures:
                fps = min(hook.frames_fps, known[picture.camera].max_fps or hook.frames_fps)
                streams[picture.camera] = _widen(streams.get(picture.camera), picture.camera, fps, "sub")
        hooks += planned
        if app.manifest.evidence is not None:
            evidence.append(_evidence(app.manifest, app.manifest.evidence, bound, streams))
        actions |= {f"{app.manifest.name}/{name}": action for name, action in sorted(app.manifest.actions.items())}
    running = tuple(pipelines)
    for app in _one_each(candidates, lambda app: app.manifest.name, "candidate", "attached", problems).values():
        own: list[str] = []
        served = _pipelines(app, _bind(app, known, own), known, own)
        pipelines += beside(app.manifest, served, running, streams, own)
        problems += in_words_of_candidates(own, app.manifest.name)
    return Plan(
        revision=revision,
        streams=tuple(streams[name] for name in sorted(streams)),
        models=_sessions(pipelines),
        rules=tuple(sorted(rules, key=lambda rule: (rule.application, rule.name, rule.camera))),
        insights=tuple(sorted(insights, key=lambda insight: (insight.application, insight.name, insight.camera))),
        hooks=tuple(sorted(hooks, key=lambda hook: hook.key)),
        panorama=tuple(codes),
        evidence=tuple(evidence),
        actions=actions,
        problems=tuple(sorted(set(problems))),
    )


def model_key(file: str, model: Model) -> str:
    """Name of the session for a model file with these settings: same file and settings, same name, for ever.

    Args:
        file: absolute path or name in the model store.
        model: settings; ``file`` in them is replaced by ``file``, and does not count where the digest is known:
            applications that each bring the same model share a session. What is as by default does not count, so that
            a release that knows one more setting names sessions as the one before did.
    """
    text = json.dumps(
        ["" if model.sha256 else file, model.model_dump(mode="json", exclude={"file"}, exclude_defaults=True)],
        sort_keys=True,
        separators=(",", ":"),
    )
    digest = hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]
    stem = posixpath.basename(file).removesuffix(".onnx") or model.family.value
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:_NAME_IN_KEY] or "model"
    return f"{readable}-{digest}"


def same_session(first: ModelPlan, second: ModelPlan) -> bool:
    """Whether what is loaded for one of two plans of the same key serves the other, too."""
    if first.model.sha256 is None or first.model.sha256 != second.model.sha256:
        return (first.file, first.model) == (second.file, second.model)
    return first.model.model_copy(update={"file": second.model.file}) == second.model


def model_file(file: str, directory: str) -> str:
    """Where a manifest's model is: absolute, or a name in the model store.

    A bare name stays as it is, because only who may look at the disk can tell a file beside the manifest from a name
    in the store; the owner of the state directory has done so before an application is attached.

    Args:
        file: ``Model.file``.
        directory: where the manifest lies.
    """
    if posixpath.isabs(file) or "/" not in file:
        return file
    return posixpath.normpath(posixpath.join(directory, file))


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` where a known name is close, else an empty text."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _one_each(
    items: Sequence[_Named], name_of: Callable[[_Named], str], kind: str, verb: str, problems: list[str]
) -> dict[str, _Named]:
    """Items by name, in the order of the names; of several with one name the least by content stays."""
    found: dict[str, list[_Named]] = {}
    for item in items:
        found.setdefault(name_of(item), []).append(item)
    chosen: dict[str, _Named] = {}
    for name in sorted(found):
        distinct = {item.model_dump_json(): item for item in found[name]}
        chosen[name] = distinct[min(distinct)]
        if len(distinct) > 1:
            problems.append(f"{kind} {name!r} is {verb} {len(distinct)} times with different contents; one is used")
    return chosen


def _bind(app: AttachedApplication, known: dict[str, CameraConfig], problems: list[str]) -> _Bound:
    """The application's cameras → the device's cameras that can be used."""
    manifest = app.manifest
    where = f"application {manifest.name!r}"
    devices = f"this device has {', '.join(sorted(known)) or 'no camera'}"
    for name in sorted(set(app.bindings) - set(manifest.cameras)):
        near = nearest(name, manifest.cameras)
        problems.append(
            f"{where} binds camera {name!r}, which its manifest does not name; "
            f"it names {', '.join(sorted(manifest.cameras))}{near}"
        )
    bound: _Bound = {}
    for name in sorted(manifest.cameras):
        usable: list[str] = []
        explicit = name in app.bindings
        for device in dict.fromkeys(app.bindings.get(name, (name,))):
            if device not in known:
                near = nearest(device, known)
                said = f"is bound to {device!r}, which is not there" if explicit else "is not bound to a camera"
                problems.append(f"{where}: camera {name!r} {said}; {devices}{near}")
            elif not known[device].enabled:
                problems.append(f"{where}: camera {name!r} is bound to {device!r}, which is switched off")
            else:
                usable.append(device)
        if explicit and not app.bindings[name]:
            problems.append(f"{where}: camera {name!r} is bound to no camera; {devices}")
        bound[name] = tuple(sorted(usable))
    return bound


def _pipelines(
    app: AttachedApplication, bound: _Bound, known: dict[str, CameraConfig], problems: list[str]
) -> list[tuple[str, Model, PipelinePlan]]:
    """Every pipeline of an application on every camera it gets, with the model file and settings."""
    manifest = app.manifest
    plans: list[tuple[str, Model, PipelinePlan]] = []
    for name, pipeline in sorted(manifest.pipelines.items()):
        model = manifest.models[pipeline.model]
        attributes = _attributes(manifest, pipeline, app.directory)
        taken: dict[str, str] = {}
        for app_camera in sorted(set(pipeline.cameras)):
            for device in bound[app_camera]:
                if device in taken:
                    problems.append(
                        f"application {manifest.name!r}: cameras {taken[device]!r} and {app_camera!r} are bound to the "
                        f"same camera {device!r}; pipeline {name!r} analyses it once, as {taken[device]!r}"
                    )
                    continue
                taken[device] = app_camera
                limit = known[device].max_fps
                plan = PipelinePlan(
                    application=manifest.name,
                    pipeline=name,
                    camera=device,
                    app_camera=app_camera,
                    fps=pipeline.fps if limit is None else min(pipeline.fps, limit),
                    labels=pipeline.labels,
                    region=pipeline.region,
                    masks=pipeline.masks,
                    tiles=pipeline.tiles,
                    motion=pipeline.motion,
                    attributes=attributes,
                    tracker=pipeline.tracker,
                )
                plans.append((model_file(model.file, app.directory), model, plan))
        if not taken:
            problems.append(f"application {manifest.name!r}: pipeline {name!r} has no camera to analyse")
    return plans


def _attributes(manifest: Manifest, pipeline: Pipeline, directory: str) -> tuple[AttributePlan, ...]:
    """What a pipeline asks about its objects, with model files as the device finds them."""
    plans = []
    for name, settings in sorted(pipeline.attributes.items()):
        model: Model | None = None
        file = ""
        needed = getattr(settings, "model", None)
        if needed is not None:
            model = manifest.models[needed]
            file = model_file(model.file, directory)
            model = model.model_copy(update={"file": file})
        plans.append(AttributePlan(name=name, settings=settings, file=file, model=model))
    return tuple(plans)


#: Rate of each pipeline on each camera that it serves.
_Rates = dict[tuple[str, str], float]


def _rules(manifest: Manifest, bound: _Bound, rates: _Rates, problems: list[str]) -> list[RulePlan]:
    """Every rule on every camera of its pipeline."""
    plans: list[RulePlan] = []
    for name, rule in sorted(manifest.rules.items()):
        pipeline = manifest.rule_pipeline(rule)
        chosen = rule.actions if rule.actions is not None else tuple(manifest.actions)
        plans += [
            RulePlan(
                application=manifest.name,
                name=name,
                pipeline=f"{manifest.name}/{pipeline}",
                camera=device,
                app_camera=app_camera,
                rule=rule,
                ground=manifest.cameras[app_camera].ground,
                actions=tuple(f"{manifest.name}/{action}" for action in sorted(set(chosen))),
                fps=rates[pipeline, device],
            )
            for app_camera, device in _watched(manifest, f"rule {name!r}", rule, bound, rates, problems)
        ]
    return plans


def _insights(manifest: Manifest, bound: _Bound, rates: _Rates, problems: list[str]) -> list[InsightPlan]:
    """Every insight on every camera of its pipeline."""
    plans: list[InsightPlan] = []
    for name, insight in sorted(manifest.insights.items()):
        pipeline = manifest.rule_pipeline(insight)
        plans += [
            InsightPlan(
                application=manifest.name,
                name=name,
                pipeline=f"{manifest.name}/{pipeline}",
                camera=device,
                app_camera=app_camera,
                insight=insight,
                interval_s=manifest.insights_interval_s,
                fps=rates[pipeline, device],
                to_cloud=manifest.insights_to_cloud,
                to_file=manifest.insights_file,
            )
            for app_camera, device in _watched(manifest, f"insight {name!r}", insight, bound, rates, problems)
        ]
    return plans


def _watched(
    manifest: Manifest, what: str, entry: Watching, bound: _Bound, rates: _Rates, problems: list[str]
) -> Iterator[tuple[str, str]]:
    """The cameras a rule or an insight watches: the application's name and the device's, each of these once."""
    pipeline = manifest.rule_pipeline(entry)
    outside = sorted(set(manifest.rule_cameras(entry)) - set(manifest.track_sources()[pipeline]))
    problems.extend(
        f"application {manifest.name!r}: {what} watches camera {camera!r}, which pipeline {pipeline!r} does not analyse"
        for camera in outside
    )
    taken: set[str] = set()
    for app_camera in sorted(set(manifest.rule_cameras(entry)) - set(outside)):
        for device in bound[app_camera]:
            if device not in taken and (pipeline, device) in rates:
                taken.add(device)
                yield app_camera, device


def _evidence(manifest: Manifest, evidence: Evidence, bound: _Bound, streams: dict[str, StreamPlan]) -> EvidencePlan:
    """What an application wants kept; the streams of its cameras keep as much as that takes."""
    for device in sorted({device for devices in bound.values() for device in devices} & streams.keys()):
        wanted_s = max(streams[device].pre_roll_s, pre_roll_s(manifest))
        streams[device] = streams[device].model_copy(update={"pre_roll_s": wanted_s})
    return EvidencePlan(application=manifest.name, evidence=evidence, privacy=manifest.privacy)


def _widen(stream: StreamPlan | None, camera: str, fps: float, wanted: str, rest: Motion | None = None) -> StreamPlan:
    """One decoder serves the fastest consumer, by the main stream or without rest where anyone needs that."""
    if stream is None:
        return StreamPlan(camera=camera, fps=fps, stream=wanted, rest=rest)
    main = "main" in (stream.stream, wanted)
    both = None
    if stream.rest is not None and rest is not None:
        both = Motion(
            floor_s=min(stream.rest.floor_s, rest.floor_s),
            threshold=min(stream.rest.threshold, rest.threshold),
            min_area=min(stream.rest.min_area, rest.min_area),
        )
    return stream.model_copy(update={"fps": max(stream.fps, fps), "stream": "main" if main else wanted, "rest": both})


def _sessions(pipelines: list[tuple[str, Model, PipelinePlan]]) -> tuple[ModelPlan, ...]:
    """Group the pipelines by model file and settings; of several files with one content the first by name is loaded."""
    groups: dict[str, tuple[str, Model, list[PipelinePlan]]] = {}
    running = [(model_key(file, model), plan) for file, model, plan in pipelines if not plan.candidate]
    # Candidates last: what is loaded for applications does not depend on them.
    for file, model, plan in sorted(pipelines, key=lambda entry: (entry[2].candidate, entry[0])):
        key = model_key(file, model)
        if plan.candidate and not shares(key, plan, running):
            key += SUFFIX
        groups.setdefault(key, (file, model.model_copy(update={"file": file}), []))[2].append(plan)
    return tuple(
        ModelPlan(
            key=key,
            file=file,
            model=model,
            background=all(plan.candidate for plan in plans),
            pipelines=tuple(sorted(plans, key=lambda plan: (plan.key, plan.camera))),
        )
        for key, (file, model, plans) in sorted(groups.items())
    )
