"""``vedette demo``: a simulated camera, the whole edge side, alerts as they happen, and how right they were."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vedette.cli.demo_belt import belt_demo
from vedette.cli.demo_site import FOOTAGE, MODEL, footage_folder, site_demo
from vedette.cli.run import is_plain, parse_duration

__all__ = ["FOOTAGE", "MODEL", "demo"]


def demo(
    for_: Annotated[str, typer.Option("--for", help="End after this time.")] = "60s",
    headless: Annotated[bool | None, typer.Option(help="Plain lines; the default where there is no terminal.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another belt: other parts, other defects, other light.")] = 1,
    site: Annotated[bool, typer.Option("--site", help="Four recordings from a folder instead of the belt.")] = False,
    data: Annotated[Path | None, typer.Option(help="With --site: folder of footage and models.")] = None,
    keep: Annotated[bool, typer.Option(help="Keep the run's folder: journal, outbox, logs.")] = False,
) -> None:
    """A conveyor belt as an RTSP camera, watched by the real components under LocalCore.

    The belt is rendered (once, into the cache), so the truth about every part is known: at the end stands which
    defective parts were reported, which were missed, what was reported for nothing, and how long the alerts took. Parts
    that are on the belt when the analysis begins, or that pass the line in the last two seconds, do not count. The
    exit status is 1 where an alert was missed or false, or where no part passed that counts.

    Examples:
        vedette demo

        vedette demo --for 3m --seed 7

        vedette demo --site --data recordings
    """
    started_s = time.time()
    console = Console()
    plain = is_plain(console) if headless is None else headless
    limit_s = parse_duration(for_)
    recordings = footage_folder(data) if site or data is not None else None
    for number in (signal.SIGTERM, signal.SIGHUP):  # from here on there is something to clean up
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    root = Path(tempfile.mkdtemp(prefix="vedette-demo-"))
    right = True
    try:
        if recordings is not None:
            site_demo(console, root, recordings, limit_s=limit_s, headless=plain, keep=keep)
        else:
            right = belt_demo(console, root, seed, limit_s=limit_s, started_s=started_s, headless=plain, keep=keep)
        if keep:
            console.print(f"kept: {root}")
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)
    if not right:
        raise typer.Exit(1)
