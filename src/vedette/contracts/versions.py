"""Names and versions of Greengrass components, and of rollouts."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import StringConstraints

#: Beginning of the names of applications' components.
APPLICATION_PREFIX: Final = "vedette.app."
#: Beginning of the names of components that compare a new version of an application with the running one.
CANDIDATE_PREFIX: Final = "vedette.candidate."

ComponentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
ComponentVersion = Annotated[
    str, StringConstraints(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}(-[0-9A-Za-z.-]{1,40})?(\+[0-9A-Za-z.-]{1,40})?$")
]
RolloutId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{7,63}$")]
