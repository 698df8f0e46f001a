"""``vedette view``: what Panorama code puts on its outputs, live, in a browser on this machine."""

from __future__ import annotations

import contextlib
import html
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vedette.adapters.panorama.viewing import reachable, view_socket, watch
from vedette.adapters.state.layout import StateLayout
from vedette.adapters.state.plan_file import PlanFile
from vedette.cli.page_server import STYLE, PageServer
from vedette.cli.status import find_state_directory
from vedette.contracts.errors import StorageError, UsageError
from vedette.contracts.plan import PanoramaPlan


def view(
    application: Annotated[
        str | None, typer.Argument(help="Whose pictures; needed where more than one has Panorama code.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="State directory; default /var/lib/vedette, else the run going on.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser; --no-browser prints its address.")] = True,
    save: Annotated[
        Path | None, typer.Option(help="Write the next picture of the first output to this .jpg file, and end.")
    ] = None,
) -> None:
    """Look at what the code of a Panorama application draws: the outputs that went to an HDMI screen.

    A page is served on 127.0.0.1 until Ctrl-C, to the first browser that opens the printed address. Nothing is encoded
    while nobody looks, and no picture leaves this machine. On a device, reach it through SSH, the port being that of
    the address: `ssh -L PORT:127.0.0.1:PORT device`.

    Examples:
        vedette view

        vedette view people-counter --no-browser

        vedette view people-counter --save output.jpg
    """
    layout = StateLayout(state or find_state_directory())
    plan = _plan(layout, application)
    path = view_socket(layout.run, plan.application)
    console = Console(highlight=False)
    if save is not None:
        _save(path, save, console)
        return
    outputs = plan.settings.outputs
    reachable(path)
    streams = {f"/{output}.mjpg": lambda output=output: _pictures(path, output) for output in outputs}
    with contextlib.suppress(KeyboardInterrupt), PageServer(page(plan), streams=streams) as server:
        console.print(f"open once: {server.url}", soft_wrap=True)
        console.print("Ctrl-C ends it", style="dim")
        if browser and not webbrowser.open(server.url):
            console.print("no browser was found here: open the address in one on this machine", style="dim")
        server.serve()


def _plan(layout: StateLayout, application: str | None) -> PanoramaPlan:
    plan = PlanFile(layout.plan).read()
    plans = {one.application: one for one in plan.panorama} if plan is not None else {}
    names = ", ".join(sorted(plans))
    if not plans:
        raise UsageError(
            f"nothing with Panorama code runs in {layout.root}.",
            hint="vedette run APPLICATION --camera …; another state directory: --state.",
        )
    if application is None and len(plans) == 1:
        return next(iter(plans.values()))
    if application is None or application not in plans:
        what = (
            "Which application?" if application is None else f"no application {application!r} has Panorama code here."
        )
        raise UsageError(
            f"{what} Those with Panorama code in {layout.root}: {names}.",
            hint="vedette view NAME; another state directory: --state.",
        )
    found = plans[application]
    if not found.viewable:
        raise UsageError(
            f"application {application} shows no picture: its privacy is metadata-only.",
            hint="Change `privacy` in its manifest, if pictures may be looked at on this machine.",
        )
    if not found.settings.outputs:
        raise UsageError(f"application {application} has no output port.", hint="`panorama.outputs` in its manifest.")
    return found


def _pictures(path: Path, output: str) -> Iterator[bytes]:
    """JPEGs of one output; ends where the application ends."""
    with contextlib.suppress(StorageError):
        for shown in watch(path):
            if shown is not None and shown[0] == output:
                yield shown[1]


def _save(path: Path, target: Path, console: Console) -> None:
    done = threading.Event()
    for shown in watch(path):
        if shown is None:
            if not done.is_set():
                console.print("waiting for the code to put a picture …", style="dim")
                done.set()
            continue
        target.write_bytes(shown[1])
        console.print(f"{target}: {shown[0]}, {len(shown[1]) >> 10} KB")
        return


def page(plan: PanoramaPlan) -> str:
    """The page: a moving picture for each output; no script."""
    title = html.escape(plan.application)
    parts = "".join(
        f'<h2>{html.escape(output)}</h2><img src="/{html.escape(output)}.mjpg" alt="pictures of {html.escape(output)}">'
        for output in plan.settings.outputs
    )
    cameras = ", ".join(
        f"{html.escape(port)}: {html.escape(', '.join(one.camera for one in cameras) or 'no camera')}"
        for port, cameras in plan.inputs.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}'
        "h2{font-size:1em;color:#777;margin:1.5em 0 -.6em}</style>"
        f"</head><body><h1>{title}</h1><table><tr><td>cameras</td><td>{cameras}</td></tr></table>{parts}</body></html>"
    )
