"""Cameras held at ten pictures a second as their number grows."""

from __future__ import annotations

import os

from bench.footage import model, recording
from bench.result import Figure, Row, Series
from bench.system import application, arriving, floor, quantile, simulated, system

VIDEO = "one-by-one-person-detection.mp4"
FPS = 10.0
NUMBERS = (1, 2, 4, 8, 12)
WANTED = 8
#: Ten strips across the picture, each a rule: who crosses the room gives ten alerts.
STRIPS = {
    f"strip{n}": {
        "type": "zone_entered",
        "zone": [[n / 10, 0.0], [n / 10 + 0.1, 0.0], [n / 10 + 0.1, 1.0], [n / 10, 1.0]],
    }
    for n in range(10)
}


def measure(quick: bool) -> Row:
    """One run for each number of cameras."""
    seconds = 8.0 if quick else 30.0
    video, network = recording(VIDEO), model()
    bare = floor(video, network, FPS, seconds, 1)["run_p50_ms"]
    limit_ms = 2 * bare + 50
    figures: list[Figure] = [Figure("bare inference, one camera, p50", "ms", (bare,), peer=True)]
    rates, middles, lasts, numbers = [], [], [], []
    for number in NUMBERS[:2] if quick else NUMBERS:
        names = [f"hall{n}" for n in range(number)]
        with (
            simulated(dict.fromkeys(names, video)) as cameras,
            system(application(network, names, FPS, STRIPS), cameras.urls) as running,
            arriving(running.watched) as arrivals,
        ):
            stretch = running.measure(seconds)
        rate = stretch.pictures / stretch.seconds / number
        delay_ms = [1000 * arrival.delay_s for arrival in arrivals]
        age_ms = [1000 * age for age in stretch.ages_s]
        numbers.append(float(number))
        rates.append(rate)
        middles.append(quantile(delay_ms, 0.5) if delay_ms else float("nan"))
        lasts.append(quantile(delay_ms, 0.99) if delay_ms else float("nan"))
        wanted = number == WANTED
        figures += [
            Figure(
                f"{number} cameras: analysed",
                "pictures/s per camera",
                (rate,),
                "≥ 9.8" if wanted else "",
                rate >= 9.8 if wanted else None,
            ),
            Figure(
                f"{number} cameras: age of a picture when its objects are known, p99", "ms", (quantile(age_ms, 0.99),)
            ),
            Figure(f"{number} cameras: picture to alert, p50", "ms", (middles[-1],)),
            Figure(
                f"{number} cameras: picture to alert, p99 of {len(delay_ms)}",
                "ms",
                (lasts[-1],),
                f"≤ {limit_ms:.0f} (2 × bare inference + 50)" if wanted else "",
                lasts[-1] <= limit_ms if wanted else None,
            ),
            Figure(f"{number} cameras: processor", "cores", (stretch.cpu_s / stretch.seconds,)),
        ]
    return Row(
        "scale",
        "Cameras held at ten pictures a second",
        "python -m bench scale",
        f"RTSP cameras, H.264 768×432, 10 fps with B pictures, GOP 1 s, every picture analysed by YOLOX-nano 416, ten rules; "
        f"{seconds:g} s for each number of cameras. Picture to alert: from the picture's time of capture to the alert in the "
        "receiving file, looked at every 2 ms.",
        tuple(figures),
        (
            f"{os.cpu_count()} cores hold {os.cpu_count()} × 1000 / (run + decoding) pictures a second and no more; above that "
            "pictures are left out, and the age of those that are analysed hardly grows. The cameras' simulator takes part of the same cores.",
            "Of this footage a picture waits for its turn behind a B picture, one interval of 100 ms, which no decoder can "
            "spare; the time is from its capture. What is above that with one camera is the run, the rules and the delivery; what "
            "more cameras add is waiting for each other's runs, as the cores fill (their last lines).",
        ),
        (
            Series("rate", "analysed", "cameras", "pictures/s per camera", tuple(numbers), tuple(rates)),
            Series("delay", "p50", "cameras", "picture to alert, ms", tuple(numbers), tuple(middles)),
            Series("delay", "p99", "cameras", "picture to alert, ms", tuple(numbers), tuple(lasts)),
        ),
    )
