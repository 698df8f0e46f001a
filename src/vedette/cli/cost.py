"""``vedette cost``: what a fleet costs, item by item, beside what AWS Panorama charged for the same."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from vedette.cli.tables import plain_table
from vedette.contracts.cost import CostEstimate, CostInputs, CostTotal, PanoramaInputs
from vedette.contracts.errors import UsageError
from vedette.core.cost.estimate import estimate
from vedette.core.cost.prices import HARDWARE

_DEFAULTS = CostInputs()
_CHARGED = PanoramaInputs()
#: How far from a whole number of months `--years` may be: a twelfth has no end as a decimal.
MONTH_SLACK: Final = 0.01
#: Prices below this are told for a million.
_TINY: Final = Decimal("0.0001")


def cost(
    devices: Annotated[int, typer.Option(help="Devices of the fleet.")] = _DEFAULTS.devices,
    cameras: Annotated[int, typer.Option(help="Cameras of each device.")] = _DEFAULTS.cameras,
    years: Annotated[float, typer.Option(help="How long; whole months.")] = _DEFAULTS.months / 12,
    hardware: Annotated[str, typer.Option(help=f"One of {', '.join(HARDWARE)}.")] = _DEFAULTS.hardware,
    hardware_usd: Annotated[str | None, typer.Option(help="Price of a device, where you know it better.")] = None,
    alerts_per_day: Annotated[float, typer.Option(help="Alerts of each camera.")] = _DEFAULTS.alerts_per_day,
    insights: Annotated[int, typer.Option(help="Figures of each camera, reported once a minute.")] = _DEFAULTS.insights,
    emails: Annotated[float, typer.Option(help="Share of alerts that become e-mails, 0 to 1.")] = _DEFAULTS.emails,
    sms: Annotated[float, typer.Option(help="Share of alerts that become short messages, 0 to 1.")] = _DEFAULTS.sms,
    evidence_mb: Annotated[float, typer.Option(help="Evidence of an alert sent to S3.")] = _DEFAULTS.evidence_mb,
    evidence_days: Annotated[int, typer.Option(help="It is kept there so long.")] = _DEFAULTS.evidence_days,
    logs_mb_per_day: Annotated[float, typer.Option(help="Logs of each device.")] = _DEFAULTS.logs_mb_per_day,
    releases_per_year: Annotated[int, typer.Option(help="Roll-outs.")] = _DEFAULTS.releases_per_year,
    release_mb: Annotated[float, typer.Option(help="Loaded by a device at each.")] = _DEFAULTS.release_mb,
    compilations_per_year: Annotated[int, typer.Option(help="Neo jobs.")] = _DEFAULTS.compilations_per_year,
    private_network: Annotated[bool, typer.Option(help="VPC endpoints, for VPN or Direct Connect.")] = False,
    zones: Annotated[int, typer.Option(help="Availability zones of that network.")] = _DEFAULTS.zones,
    panorama_appliance_usd: Annotated[str, typer.Option(help="Charged once.")] = str(_CHARGED.appliance_usd),
    panorama_stream_usd: Annotated[str, typer.Option(help="Charged a stream and month.")] = str(_CHARGED.stream_usd),
    panorama_storage_gb: Annotated[str, typer.Option(help="Stored in all.")] = str(_CHARGED.storage_gb),
    panorama_storage_usd: Annotated[str, typer.Option(help="Charged a GB and month.")] = str(_CHARGED.storage_usd),
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """What a fleet costs in the owner's AWS account, each item as quantity and price, and what AWS Panorama charged.

    List prices of one region without free tiers and discounts, from one dated table; a price that could not be found
    is said to be unknown and is in no sum. Electricity, work and the cameras themselves are in neither total.

    Examples:
        vedette cost --devices 1 --cameras 5 --years 3

        vedette cost --devices 40 --cameras 8 --hardware own --alerts-per-day 200 --insights 3 --private-network

        vedette cost --devices 10 --json
    """
    if not math.isfinite(years) or abs(years * 12 - round(years * 12)) > MONTH_SLACK:
        raise UsageError(f"--years {years:g} is no whole number of months; half a year is 0.5, a month 0.0833.")
    given = {
        "devices": devices,
        "cameras": cameras,
        "months": round(years * 12),
        "hardware": hardware,
        "hardware_usd": hardware_usd,
        "alerts_per_day": alerts_per_day,
        "insights": insights,
        "emails": emails,
        "sms": sms,
        "evidence_mb": evidence_mb,
        "evidence_days": evidence_days,
        "logs_mb_per_day": logs_mb_per_day,
        "releases_per_year": releases_per_year,
        "release_mb": release_mb,
        "compilations_per_year": compilations_per_year,
        "private_network": private_network,
        "zones": zones,
    }
    charged = {
        "appliance_usd": panorama_appliance_usd,
        "stream_usd": panorama_stream_usd,
        "storage_gb": panorama_storage_gb,
        "storage_usd": panorama_storage_usd,
    }
    found = estimate(
        _checked(CostInputs, given, {"months": "years"}), _checked(PanoramaInputs, charged, prefix="panorama-")
    )
    if json_:
        print(json.dumps(found.model_dump(), default=float))
    else:
        _print(found)


def _checked(kind: Any, values: dict[str, Any], names: dict[str, str] | None = None, prefix: str = "") -> Any:
    """The values as a contract.

    Raises:
        UsageError: V701, one is not allowed.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        option = prefix + (names or {}).get(field, field).replace("_", "-")
        raise UsageError(f"--{option} {first['input']}: {first['msg'][:1].lower()}{first['msg'][1:]}.") from error


def _print(found: CostEstimate) -> None:
    console = Console(highlight=False)
    one = found.inputs
    months = "1 month" if one.months == 1 else f"{one.months} months"
    console.print(
        f"[bold]{one.devices} × {one.cameras} cameras, {months}[/bold], US dollars, list prices of {found.prices_of}"
    )
    for title, total in (("Vedette, in your account", found.vedette), ("AWS Panorama, until May 2026", found.panorama)):
        console.print(f"\n[bold]{title}[/bold]")
        console.print(_table(total))
        for item in total.unknown:
            console.print(f"[yellow]not in the sum, its price is unknown:[/yellow] {item}")
    streams = one.devices * one.cameras * one.months
    here, there = (total.usd / streams for total in (found.vedette, found.panorama))
    console.print(f"\na camera and month: {here:,.2f} here, {there:,.2f} with Panorama; all included, hardware too")
    console.print(
        "in neither: cameras, network, electricity, work. Free tiers and discounts would lower both.", style="dim"
    )


def _table(total: CostTotal) -> Table:
    table = plain_table("", "", "", "", "", "")
    table.show_header = False
    for index in (2, 4, 5):
        table.columns[index].justify = "right"
    group = ""
    for line in total.lines:
        shown = line.group if line.group != group else ""
        group = line.group
        table.add_row(
            shown,
            line.item,
            _quantity(line.quantity),
            line.unit,
            _unit_price(line.unit_usd),
            "unknown" if line.usd is None else f"{line.usd:,.2f}",
        )
    table.add_section()
    table.add_row("", "[bold]sum[/bold]", "", "", "", f"[bold]{total.usd:,.2f}[/bold]")
    return table


def _unit_price(each: Decimal | None) -> str:
    if each is None:
        return "unknown"
    tiny = 0 < each < _TINY
    return f"{(each * 1_000_000 if tiny else each).normalize():f}" + (" a million" if tiny else "")


def _quantity(value: Decimal) -> str:
    text = f"{value:,.3f}" if value != value.to_integral_value() else f"{value:,.0f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
