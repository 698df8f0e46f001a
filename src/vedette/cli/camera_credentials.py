"""A camera's user name and password on the command line: prompted for, from a file or the environment."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import typer

from vedette.cli.camera_simulate import read_password
from vedette.contracts.errors import UsageError
from vedette.core.url_policy import CheckedUrl

PASSWORD_VARIABLE: Final = "VEDETTE_CAMERA_PASSWORD"  # noqa: S105 - a name, no password


def ask_password(user: str | None, password_file: Path | None) -> str:
    """The password of ``--user``: from the file, the environment variable, or else asked for on the terminal.

    There is no option for the password itself: other users of the machine could read it in the process list.

    Raises:
        UsageError: V701, no source of a password, or one that cannot be read.
    """
    if user is None:
        if password_file is not None:
            raise UsageError("--password-file needs --user: whose password it is.")
        return ""
    if password_file is not None:
        return read_password(password_file)
    if (password := os.environ.get(PASSWORD_VARIABLE)) is not None:
        return password
    if not sys.stdin.isatty():
        raise UsageError(
            "--user: there is no terminal to ask for the password.",
            hint=f"Use --password-file, or set {PASSWORD_VARIABLE}.",
        )
    return str(typer.prompt(f"Password of {user}", hide_input=True, err=True, default="", show_default=False))


def with_credentials(address: CheckedUrl, user: str | None, password: str) -> CheckedUrl:
    """The address with these credentials in place of its own; as it is where there are none."""
    return address if user is None else replace(address, username=user, password=password)
