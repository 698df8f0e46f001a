"""Starting, failing, restarting, giving up, stopping: with real processes."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.local.conftest import TIMEOUT_S, deploy_probe, make_core, probe_recipe, recipe
from vedette.contracts.errors import CoreError
from vedette.local.core import ComponentSpec, ComponentState, LocalCore
from vedette.local.supervisor import FailureWindow

pytestmark = pytest.mark.processes


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_gone(pid: int, timeout_s: float = TIMEOUT_S) -> None:
    """Waits on the process itself (it need not be a child)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        import select

        assert select.select([descriptor], [], [], timeout_s)[0], f"process {pid} is still there"
    finally:
        os.close(descriptor)


def wait_state(core: LocalCore, condition: Callable[[], bool]) -> None:
    """Waits until a condition on the states holds."""
    engine = core._running()
    deadline_s = time.monotonic() + TIMEOUT_S
    with engine.changed:
        while not condition():
            assert engine.changed.wait(deadline_s - time.monotonic()), core.states()


def test_install_runs_before_run_and_a_clean_end_is_the_end(short_tmp: Path) -> None:
    given = recipe(
        "c", "echo run >> trace; echo out; echo err >&2", lifecycle={"install": {"Script": "echo install >> trace"}}
    )
    with make_core(short_tmp, given) as core:
        core.deploy({"c": ComponentSpec()})
        status = core.wait_for("c", ComponentState.FINISHED, TIMEOUT_S)
        assert (status.failures, status.pid, status.version) == (0, None, "1.0.0")
    assert (short_tmp / "work" / "c" / "trace").read_text() == "install\nrun\n"
    assert sorted((short_tmp / "logs" / "c.log").read_text().split()) == ["err", "out"]


def test_the_third_failure_is_the_last(short_tmp: Path, lite: bool) -> None:
    with make_core(short_tmp, recipe("c", "date +%s%N >> trace; exit 3"), lite_quirks=lite) as core:
        core.deploy({"c": ComponentSpec()})
        status = core.wait_for("c", ComponentState.BROKEN, TIMEOUT_S)
        assert status.failures == 3
        assert "exit status 3" in status.reason
        starts = [int(line) / 1e9 for line in (short_tmp / "work" / "c" / "trace").read_text().split()]
        assert len(starts) == 3
        assert all(1.0 <= later - earlier < 3.0 for earlier, later in itertools.pairwise(starts))
        with pytest.raises(CoreError, match="BROKEN") as caught:
            core.wait_for("c", ComponentState.RUNNING, TIMEOUT_S)
        assert caught.value.code == "V604"


def test_failures_older_than_an_hour_do_not_count() -> None:
    window = FailureWindow()
    assert [window.record(now_s) for now_s in (0.0, 10.0, 3601.0, 3611.0, 3612.0)] == [
        False,
        False,
        False,
        False,
        True,
    ]


def test_a_killed_component_comes_back_and_its_daemon_does_not_survive(short_tmp: Path) -> None:
    with make_core(short_tmp, probe_recipe()) as core:
        probe = deploy_probe(core)
        daemon = probe.do("daemon")
        first = core.states()["test.Probe"].pid
        assert first is not None
        assert alive(daemon)
        os.kill(first, signal.SIGKILL)
        probe.hear("ready")
        assert not alive(daemon)
        status = core.wait_for("test.Probe", ComponentState.RUNNING, TIMEOUT_S)
        assert (status.failures, status.pid != first) == (1, True)
        assert "SIGKILL" in (short_tmp / "logs" / "test.Probe.log").read_text()


def test_a_killed_keeper_takes_its_component_along(short_tmp: Path) -> None:
    with make_core(short_tmp, probe_recipe()) as core:
        probe = deploy_probe(core)
        pid = core.states()["test.Probe"].pid
        assert pid is not None
        os.kill(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
        probe.hear("ready")
        assert not alive(pid)
        assert core.wait_for("test.Probe", ComponentState.RUNNING, TIMEOUT_S).failures == 1


def test_a_broken_component_gets_another_chance_by_a_deployment(short_tmp: Path) -> None:
    with make_core(short_tmp, recipe("c", "test -e go")) as core:
        core.deploy({"c": ComponentSpec()})
        core.wait_for("c", ComponentState.BROKEN, TIMEOUT_S)
        (short_tmp / "work" / "c" / "go").touch()
        core.deploy({"c": ComponentSpec()})
        assert core.wait_for("c", ComponentState.FINISHED, TIMEOUT_S).failures == 0


def test_a_faulty_new_version_leaves_the_running_one_alone(short_tmp: Path) -> None:
    missing = probe_recipe(version="1.1.0", artifacts=[{"Uri": "s3://B/x.zip", "Unarchive": "ZIP"}])
    braces = recipe("test.Probe", "echo ${X}", version="1.2.0")
    with make_core(short_tmp, probe_recipe()) as core:
        probe = deploy_probe(core)
        before = core.states()["test.Probe"]
        for faulty, message in ((missing, "not found"), (braces, "unknown variable")):
            with pytest.raises(CoreError, match=message):
                core.deploy({"test.Probe": ComponentSpec()}, extra_recipes=[faulty])
        assert core.states()["test.Probe"] == before
        assert probe.do("pid") == before.pid


def test_sigterm_from_outside_is_a_clean_end_on_lite_only(short_tmp: Path, lite: bool) -> None:
    with make_core(short_tmp, recipe("c", "exec sleep 600"), lite_quirks=lite) as core:
        core.deploy({"c": ComponentSpec()})
        pid = core.wait_for("c", ComponentState.RUNNING, TIMEOUT_S).pid
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        if lite:
            core.wait_for("c", ComponentState.FINISHED, TIMEOUT_S)
        else:
            wait_state(core, lambda: core.states()["c"].failures == 1)


def test_stopping_is_clean_and_in_reverse_order(short_tmp: Path) -> None:
    def loud(name: str, **fields: dict[str, str]) -> str:
        return f"trap 'echo {name} >> ../order; exit 0' TERM; echo up; while :; do sleep 0.05; done"

    first = recipe("first", loud("first"))
    second = recipe("second", loud("second"), depends={"first": "HARD"})
    third = recipe("third", loud("third"), depends={"second": "SOFT"})
    with make_core(short_tmp, first, second, third) as core:
        core.deploy({"third": ComponentSpec()})
        core.wait_for("third", ComponentState.RUNNING, TIMEOUT_S)
        for name in ("first", "second", "third"):  # the trap is set once the script has said so
            log = short_tmp / "logs" / f"{name}.log"
            deadline_s = time.monotonic() + TIMEOUT_S
            while "up" not in log.read_text():
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
    assert (short_tmp / "work" / "order").read_text().split() == ["third", "second", "first"]


def test_whoever_ignores_sigterm_is_killed(short_tmp: Path) -> None:
    script = "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done"
    with make_core(short_tmp, recipe("c", script), stop_timeout_s=0.3) as core:
        core.deploy({"c": ComponentSpec()})
        pid = core.wait_for("c", ComponentState.RUNNING, TIMEOUT_S).pid
        assert pid is not None
        core.remove("c")
        assert not alive(pid)
        assert core.states() == {}


def test_an_install_that_takes_too_long_is_ended(short_tmp: Path) -> None:
    given = recipe("c", "true", lifecycle={"install": {"Script": "exec sleep 600", "Timeout": 1}})
    with make_core(short_tmp, given, stop_timeout_s=0.5) as core:
        core.deploy({"c": ComponentSpec()})
        wait_state(core, lambda: core.states()["c"].failures == 1)
        assert "not done within 1 s" in core.states()["c"].reason


def test_hard_dependencies_are_waited_for_and_soft_ones_forgiven(short_tmp: Path) -> None:
    broken = recipe("broken", "true", lifecycle={"install": {"Script": "exit 1"}})
    hard = recipe("hard", "true", depends={"broken": "HARD"})
    soft = recipe("soft", "true", depends={"broken": "SOFT"})
    with make_core(short_tmp, broken, hard, soft) as core:
        core.deploy({"hard": ComponentSpec(), "soft": ComponentSpec()})
        core.wait_for("soft", ComponentState.FINISHED, TIMEOUT_S)
        status = core.wait_for("hard", ComponentState.BROKEN, TIMEOUT_S)
        assert "dependency broken is broken" in status.reason


def test_what_cannot_be_resolved_changes_nothing(short_tmp: Path) -> None:
    circle = (recipe("a", "true", depends={"b": "HARD"}), recipe("b", "true", depends={"a": "HARD"}))
    needy = recipe("needy", "true", depends={"gone": "SOFT"})
    braces = recipe("braces", "echo ${HOME}")
    with make_core(short_tmp, *circle, needy, braces) as core:
        for name, message in (
            ("a", "circle: a -> b -> a"),
            ("needy", "component gone: no recipe fits"),
            ("nobody", "found none"),
        ):
            with pytest.raises(CoreError, match=message) as caught:
                core.deploy({name: ComponentSpec()})
            assert caught.value.code == "V602"
        with pytest.raises(CoreError, match="unknown variable"):
            core.deploy({"braces": ComponentSpec()})
        with pytest.raises(CoreError, match=r"found 1\.0\.0"):
            core.deploy({"needy": ComponentSpec(version="9.0.0")})
        assert core.states() == {}


def test_lite_runs_a_script_up_to_the_brace(short_tmp: Path) -> None:
    script = "echo before > trace; echo ${HOME} > never"
    with make_core(short_tmp, recipe("c", script), lite_quirks=True) as core:
        core.deploy({"c": ComponentSpec()})
        core.wait_for("c", ComponentState.FINISHED, TIMEOUT_S)
    assert (short_tmp / "work" / "c" / "trace").read_text() == "before\n"
    assert not (short_tmp / "work" / "c" / "never").exists()


def test_a_new_version_replaces_the_old_one(short_tmp: Path) -> None:
    with make_core(short_tmp, probe_recipe(configuration={"n": 1})) as core:
        probe = deploy_probe(core)
        core.deploy(
            {"test.Probe": ComponentSpec()},
            extra_recipes=[probe_recipe(version="1.1.0", configuration={"n": 2})],
        )
        probe.hear("ready")
        assert core.wait_for("test.Probe", ComponentState.RUNNING, TIMEOUT_S).version == "1.1.0"
        assert probe.do("config", ["n"]) == {"n": 2}


def test_components_that_come_and_go_disturb_no_other_and_leave_nothing(short_tmp: Path) -> None:
    """Recipes given with one deployment count in later ones; who is not named in a deployment is not touched."""
    base = recipe("base", "exec sleep 600")
    with make_core(short_tmp, base) as core:
        core.deploy({"base": ComponentSpec()})
        core.wait_for("base", ComponentState.RUNNING, TIMEOUT_S)

        def add(name: str, version: str = "1.0.0") -> int | None:
            folder = short_tmp / "sources" / name
            folder.mkdir(parents=True, exist_ok=True)
            artifact = [{"Uri": f"s3://bucket/{name}.zip", "Unarchive": "ZIP"}]
            made = recipe(name, "exec sleep 600", version=version, depends={"base": "HARD"}, artifacts=artifact)
            core.deploy({name: ComponentSpec()}, extra_recipes=[made], artifact_sources={f"{name}.zip": folder})
            return core.wait_for(name, ComponentState.RUNNING, TIMEOUT_S).pid

        pids = {name: add(name) for name in ("one", "two", "three")}
        pids["base"] = core.states()["base"].pid
        core.remove("two")
        core.deploy({"base": ComponentSpec(configuration_merge={"a": 1})})
        pids["four"] = add("four")
        gone = pids.pop("two")
        assert {name: status.pid for name, status in core.states().items()} == pids
        assert gone is not None
        wait_gone(gone)
        assert add("one", "1.1.0") != pids["one"]
        for name in ("one", "three", "four"):
            core.remove(name)
        assert set(core.states()) == {"base"}
        assert (core._extra, core._sources) == ({}, {})
        with pytest.raises(CoreError, match="component one: no recipe fits"):
            core.deploy({"one": ComponentSpec()})
        assert add("one") is not None


def test_removing_takes_along_what_nothing_else_needs(short_tmp: Path) -> None:
    base = recipe("base", "exec sleep 600")
    user = recipe("user", "exec sleep 600", depends={"base": "HARD"})
    with make_core(short_tmp, base, user) as core:
        core.deploy({"user": ComponentSpec()})
        core.wait_for("user", ComponentState.RUNNING, TIMEOUT_S)
        with pytest.raises(CoreError, match="base is not deployed"):
            core.remove("base")
        core.deploy({"base": ComponentSpec()})
        with pytest.raises(CoreError, match="needed by user"):
            core.remove("base")
        core.remove("user")
        assert set(core.states()) == {"base"}


def test_nothing_outlives_a_core_that_is_killed(short_tmp: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tests.local.conftest import deploy_probe, make_core, probe_recipe
        core = make_core(Path(sys.argv[1]), probe_recipe())
        core.start()
        probe = deploy_probe(core)
        print(core.states()["test.Probe"].pid, probe.do("daemon"), flush=True)
        sys.stdin.read()
        """
    )
    core = subprocess.Popen(
        [sys.executable, "-c", program, str(short_tmp)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with core:
        assert core.stdout is not None
        main, daemon = (int(word) for word in core.stdout.readline().split())
        assert alive(main)
        assert alive(daemon)
        core.kill()
    wait_gone(main)
    wait_gone(daemon)


def test_logs_are_bounded_and_a_flood_does_not_block(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vedette.local.logfile.MAX_BYTES", 100_000)
    monkeypatch.setattr("vedette.local.logfile.BoundedLog.__init__.__defaults__", (100_000,), raising=False)
    with make_core(short_tmp, recipe("c", "head -c 1000000 /dev/zero | tr '\\0' x; echo the end")) as core:
        core.deploy({"c": ComponentSpec()})
        core.wait_for("c", ComponentState.FINISHED, TIMEOUT_S)
    log = short_tmp / "logs" / "c.log"
    assert log.read_text().endswith("the end\n")
    assert all(path.stat().st_size <= 100_000 for path in log.parent.iterdir())


def test_the_core_can_be_stopped_while_components_start_and_wait(short_tmp: Path) -> None:
    slow = recipe("slow", "true", lifecycle={"install": {"Script": "exec sleep 600"}})
    waiting = recipe("waiting", "true", depends={"slow": "HARD"})
    crashing = recipe("crashing", "exit 1")
    threads_before = threading.active_count()
    with make_core(short_tmp, slow, waiting, crashing) as core:
        core.deploy({name: ComponentSpec() for name in ("slow", "waiting", "crashing")})
        wait_state(core, lambda: core.states()["crashing"].failures >= 1)
        begun_s = time.monotonic()
    assert time.monotonic() - begun_s < 5.0
    assert threading.active_count() <= threads_before


def test_a_listener_that_fails_does_not_silence_the_others(short_tmp: Path) -> None:
    heard = threading.Event()

    def fails(_: object) -> None:
        raise ValueError("mine")

    with make_core(short_tmp) as core:
        core.subscribe_local("t", fails)
        core.subscribe_local("t", lambda _: heard.set())
        core.publish_local("t", 1)
        assert heard.wait(TIMEOUT_S)


def test_too_long_a_socket_path_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="at most 107"):
        make_core(tmp_path / ("x" * 120))
