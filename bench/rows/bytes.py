"""Bytes between a device and the cloud, against streaming the same video."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import av

from bench.footage import data
from bench.metered import metered_broker
from bench.result import Figure, Row, at_most
from bench.system import simulated, system
from tests.edge.running import site_watch
from vedette.cli.demo import FOOTAGE
from vedette.local.iot import BrokerIot

DAY_S = 86_400
THING = "test-device"
MAIN_KBIT = 4000


def measure(quick: bool) -> Row:
    """The four-camera example over its recordings, again and again; then with nothing that it alerts to."""
    seconds = 15.0 if quick else 140.0
    files = {name: data() / "videos" / file for name, file in FOOTAGE.items()}
    streamed = [_bytes_per_s(file) for file in files.values() if file.suffix == ".mp4"]
    busy, alerts = _traffic(files, seconds, alerting=True)
    quiet, none = _traffic(files, seconds / 4, alerting=False)
    cameras = len(files)
    per_day = busy * DAY_S / cameras
    video_per_day = statistics.mean(streamed) * DAY_S
    per_alert = (busy - quiet) / (alerts / seconds) if alerts else 0.0
    main_per_day = MAIN_KBIT * 125 * DAY_S
    affordable = max(0.0, (video_per_day / 1000 - quiet * DAY_S / cameras) / per_alert) if per_alert else 0.0
    return Row(
        "bytes",
        "Bytes between device and cloud",
        "python -m bench bytes",
        f"The example site_watch (four cameras, alerts to the cloud) over its recordings, played without a pause for "
        f"{seconds:g} s, then for {seconds / 4:g} s with its rules taken away. The broker is behind mutual TLS; the kernel counts "
        "each connection's bytes there, both directions, TLS records, handshakes, acknowledgements and headers of IPv4 and TCP "
        "included. Scaled to a day and divided by the cameras. Streaming is the mean rate of the three recordings in "
        "H.264, without any headers; the fourth is a GIF, which no camera sends.",
        (
            at_most(
                "to the cloud, of the same video streamed",
                "‰",
                [1000 * per_day / video_per_day],
                1,
            ),
            Figure("to the cloud, of a main stream of 4 Mbit/s", "‰", (1000 * per_day / main_per_day,)),
            Figure("recordings day and night", "MB per camera and day", (per_day / 1e6,)),
            Figure("nothing to alert to", "MB per camera and day", (quiet * DAY_S / cameras / 1e6,)),
            Figure("the same video streamed", "MB per camera and day", (video_per_day / 1e6,), peer=True),
            Figure("an alert, both directions", "bytes", (per_alert,)),
            Figure("alerts in the run", "per camera and hour", (alerts / seconds * 3600 / cameras,)),
            Figure("alerts that 1/1000 of the same video pays for", "per camera and hour", (affordable / 24,)),
        ),
        (
            f"The recordings show something all the time: {alerts / seconds * 60 / cameras:.1f} alerts a minute and camera, day and night; and "
            "they are small (768×432 and 640×360, 0.1 to 0.6 Mbit/s), while the size of an alert does not depend on "
            "the picture's. That is why they need more than a thousandth of themselves; the last line says how many alerts a "
            "thousandth holds. A site lies between the line of these recordings and that of nothing to alert to. Evidence pictures "
            "and clips, where an application keeps them, come on top: the example keeps none.",
            f"Alerts while nothing was to be alerted to: {none}.",
        ),
    )


def _traffic(files: dict[str, Path], seconds: float, *, alerting: bool) -> tuple[float, int]:
    """Bytes a second of the device's connection, and how many alerts there were."""
    with (
        tempfile.TemporaryDirectory(prefix="vb", dir="/tmp") as folder,
        metered_broker(Path(folder), THING) as broker,
        simulated(files) as cameras,
    ):
        manifest = site_watch(data(), Path(folder) / "models")
        if not alerting:
            manifest = manifest.model_copy(update={"rules": {}})
        iot: BrokerIot = broker.iot
        with system(manifest, cameras.urls, iot=iot) as running:
            taken, seen, begun_s = broker.total_bytes(), len(running.watched.alerts()), time.monotonic()
            running.measure(seconds)
            elapsed_s = time.monotonic() - begun_s
            taken, seen = broker.total_bytes() - taken, len(running.watched.alerts()) - seen
    return taken / elapsed_s, seen


def _bytes_per_s(file: Path) -> float:
    """Of the pictures as the recording holds them."""
    with av.open(str(file)) as source:
        stream = source.streams.video[0]
        sizes = [packet.size for packet in source.demux(stream) if packet.size]
        return sum(sizes) / (len(sizes) / float(stream.average_rate or stream.guessed_rate))
