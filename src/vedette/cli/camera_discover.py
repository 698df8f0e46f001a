"""``vedette camera discover``: the cameras of this network, their streams, and addresses to copy."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from vedette.adapters.discovery.found import Announcement, FoundCamera, StreamProfile
from vedette.cli.camera_credentials import PASSWORD_VARIABLE, ask_password
from vedette.cli.tables import plain_table
from vedette.compose.capture import resolve_host
from vedette.contracts.errors import CameraError, UsageError

_NOTHING: Final = (
    "No camera answered. What it may be:",
    "- the cameras are in another subnet or VLAN: the search does not pass routers; ask one with --address HOST",
    "- a switch, a firewall or a container network keeps multicast (UDP port 3702) back",
    "- ONVIF is switched off in the camera's settings, where many makers have it as an option",
    "An address from the camera's manual works without any of this: vedette camera probe rtsp://…",
)


def discover(
    seconds: Annotated[float, typer.Option(min=0.5, max=120, help="How long to wait for cameras to answer.")] = 5.0,
    address: Annotated[
        list[str] | None, typer.Option(metavar="HOST[:PORT]", help="Ask this camera instead of searching; repeatable.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(help=f"ONVIF user, tried where asked for; password from a prompt or {PASSWORD_VARIABLE}."),
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="File whose first line is the password of --user.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Find the cameras of this network (ONVIF) and the addresses of their streams.

    Examples:
        vedette camera discover --user viewer

        vedette camera discover --address 10.0.5.7 --json
    """
    password = ask_password(user, password_file)
    console = Console(stderr=True)
    shown = not json_ and console.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]} found"))
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        cameras = _find(bar, seconds, address or [], user, password)
    if json_:
        print(json.dumps({"cameras": [asdict(camera) for camera in cameras]}))
        if not cameras:
            Console(stderr=True, highlight=False, soft_wrap=True).print("\n".join(_NOTHING), markup=False)
        return
    _print(cameras)


def _find(
    bar: Progress, seconds: float, addresses: Sequence[str], user: str | None, password: str
) -> list[FoundCamera]:
    from vedette.adapters.discovery.onvif import AskSettings, ask_all
    from vedette.adapters.discovery.search import local_interfaces, search

    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        for package in ("wsdiscovery", "onvif", "zeep"):  # they repeat what strangers send, control characters and all
            logging.getLogger(package).setLevel(logging.CRITICAL)
    interfaces = local_interfaces()
    if addresses:
        announcements = [_announcement(text) for text in addresses]
    else:
        task = bar.add_task("Searching", total=seconds, count=0)
        announcements = search(
            seconds,
            [str(interface.ip) for interface in interfaces],
            on_progress=lambda passed_s, count: bar.update(task, completed=passed_s, count=count),
        )
        bar.update(task, completed=seconds)
    asking = bar.add_task("Asking", total=len(announcements), count=len(announcements))
    settings = AskSettings(user, password, tuple(str(entry.network) for entry in interfaces), resolve_host)
    return asyncio.run(ask_all(announcements, settings, lambda _camera: bar.advance(asking)))


def _announcement(text: str) -> Announcement:
    """``HOST[:PORT]`` as a device that has answered."""
    host, colon, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "")
    if not host or (colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise UsageError(f"--address {text!r} is not HOST or HOST:PORT.", hint="Such as --address 10.0.5.7:8080.")
    try:
        resolved = resolve_host(host)[0]
    except (OSError, UnicodeError):
        raise CameraError(
            f"--address: the name {host!r} cannot be resolved.", hint="Use the camera's IP address."
        ) from None
    literal = f"[{resolved}]" if ipaddress.ip_address(resolved).version == 6 else resolved
    return Announcement(resolved, (f"http://{literal}:{port or 80}/onvif/device_service",))


def _print(cameras: Sequence[FoundCamera]) -> None:
    console = Console(highlight=False)
    if not cameras:
        console.print("\n".join(_NOTHING), markup=False)
        return
    table = plain_table("address", "name", "model", "streams")
    for camera in cameras:
        model = " ".join(part for part in (camera.manufacturer, camera.model) if part)
        streams = [escape(_stream(profile)) for profile in camera.profiles]
        if camera.problem:
            streams.append(f"[yellow]{escape(camera.problem)}[/]")
        table.add_row(camera.address, escape(camera.name), escape(model), "\n".join(streams))
    console.print(table)
    _print_proposals(console, cameras)


def _stream(profile: StreamProfile) -> str:
    size = f"{profile.width}x{profile.height}" if profile.width else "size unknown"
    rate = f" {profile.fps:g} fps" if profile.fps else ""
    where = profile.url or f"({profile.problem})"
    return f"{profile.name}: {size} {profile.codec}{rate}  {where}"


def _print_proposals(console: Console, cameras: Sequence[FoundCamera]) -> None:
    usable = [camera for camera in cameras if camera.main]
    if not usable:
        return
    console.print("\nTo use one, with the name that your vedette.yaml gives the camera:", style="bold")
    for camera in usable:
        label = escape(camera.name or camera.address)
        if camera.sub:
            _proposal(console, camera.sub, f"{label}: sub stream, for analysis")
        _proposal(console, camera.main, f"{label}: main stream" + (", for evidence" if camera.sub else ""))
    if any(camera.needs_password for camera in usable):
        console.print(
            "\nWhere a camera wants a password, write rtsp://USER:PASSWORD@ in front of the host.", style="dim"
        )
    console.print("\nvedette camera probe URL measures a stream and gives advice.", style="dim")


def _proposal(console: Console, url: str, remark: str) -> None:
    console.print(f"  --camera NAME={escape(url)}  [dim]# {remark}[/]", soft_wrap=True)
