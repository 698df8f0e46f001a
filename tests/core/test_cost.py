"""What a fleet costs: every item is a quantity and a price, and nothing unknown hides in a sum."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.cli.main import main
from vedette.contracts.cost import CostInputs, CostTotal, PanoramaInputs
from vedette.core.cost.estimate import estimate
from vedette.core.cost.prices import HARDWARE, LOOKED_UP, PRICES

INPUTS = st.builds(
    CostInputs,
    devices=st.integers(1, 5000),
    cameras=st.integers(1, 64),
    months=st.integers(1, 120),
    hardware=st.sampled_from(["orin-nano", "agx-orin", "orin-nx", "own"]),
    alerts_per_day=st.floats(0, 5000),
    insights=st.integers(0, 8),
    emails=st.floats(0, 1),
    sms=st.floats(0, 1),
    evidence_mb=st.floats(0, 20),
    compilations_per_year=st.integers(0, 20),
    private_network=st.booleans(),
)


def lines(total: CostTotal) -> dict[str, Any]:
    return {f"{line.group}: {line.item}": line for line in total.lines}


def priced(**inputs: Any) -> dict[str, Any]:
    return lines(estimate(CostInputs(**inputs), PanoramaInputs()).vedette)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["cost", *arguments])
    return int(ended.value.code or 0)


def test_the_published_example_of_panorama_comes_out_to_the_cent() -> None:
    """One appliance, five streams, 0.2 GB, three years."""
    panorama = estimate(CostInputs(), PanoramaInputs()).panorama
    assert panorama.usd == Decimal("5500.12")
    assert [line.usd for line in panorama.lines] == [Decimal("4000.00"), Decimal("1499.40"), Decimal("0.72")]


@pytest.mark.parametrize(
    ("option", "value", "usd"),
    [
        ("--panorama-appliance-usd", "3000", 4500.12),
        ("--panorama-stream-usd", "10", 5800.72),
        ("--panorama-storage-gb", "10", 5535.40),
        ("--panorama-storage-usd", "1", 5506.60),
        ("--devices", "2", 10999.52),
        ("--cameras", "6", 5800.00),
        ("--years", "1", 4500.04),
    ],
)
def test_each_of_its_inputs_can_be_varied(
    option: str, value: str, usd: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(option, value, "--json") == 0
    assert json.loads(capsys.readouterr().out)["panorama"]["usd"] == usd


def test_quantities_are_what_a_person_would_work_out() -> None:
    """Two devices of three cameras for a year, by hand, a month having 730 hours."""
    found = priced(devices=2, cameras=3, months=12, alerts_per_day=10, insights=2, emails=0.5, hardware="own")
    alerts = 10 * 6 * 365
    minutes = 60 * 730 * 12
    quantities = {
        "IoT Core: acknowledgements": 3 * alerts,
        "IoT Core: connections": 2 * minutes,
        "IoT Core: rules": alerts + 2 * (12 * minutes) + 2 * minutes,
        "Greengrass: core devices": 24,
        "SNS: e-mails": alerts / 2,
        "Secrets Manager: passwords of cameras": 6 * 12,
    }
    assert {key: float(found[key].quantity) for key in quantities} == quantities
    assert not {"IoT Core: alerts", "IoT Core: insights", "IoT Core: health"} & set(found)  # basic ingest is free
    assert found["Greengrass: core devices"].usd == Decimal("3.84")
    assert found["SNS: e-mails"].usd == Decimal("0.22")
    assert found["Hardware: a machine that is there already"].usd == 0


@given(INPUTS)
def test_sums_hold_and_unknown_prices_are_named(inputs: CostInputs) -> None:
    total = estimate(inputs, PanoramaInputs()).vedette
    assert total.usd == sum((line.usd for line in total.lines if line.usd is not None), Decimal(0))
    for line in total.lines:
        assert line.quantity > 0
        assert (line.usd is None) == (line.unit_usd is None)
        assert (line.usd is None) == (f"{line.group}: {line.item}" in total.unknown)
        if line.usd is not None and line.unit_usd is not None:
            assert abs(line.usd - line.quantity * line.unit_usd) <= Decimal("0.006") + line.unit_usd / 1000
    expected = {
        "Neo: compilations": inputs.compilations_per_year > 0,
        "Network: name resolution": inputs.private_network,
        "SNS: short messages": lines(total).get("SNS: short messages") is not None,
        f"Hardware: {HARDWARE['orin-nx'].title}": inputs.hardware == "orin-nx",
    }
    assert set(total.unknown) == {name for name, there in expected.items() if there}


@given(INPUTS, st.integers(2, 5))
def test_what_grows_with_devices_and_what_does_not(inputs: CostInputs, times: int) -> None:
    fewer = lines(estimate(inputs, PanoramaInputs()).vedette)
    more = lines(estimate(inputs.model_copy(update={"devices": inputs.devices * times}), PanoramaInputs()).vedette)
    fixed = {"CloudWatch: metrics", "CloudWatch: alarms", "CloudWatch: dashboard", "KMS: keys", "Network: endpoints"}
    fixed |= {"Queues: asked for messages"}
    fixed |= {"S3: artefacts and models", "Neo: compilations", "Network: name resolution"}
    for key, line in fewer.items():
        grown = line.quantity if key in fixed else line.quantity * times
        assert abs(more[key].quantity - grown) <= times * Decimal("0.001"), key


def test_every_price_is_used_and_says_where_it_is_from() -> None:
    everything = priced(
        sms=0.1, evidence_mb=1, insights=1, compilations_per_year=1, private_network=True, hardware="orin-nx"
    )
    used = {line.unit for line in everything.values()}
    assert {price.unit for price in PRICES.values()} <= used
    assert all(price.note for price in PRICES.values())
    assert LOOKED_UP.startswith("20")


def test_people_see_items_units_and_what_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--compilations-per-year", "4", "--hardware-usd", "100") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "AWS Panorama, until May 2026" in text
    assert "5,500.12" in text
    assert "not in the sum, its price is unknown: Neo: compilations" in text
    assert LOOKED_UP in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--cameras", "0"), "--cameras 0: input should be greater than or equal to 1"),
        (("--years", "0.3"), "no whole number of months"),
        (("--years", "nan"), "no whole number of months"),
        (("--years", "0"), "--years 0:"),
        (("--hardware", "tx2"), "'orin-nano', 'agx-orin', 'orin-nx' or 'own'"),
        (("--emails", "1.5"), "--emails 1.5: input should be less than or equal to 1"),
        (("--hardware-usd", "-1"), "--hardware-usd -1:"),
        (("--panorama-stream-usd", "much"), "--panorama-stream-usd much: input should be a valid decimal"),
        (("--alerts-per-day", "inf"), "--alerts-per-day inf:"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 1
    assert said in capsys.readouterr().err
