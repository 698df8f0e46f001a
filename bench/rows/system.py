"""CPU of the whole system beside the bare floor."""

from __future__ import annotations

from bench.footage import model, recording
from bench.result import Figure, Row, at_most
from bench.system import application, floor, simulated, system

VIDEO = "one-by-one-person-detection.mp4"
CAMERAS = 4


def measure(quick: bool) -> Row:
    """Rounds of hot floor, paced floor and system."""
    rounds, seconds = (1, 8.0) if quick else (3, 20.0)
    video, network = recording(VIDEO), model()
    hot, paced, whole, figures = [], [], [], []
    names = [f"hall{number}" for number in range(CAMERAS)]
    fps = 10.0
    for _ in range(rounds):
        hot.append(floor(video, network, fps, seconds * 2)["cpu_ms_per_analysed"])
        paced.append(floor(video, network, fps, seconds, CAMERAS)["cpu_ms_per_analysed"])
        with (
            simulated(dict.fromkeys(names, video)) as cameras,
            system(application(network, names, fps), cameras.urls) as running,
        ):
            figures.append(running.measure(seconds))
            whole.append(figures[-1].cpu_ms_per_picture)
    ratios = [a / b for a, b in zip(whole, paced, strict=True)]
    return Row(
        "system",
        "CPU for an analysed picture: the whole system over the bare floor",
        "python -m bench system",
        f"{CAMERAS} RTSP cameras, H.264 768×432, 10 fps with B pictures, GOP 1 s, every picture analysed, YOLOX-nano "
        f"416; {rounds} rounds of {seconds:g} s, floor and system in turns. The floor is decode + letterbox + "
        "session.run in one process, four cameras at their own pace with one session (paced), or one as fast as it "
        "goes (hot).",
        (
            at_most("whole system over the paced floor", "×", ratios, 1.10),
            Figure("whole system: processor", "ms/picture", tuple(whole)),
            *(
                Figure(f"of it, {name}", "ms/picture", tuple(1000 * s.cpu_by[name] / s.pictures for s in figures))
                for name in figures[0].cpu_by
            ),
            Figure("paced floor: processor", "ms/picture", tuple(paced), peer=True),
            Figure("hot floor: processor", "ms/picture", tuple(hot), peer=True),
            Figure(
                "LocalCore, not counted: processor",
                "ms/picture",
                tuple(1000 * s.core_cpu_s / s.pictures for s in figures),
            ),
        ),
        (
            "A run on a processor that has rested since the last picture may cost more than one of many in a row (paced "
            "beside hot), in any program. What is above the paced floor: RTSP and copying into the ring, journal, "
            "tracker, rules, watching over processes.",
        ),
    )
