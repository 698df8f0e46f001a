"""``evidence`` of a manifest: what is kept of an alert besides its words."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from vedette.contracts.base import Contract, Identifier, Seconds


class ClipSettings(Contract):
    """How much video around an alert is kept."""

    before_s: Annotated[Seconds, Field(le=30, description="Seconds before the alert's picture, at least.")] = 5.0
    after_s: Annotated[Seconds, Field(le=30, description="Seconds after the alert's picture.")] = 5.0


class Evidence(Contract):
    """What is kept of each alert, on the device."""

    snapshot: Annotated[
        bool, Field(description="Keep the alert's picture as a JPEG file, with the boxes drawn into it.")
    ] = True
    clip: Annotated[
        ClipSettings | None,
        Field(description="Keep the camera's video around the alert as an MP4 file; `{}` for five seconds each way."),
    ] = None
    rules: Annotated[
        tuple[Identifier, ...] | None,
        Field(min_length=1, max_length=256, description="Rules and hooks whose alerts are meant; all where absent."),
    ] = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.snapshot and self.clip is None:
            raise ValueError("neither `snapshot` nor `clip` is asked for; leave `evidence` out instead")
        return self

    def wants(self, rule: str) -> bool:
        """Whether alerts of this rule or hook are meant."""
        return self.rules is None or rule in self.rules
