"""Insights on the command line: from a recording to reports to a picture; in the live view and in `vedette status`."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from rich.console import Console

from tests.cli.test_cli_main import vedette
from vedette.adapters.pictures.background import read_background
from vedette.adapters.pictures.heat_map import draw_heat_map
from vedette.adapters.state.latest import LatestInsights, read_latest_insights
from vedette.cli.live_view import LiveView
from vedette.cli.session import InsightFollower
from vedette.contracts.alert import Direction
from vedette.contracts.errors import CameraError, StorageError
from vedette.contracts.insight import (
    CrossingsValues,
    DwellValues,
    HeatMapValues,
    InsightReport,
    InsightValues,
    OccupancyValues,
    QueueValues,
    Waits,
    pack_cells,
)
from vedette.core.insights.heat_sum import HeatSum, sum_heat_maps
from vedette.core.insights.words import in_words
from vedette.testing.models import bright_rectangle
from vedette.testing.synthetic import make_clip

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def report(number: int, values: dict[str, InsightValues], camera: str = "gate") -> InsightReport:
    return InsightReport(
        report_id=f"{number:032x}",
        device="thing",
        application="app",
        pipeline="all",
        camera=camera,
        device_camera=camera,
        start=START + timedelta(minutes=number),
        end=START + timedelta(minutes=number + 1),
        analysed_s=60.0,
        values=values,
    )


def heat(*cells: int, grid: tuple[int, int] = (2, 2), withheld: bool = False) -> HeatMapValues:
    packed = None if withheld else pack_cells(cells)
    return HeatMapValues(analysed_s=60.0, grid=grid, cells=packed, suppressed=withheld)


@pytest.fixture
def application(tmp_path: Path) -> Path:
    (tmp_path / "tiny.onnx").write_bytes(bright_rectangle(size=(64, 64)))
    whole = [[0, 0], [1, 0], [1, 1], [0, 1]]
    manifest = {
        "api": "vedette/v1",
        "name": "tiny",
        "cameras": {"gate": {}},
        "models": {"things": {"family": "yolox", "file": "tiny.onnx", "labels": ["thing", "other"]}},
        "pipelines": {"all": {"model": "things", "cameras": ["gate"], "fps": 5}},
        "rules": {"stays": {"type": "dwell", "zone": whole, "for_s": 1}},
        "insights": {"room": {"type": "occupancy"}, "paths": {"type": "heat_map", "grid": [8, 4]}},
        "insights_interval_s": 10,
    }
    (tmp_path / "vedette.yaml").write_text(json.dumps(manifest))
    (tmp_path / "clip.mp4").write_bytes(make_clip(frames=300, fps=25))
    return tmp_path


# -- vedette backtest --insights ------------------------------------------------------------


def test_a_recording_becomes_the_same_reports_on_every_run(application: Path) -> None:
    camera = f"gate={application / 'clip.mp4'}"
    outputs = []
    for name in ("a", "b"):
        file = application / f"{name}.jsonl"
        run = vedette("backtest", str(application), "--camera", camera, "--insights", str(file))
        assert run.returncode == 0, run.stderr
        assert "stays" in run.stdout, "alerts are printed as ever"
        outputs.append(file.read_bytes())
    assert outputs[0] == outputs[1]
    reports = [InsightReport.model_validate_json(line) for line in outputs[0].splitlines()]
    assert [round(each.analysed_s, 1) for each in reports] == [10.0, 1.8]
    room = reports[0].values["room"]
    assert isinstance(room, OccupancyValues)
    assert room.max == 1


def test_reports_alone_on_standard_output(application: Path) -> None:
    camera = f"gate={application / 'clip.mp4'}"
    start = ("--start", "2026-03-01T12:00:05Z")
    run = vedette("backtest", str(application), "--camera", camera, "--insights", "-", *start)
    assert run.returncode == 0, run.stderr
    reports = [InsightReport.model_validate_json(line) for line in run.stdout.splitlines()]
    assert [each.start for each in reports] == [START, START + timedelta(seconds=10)]
    assert "1 gate stays" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--insights", "-", "--json"), "both want standard output"),
        (("--insights", "none/f.jsonl"), "cannot be written"),
        (("--insights", "f.jsonl", "--set", "insights={}"), "no section `insights`"),
    ],
)
def test_what_cannot_be_reported_is_refused(application: Path, arguments: tuple[str, ...], words: str) -> None:
    run = vedette("backtest", str(application), "--camera", f"gate={application / 'clip.mp4'}", *arguments)
    assert run.returncode == 1
    assert words in run.stderr
    assert "Traceback" not in run.stderr


# -- vedette insights heatmap ------------------------------------------------------------


def test_from_a_recording_to_a_picture(application: Path) -> None:
    clip, file, picture = (application / name for name in ("clip.mp4", "f.jsonl", "heat.png"))
    assert vedette("backtest", str(application), "--camera", f"gate={clip}", "--insights", str(file)).returncode == 0
    run = vedette("insights", "heatmap", str(file), "--background", str(clip), "-o", str(picture))
    assert run.returncode == 0, run.stderr
    assert "paths of gate" in run.stderr
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert drawn.shape[1] >= 640


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("none.jsonl", "--background", "clip.mp4", "-o", "h.png"), "V408", "cannot be read"),
        (("text.jsonl", "--background", "clip.mp4", "-o", "h.png"), "V408", "line 2, is no report"),
        (("good.jsonl", "--background", "text.jsonl", "-o", "h.png"), "V204", "neither a picture nor a recording"),
        (("good.jsonl", "--background", "none.png", "-o", "h.png"), "V204", "cannot be read"),
        (("good.jsonl", "--background", "clip.mp4", "-o", "h.gif"), "V701", "ending"),
        (("good.jsonl", "--background", "clip.mp4", "-o", "none/h.png"), "V701", "cannot be written"),
        (("good.jsonl", "--background", "clip.mp4", "-o", "h.png", "--insight", "x"), "V408", "no heat map 'x'"),
    ],
)
def test_mistakes_of_the_call_are_explained(
    application: Path, arguments: tuple[str, ...], code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = report(0, {"paths": heat(1, 2, 3, 4)}).model_dump_json()
    (application / "good.jsonl").write_text(f"{good}\n")
    (application / "text.jsonl").write_text(f"{good}\nno report\n")
    monkeypatch.chdir(application)
    run = vedette("insights", "heatmap", *arguments)
    assert run.returncode == 1
    assert code in run.stderr
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_heat_maps_add_up_and_repeats_count_once() -> None:
    reports = [report(0, {"paths": heat(1, 2, 0, 4)}), report(1, {"paths": heat(10, 0, 0, 0)})]
    found = sum_heat_maps([*reports, reports[0], report(2, {"paths": heat(withheld=True)})])
    assert found.seconds == pytest.approx((1.1, 0.2, 0.0, 0.4))
    assert (found.analysed_s, found.suppressed) == (180.0, 1)
    assert (found.start, found.end) == (START, START + timedelta(minutes=3))


def test_which_heat_map_must_be_clear() -> None:
    two = [report(0, {"a": heat(1, 1, 1, 1), "b": heat(2, 2, 2, 2)})]
    with pytest.raises(StorageError, match="2 heat maps: a of gate, b of gate") as caught:
        sum_heat_maps(two)
    assert caught.value.code == "V408"
    assert sum_heat_maps(two, "b").seconds[0] == pytest.approx(0.2)
    cameras = [report(0, {"a": heat(1, 1, 1, 1)}), report(1, {"a": heat(1, 1, 1, 1)}, camera="yard")]
    with pytest.raises(StorageError, match="a of yard"):
        sum_heat_maps(cameras)
    assert sum_heat_maps(cameras, camera="yard").start == START + timedelta(minutes=1)
    with pytest.raises(StorageError, match="different grids"):
        sum_heat_maps([report(0, {"a": heat(1, 1, 1, 1)}), report(1, {"a": heat(1, 1, grid=(2, 1))})])


def test_it_glows_where_people_were_and_nowhere_else() -> None:
    background = np.full((360, 640, 3), 120, np.uint8)
    seconds = [0.0] * (16 * 9)
    seconds[4 * 16 + 12] = 30.0
    one = HeatSum("paths", "gate", (16, 9), tuple(seconds), 60.0, START, START + timedelta(minutes=1), 0)
    drawn = draw_heat_map(background, one)
    assert drawn.shape[1] == 640
    glow = np.ptp(drawn[:360].astype(int), axis=2)  # the picture is grey: what has a colour was drawn
    row, column = np.unravel_index(glow.argmax(), glow.shape)
    assert abs(row - (4.5 * 40)) < 30
    assert abs(column - (12.5 * 40)) < 30
    assert glow[:, :360].max() == 0


@pytest.mark.parametrize("size", [(32, 48), (1, 1), (2160, 3840), (1000, 200)])
def test_any_picture_will_do(size: tuple[int, int]) -> None:
    nothing = HeatSum("paths", "gate", (32, 18), (0.0,) * 576, 0.0, START, START + timedelta(days=2), 3)
    drawn = draw_heat_map(np.zeros((*size, 3), np.uint8), nothing)
    assert 640 <= drawn.shape[1] <= 1920
    assert drawn.dtype == np.uint8


def test_backgrounds_are_pictures_or_recordings(tmp_path: Path) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :, 2] = 200
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    assert np.array_equal(read_background(tmp_path / "a.png"), picture)
    (tmp_path / "clip.mp4").write_bytes(make_clip(frames=5, fps=25))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frame = next(container.decode(video=0))
    assert read_background(tmp_path / "clip.mp4").shape == (frame.height, frame.width, 3)
    for what in (b"", b"\x89PNG\r\n\x1a\nbroken", b"text"):
        (tmp_path / "x.png").write_bytes(what)
        with pytest.raises(CameraError) as caught:
            read_background(tmp_path / "x.png")
        assert caught.value.code == "V204"
    with pytest.raises(CameraError):
        read_background(tmp_path)


# -- the live view, `vedette status` ------------------------------------------------------------

WORDS: list[tuple[InsightValues, str]] = [
    (OccupancyValues(analysed_s=0.0), "not analysed"),
    (
        CrossingsValues(analysed_s=9, counts={Direction.LEFT_TO_RIGHT: 3, Direction.RIGHT_TO_LEFT: 1}),
        "→ 3  ← 1",
    ),
    (CrossingsValues(analysed_s=9, counts={}, inward=3, outward=1), "in 3, out 1"),
    (
        OccupancyValues(analysed_s=9, min=1, mean=2.46, max=4, occupied_s=9, presence_s=22),
        "2.5 at a time (1 to 4), occupied 9 s",
    ),
    (
        QueueValues(
            analysed_s=9,
            mean_length=1.52,
            max_length=3,
            waits=Waits(count=2, mean_s=31, p50_s=30, p90_s=32, max_s=32),
            left=1,
            longest_now_s=45,
        ),
        "1.5 waiting (at most 3), 2 served after 31 s, 1 left, longest 45 s",
    ),
    (DwellValues(analysed_s=9, edges_s=(5, 10), counts=(1, 0, 2)), "1 × < 5 s, 2 × ≥ 10 s"),
    (DwellValues(analysed_s=9, edges_s=(5, 10), counts=(0, 0, 0)), "no stay ended"),
    (heat(1, 2, 3, 4), "1 s of presence"),
    (heat(withheld=True), "too few people to tell"),
    (OccupancyValues(analysed_s=9, suppressed=True), "too few people to tell"),
]


@pytest.mark.parametrize(("values", "words"), WORDS)
def test_figures_in_words(values: InsightValues, words: str) -> None:
    assert in_words(values) == words


def shown(view: Any) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(view)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_live_view_shows_the_newest_figures() -> None:
    view = LiveView("retail")
    assert "insight" not in shown(view.render())
    view.insights = (report(0, {"floor": WORDS[3][0], "till": WORDS[4][0]}),)
    text = shown(view.render())
    assert "2.5 at a time (1 to 4)" in text
    assert "longest 45 s" in text


def test_a_run_shows_what_is_new_and_nothing_of_an_earlier_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    LatestInsights(tmp_path).add([report(0, {"floor": WORDS[3][0]})])
    follower = InsightFollower(tmp_path)
    assert (follower.new(), follower.latest) == ([], ())
    latest = LatestInsights(tmp_path)
    latest.add([report(1, {"floor": WORDS[3][0]}), report(1000, {"floor": WORDS[3][0]}, camera="yard")])
    assert [each.camera for each in follower.new()] == ["gate", "yard"]
    assert follower.new() == []
    latest.add([report(2, {"floor": WORDS[3][0]})])
    assert [each.report_id for each in follower.new()] == [f"{2:032x}"]
    assert sorted(each.camera for each in follower.latest) == ["gate", "yard"]


@pytest.mark.parametrize("content", [b"", b"[", b"{}", b'[{"report_id": 1}]', b"[" * 10_000])
def test_a_file_that_cannot_be_read_shows_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "insights.json").write_bytes(content)
    assert read_latest_insights(tmp_path) == ()
    assert read_latest_insights(tmp_path / "none") == ()


def test_status_tells_the_newest_figures(short_tmp: Path) -> None:
    (short_tmp / "run").mkdir()
    (short_tmp / "plan.json").write_text("{}")
    LatestInsights(short_tmp).add([report(0, {"till": WORDS[4][0]})])
    run = vedette("status", "--state", str(short_tmp))
    assert "1.5 waiting (at most 3)" in run.stdout
    document = json.loads(vedette("status", "--state", str(short_tmp), "--json").stdout)
    assert InsightReport.model_validate(document["insights"][0]).camera == "gate"
