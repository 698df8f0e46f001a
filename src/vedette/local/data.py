"""Where the deployable parts lie: in the clone, or in the installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import vedette
from vedette.contracts.errors import UsageError

_PACKAGE: Final = Path(vedette.__file__).resolve().parent


def data_directory(kind: str) -> Path:
    """The folder ``components``, ``recipes`` or ``examples``.

    Raises:
        UsageError: V702, the installation is incomplete.
    """
    for candidate in (_PACKAGE / "_data" / kind, _PACKAGE.parent.parent / kind):
        if candidate.is_dir():
            return candidate
    raise UsageError(
        f"this installation of vedette lacks its folder {kind!r}.",
        hint="Install the wheel again, or work from a whole clone.",
        code="V702",
    )
