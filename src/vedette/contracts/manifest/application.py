"""The whole manifest, and the references between its parts."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vedette.contracts.base import CameraName, Contract, Identifier, Title
from vedette.contracts.manifest.actions import Action, FileAction
from vedette.contracts.manifest.cameras import AbstractCamera
from vedette.contracts.manifest.evidence import Evidence
from vedette.contracts.manifest.hooks import Hook
from vedette.contracts.manifest.insights import Insight, IntervalSeconds
from vedette.contracts.manifest.models import Model
from vedette.contracts.manifest.panorama import Panorama
from vedette.contracts.manifest.parameters import Parameter
from vedette.contracts.manifest.pipelines import Pipeline
from vedette.contracts.manifest.references import reference_mistakes, track_sources
from vedette.contracts.manifest.rules import Rule
from vedette.contracts.manifest.watching import Watching
from vedette.contracts.privacy import Privacy


class Manifest(Contract):
    """A whole application."""

    api: Annotated[Literal["vedette/v1"], Field(description="Version of this format.")]
    name: Identifier
    title: Title = ""
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "0.1.0"
    cameras: Annotated[dict[CameraName, AbstractCamera], Field(min_length=1)]
    models: Annotated[
        dict[Identifier, Model], Field(description="At least one, except where `panorama` code needs none.")
    ] = Field(default_factory=dict)
    pipelines: Annotated[dict[Identifier, Pipeline], Field(description="At least one, except beside `panorama`.")] = (
        Field(default_factory=dict)
    )
    rules: Annotated[dict[Identifier, Rule], Field(default_factory=dict)]
    insights: Annotated[dict[Identifier, Insight], Field(default_factory=dict)]
    insights_interval_s: Annotated[
        IntervalSeconds, Field(description="Length of the intervals that insights are reported for.")
    ] = 60
    insights_to_cloud: Annotated[bool, Field(description="Send the reports to the owner's account.")] = True
    insights_file: Annotated[
        str | None,
        Field(min_length=1, description="Write them to this file too; inside the state directory where relative."),
    ] = None
    panorama: Annotated[
        Panorama | None, Field(description="The code of an AWS Panorama application; see docs/panorama.md.")
    ] = None
    hooks: Annotated[
        dict[Identifier, Hook], Field(description="The application's own Python, for what rules cannot say.")
    ] = Field(default_factory=dict)
    evidence: Annotated[
        Evidence | None, Field(description="Pictures and video kept of alerts; nothing of the kind where absent.")
    ] = None
    privacy: Annotated[
        Privacy,
        Field(
            description="What evidence may show: `none` everything, `blur` nobody's face, `metadata-only` no picture "
            "at all. A device may be stricter."
        ),
    ] = Privacy.BLUR
    actions: Annotated[dict[Identifier, Action], Field(default_factory=lambda: {"file": FileAction(type="file")})]
    parameters: Annotated[dict[Identifier, Parameter], Field(default_factory=dict, max_length=64)]

    @model_validator(mode="after")
    def _references(self) -> Self:
        """Every name used is a name given. All mistakes are reported at once, each with its place."""
        mistakes = reference_mistakes(self)
        if mistakes:
            raise ValueError("; ".join(f"{'.'.join(map(str, path))}: {text}" for path, text in mistakes))
        return self

    def track_sources(self) -> dict[str, tuple[str, ...]]:
        """What rules, insights and hooks can listen to, with its cameras: pipelines, and outputs of ``panorama``."""
        return track_sources(self)

    @property
    def own_code(self) -> tuple[str, ...]:
        """Names of the application's own code: its hooks, and ``panorama`` where it has such a section."""
        return (*sorted(self.hooks), *(("panorama",) if self.panorama is not None else ()))

    def rule_pipeline(self, rule: Watching) -> str:
        """Name of the pipeline a rule or an insight listens to."""
        return rule.pipeline if rule.pipeline is not None else next(iter(self.track_sources()))

    def rule_cameras(self, rule: Watching) -> tuple[str, ...]:
        """The application's names of the cameras a rule or an insight watches."""
        return rule.cameras if rule.cameras is not None else self.track_sources()[self.rule_pipeline(rule)]
