"""S28: names that would lead a message to somebody else's topic."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from tests.device.test_device_agent import Account
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from tests.local.job_device import JobDevice
from vedette.compose.device_agent import DeviceAgent
from vedette.contracts import topics
from vedette.contracts.camera import CameraConfig
from vedette.contracts.device import ThingName
from vedette.contracts.device_document import DeviceDocument
from vedette.contracts.manifest import Manifest, MqttAction

#: Level separators, wildcards, reserved beginnings, ends of texts and lines, look-alikes, encodings.
PIECES: Final = (
    "/", "//", "+", "#", "$", "$aws", "$share/g/", "$SYS", "\0", "\n", "\r\n", "\t", " ", "..", "../", ".", "%2F", "%00",
    "\\", "\u2028", "\ufeff", "\u202e", "\uff0f", "\u2215", "\U0001f511", "ä", "*", "?", "{", "}", "${iot:ClientId}", ":",
    "a", "Z", "9", "_", "-", "hall", "cam-1", "vedette", "alerts", "ack", "status", "things", "jobs", "update", "accepted",
    "x" * 63, "x" * 64, "x" * 65, "x" * 300,
)  # fmt: skip
#: What a level of a topic of ours may be.
LEVEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}|[A-Za-z0-9_-]{1,64}", re.ASCII)
THING: Final = "thing-1"


def strings(rng: random.Random, count: int) -> list[str]:
    """Hostile ones, and some that are well."""
    return ["".join(rng.choices(PIECES, k=rng.randint(1, 5))) for _ in range(count)]


@dataclass(frozen=True)
class Place:
    """Where somebody's text becomes a part of topics.

    Attributes:
        taken: the name that the contract makes of a text; raises ValidationError where it takes it not.
        topics: made of a name.
    """

    what: str
    taken: Callable[[str], str]
    topics: tuple[Callable[[str], str], ...]


def _application(name: str) -> str:
    document = {"api": "vedette/v1", "name": name, "cameras": {"a": {}}, "models": {"m": {"family": "yolox", "file": "m"}},
                "pipelines": {"p": {"model": "m", "cameras": ["a"]}}}  # fmt: skip
    return Manifest.model_validate(document).name


def _camera_of_the_account(name: str) -> str:
    document = DeviceDocument.model_validate({"cameras": {name: {"url": "rtsp://10.0.0.7/"}}})
    return next(iter(document.cameras))


def _abstract_camera(name: str) -> str:
    document = {"api": "vedette/v1", "name": "a", "cameras": {name: {}}, "models": {"m": {"family": "yolox", "file": "m"}},
                "pipelines": {"p": {"model": "m", "cameras": [name]}}}  # fmt: skip
    return next(iter(Manifest.model_validate(document).cameras))


_THING_NAME: Final[TypeAdapter[str]] = TypeAdapter(ThingName)
_OF_CAMERAS: Final = (topics.local_status, topics.local_tracks)
_OF_THINGS: Final = (
    topics.cloud_alerts, topics.cloud_ack, topics.cloud_insights, topics.cloud_health, topics.cloud_comparison,
    lambda thing: topics.shadow(thing, "update"), lambda thing: topics.jobs(thing, "start-next"),
)  # fmt: skip
PLACES: Final = (
    Place("camera", lambda text: CameraConfig(name=text, url="rtsp://10.0.0.7/").name, _OF_CAMERAS),
    Place("camera of an application", _abstract_camera, _OF_CAMERAS),
    Place("camera of the account's document", _camera_of_the_account, _OF_CAMERAS),
    Place("application", _application, (topics.local_hooks,)),
    Place("thing", _THING_NAME.validate_python, _OF_THINGS),
)


def strays(name: str, made: Callable[[str], str]) -> bool:
    """Whether a name gives another topic than its own: more levels, wildcards, other ends, anything unprintable."""
    levels, own = made(name).split("/"), made("own").split("/")
    if len(levels) != len(own):
        return True
    return any(
        not (LEVEL.fullmatch(one) if wanted == "own" else one == wanted)
        for one, wanted in zip(levels, own, strict=True)
    )


def through_contracts(texts: list[str]) -> Iterator[tuple[str, str, bool, bool]]:
    """(place, text, whether it was taken, whether it strayed)."""
    for place in PLACES:
        for text in texts:
            try:
                name = place.taken(text)
            except ValidationError:
                yield place.what, text, False, False
                continue
            yield place.what, text, True, any(strays(name, made) for made in place.topics)


def broker_topics(texts: list[str]) -> Iterator[tuple[str, bool, bool]]:
    """The topic of an MQTT action is the user's own; what it must not be is a filter or the broker's."""
    for text in texts:
        try:
            topic = MqttAction(type="mqtt", host="h", topic=text).topic
        except ValidationError:
            yield text, False, False
            continue
        yield text, True, bool(re.search(r"[+#\0]|^\$", topic))


class Heard(Account):
    """AWS IoT that keeps the topics on which an agent published."""

    def __init__(self, device: JobDevice) -> None:
        super().__init__(device)
        self.topics: list[str] = []

    def publish_cloud(self, topic: str, payload: bytes) -> None:
        self.topics.append(topic)


def jobs_of_the_account(texts: list[str], folder: Path) -> Iterator[tuple[str, bool, bool]]:
    """Job ids by the real agent: (text, whether anything was published for it, whether that strayed)."""
    heard = Heard(JobDevice(folder))
    agent = DeviceAgent(heard, THING)  # type: ignore[arg-type]  # what the agent uses of a bus
    own = re.compile(r"\$aws/things/[A-Za-z0-9_-]+/jobs/(start-next|[A-Za-z0-9_-]{1,64}/update)", re.ASCII)
    for text in texts:
        heard.topics.clear()
        execution: dict[str, Any] = {"jobId": text, "executionNumber": 1, "jobDocument": None}
        agent._started(execution)
        yield text, bool(heard.topics), any(not own.fullmatch(topic) for topic in heard.topics)


def test_s28_topics(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    texts = strings(random.Random(scorecard.seed()), scorecard.size(quick=1_000, full=10_000))
    results = list(through_contracts(texts))
    results += [("topic of an action", *one) for one in broker_topics(texts)]
    results += [("job", *one) for one in jobs_of_the_account(texts, tmp_path)]
    bad = [(place, text) for place, text, _, strayed in results if strayed]
    taken: Counter[str] = Counter()
    for place, _, took, _ in results:
        taken[place] += took
    unchecked = sum(any(strays(text, made) for made in _OF_CAMERAS) for text in texts)
    seen = unchecked > len(texts) // 2 and min(taken.values()) > 0
    row = Row(
        "S28",
        "strings that reach another topic than their own",
        len(bad),
        "strings",
        len(results),
        "0 of >= 10,000",
        passed=not bad and seen,
        upper95=upper95(len(bad), len(results)),
        control=Control(f"the same {len(texts)} strings put into topics unchecked: astray", unchecked, seen),
        seed=scorecard.seed(),
        notes=f"{len(texts)} strings at {len(taken)} places, the rest refused: "
        + ", ".join(f"as {place} {count} taken" for place, count in taken.items())
        + f". Astray: {bad[:5] or 'none'}.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, (bad[:5], taken)
