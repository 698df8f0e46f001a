"""CPU of the whole system beside the bare floor."""

from __future__ import annotations

from collections.abc import Sequence

from bench.footage import model, recording
from bench.result import Figure, Row, at_most, middle_round, number, shares
from bench.system import Stretch, application, floor, simulated, system

VIDEO = "one-by-one-person-detection.mp4"
CAMERAS = 4


def measure(quick: bool) -> Row:
    """Rounds of hot floor, paced floor and system."""
    rounds, seconds = (1, 8.0) if quick else (3, 20.0)
    video, network = recording(VIDEO), model()
    hot: list[float] = []
    paced: list[float] = []
    stretches: list[Stretch] = []
    names = [f"hall{n}" for n in range(CAMERAS)]
    fps = 10.0
    for _ in range(rounds):
        hot.append(floor(video, network, fps, seconds * 2)["cpu_ms_per_analysed"])
        paced.append(floor(video, network, fps, seconds, CAMERAS)["cpu_ms_per_analysed"])
        with (
            simulated(dict.fromkeys(names, video)) as cameras,
            system(application(network, names, fps), cameras.urls) as running,
        ):
            stretches.append(running.measure(seconds))
    return Row(
        "system",
        "CPU for an analysed picture: the whole system over the bare floor",
        "python -m bench system",
        f"{CAMERAS} RTSP cameras, H.264 768×432, 10 fps with B pictures, GOP 1 s, every picture analysed, YOLOX-nano "
        f"416; {rounds} rounds of {seconds:g} s, floor and system in turns. The floor is decode + letterbox + "
        "session.run in one process, four cameras at their own pace with one session (paced), or one as fast as it "
        "goes (hot). The paced one is what the system is compared with: a processor that rests between two pictures may need more "
        "for each, in any program.",
        (
            at_most("whole system over the paced floor", "×", _ratios(paced, stretches), 1.10),
            Figure("whole system: processor", "ms/picture", tuple(s.cpu_ms_per_picture for s in stretches)),
            *(
                Figure(f"of it, {name}", "ms/picture", tuple(1000 * s.cpu_by[name] / s.pictures for s in stretches))
                for name in stretches[0].cpu_by
            ),
            Figure("paced floor: processor", "ms/picture", tuple(paced), peer=True),
            Figure("hot floor: processor", "ms/picture", tuple(hot), peer=True),
            Figure(
                "LocalCore, not counted: processor",
                "ms/picture",
                tuple(1000 * s.core_cpu_s / s.pictures for s in stretches),
            ),
        ),
        (_note(paced, stretches),),
    )


def _ratios(paced: Sequence[float], stretches: Sequence[Stretch]) -> list[float]:
    return [stretch.cpu_ms_per_picture / floor_ms for stretch, floor_ms in zip(stretches, paced, strict=True)]


def _note(paced: Sequence[float], stretches: Sequence[Stretch]) -> str:
    """Where the time went in the middle round."""
    at = middle_round(_ratios(paced, stretches))
    one = stretches[at]
    by = {name: 1000 * used_s / one.pictures for name, used_s in one.cpu_by.items()}
    return (
        f"In the round of the median the system took {number(one.cpu_ms_per_picture)} ms a picture ({shares(by)}) and the paced floor "
        f"{number(paced[at])}. The difference of {number(one.cpu_ms_per_picture - paced[at])} ms is what the floor does not do: receiving "
        "by RTSP, handing pictures from process to process, tracking, journal, rules, delivery, watching over processes."
    )
