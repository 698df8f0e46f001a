"""``vedette plan``: what a fleet of a size asks of the account, beside the account's quotas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from vedette.cli.tables import plain_table
from vedette.contracts.base import mistakes
from vedette.contracts.errors import UsageError
from vedette.contracts.scale import Fit, ScaleInputs, ScalePlan
from vedette.core.scale.plan import scale_plan

_DEFAULTS = ScaleInputs()
_RINGS: Final = ",".join(f"{name}={share:g}" for name, share in _DEFAULTS.rings.items())
_STYLE: Final = {Fit.FITS: "green", Fit.INCREASE: "yellow", Fit.NO: "red", Fit.UNKNOWN: "dim"}
_SHORT: Final = {Fit.FITS: "fits", Fit.INCREASE: "raise it", Fit.NO: "no", Fit.UNKNOWN: "unknown"}
#: Where the words beside a figure do not say it already.
_UNITS: Final = {"a second": "/s", "units a second": "/s", "bytes a second": "/s", "a minute": "/min", "seconds": " s"}
_HOUR_S: Final = 3600.0
_MINUTE_S: Final = 60.0
_WHOLE: Final = 100


def plan(
    devices: Annotated[int, typer.Option(help="Devices of the fleet.")] = _DEFAULTS.devices,
    cameras: Annotated[int, typer.Option(help="Cameras of each device.")] = _DEFAULTS.cameras,
    rings: Annotated[str, typer.Option(help="Share of each ring, in the order of a rollout, as NAME=SHARE,…")] = _RINGS,
    analysed_fps: Annotated[float, typer.Option(help="Pictures a second of each camera.")] = _DEFAULTS.analysed_fps,
    alerts_per_camera_day: Annotated[
        float, typer.Option(help="Alerts of each camera.")
    ] = _DEFAULTS.alerts_per_camera_day,
    insights: Annotated[int, typer.Option(help="Figures of each camera, reported once a minute.")] = _DEFAULTS.insights,
    release_mb: Annotated[float, typer.Option(help="Loaded by a device at a rollout.")] = _DEFAULTS.release_mb,
    outage_devices: Annotated[
        float, typer.Option(help="Share of the devices that come back at once after an outage, up to 1.")
    ] = _DEFAULTS.outage_devices,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Whether a fleet of a size fits an AWS account: loads beside quotas, a rollout's time and requests, metrics, cost.

    By calculation, without an account. Quotas are AWS's defaults from one dated table with a source for each; your
    account's own are in its Service Quotas console. A quota without a source is said to be unknown.

    Examples:
        vedette plan --devices 10000 --cameras 8

        vedette plan --devices 500 --rings canary=0.02,rest=0.98 --insights 3 --alerts-per-camera-day 200

        vedette plan --devices 100000 --json
    """
    given = {
        "devices": devices,
        "cameras": cameras,
        "rings": _shares(rings),
        "analysed_fps": analysed_fps,
        "alerts_per_camera_day": alerts_per_camera_day,
        "insights": insights,
        "release_mb": release_mb,
        "outage_devices": outage_devices,
    }
    try:
        found = scale_plan(ScaleInputs.model_validate(given))
    except ValidationError as error:
        wrong = mistakes(error, "--rings")[0]
        field, _, what = wrong.partition(": ")
        option = field if field.startswith("--") else "--" + field.partition(".")[0].replace("_", "-")
        raise UsageError(
            f"{option}: {what.removeprefix('Value error, ')}.", hint="Ranges: vedette plan --help"
        ) from error
    if json_:
        print(found.model_dump_json())
    else:
        _print(found)


def _shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, separator, share = part.strip().partition("=")
        try:
            if not separator or name in shares:
                raise ValueError
            shares[name] = float(share)
        except ValueError:
            raise UsageError(
                f"--rings: {part.strip()!r} is no ring with its share, or names one again.",
                hint="Such as --rings canary=0.01,rest=0.99",
            ) from None
    return shares


def _print(found: ScalePlan) -> None:
    console = Console(highlight=False)
    one = found.inputs
    pictures = one.devices * one.cameras * one.analysed_fps
    console.print(
        f"[bold]{one.devices:,} devices × {one.cameras} cameras[/bold], AWS's default quotas as of {found.quotas_of}"
    )
    console.print(f"{pictures:,.0f} pictures a second are analysed on the devices; none goes to the account.\n")
    sources = _sources(found)
    console.print(_loads(found, sources))
    console.print("reached at: devices at which the quota is reached; *: AWS does not raise it", style="dim")
    for row in found.rows:
        if row.fit in (Fit.INCREASE, Fit.NO):
            console.print(f"[{_STYLE[row.fit]}]{row.area}, {row.what}: {row.fit}[/]: {row.advice}.")
    console.print("\n[bold]A rollout[/bold], where all goes well")
    console.print(_rollout(found))
    rollout = found.rollout
    console.print(
        f"{_time(rollout.seconds)} in all; {rollout.calls_per_check} requests a check whatever the size of a ring, "
        f"{rollout.calls} in all; {rollout.artefact_gb:,.1f} GB loaded"
    )
    console.print(f"\n{found.metrics} metrics and {found.alarms} alarms, whatever the number of devices")
    console.print(f"the account costs {found.usd_per_camera_month:,.4f} USD a camera and month (vedette cost)")
    unknown = ", ".join(sorted({row.what for row in found.rows if row.fit is Fit.UNKNOWN}))
    console.print(f"\nno source was found for the quota of: {unknown}")
    console.print("[bold]Sources of the quotas[/bold], by the number at the end of a row")
    for number, source in enumerate(sources, 1):
        console.print(f"{number:>2}  {source}", style="dim")


def _loads(found: ScalePlan, sources: Sequence[str]) -> Table:
    """Narrow enough for 80 columns: figures never wrap, words do."""
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    for head in ("value", "quota", "share", "reached at"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True, style="dim")
    area = ""
    for row in sorted(found.rows, key=lambda row: row.area):
        if row.area != area:
            area = row.area
            table.add_row(f"[bold]{area}[/bold]")
        quota = "?" if row.quota is None else _number(row.quota) + ("" if row.adjustable else "*")
        table.add_row(
            f"  {row.what}",
            f"{_number(row.value)}{_UNITS.get(row.unit, '')}",
            quota,
            "" if row.share is None else f"{row.share:.1%}",
            "" if row.reached_at is None else f"{row.reached_at:,}",
            f"[{_STYLE[row.fit]}]{_SHORT[row.fit]}[/]",
            f"{sources.index(row.source) + 1}" if row.source in sources else "",
        )
    return table


def _sources(found: ScalePlan) -> list[str]:
    """Of the quotas, in the order in which the table meets them."""
    rows = sorted(found.rows, key=lambda row: row.area)
    return list(dict.fromkeys(row.source for row in rows if row.source and row.quota is not None))


def _rollout(found: ScalePlan) -> Table:
    table = plain_table("ring", "devices", "all told after", "passed after", "checks", "")
    for index in (1, 2, 3, 4):
        table.columns[index].justify = "right"
    for ring in found.rollout.rings:
        limit = "" if ring.fits_limit else "[yellow]longer than the gate's limit: set timeout_s, or divide the ring[/]"
        table.add_row(
            ring.ring,
            f"{ring.devices:,}",
            _time(ring.told_after_s),
            _time(ring.passed_after_s),
            str(ring.checks),
            limit,
        )
    return table


def _time(seconds: float) -> str:
    return f"{seconds / _HOUR_S:.1f} h" if seconds >= _HOUR_S else f"{seconds / _MINUTE_S:.0f} min"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE or value == round(value) else f"{value:.3g}"
