"""A hostile application: each attempt fails where it is confined, and the same code succeeds where it is not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hooks.confined import Confined
from tests.hooks.hostile.names import ATTACKS, BECOMES, FILES, NOT_SHOWN, ROOTS
from tests.hooks.rig import batch
from vedette.adapters.confinement.walls import Wall
from vedette.contracts.errors import HookError

pytestmark = pytest.mark.processes


class Site:
    """What there is to attack, and the application that does so."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.bystander = bystander()
        self.victim = subprocess.Popen(
            [sys.executable, "-c", "import ctypes, time; b = ctypes.create_string_buffer(b'x' * 64); "
             "print(ctypes.addressof(b), flush=True); time.sleep(600)"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.victim.stdout is not None
        self.address = int(self.victim.stdout.readline())
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.sockets = [self.tcp, self.udp]
        self.udp.setblocking(False)
        self.targets = self._targets()
        loading = "from tests.hooks.hostile.attack import on_tracks\n"
        self.one = Confined(folder / "hook", loading, memory_mb=128, **options)
        package = self.one.app / "tests" / "hooks" / "hostile"
        package.mkdir(parents=True)
        for file in FILES:
            shutil.copyfile(file, package / file.name)
        self.file = package / "targets.json"
        self.file.write_text(json.dumps(self.targets))
        shutil.copyfile(next(iter(_libraries())), package / "native.so")
        for path in self.one.app.rglob("*"):
            path.chmod(0o755)

    def _targets(self) -> dict[str, Any]:
        state = self.state
        for folder in ("run/frames", "secrets", "hooks/app", "apps/other/hook"):
            (state / folder).mkdir(parents=True)
        files = {
            "journal": state / "journal.db", "outbox": state / "outbox.db", "plan": state / "plan.json",
            "store": state / "hooks" / "app" / "greeter.db", "secret": state / "secrets" / "camera.json",
            "scratch": state / "scratch", "removable": state / "removable", "movable": state / "movable",
        }  # fmt: skip
        for path in files.values():
            path.write_text("the crown jewels")
        (state / "apps" / "other" / "hook" / "private.txt").write_text("private")
        for name, kind in (("frames/gate.sock", socket.SOCK_SEQPACKET), ("state.sock", socket.SOCK_STREAM)):
            listener = socket.socket(socket.AF_UNIX, kind)
            listener.bind(str(state / "run" / name))
            listener.listen(8)
            self.sockets.append(listener)
        self.bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.bell.bind(str(state / "run" / "alerting.bell"))
        self.abstract = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        abstract = f"\0vedette-test-{os.getpid()}-{id(self)}"
        self.abstract.bind(abstract)
        self.sockets += [self.bell, self.abstract]
        for one in (self.bell, self.abstract):
            one.setblocking(False)
        for path in (state, *state.rglob("*")):
            if not path.is_socket():
                path.chmod(0o777 if path.is_dir() else 0o666)  # nothing but the walls is in the way
        return {
            **{name: str(path) for name, path in files.items()},
            "state": str(state),
            "other_data": str(state / "apps" / "other" / "hook"),
            "frames": str(state / "run" / "frames" / "gate.sock"),
            "state_socket": str(state / "run" / "state.sock"),
            "bell": str(state / "run" / "alerting.bell"),
            "abstract": abstract,
            "warden": os.getpid(),
            "bystander": self.bystander.pid,
            "victim": self.victim.pid,
            "victim_address": self.address,
            "port": self.tcp.getsockname()[1],
            "udp_port": self.udp.getsockname()[1],
        }

    def replace_bystander(self) -> None:
        """The one there was is gone."""
        self.bystander = bystander()
        self.targets["bystander"] = self.bystander.pid
        self.file.write_text(json.dumps(self.targets))

    def attack(self, name: str) -> str:
        """What the application says of an attempt; how it ended where it did."""
        if not self.one.runner.alive():
            self.one.start()
        try:
            reply = self.one.runner.tracks("gate", batch(ATTACKS.index(name), people=0))
        except HookError as error:
            return f"ended {error.code} {error.message}"
        return reply.alerts[0].message

    def harm(self) -> list[str]:
        """Signs that an attempt came through, whatever the application says."""
        files = [self.state / name for name in ("journal.db", "outbox.db", "scratch", "removable", "movable")]
        found = [path.name for path in files if not path.exists() or path.read_text() != "the crown jewels"]
        for label, one in (("udp", self.udp), ("bell", self.bell), ("abstract", self.abstract)):
            try:
                found.append(f"{label}: {one.recv(100)!r}")
            except BlockingIOError:
                continue
        self.tcp.setblocking(False)
        try:
            self.tcp.accept()[0].close()
            found.append("tcp")
        except BlockingIOError:
            pass
        found += [
            name for name, one in (("bystander", self.bystander), ("victim", self.victim)) if one.poll() is not None
        ]
        return found

    def close(self) -> None:
        self.one.close()
        for process in (self.bystander, self.victim):
            process.kill()
            process.wait()
        assert self.victim.stdout is not None
        self.victim.stdout.close()
        for one in self.sockets:
            one.close()


def bystander() -> subprocess.Popen[bytes]:
    """A process that does nothing."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def _libraries() -> Iterator[Path]:
    for folder in sys.path:
        yield from Path(folder).glob("*.so")


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    import tempfile

    made: list[tuple[Site, Path]] = []

    def site(**options: Any) -> Site:
        folder = Path(tempfile.mkdtemp(prefix="vd", dir="/tmp"))
        folder.chmod(0o755)
        made.append((Site(folder, **options), folder))
        return made[-1][0]

    yield site
    for one, folder in made:
        one.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def confined(make: Callable[..., Site]) -> Site:
    return make()


@pytest.fixture(scope="module")
def unconfined(make: Callable[..., Site]) -> Site:
    return make(forgo=list(Wall), trust=True)


@pytest.mark.parametrize("name", ATTACKS)
def test_it_is_refused(confined: Site, name: str) -> None:
    said = confined.attack(name)
    assert said.startswith("refused") or "SIGSYS" in said, said
    assert confined.harm() == []
    assert confined.bystander.poll() is None


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in NOT_SHOWN])
def test_the_same_code_succeeds_where_nothing_is_in_its_way(unconfined: Site, name: str) -> None:
    """Else the test above would show nothing."""
    if os.geteuid() != 0 and name in ROOTS:
        pytest.skip("only root can do it")
    unconfined.one.runner.close()  # what one attack changes in the process must not help or hinder the next
    said = unconfined.attack(name)
    assert said.startswith("got") or (name in BECOMES and "exit code 0" in said), said
    if name in ("signal_a_bystander", "signal_by_a_sockets_owner"):
        assert unconfined.bystander.wait(5) == -signal.SIGTERM
        unconfined.replace_bystander()


@pytest.mark.parametrize(
    "forgo",
    [[Wall.MOUNTS, Wall.NETWORK, Wall.PROCESSES], [Wall.LANDLOCK], [Wall.NETWORK], [Wall.PROCESSES]],
    ids=["no namespaces", "no landlock", "no own network", "no own processes"],
)
def test_with_a_wall_less_it_is_refused_all_the_same(make: Callable[..., Site], forgo: list[Wall]) -> None:
    """The walls overlap: what older kernels lack, others cover, but for what is named here."""
    site = make(forgo=forgo)
    known: set[str] = set()
    if Wall.MOUNTS in forgo:  # Landlock hides no names, and does not know what is mapped as a program
        known = {"ask_whether_the_journal_exists", "load_a_library_from_its_own_directory",
                 "load_a_library_from_the_application"}  # fmt: skip
    elif Wall.LANDLOCK in forgo:  # the names of what was mounted for it
        known = {"list_the_root"}
    said = {name: site.attack(name) for name in ATTACKS}
    came_through = {name for name, words in said.items() if not words.startswith("refused") and "SIGSYS" not in words}
    assert came_through <= known, {name: said[name] for name in came_through - known}
    assert site.harm() == []
