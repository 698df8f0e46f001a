"""Reading ``vedette.yaml`` so that every mistake is found at once, with its place."""

from __future__ import annotations

from vedette.adapters.manifest.loading import (
    attached_application,
    check_manifest,
    load_manifest,
    manifest_path,
    validate_document,
)
from vedette.core.mistake import Mistake

__all__ = ["Mistake", "attached_application", "check_manifest", "load_manifest", "manifest_path", "validate_document"]
