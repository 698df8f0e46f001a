"""The whole manifest, and the references between its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vedette.contracts.base import Contract, Identifier, Title
from vedette.contracts.manifest.actions import Action, FileAction
from vedette.contracts.manifest.cameras import AbstractCamera
from vedette.contracts.manifest.evidence import Evidence
from vedette.contracts.manifest.hooks import Hook
from vedette.contracts.manifest.insights import Insight, IntervalSeconds
from vedette.contracts.manifest.models import Model
from vedette.contracts.manifest.parameters import Parameter
from vedette.contracts.manifest.pipelines import Pipeline
from vedette.contracts.manifest.rules import Rule
from vedette.contracts.manifest.watching import Watching
from vedette.contracts.privacy import Privacy


class Manifest(Contract):
    """A whole application."""

    api: Annotated[Literal["vedette/v1"], Field(description="Version of this format.")]
    name: Identifier
    title: Title = ""
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "0.1.0"
    cameras: Annotated[dict[Identifier, AbstractCamera], Field(min_length=1)]
    models: Annotated[dict[Identifier, Model], Field(min_length=1)]
    pipelines: Annotated[dict[Identifier, Pipeline], Field(min_length=1)]
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
        mistakes = list(self.reference_mistakes())
        if mistakes:
            raise ValueError("; ".join(f"{'.'.join(map(str, path))}: {text}" for path, text in mistakes))
        return self

    def reference_mistakes(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Names that are used but not given, as ``(path, what is wrong)``."""
        mistakes: list[tuple[tuple[str | int, ...], str]] = []

        def check(path: tuple[str | int, ...], kind: str, name: str, known: dict[str, object]) -> None:
            if name not in known:
                mistakes.append((path, f"no {kind} is called {name!r}; there is {', '.join(sorted(known)) or 'none'}"))

        for key, pipeline in self.pipelines.items():
            check(("pipelines", key, "model"), "model", pipeline.model, dict(self.models))
            for index, camera in enumerate(pipeline.cameras):
                check(("pipelines", key, "cameras", index), "camera", camera, dict(self.cameras))
            for name, settings in pipeline.attributes.items():
                model = getattr(settings, "model", None)
                if model is not None:
                    check(("pipelines", key, "attributes", name, "model"), "model", model, dict(self.models))
        sections: tuple[tuple[str, Mapping[str, Watching]], ...] = (("rules", self.rules), ("insights", self.insights))
        for section, entries in sections:
            for key, entry in entries.items():
                if entry.pipeline is not None:
                    check((section, key, "pipeline"), "pipeline", entry.pipeline, dict(self.pipelines))
                elif len(self.pipelines) != 1:
                    mistakes.append(((section, key), "`pipeline` is needed because there is more than one"))
                for index, camera in enumerate(entry.cameras or ()):
                    check((section, key, "cameras", index), "camera", camera, dict(self.cameras))
        for key, rule in self.rules.items():
            for index, action in enumerate(rule.actions or ()):
                check(("rules", key, "actions", index), "action", action, dict(self.actions))
        for key, hook in self.hooks.items():
            for part, kind, names, known in (
                ("pipelines", "pipeline", hook.pipelines or (), self.pipelines),
                ("cameras", "camera", hook.cameras, self.cameras),
                ("actions", "action", hook.actions or (), self.actions),
            ):
                for index, name in enumerate(names):
                    check(("hooks", key, part, index), kind, name, dict(known))
            if key in self.rules:
                mistakes.append((("hooks", key), f"a rule is called {key!r} too; alerts could not be told apart"))
        if self.evidence is not None:
            raising: dict[str, object] = {**self.rules, **self.hooks}
            for index, name in enumerate(self.evidence.rules or ()):
                check(("evidence", "rules", index), "rule or hook", name, raising)
        return mistakes

    def rule_pipeline(self, rule: Watching) -> str:
        """Name of the pipeline a rule or an insight listens to."""
        return rule.pipeline if rule.pipeline is not None else next(iter(self.pipelines))

    def rule_cameras(self, rule: Watching) -> tuple[str, ...]:
        """The application's names of the cameras a rule or an insight watches."""
        return rule.cameras if rule.cameras is not None else self.pipelines[self.rule_pipeline(rule)].cameras
