"""Where everything is kept that can be made anew: wheels, footage, the CDK."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def cache_home(environment: Mapping[str, str] | None = None) -> Path:
    """The folder ``vedette`` in the XDG cache directory (``$XDG_CACHE_HOME``, else ``~/.cache``); it need not exist.

    Args:
        environment: variables to go by; the process's own where None.
    """
    env = os.environ if environment is None else environment
    base = Path(env.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification: a relative path is to be ignored
        base = Path(env.get("HOME") or Path.home()) / ".cache"
    return base / "vedette"
