"""``template.yaml`` in an application's directory: it can be the beginning of another one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vedette.contracts.base import Contract


class Template(Contract):
    """What is to be known of a template."""

    summary: Annotated[str, Field(min_length=1, max_length=200, description="One line for the list of templates.")]
    quiet_clip: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_-]+\.mp4$",
            description="File in tests/ that is rendered when the template is used: an empty picture, two seconds. "
            "`QUIET_SHA256` in the tests becomes its digest.",
        ),
    ] = None
    leave_out: Annotated[
        tuple[str, ...], Field(description="Names of files and folders that a new application does not get.")
    ] = ()
