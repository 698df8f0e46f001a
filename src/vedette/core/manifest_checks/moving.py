"""Pipelines that look for what moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vedette.core.manifest_checks.finding import Finding
from vedette.core.manifest_checks.plain import dicts


def check_moving(document: dict[str, Any]) -> Iterator[Finding]:
    """A background is that of the whole view: parts of it would each find a part of an object."""
    models = dicts(document, "models")
    for name, pipeline in dicts(document, "pipelines").items():
        if pipeline.get("tiles") is not None and models.get(str(pipeline.get("model")), {}).get("family") == "moving":
            found = f"model {pipeline['model']!r} is of the family 'moving', which looks at all of the region at once"
            yield Finding(("pipelines", name, "tiles"), found, "no `tiles`; a smaller `region` looks more closely")
