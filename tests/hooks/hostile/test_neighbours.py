"""Applications that misbehave beside one that does not: it loses nothing, and what they do is said of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.actions.receivers import until
from tests.hooks.host import alerts, application, write_plan
from tests.hooks.rig import batch
from tests.hooks.test_app_host import COUNTING, Site, uninterrupted
from vedette.adapters.hooks.store import SqliteHookStore
from vedette.core.alert_budget import BURST_MINUTES

pytestmark = [pytest.mark.processes, pytest.mark.alone]

#: What each does with every batch, and what is said of it.
MISBEHAVIOUR = {
    "crash": ("import os\ndef on_tracks(app, seen): os._exit(1)\n", "V808"),
    "spin": ("def on_tracks(app, seen):\n    while True: pass\n", "V803"),
    "fill": ("def on_tracks(app, seen):\n    held = []\n    while True: held.append(bytearray(64 << 20))\n", "V804"),
    "write": (
        "import time\ndef on_tracks(app, seen):\n    for n in range(200):\n"
        "        with open(f'{n}', 'ab') as file: file.write(bytes(1 << 20))\n"
        "        time.sleep(0.004)  # 250 MB/s, whatever the disk can do\n",
        "V809",
    ),
    "fork": (
        "import threading, time\ndef on_tracks(app, seen):\n    while True:\n"
        "        threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n",
        "V802",
    ),
    "shout": (
        "def on_tracks(app, seen):\n    print('x' * 400_000)\n    app.state['x'] = 'y' * 60_000\n"
        "    for n in range(16): app.alert('z' * 200, key=str(n))\n",
        "",
    ),
}
PER_MINUTE = 30


@pytest.fixture
def make_site(short_tmp: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**configuration: Any) -> Site:
        made.append(Site(short_tmp, **configuration))
        return made[-1]

    yield make
    for site in made:
        site.close()
        print(site.host.log.read_text()[-3000:])


def test_an_innocent_application_loses_nothing(make_site: Callable[..., Site], short_tmp: Path) -> None:
    site = make_site(alertsPerMinute=PER_MINUTE)
    hooks = [
        application(site.folder, name, source, timeout_s=1.0, disk_mb=8, memory_mb=64)
        for name, (source, _) in MISBEHAVIOUR.items()
    ]
    innocent = application(site.folder, "app", COUNTING)
    write_plan(site.state, [*hooks, innocent])
    site.start()
    for name in ("app", *MISBEHAVIOUR):
        until(lambda: site.hook(f"{name}/greeter").get("state") == "RUNNING", f"{name} runs", 60)  # noqa: B023
    begin_s = time.time()
    everything = [batch(n, begin_s=begin_s, people=int(n % 3 == 0)) for n in range(60)]
    delays: list[float] = []
    for one in everything:
        before = len(own(site.state))
        begun_s = time.monotonic()
        site.writer.append(one)
        if one.track_ids:
            until(lambda: len(own(site.state)) > before, "the alert", 30)  # noqa: B023
            delays.append(time.monotonic() - begun_s)
    wanted_alerts, wanted_state = uninterrupted(everything, short_tmp / "whole")
    assert sorted(own(site.state)) == sorted(wanted_alerts)
    assert sorted(delays)[len(delays) // 2] < 1.5, delays
    for name, (_, code) in MISBEHAVIOUR.items():
        until(lambda: fate(site, name, code), f"{name} is told of", 30)  # noqa: B023
    shouted = [line for line in alerts(site.state) if line["application"] == "shout"]
    # It has fallen behind by then, and is told of once a second.
    until(lambda: site.hook("shout/greeter")["suppressed"] > 100, "what it shouted is held back", 60)
    status = site.hook("shout/greeter")
    minutes = (everything[-1].frame.wall_s - begin_s) / 60  # by the time of the pictures
    assert len(shouted) <= PER_MINUTE * (BURST_MINUTES + minutes) + 1
    assert status["dropped_lines"] > 100
    # What leaves by alerts has a bound as well: characters for each of them.
    assert max(len(json.dumps(line)) for line in shouted) < 2_000
    assert site.hook()["restarts"] == 0
    assert site.host.log.stat().st_size < 1 << 20
    for name in MISBEHAVIOUR:
        used = sum(path.stat().st_size for path in (site.state / "apps" / name).rglob("*") if path.is_file())
        assert used <= 256 << 20, f"{name}: what it writes in the second until the next look, and no more"
    assert site.host.stop() == 0
    with closing(SqliteHookStore(site.state / "hooks" / "app" / "greeter.db")) as store:
        assert json.loads(store.load().state) == wanted_state


def own(state: Path) -> list[str]:
    """Messages of the innocent application."""
    return [line["message"] for line in alerts(state) if line["application"] == "app"]


def fate(site: Site, name: str, code: str) -> bool:
    """Whether what it does is said."""
    status = site.hook(f"{name}/greeter")
    if not code:
        return bool(status.get("suppressed"))
    return bool(status.get("error")) and f"{code} hook {name}/greeter" in site.host.log.read_text()
