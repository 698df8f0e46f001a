"""``evidence`` of a manifest: what is kept of an alert besides its words."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from vedette.contracts.base import Contract, Identifier, Seconds


class ClipSettings(Contract):
    """How much video around an alert is kept."""

    before_s: Annotated[Seconds, Field(le=30, description="Seconds before the alert's picture, at least.")] = 5.0
    after_s: Annotated[Seconds, Field(le=30, description="Seconds after the alert's picture.")] = 5.0


class UploadSettings(Contract):
    """Copies in the owner's own bucket (S3). Without this section nothing but the alert's words leaves the device."""

    bucket: Annotated[
        str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="Name of the owner's bucket.")
    ]
    region: Annotated[
        str, Field(pattern=r"^([a-z]{2}(-[a-z]+)+-[0-9])?$", description="Its region; the environment's where absent.")
    ] = ""
    prefix: Annotated[
        str,
        Field(pattern=r"^([A-Za-z0-9_.-]+/)*$", max_length=200, description="Begins every key, such as `evidence/`."),
    ] = ""
    snapshot: Annotated[bool, Field(description="Copy the pictures.")] = True
    clip: Annotated[bool, Field(description="Copy the video.")] = True


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
    upload: Annotated[
        UploadSettings | None, Field(description="Copy it into a bucket too; it stays on the device where absent.")
    ] = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.snapshot and self.clip is None:
            raise ValueError("neither `snapshot` nor `clip` is asked for; leave `evidence` out instead")
        return self

    def wants(self, rule: str) -> bool:
        """Whether alerts of this rule or hook are meant."""
        return self.rules is None or rule in self.rules
