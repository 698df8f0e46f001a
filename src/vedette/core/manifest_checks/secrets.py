"""Secrets are named, and named so that the component may read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from vedette.core.manifest_checks.finding import Finding, Path

#: What the recipe of vedette.Alerting lets it read.
PREFIX: Final = "vedette/receiver/"
#: Secrets Manager's names, and the ARNs that hold one.
_NAME: Final = re.compile(r"(arn:[A-Za-z0-9:-]{1,100}:secret:)?([A-Za-z0-9/_+=.@-]{1,512})")


def check_secret(path: Path, action: dict[str, Any]) -> Iterator[Finding]:
    """The name of a secret; what is none is not repeated: it may be the secret itself."""
    secret = action.get("secret")
    if not isinstance(secret, str):
        return
    found = _NAME.fullmatch(secret)
    if found is None:
        yield Finding(
            (*path, "secret"), "not the name of a secret", f"a name such as {PREFIX}mail, never the secret itself"
        )
    elif not found[2].startswith(PREFIX):
        yield Finding(
            (*path, "secret"),
            f"vedette.Alerting may read secrets below {PREFIX} only",
            f"a name that begins with {PREFIX}, or `accessControl` of the component widened",
            f"`{PREFIX}{found[2].rpartition('/')[2]}`",
            level="warning",
        )
