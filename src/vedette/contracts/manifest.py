"""``vedette.yaml``: what an application is. Data first; the JSON Schema of this file is exported."""

from __future__ import annotations

from datetime import time
from enum import StrEnum
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from vedette.contracts.alert import Direction, Severity
from vedette.contracts.base import Confidence, Contract, Identifier, Point, Seconds

Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=64)]
Line = Annotated[tuple[Point, Point], Field(description="From one end to the other, normalised.")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Title = Annotated[str, Field(max_length=200)]


class AbstractCamera(Contract):
    """A camera the application needs; which one it is, is said at deployment."""

    title: Title = ""


class ModelFamily(StrEnum):
    """How a model's tensors become boxes."""

    YOLOX = "yolox"
    DETR = "detr"


class Provider(StrEnum):
    """What must run the model; a silent fallback is a reported DEGRADED state."""

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


class Model(Contract):
    """A detector: file, tensor contract and thresholds."""

    family: ModelFamily
    file: Annotated[
        str,
        Field(
            min_length=1,
            description="Path beside the manifest, or the name under which `vedette model add` stored it.",
        ),
    ]
    sha256: Annotated[Digest | None, Field(description="The file is refused where its digest differs.")] = None
    input_size: Annotated[
        tuple[int, int] | None,
        Field(description="[width, height] the model takes; read from the model where absent."),
    ] = None
    labels: Annotated[
        Literal["coco"] | tuple[str, ...],
        Field(description="`coco`, or the list of class names in the model's order."),
    ] = "coco"
    min_confidence: Annotated[Confidence, Field(description="Boxes below it are dropped.")] = 0.3
    nms_iou: Annotated[Confidence, Field(description="Overlap above which the weaker box is dropped.")] = 0.45
    class_agnostic_nms: bool = False
    require: Provider = Provider.CPU


class Tracker(Contract):
    """ByteTrack's parameters, in seconds rather than frames."""

    high_confidence: Annotated[Confidence, Field(description="A new track needs it.")] = 0.45
    low_confidence: Annotated[Confidence, Field(description="A known track is kept with it.")] = 0.1
    min_hits: Annotated[int, Field(ge=1, le=30, description="Pictures before a track counts.")] = 2
    lost_s: Annotated[Seconds, Field(le=60, description="How long an unseen object keeps its number.")] = 3.0
    match_iou: Annotated[Confidence, Field(description="Least overlap of a match.")] = 0.2
    class_agnostic: Annotated[bool, Field(description="Match boxes of different classes too.")] = False


class Pipeline(Contract):
    """Which cameras go through which model, how often."""

    model: Identifier
    cameras: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    fps: Annotated[float, Field(gt=0, le=60, description="Pictures analysed a second.")] = 5.0
    labels: Annotated[tuple[str, ...] | None, Field(description="Classes kept; all where absent.")] = None
    stream: Annotated[
        Literal["sub", "main"],
        Field(description="Stream analysed; `sub` falls back to main where there is none."),
    ] = "sub"
    tracker: Tracker = Tracker()


class Anchor(StrEnum):
    """The point of a box that is tested against zones and lines."""

    BOTTOM_CENTER = "bottom_center"
    CENTER = "center"
    TOP_CENTER = "top_center"


class Weekday(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class Schedule(Contract):
    """When a rule is armed. A span that ends before it starts runs over midnight."""

    timezone: str = "UTC"
    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = tuple(Weekday)
    start: Annotated[time, Field(description="Local time, HH:MM.")] = time(0, 0)
    end: Annotated[time, Field(description="Local time, HH:MM; 00:00 is the end of the day.")] = time(0, 0)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {value!r}; use an IANA name such as Europe/Berlin") from error
        return value


class RuleBase(Contract):
    """What every rule has."""

    title: Title = ""
    pipeline: Annotated[Identifier | None, Field(description="May be left out where there is only one.")] = None
    cameras: Annotated[tuple[Identifier, ...] | None, Field(description="The pipeline's cameras where absent.")] = None
    labels: Annotated[tuple[str, ...] | None, Field(description="Classes the rule is about; all where absent.")] = None
    min_confidence: Confidence = 0.0
    anchor: Anchor = Anchor.BOTTOM_CENTER
    severity: Severity = Severity.WARNING
    hold_s: Annotated[Seconds, Field(le=3600, description="A change must last this long to count.")] = 0.0
    cooldown_s: Annotated[Seconds, Field(le=86400, description="Silence after an alert of this rule and camera.")] = 0.0
    schedule: Schedule | None = None
    actions: Annotated[tuple[Identifier, ...] | None, Field(description="All of the manifest where absent.")] = None


class LineCrossed(RuleBase):
    """An object's anchor point goes over a line."""

    type: Literal["line_crossed"]
    line: Line
    direction: Direction | Literal["any"] = "any"
    hysteresis: Annotated[
        float, Field(ge=0, le=0.2, description="Distance from the line, normalised, before a side counts.")
    ] = 0.01

    @model_validator(mode="after")
    def _a_line_with_sides(self) -> Self:
        (x1, y1), (x2, y2) = self.line
        if (x1, y1) == (x2, y2):
            raise ValueError("the two ends of the line are the same point")
        if x1 == x2 and self.direction in (Direction.TOP_TO_BOTTOM, Direction.BOTTOM_TO_TOP):
            raise ValueError("a vertical line is crossed left_to_right or right_to_left")
        if y1 == y2 and self.direction in (Direction.LEFT_TO_RIGHT, Direction.RIGHT_TO_LEFT):
            raise ValueError("a horizontal line is crossed top_to_bottom or bottom_to_top")
        return self


class ZoneEntered(RuleBase):
    """An object comes into the zone, or appears there."""

    type: Literal["zone_entered"]
    zone: Polygon


class ZoneLeft(RuleBase):
    """An object that was in the zone is outside, or gone."""

    type: Literal["zone_left"]
    zone: Polygon


class ZoneOccupied(RuleBase):
    """Someone, whoever it is, has been in the zone without a break."""

    type: Literal["zone_occupied"]
    zone: Polygon
    for_s: Seconds


class Dwell(RuleBase):
    """One and the same object has been in the zone for a time; once per visit."""

    type: Literal["dwell"]
    zone: Polygon
    for_s: Seconds


class Count(RuleBase):
    """The number of objects is above or below a limit for a time; once each time it becomes so."""

    type: Literal["count"]
    zone: Polygon | None = None
    above: Annotated[int | None, Field(ge=0)] = None
    below: Annotated[int | None, Field(ge=1)] = None
    for_s: Seconds = 0.0

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give either `above` or `below`")
        return self


class CountChanged(RuleBase):
    """The number of objects has changed and stayed so for ``hold_s``; the first count is reported too."""

    type: Literal["count_changed"]
    zone: Polygon | None = None


class NothingSeen(RuleBase):
    """No object at all for a time, while the camera was being analysed."""

    type: Literal["nothing_seen"]
    zone: Polygon | None = None
    for_s: Seconds


Rule = Annotated[
    LineCrossed | ZoneEntered | ZoneLeft | ZoneOccupied | Dwell | Count | CountChanged | NothingSeen,
    Field(discriminator="type"),
]


class FileAction(Contract):
    """One JSON object a line."""

    type: Literal["file"]
    path: Annotated[str, Field(description="Inside the state directory where relative.")] = "alerts.jsonl"


class WebhookAction(Contract):
    """An HTTP POST of the alert, signed (HMAC-SHA256 over time stamp and body), tried again until answered 2xx."""

    type: Literal["webhook"]
    url: str
    secret: Annotated[str | None, Field(description="Name of a secret with `key`; signs the request.")] = None
    allow_private: Annotated[bool, Field(description="The receiver is on the site's own network.")] = False
    timeout_s: Annotated[Seconds, Field(gt=0, le=30)] = 5.0


class MqttAction(Contract):
    """A publish with QoS 1 to a broker on the site."""

    type: Literal["mqtt"]
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 8883
    topic: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^+#\x00$][^+#\x00]*$")] = "vedette/alerts"
    tls: bool = True
    ca_file: str | None = None
    secret: Annotated[str | None, Field(description="Name of a secret with `username` and `password`.")] = None


class IotCoreAction(Contract):
    """The owner's AWS account; kept until the ledger's own acknowledgement."""

    type: Literal["iot_core"]


Action = Annotated[FileAction | WebhookAction | MqttAction | IotCoreAction, Field(discriminator="type")]


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
