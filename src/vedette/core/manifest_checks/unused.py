"""What nothing uses is probably a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vedette.core.manifest_checks.finding import Finding
from vedette.core.manifest_checks.plain import dicts, section, texts


def check_unused(document: dict[str, Any]) -> Iterator[Finding]:
    """Warnings: what nothing uses is probably a mistake."""
    pipelines = dicts(document, "pipelines")
    used_models = {str(pipeline.get("model")) for pipeline in pipelines.values()}
    used_models |= {
        str(settings.get("model"))
        for pipeline in pipelines.values()
        for settings in dicts(pipeline, "attributes").values()
    }
    code = section(document, "panorama")
    used_models |= {str(name) for name in section(code, "models").values()}
    users = (*pipelines.values(), *dicts(document, "hooks").values())
    used_cameras = {camera for user in users for camera in texts(user.get("cameras"))}
    used_cameras |= {camera for cameras in section(code, "inputs").values() for camera in texts(cameras)}
    for part, kind, used in (("models", "model", used_models), ("cameras", "camera", used_cameras)):
        for name in section(document, part):
            if name not in used:
                yield Finding((part, name), f"no pipeline uses {kind} {name!r}", level="warning")
    silent = not any(document.get(part) for part in ("rules", "hooks", "insights"))
    if (isinstance(document.get("pipelines"), dict) or code) and silent:
        yield Finding(
            ("rules",) if "rules" in document else (),
            "there is no rule and no hook, so there will be no alert",
            level="warning",
        )
