"""What hooks are handed: cameras, objects, batches, pictures; and what they raise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of the application.

    Attributes:
        name: the application's own name of it, as in ``vedette.yaml``.
        device: what the site calls the camera that it is bound to; one name may be bound to several.
    """

    name: str
    device: str = ""

    def __post_init__(self) -> None:
        """Without a binding, both names are the same."""
        if not self.device:
            object.__setattr__(self, "device", self.name)


@dataclass(frozen=True, slots=True)
class TrackedObject:
    """One object in one picture.

    Attributes:
        track_id: stays with the object from picture to picture; unique per camera and pipeline.
        label: class, such as ``person``.
        box: ``(x1, y1, x2, y2)``, pixels of the original picture, x to the right, y down.
        score: confidence, 0..1.
        attributes: what this picture says of it besides its class: property → value.
    """

    track_id: int
    label: str
    box: tuple[float, float, float, float]
    score: float = 1.0
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def center(self) -> tuple[float, float]:
        """Middle of the box, pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def bottom_center(self) -> tuple[float, float]:
        """Where a person or a vehicle stands, pixels."""
        return (self.box[0] + self.box[2]) / 2, self.box[3]


@dataclass(frozen=True, slots=True)
class Batch:
    """What was seen in one analysed picture. A picture without objects is a batch too.

    Attributes:
        camera: the application's own name of the camera.
        objects: all confirmed objects.
        time: of the picture, UTC, by the device's clock.
        media_time_s: seconds into the stream or recording.
        pipeline: name of the pipeline in ``vedette.yaml``.
        device_camera: what the site calls the camera.
        width: of the picture, pixels.
        height: of the picture, pixels.
        epoch: new for every connection to the camera; with ``frame_no`` it names the picture for ever.
        frame_no: number of the picture within the epoch.
        gap: why pictures before this one are missing; empty where none are.
    """

    camera: str
    objects: tuple[TrackedObject, ...] = ()
    time: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    media_time_s: float = 0.0
    pipeline: str = "main"
    device_camera: str = ""
    width: int = 1920
    height: int = 1080
    epoch: str = ""
    frame_no: int = 0
    gap: str = ""

    def __post_init__(self) -> None:
        """Without a binding, both names are the same."""
        if not self.device_camera:
            object.__setattr__(self, "device_camera", self.camera)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture, in memory that is used again soon: it can be read during the call of ``on_frame`` only.

    Attributes:
        camera: the application's own name of the camera.
        picture: makes the BGR or grey picture; how is nobody's business.
        time: of the picture, UTC, by the device's clock.
        media_time_s: seconds into the stream or recording.
        device_camera: what the site calls the camera.
        width: pixels.
        height: pixels.
        epoch: as in ``Batch``.
        frame_no: as in ``Batch``.
    """

    camera: str
    picture: Callable[[Literal["bgr", "gray"]], NDArray[np.uint8]] = field(repr=False)
    time: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    media_time_s: float = 0.0
    device_camera: str = ""
    width: int = 0
    height: int = 0
    epoch: str = ""
    frame_no: int = 0

    def bgr(self) -> NDArray[np.uint8]:
        """The picture in colour; a copy that may be kept and changed.

        Returns:
            uint8 (height, width, 3), blue, green, red.

        Raises:
            TimeoutError: the picture's memory was taken back, more than about two seconds after it was handed over.
        """
        return self.picture("bgr")

    def gray(self) -> NDArray[np.uint8]:
        """The picture's brightness; a copy, and much cheaper than colour.

        Returns:
            uint8 (height, width), 0 black, 255 white.

        Raises:
            TimeoutError: as ``bgr``.
        """
        return self.picture("gray")


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """One call of ``App.alert``, as Vedette takes it.

    Attributes:
        message: one sentence for people.
        camera: what the site calls the camera.
        key: the author's name of the event; empty where there is none.
        number: how many alerts without a key were raised before in the same call.
        track_ids: objects of the batch.
        count: a number to report.
        severity: empty where the manifest's counts.
    """

    message: str
    camera: str
    key: str
    number: int
    track_ids: tuple[int, ...]
    count: int | None
    severity: str
