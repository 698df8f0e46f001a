"""The whole manifest, and the references between its parts."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vedette.contracts.base import Contract, Identifier, Title
from vedette.contracts.manifest.actions import Action, FileAction
from vedette.contracts.manifest.cameras import AbstractCamera
from vedette.contracts.manifest.models import Model
from vedette.contracts.manifest.parameters import Parameter
from vedette.contracts.manifest.pipelines import Pipeline
from vedette.contracts.manifest.rules import Rule, RuleBase


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
        for key, rule in self.rules.items():
            if rule.pipeline is not None:
                check(("rules", key, "pipeline"), "pipeline", rule.pipeline, dict(self.pipelines))
            elif len(self.pipelines) != 1:
                mistakes.append((("rules", key), "`pipeline` is needed because there is more than one"))
            for index, camera in enumerate(rule.cameras or ()):
                check(("rules", key, "cameras", index), "camera", camera, dict(self.cameras))
            for index, action in enumerate(rule.actions or ()):
                check(("rules", key, "actions", index), "action", action, dict(self.actions))
        return mistakes

    def rule_pipeline(self, rule: RuleBase) -> str:
        """Name of the pipeline a rule listens to."""
        return rule.pipeline if rule.pipeline is not None else next(iter(self.pipelines))

    def rule_cameras(self, rule: RuleBase) -> tuple[str, ...]:
        """The application's names of the cameras a rule watches."""
        return rule.cameras if rule.cameras is not None else self.pipelines[self.rule_pipeline(rule)].cameras
