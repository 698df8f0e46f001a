"""P10: components started without standard output, in other locales and time zones, without a home."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from bench.processes import descendants
from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import running, wait_until
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from vedette.contracts.errors import VedetteError
from vedette.local.process import KeptProcess
from vedette.local.simulated import SimulatedCameras

pytestmark = [pytest.mark.processes]

LIMIT_S: Final = 30.0
#: Not even root may write there.
READ_ONLY: Final = "/proc/sys"
ASCII: Final = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
WITHOUT_HOME: Final = ("HOME", "USER", "LOGNAME")


@dataclass(frozen=True)
class Way:
    """How every component's process is started.

    Attributes:
        closed: redirections of a shell.
        more: variables of its environment.
        without: variables that are taken out of it.
    """

    closed: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    without: Sequence[str] = ()


WAYS: Final = {
    "standard output and error closed": Way(">&- 2>&-"),
    "locale C, no UTF-8": Way(more=ASCII),
    "home read-only": Way(more={"HOME": READ_ONLY}),
    "no home": Way(without=WITHOUT_HOME),
    "time zone 14 h ahead": Way(more={"TZ": "Pacific/Kiritimati"}),
    "everything at once": Way(
        "<&- >&- 2>&-", {**ASCII, "TZ": "Etc/GMT+12", "TMPDIR": READ_ONLY, "XDG_CACHE_HOME": READ_ONLY}, WITHOUT_HOME
    ),
    "standard error closed": Way("2>&-"),
    "standard input and error closed": Way("<&- 2>&-"),
    "a locale that is not installed": Way(more={"LC_ALL": "tlh_QO.KOI8-R", "PYTHONUTF8": "0"}),
    "home that is not there": Way(more={"HOME": "/nonexistent"}),
    "a time zone that is none": Way(more={"TZ": ":No/Where"}),
    "temporary folder read-only": Way(more={"TMPDIR": READ_ONLY}),
}


@contextlib.contextmanager
def started(way: Way, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Components' scripts are called so. An application's component has one on a device only, not on a laptop."""
    start = KeptProcess.start

    async def otherwise(command: Sequence[str], *, environment: Mapping[str, str], **more: Any) -> KeptProcess:
        if "/run.sh" not in command[-1]:
            return await start(command, environment=environment, **more)
        changed = {name: text for name, text in environment.items() if name not in way.without} | dict(way.more)
        return await start(["/bin/sh", "-c", f'exec "$@" {way.closed}', "sh", *command], environment=changed, **more)

    with monkeypatch.context() as patched:
        patched.setattr(KeptProcess, "start", otherwise)
        yield


def strange_errors(pids: set[int]) -> list[str]:
    """Standard errors that are another thing than they were given: log lines would go there."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/{pid}/fd/2")
            if target != os.devnull and not target.startswith("pipe:"):
                found.append(target)
    return found


def tried(folder: Path, url: str, file: Path) -> str:
    """What is wrong where the edge side runs in a folder: empty where a picture was analysed and an alert delivered."""
    manifest = application("visits", file, ["gate"], {"enters": {"type": "zone_entered", "zone": ZONE}})
    try:
        with running(manifest, {"gate": url}, folder) as watched:
            watched.wait_streaming({"gate"}, LIMIT_S)
            wait_until(lambda: bool(watched.alerts()), LIMIT_S, "an alert")
            states = watched.edge.core.states()
            strange = strange_errors(descendants(state.pid for state in states.values() if state.pid))
            failures = sum(state.failures for state in states.values())
    except (AssertionError, VedetteError) as error:
        return str(error)[:200] or type(error).__name__
    return f"standard error is {strange[0]}" if strange else "" if not failures else f"{failures} failures"


@pytest.mark.timeout(900)
def test_p10_other_ways_to_start(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun_s = time.monotonic()
    ways = dict(list(WAYS.items())[: scorecard.size(quick=3, full=len(WAYS))])
    recording, file = clip(short_tmp / "gate.mp4", [(1.0, 2.5)], 4.0), model(short_tmp)
    wrong: dict[str, str] = {}
    with SimulatedCameras({"gate": recording}, log_file=short_tmp / "simulator.log") as simulated:
        url = simulated.urls["gate"]
        for number, (name, way) in enumerate(ways.items()):
            with started(way, monkeypatch):
                if said := tried(short_tmp / f"Wärter{number}", url, file):
                    wrong[name] = said
        unusable = short_tmp / "control"
        unusable.mkdir()
        (unusable / "state").write_bytes(b"")
        said = tried(unusable, url, file)
    n = len(ways)
    row = Row(
        "P10",
        "ways to be started in which pictures are not analysed or an alert is not delivered",
        len(wrong),
        "ways",
        n,
        "0",
        passed=not wrong and bool(said),
        upper95=upper95(len(wrong), n),
        control=Control("a state directory that cannot be made", float(bool(said)), bool(said)),
        notes=f"{'; '.join(ways)}. Each for all components but the application's own, which on a device has the same script, in a folder with a letter beyond "
        f"ASCII in its name; no log line goes into another file. {wrong or ''}",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, (row, said)
