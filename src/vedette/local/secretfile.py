"""Secrets for GetSecretValue, from a file that only its owner can read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from vedette.contracts.errors import CoreError

MAX_BYTES: Final = 1 << 20


def read_secret(path: Path, name: str) -> str:
    """One secret's text; an object in the file becomes JSON text, as Secrets Manager keeps key-value pairs.

    The file is read each time, so that a changed secret needs no restart. No message holds any of its content.

    Args:
        path: JSON file, name to text or to an object of texts; mode 0600, owned by this user.
        name: the secret.

    Raises:
        CoreError: V503, the file is missing, readable by others or damaged.
        KeyError: the file holds no such secret.
    """
    value = _read(path)[name]
    return value if isinstance(value, str) else json.dumps(value)


def read_secrets(path: Path) -> dict[str, dict[str, str]]:
    """All secrets of a file in which each is an object of texts.

    Args:
        path: as for ``read_secret``.

    Raises:
        CoreError: V503, the file is missing, readable by others or damaged, or an entry is no object of texts.
    """
    secrets = _read(path)
    for name, pairs in secrets.items():
        if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
            raise CoreError(
                f"{path}: the secret {name!r} is no object of texts.",
                hint=f'Write it as {{"{name}": {{"username": "…", "password": "…"}}}}.',
                code="V503",
            )
    return secrets


def _read(path: Path) -> dict[str, Any]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise CoreError(f"{path}: the secrets cannot be read ({error.strerror}).", code="V503") from None
    with open(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise CoreError(
                f"{path}: others may read or own this file (mode {stat.S_IMODE(status.st_mode):o}).",
                hint=f"Run: chmod 600 {path}",
                code="V503",
            )
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise CoreError(f"{path}: more than {MAX_BYTES} bytes of secrets.", code="V503")
    try:
        secrets = json.loads(raw)
    except ValueError:
        secrets = None  # the parser's own message would quote the file
    if not isinstance(secrets, dict):
        raise CoreError(f"{path}: not a JSON object of secrets.", code="V503")
    return secrets
