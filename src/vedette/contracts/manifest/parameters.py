"""``parameters`` of a manifest: values that may be changed at deployment and while the application runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool

from vedette.contracts.base import Contract, Title

#: One value. Which kind a parameter takes is said by the places it sets, or by its default.
ParameterValue = StrictBool | int | Annotated[float, Field(allow_inf_nan=False)] | str | tuple[str, ...]


class Parameter(Contract):
    """A value of this file that may be changed without changing the file."""

    title: Title = ""
    sets: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=300)], ...],
        Field(
            max_length=64,
            description="Places in this file, such as `rules.NAME.for_s`; the value that stands there is the default.",
        ),
    ] = ()
    default: Annotated[
        ParameterValue | None, Field(description="For custom code, where `sets` is absent; required there.")
    ] = None
    min: Annotated[
        float | None, Field(allow_inf_nan=False, description="Least number allowed, inside the limits of the places.")
    ] = None
    max: Annotated[
        float | None, Field(allow_inf_nan=False, description="Largest number allowed, inside the limits of the places.")
    ] = None
    choices: Annotated[
        tuple[ParameterValue, ...] | None, Field(min_length=1, max_length=100, description="The only values allowed.")
    ] = None
