"""The logistics example: rendered parcels that every clone has, vehicles of recordings, other belts than its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.examples.expected import EXAMPLES
from tests.footage.conveyor import compose
from vedette.adapters.manifest import load_manifest
from vedette.adapters.manifest.application_tests import load_application_test
from vedette.adapters.models.store import ModelStore
from vedette.cli.application_tests import AppUnderTest, find_cases, judge, run_case
from vedette.cli.run import with_resolved_models
from vedette.compose.backtest import Backtest
from vedette.contracts.alert import Alert
from vedette.contracts.application_test import ApplicationTest
from vedette.contracts.camera import CameraConfig
from vedette.contracts.manifest import Manifest
from vedette.core.application_tests import compare
from vedette.testing.parcels import Parcel, ParcelSettings, Print, parcel_footage, plan_parcels

FOLDER = EXAMPLES / "logistics"


def belt_only(store: ModelStore) -> Manifest:
    """The application without the yard, whose model every machine does not have."""
    manifest = AppUnderTest.load(FOLDER, store=store).manifest
    kept = {name: rule for name, rule in manifest.rules.items() if rule.pipeline == "parcels"}
    changes = {
        "cameras": {"belt": manifest.cameras["belt"]},
        "models": {"goods": manifest.models["goods"]},
        "pipelines": {"parcels": manifest.pipelines["parcels"]},
        "rules": kept,
    }
    return with_resolved_models(manifest.model_copy(update=changes), FOLDER, store)


def alerts_over(video: Path, home: Path) -> list[Alert]:
    manifest = belt_only(ModelStore(home))
    camera = CameraConfig(name="belt", url=str(video))
    return list(Backtest(manifest, FOLDER, [camera], {"belt": ("belt",)}).alerts())


def texts(alerts: list[Alert], rule: str) -> list[str]:
    return [alert.attributes.get("code", "") for alert in alerts if alert.rule == rule]


def expect_every_parcel(parcels: tuple[Parcel, ...], alerts: list[Alert]) -> None:
    """Counted once at its time; a good label read once, rightly; the others reported once each."""
    counted = [alert.media_time_s for alert in alerts if alert.rule == "parcel"]
    assert counted == pytest.approx([parcel.time_at(0.5) for parcel in parcels], abs=0.25)
    assert texts(alerts, "code") == [parcel.text for parcel in parcels if parcel.readable]
    missed = [alert.media_time_s for alert in alerts if alert.rule == "no-code"]
    assert len(missed) == sum(not parcel.readable for parcel in parcels)
    for time_s, parcel in zip(missed, (parcel for parcel in parcels if not parcel.readable), strict=True):
        assert parcel.gone_s - 1.5 <= time_s <= parcel.gone_s


def own_belt() -> tuple[ApplicationTest, ParcelSettings]:
    """The example's own test, and what it asks to be rendered."""
    test = load_application_test(FOLDER / "tests" / "parcels.yaml", load_manifest(FOLDER))
    asked = test.clips["belt"].parcels
    assert asked is not None
    return test, ParcelSettings(**asked.model_dump())


def test_the_file_of_expected_alerts_says_what_the_renderer_knows() -> None:
    test, settings = own_belt()
    parcels = plan_parcels(settings)
    assert {parcel.state for parcel in parcels} == set(Print)
    counted = [each.at_s for each in test.alerts if each.rule == "parcel"]
    assert counted == pytest.approx([parcel.time_at(0.5) for parcel in parcels], abs=0.01)
    said = [(each.attributes or {}).get("code") for each in test.alerts if each.rule == "code"]
    assert said == [parcel.text for parcel in parcels if parcel.readable]
    assert sum(each.rule == "no-code" for each in test.alerts) == sum(not parcel.readable for parcel in parcels)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(own_belt()[1], id="its own"),
        pytest.param(
            ParcelSettings(seed=12, duration_s=32, unreadable=0.5, noise=6.0),
            id="many without a code, noisy",
            marks=pytest.mark.faults,
        ),
        pytest.param(
            ParcelSettings(seed=21, duration_s=22, unreadable=0.0, speed_px=6, blur_px=0.5),
            id="fast",
            marks=pytest.mark.faults,
        ),
    ],
)
def test_each_parcel_is_counted_once_and_read_once_or_reported(settings: ParcelSettings, tmp_path: Path) -> None:
    video, parcels = parcel_footage(settings, tmp_path)
    assert len(parcels) >= 4
    alerts = alerts_over(video, tmp_path)
    expect_every_parcel(parcels, alerts)
    test, own = own_belt()
    if settings == own:
        verdict = compare(test, alerts)
        assert (verdict.misses, verdict.extras) == ((), ())


@pytest.mark.footage
@pytest.mark.slow
def test_vehicles_and_a_cyclist_as_a_person_saw_them(shared_data: Path, tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.add_file(shared_data / "models" / "yolox_nano.onnx")
    application = AppUnderTest.load(FOLDER, store=store)
    (case,) = (case for case in find_cases(application, [shared_data / "videos"]) if case.file.name == "vehicles.yaml")
    assert not case.lacking
    verdict = judge(case, run_case(application, case))
    assert (verdict.misses, verdict.extras) == ((), ())


#: Photographs that fit onto the belt as they are, in an order in which no text follows itself.
PHOTOS = (
    *("datamatrix-2/01", "upca-2/02", "code128-2/06", "qrcode-2/12", "datamatrix-2/02"),
    *("ean13-1/15", "upca-2/03", "qrcode-2/17"),
)


@pytest.mark.footage
@pytest.mark.slow
def test_photographs_on_the_belt_are_read_once_each_and_the_hard_ones_reported(
    shared_data: Path, tmp_path: Path
) -> None:
    hard = json.loads((shared_data / "facts" / "barcodes.json").read_text())["fails_shared"]
    photos = [(shared_data / "barcodes" / f"{name}.webp", name not in hard) for name in PHOTOS]
    parcels = compose(photos, tmp_path / "belt.mp4")
    alerts = alerts_over(tmp_path / "belt.mp4", tmp_path)
    counted = [alert.media_time_s for alert in alerts if alert.rule == "parcel"]
    assert counted == pytest.approx([parcel.time_at(0.5) for parcel in parcels], abs=0.3)
    said = [text.replace("\r\n", "\n").strip() for text in texts(alerts, "code")]
    assert said == [parcel.text for parcel in parcels if parcel.readable]
    assert len(texts(alerts, "no-code")) == sum(not parcel.readable for parcel in parcels) == 1
