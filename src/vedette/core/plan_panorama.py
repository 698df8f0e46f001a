"""What the Panorama code of an application gets on this device."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Container, Mapping
from typing import Final

from vedette.contracts.camera import CameraConfig
from vedette.contracts.manifest import Manifest, Model, Panorama
from vedette.contracts.plan import AttachedApplication, HookCamera, HookRoute, PanoramaPlan
from vedette.contracts.privacy import Privacy
from vedette.core.parameters import parameter_values
from vedette.core.port_values import NOTHING, PortValue, port_value

#: Pictures a second that rules may count on. The code takes as many as it likes, up to ``panorama.fps``; a pause of
#: some seconds is none of its picking, but a gap.
STEADY_FPS: Final = 1.0


def plan_panorama(
    app: AttachedApplication,
    known: Mapping[str, CameraConfig],
    model_file: Callable[[str, str], str],
    problems: list[str],
) -> PanoramaPlan | None:
    """The Panorama code of an application; None where it has none.

    A camera that is switched off stays an input: the code waits for its pictures and goes on when it is back.

    Args:
        app: the application.
        known: the device's cameras.
        model_file: (``Model.file``, directory) → where the model is.
        problems: what cannot be done is added, in words for people.
    """
    manifest = app.manifest
    code = manifest.panorama
    if code is None:
        return None
    where = f"application {manifest.name!r}"
    inputs = {port: _cameras(app, known, port, problems) for port in sorted(code.inputs)}
    if code.inputs and not any(inputs.values()):
        problems.append(f"{where}: its Panorama code has no camera whose pictures it could get")
    models: dict[str, tuple[str, Model]] = {}
    for node, name in sorted(code.models.items()):
        file = model_file(manifest.models[name].file, app.directory)
        models[node] = (file, manifest.models[name].model_copy(update={"file": file}))
    return PanoramaPlan(
        application=manifest.name,
        directory=app.directory,
        code={path: digest for path, digest in sorted(app.code.items()) if in_folder(path, code.code)},
        settings=code,
        inputs=inputs,
        values=_values(manifest, code, problems),
        models=models,
        python=app.python,
        viewable=manifest.privacy is not Privacy.METADATA_ONLY,
    )


def panorama_streams(plan: PanoramaPlan, known: Mapping[str, CameraConfig]) -> dict[str, float]:
    """The device's camera → pictures a second that the code needs. It gets the main stream, as on an appliance.

    Those that are switched off are left out.

    Args:
        plan: of the code.
        known: the device's cameras.
    """
    cameras = {entry.camera for entries in plan.inputs.values() for entry in entries if known[entry.camera].enabled}
    fps = plan.settings.fps
    return {camera: min(fps, known[camera].max_fps or fps) for camera in sorted(cameras)}


def panorama_routes(plan: PanoramaPlan, streams: Container[str]) -> list[tuple[str, HookRoute]]:
    """(output, track batches) of every output of the code and every camera that it sees.

    Args:
        plan: of the code.
        streams: cameras that deliver pictures.
    """
    cameras = [(camera, name) for camera, name in sorted(plan.app_cameras.items()) if camera in streams]
    return [
        (output, HookRoute(pipeline=pipeline, camera=camera, app_camera=name))
        for output, pipeline in plan.pipelines.items()
        for camera, name in cameras
    ]


def in_folder(path: str, folder: str) -> bool:
    """Whether a file beside the manifest lies in the code's folder."""
    folder = posixpath.normpath(folder)
    return folder == "." or path.startswith(f"{folder}/")


def _cameras(
    app: AttachedApplication, known: Mapping[str, CameraConfig], port: str, problems: list[str]
) -> tuple[HookCamera, ...]:
    """The device's cameras of one port, in the order of the manifest and, of one camera of it, of the bindings."""
    assert app.manifest.panorama is not None
    found: dict[str, HookCamera] = {}
    for app_camera in app.manifest.panorama.inputs[port]:
        for device in dict.fromkeys(app.bindings.get(app_camera, (app_camera,))):
            if device not in known:
                continue  # said where bindings are looked at
            if device in found:
                problems.append(
                    f"application {app.manifest.name!r}: cameras {found[device].app_camera!r} and {app_camera!r} are "
                    f"bound to the same camera {device!r}; port {port!r} gets its pictures once"
                )
                continue
            found[device] = HookCamera(app_camera=app_camera, camera=device)
    return tuple(found.values())


def _values(manifest: Manifest, code: Panorama, problems: list[str]) -> dict[str, PortValue]:
    """Parameter port → value as it is now."""
    given = parameter_values(manifest) if code.parameters else {}
    values: dict[str, PortValue] = {}
    for port, entry in sorted(code.parameters.items()):
        value = entry.value if entry.parameter is None else given.get(entry.parameter)
        try:
            if value is None:
                raise ValueError("a value")
            values[port] = port_value(entry.type, value)
        except ValueError as error:
            values[port] = NOTHING[entry.type]
            problems.append(
                f"application {manifest.name!r}: parameter port {port!r} takes {error}, not {value!r}; "
                f"the code gets {NOTHING[entry.type]!r}"
            )
    return values
