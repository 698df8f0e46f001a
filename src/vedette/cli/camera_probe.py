"""``vedette camera probe``: what one camera sends, measured, and what would make it better."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from vedette.adapters.capture.advice import Advice, advise
from vedette.adapters.capture.probe import Probe, probe_stream, with_sound
from vedette.cli.camera_credentials import PASSWORD_VARIABLE, ask_password, with_credentials
from vedette.cli.tables import key_value_table
from vedette.compose.capture import resolve_host
from vedette.contracts.camera import Transport
from vedette.contracts.errors import CameraError
from vedette.core.url_policy import CheckedUrl, camera_policy, check_url

_MARKS: Final = {"warn": "[yellow]![/]", "note": "[dim]-[/]"}


def probe(
    url: Annotated[str, typer.Argument(metavar="URL|FILE", help="rtsp:// address, a file, or v4l2:///dev/videoN.")],
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="How long to look.")] = 10.0,
    transport: Annotated[Transport, typer.Option(help="How the pictures travel.")] = Transport.AUTO,
    user: Annotated[
        str | None, typer.Option(help=f"User name; the password is asked for, or comes from {PASSWORD_VARIABLE}.")
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="File whose first line is the password of --user.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Look at one camera or file: coding, size, rate, key pictures, delay; with advice in plain words.

    Examples:
        vedette camera probe rtsp://10.0.0.7/stream1 --user viewer

        vedette camera probe recording.mp4 --json
    """
    address = _address(url, user, password_file)
    try:
        result = _measure(address, transport, seconds, quiet=json_)
        result = with_sound(result, address, transport)
    except CameraError as error:
        if error.code == "V202":
            raise _refused(error, address) from None
        raise
    advice = advise(result)
    if json_:
        print(json.dumps({**asdict(result), "advice": [asdict(entry) for entry in advice]}))
    else:
        in_url = user is None and bool(address.password)
        _print(result, advice, in_url=in_url)


def _address(url: str, user: str | None, password_file: Path | None) -> CheckedUrl:
    password = ask_password(user, password_file)
    try:
        address = check_url(url, camera_policy(), resolve_host)
    except OSError as error:
        host = url.rpartition("@")[2].partition("://")[2] or url.rpartition("@")[2]
        raise CameraError(
            f"the name in {host.partition('/')[0]!r} cannot be resolved: {error.strerror or 'no address'}.",
            hint="Check the spelling, or use the camera's IP address.",
        ) from None
    return with_credentials(address, user, password)


def _measure(address: CheckedUrl, transport: Transport, seconds: float, *, quiet: bool) -> Probe:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f} s"))
    console = Console(stderr=True)
    shown = not quiet and console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("Opening", total=seconds)

        def on_progress(done_s: float) -> None:
            bar.update(task, completed=done_s, description="Measuring")

        return probe_stream(
            address, transport, seconds=seconds, on_progress=on_progress if shown else None, resolve=resolve_host
        )


def _refused(error: CameraError, address: CheckedUrl) -> CameraError:
    if address.username or address.password:
        hint = "Check the user name and the password; some cameras block an address after a few wrong ones."
        return CameraError(error.message, hint=hint, code="V202")
    return CameraError(
        f"{address.shown} asks for a user name and a password.", hint="Say which user: --user NAME.", code="V202"
    )


def _print(result: Probe, advice: Sequence[Advice], *, in_url: bool) -> None:
    console = Console(highlight=False)
    table = key_value_table()
    for name, value in _rows(result):
        table.add_row(f"[dim]{name}[/]", escape(value))
    console.print(table)
    console.print()
    for entry in advice:
        console.print(f"{_MARKS[entry.level]} {escape(entry.text)}")
    if in_url:
        console.print(
            f"{_MARKS['note']} The password stood in the address, where others on this machine can read it; "
            "--user asks for it instead."
        )
    if not any(entry.level == "warn" for entry in advice):
        console.print("[green]Good for analysis.[/]")


def _rows(result: Probe) -> list[tuple[str, str]]:
    coding = f"{result.codec} {result.profile}".strip()
    declared = f" (declared {result.fps_declared:.4g})" if result.fps_declared else ""
    return [
        ("source", result.source),
        ("transport", result.transport),
        ("coding", f"{coding}, {result.pixel_format}"),
        ("size", f"{result.width}x{result.height}"),
        ("pictures a second", f"{result.fps:.2f}{declared}, longest pause {result.longest_pause_s * 1000:.0f} ms"),
        ("key pictures", _key_pictures(result)),
        ("B-frames", f"up to {result.b_frames} in a row" if result.b_frames else "none"),
        ("first picture", f"after {result.first_picture_s * 1000:.0f} ms"),
        ("bit rate", f"{result.bitrate_kbps:.0f} kbit/s"),
        ("sound", f"{result.sound}, ignored" if result.sound else "none"),
        ("measured", f"{result.pictures} pictures in {result.measured_s:.1f} s, {result.damaged} damaged"),
    ]


def _key_pictures(result: Probe) -> str:
    if result.key_interval_min_s is None or result.key_interval_max_s is None:
        return f"one only; the next comes after more than {result.key_wait_s or 0.0:.1f} s"
    low, high = f"{result.key_interval_min_s:.2f}", f"{result.key_interval_max_s:.2f}"
    every = f"every {low} s" if low == high else f"every {low} to {high} s"
    return every if result.key_wait_s is None else f"{every}; none in the last {result.key_wait_s:.1f} s"
