"""X14, X15: what the processes of a running edge side may do, what they listen on, what confined code gets done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.processes import descendants
from tests.faults import scorecard
from tests.faults.scorecard import REPOSITORY, Anchor, Control, Row, upper95
from tests.faults.security.listeners import listeners
from tests.hooks.hostile.names import ATTACKS, BECOMES, NOT_SHOWN, ROOTS
from tests.hooks.hostile.test_attacks import Site
from tests.panorama.test_confined import ATTEMPTS, attempts_of
from vedette.adapters.confinement.walls import Wall

pytestmark = [pytest.mark.processes]

#: Nobody's number on this machine.
USER = 0x7A12_3457


@dataclass(frozen=True)
class Seen:
    """What the kernel says of one process of the edge side."""

    pid: int
    component: str
    program: str
    uid: int
    capabilities: int
    no_new_privileges: bool
    filtered: bool


@dataclass(frozen=True)
class RunningEdge:
    """An edge side run by an ordinary user."""

    components: dict[str, int]
    hook: int

    def pids(self) -> dict[int, str]:
        """Every process of the components, with its component."""
        return {pid: name for name, first in self.components.items() for pid in descendants([first])}

    def seen(self) -> list[Seen]:
        """All of them as they are now; those that have just ended are left out."""
        found = []
        for pid, name in self.pids().items():
            try:
                found.append(status_of(pid, name))
            except (OSError, KeyError):
                continue
        return found


def status_of(pid: int, component: str = "") -> Seen:
    """From /proc/PID/status."""
    text = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    program = next((one.decode() for one in command[1:] if one and not one.startswith(b"-")), fields["Name"])
    return Seen(
        pid,
        component,
        program,
        min(int(one) for one in fields["Uid"].split()),
        int(fields["CapEff"], 16) | int(fields["CapPrm"], 16),
        fields["NoNewPrivs"].strip() == "1",
        fields["Seccomp"].strip() == "2",
    )


@contextmanager
def short_folder() -> Iterator[Path]:
    """Below /tmp, for paths of sockets; every user may pass."""
    folder = Path(tempfile.mkdtemp(prefix="vd", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def python_for_others(folder: Path) -> Path:
    """An interpreter of this version, with these packages, that every user of the machine can start.

    The one that runs the tests may lie in a folder that only its owner may enter.
    """
    name = f"python3.{sys.version_info[1]}"
    own = Path(sys.executable).resolve()
    candidates = [own, Path("/usr/bin") / name, Path("/usr/local/bin") / name]
    found = next((one for one in candidates if one.exists() and _passable(one.resolve())), None)
    if found is None:
        pytest.skip(f"no {name} that an ordinary user can start: {', '.join(map(str, candidates))}")
    subprocess.run([found, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    packages = [entry for entry in sys.path if entry.endswith("site-packages") or entry.startswith(str(REPOSITORY))]
    (folder / "lib" / name / "site-packages" / "of_the_tests.pth").write_text("\n".join([*packages, str(REPOSITORY)]))
    return folder / "bin" / "python"


def _passable(path: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))


@pytest.fixture(scope="module")
def edge() -> Iterator[RunningEdge]:
    with short_folder() as folder, ExitStack() as stack:
        work, log = folder / "w", stack.enter_context((folder / "log").open("w+"))
        work.mkdir()
        drop: dict[str, Any] = {}
        if os.geteuid() == 0:
            os.chown(work, USER, USER)
            drop = {"user": USER, "group": USER, "extra_groups": []}
        process = subprocess.Popen(
            [python_for_others(folder / "venv"), "-m", "tests.faults.security.unprivileged_edge", str(work)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "HOME": str(work), "PYTHONDONTWRITEBYTECODE": "1"},
            **drop,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                log.seek(0)
                raise AssertionError(log.read()[-3000:])
            yield RunningEdge(**json.loads(line))
        finally:
            process.communicate(timeout=60)


def privileged_runs(recipes: Path) -> list[str]:
    """Recipes whose run phase asks for root's rights."""
    found = []
    for path in sorted(recipes.glob("*.yaml")):
        for manifest in yaml.safe_load(path.read_text())["Manifests"]:
            for phase, what in manifest["Lifecycle"].items():
                privileged = isinstance(what, dict) and str(what.get("RequiresPrivilege", "")).lower() == "true"
                if phase.lower() != "install" and privileged:
                    found.append(f"{path.name} {phase}")
    return found


def hook_attacks(site: Site, names: list[str], *, anew: bool) -> dict[str, str]:
    """What became of each attack by a hook."""
    said = {}
    for name in names:
        if anew:
            site.one.runner.close()  # what one attack changes in the process must not help the next
        said[name] = site.attack(name)
        if site.bystander.poll() is not None:
            site.replace_bystander()
    return said


def succeeded(said: dict[str, str]) -> list[str]:
    """The attacks that came through."""
    return [
        name for name, words in said.items() if words.startswith("got") or (name in BECOMES and "exit code 0" in words)
    ]


@contextmanager
def site_of(**options: Any) -> Iterator[Site]:
    with short_folder() as folder:
        made = Site(folder, **options)
        try:
            yield made
        finally:
            made.close()


def _through(attack: Callable[[], list[str]]) -> list[str]:
    return [line for line in attack() if line.startswith("DONE")]


def filter_row(edge: RunningEdge, seen: Sequence[Seen]) -> Row:
    """Walls of our own processes; the hook shows that the meter sees such walls."""
    own = [one for one in seen if one.pid != edge.hook]
    bare = Counter(one.program for one in own if not (one.no_new_privileges and one.filtered))
    walled = any(one.no_new_privileges and one.filtered for one in seen if one.pid == edge.hook)
    return Row(
        "X14-filter",
        "processes of our own components without no_new_privs or without a filter of system calls",
        bare.total(),
        "processes",
        len(own),
        "0",
        passed=not bare and walled,
        control=Control("the hook's process, which has both: seen", float(walled), walled),
        notes=f"{', '.join(f'{program} {count}' for program, count in sorted(bare.items())) or 'None'}. Only custom code is given them: of the system "
        "calls that FFmpeg, ONNX Runtime and the drivers of accelerators need no list was made, and AppHost builds the walls of others.",
    )


def test_x14_confinement(edge: RunningEdge, tmp_path: Path) -> None:
    begun_s = time.monotonic()
    seen = edge.seen()
    wrong = [f"{one.component}: {one.program} ({one.uid}, {one.capabilities:x})" for one in seen
             if one.uid == 0 or one.capabilities]  # fmt: skip
    hook = next(one for one in seen if one.pid == edge.hook)
    if not (hook.no_new_privileges and hook.filtered):
        wrong.append(f"the hook: no_new_privs {hook.no_new_privileges}, seccomp {hook.filtered}")
    wrong += privileged_runs(REPOSITORY / "recipes")
    with site_of() as site:
        said = hook_attacks(site, ATTACKS, anew=False)
        not_refused = [
            name for name, words in said.items() if not words.startswith("refused") and "SIGSYS" not in words
        ]
        harm = site.harm()
    panorama = _through(lambda: attempts_of(tmp_path))
    possible = [name for name in ATTACKS if name not in NOT_SHOWN and (os.geteuid() == 0 or name not in ROOTS)]
    with site_of(forgo=list(Wall), trust=True) as site:
        open_doors = succeeded(hook_attacks(site, possible, anew=True))
    this = status_of(os.getpid())
    control = len(open_doors) == len(possible) and not this.filtered
    bad = [*wrong, *not_refused, *harm, *panorama]
    n = len(seen) + len(ATTACKS) + len(ATTEMPTS)
    row = Row(
        "X14",
        "processes with rights they must not have, and forbidden acts that confined code got done",
        len(bad),
        "processes and acts",
        n,
        "0",
        passed=not bad and control and set(edge.components) == {one.component for one in seen},
        upper95=upper95(min(len(bad), n), n),
        control=Control(f"the same {len(possible)} acts of a hook without walls: done", len(open_doors), control),
        notes=f"{len(seen)} processes of {len(edge.components)} components run by an ordinary user: none with uid 0 or a "
        f"capability; the hook with no_new_privs and a filter of system calls. The "
        f"components' own processes: X14-filter. {len(ATTACKS)} acts by a hook, {len(ATTEMPTS)} by a Panorama program. No "
        f"recipe runs with root's rights. Found: {bad or 'nothing'}.",
    )
    filters = filter_row(edge, seen)
    for each in (row, filters):
        scorecard.record(each, time.monotonic() - begun_s)
    assert row.passed, (bad, sorted(set(possible) - set(open_doors)), seen)
    assert filters.passed, filters


_OPENS = """
import socket, sys
tcp = socket.create_server(("127.0.0.1", 0))
tcp6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
udp6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp6.bind(("::1", 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind(f"\\0vedette-control-{tcp.getsockname()[1]}")
unix.listen()
connected = socket.create_connection(tcp.getsockname())
print("up", flush=True)
sys.stdin.read()
"""
_READINGS = 40
#: What the control listens on.
_FIVE = ["tcp", "tcp6", "udp", "udp6", "unix"]


def _control() -> list[str]:
    """Kinds of sockets seen of a process that listens on five, and has a connection besides."""
    with subprocess.Popen([sys.executable, "-c", _OPENS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        found = listeners([process.pid])
        process.communicate()
    return sorted(one.kind for one in found)


def test_x15_nothing_listens(edge: RunningEdge) -> None:
    begun_s = time.monotonic()
    found, pids, readings = set(), set(), scorecard.size(quick=_READINGS // 4, full=_READINGS)
    for _ in range(readings):
        now = edge.pids()
        pids |= set(now)
        found |= {(now[one.pid], one.kind, one.at) for one in listeners(now)}
        time.sleep(0.1)  # a socket that is open for a moment only is seen by one of many readings
    bad = sorted(one for one in found if one[1] != "unix" or not one[2].startswith("/"))
    unix = sorted({Path(at).name for _, kind, at in found if kind == "unix"})
    control = _control()
    row = Row(
        "X15",
        "sockets that listen, of all processes of a running edge side",
        len(bad),
        "sockets",
        len(pids),
        "0",
        passed=not bad and set(edge.components) == set(now.values()) and control == _FIVE,
        control=Control("a process that listens on TCP, TCP6, UDP, UDP6 and a Unix socket without a file",
                        len(control), control == _FIVE),
        anchors=(Anchor("Frigate", "ports 5000 and 8554 open", "documented"),),
        notes=f"{len(pids)} processes of {len(edge.components)} components, read {readings} times: TCP that listens, UDP "
        f"that is not connected, raw and packet sockets, Unix sockets without a file. Unix sockets with a file: "
        f"{', '.join(unix) or 'none'}. Found: {bad or 'nothing'}.",
    )  # fmt: skip
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, (bad, control, edge.components, now)
