"""What the types of a manifest cannot say: names that fit together, shapes that are shapes.

Works on plain values, as read from the file, so that these mistakes are found beside mistakes of type, all in one go.
Whatever has the wrong type is passed over here; the types report it.
"""

from __future__ import annotations

from typing import Any

from vedette.core.manifest_checks.actions import check_actions
from vedette.core.manifest_checks.attributes import check_attributes
from vedette.core.manifest_checks.finding import Finding, Path, near_miss
from vedette.core.manifest_checks.ground import check_ground
from vedette.core.manifest_checks.hooks import check_hooks
from vedette.core.manifest_checks.insights import check_insights
from vedette.core.manifest_checks.labels import check_labels
from vedette.core.manifest_checks.moving import check_moving
from vedette.core.manifest_checks.panorama import check_panorama
from vedette.core.manifest_checks.parameters import check_parameters
from vedette.core.manifest_checks.references import check_references
from vedette.core.manifest_checks.shapes import check_shapes
from vedette.core.manifest_checks.unused import check_unused
from vedette.core.manifest_checks.values import check_values

__all__ = ["Finding", "Path", "check_document", "near_miss"]


def check_document(document: dict[str, Any]) -> list[Finding]:
    """Everything there is to say of a manifest besides its types; warnings only where no name is wrong."""
    checks = (
        check_references,
        check_labels,
        check_moving,
        check_attributes,
        check_ground,
        check_shapes,
        check_values,
        check_actions,
        check_insights,
        check_parameters,
        check_hooks,
        check_panorama,
    )
    findings = [finding for check in checks for finding in check(document)]
    misnamed = any(finding.path[:1] == ("pipelines",) for finding in findings)
    return findings if misnamed else findings + list(check_unused(document))
