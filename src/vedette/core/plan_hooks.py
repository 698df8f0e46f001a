"""What each hook of an application gets on this device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vedette.contracts.plan import AttachedApplication, HookCamera, HookPlan, HookRoute, PipelinePlan
from vedette.core.parameters import parameter_values


def hook_routes(served: Sequence[PipelinePlan]) -> list[tuple[str, HookRoute]]:
    """(pipeline, track batches) of every pipeline on every camera that it serves."""
    return [
        (plan.pipeline, HookRoute(pipeline=plan.key, camera=plan.camera, app_camera=plan.app_camera)) for plan in served
    ]


def plan_hooks(
    app: AttachedApplication,
    bound: Mapping[str, Sequence[str]],
    sources: Sequence[tuple[str, HookRoute]],
    problems: list[str],
) -> list[HookPlan]:
    """Every hook of an application.

    Args:
        app: the application.
        bound: its cameras → the device's cameras that are there and switched on.
        sources: (name, track batches) of its pipelines and of the outputs of its Panorama code.
        problems: what cannot be done is added, in words for people.
    """
    manifest = app.manifest
    cameras = tuple(
        HookCamera(app_camera=name, camera=device) for name, devices in sorted(bound.items()) for device in devices
    )
    plans = []
    values = parameter_values(manifest) if manifest.hooks else {}
    for name, hook in sorted(manifest.hooks.items()):
        wanted = set(hook.pipelines if hook.pipelines is not None else manifest.track_sources())
        routes = {route for name, route in sources if name in wanted}
        pictures: dict[str, HookCamera] = {}
        for camera in cameras:
            if camera.app_camera in hook.cameras:
                pictures.setdefault(camera.camera, camera)
        if hook.cameras and not pictures:
            problems.append(f"application {manifest.name!r}: hook {name!r} has no camera whose pictures it could see")
        chosen = hook.actions if hook.actions is not None else tuple(manifest.actions)
        plans.append(
            HookPlan(
                application=manifest.name,
                name=name,
                directory=app.directory,
                file=hook.file,
                code={path: digest for path, digest in sorted(app.code.items()) if path.endswith(".py")},
                cameras=cameras,
                routes=tuple(sorted(routes, key=lambda route: (route.pipeline, route.camera))),
                pictures=tuple(pictures[key] for key in sorted(pictures)),
                frames_fps=hook.frames_fps,
                network=hook.peers(),
                memory_mb=hook.memory_mb,
                disk_mb=hook.disk_mb,
                timeout_s=hook.timeout_s,
                severity=hook.severity,
                parameters=dict(values),
                actions=tuple(f"{manifest.name}/{action}" for action in sorted(set(chosen))),
            )
        )
    return plans
