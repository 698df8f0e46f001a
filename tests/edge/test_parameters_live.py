"""A limit changed in the middle of a visit: real components, no process restarted, each visit reported once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_cli_main import vedette
from tests.edge.made_up import ZONE, application, clip, model, processes
from tests.edge.running import Watched, running, wait_until
from vedette.adapters.state.client import parameters, status
from vedette.local.core import ComponentSpec, ComponentState
from vedette.local.edge import RunApplication

pytestmark = [pytest.mark.processes, pytest.mark.slow]

#: From the change to the alert: half a second until Alerting looks at the plan, one picture, delivery; and some room.
LIMIT_S = 3.0


def alert_after(watched: Watched, count: int, change: Callable[[], object]) -> float:
    """Make a change, wait for the alert that follows; seconds from the change's end to the alert's picture."""
    assert len(watched.alerts()) == count, "nothing is reported before the change"
    began_s = time.time()
    change()
    wait_until(lambda: len(watched.alerts()) > count, LIMIT_S, "an alert after the change")
    alerts = watched.alerts()
    assert len(alerts) == count + 1
    assert alerts[-1].time.timestamp() >= began_s - 0.2, "of a picture after the change"
    return alerts[-1].time.timestamp() - began_s


@pytest.mark.timeout(150)
def test_a_dwell_limit_changed_in_mid_visit(short_tmp: Path) -> None:
    recording = clip(short_tmp / "hall.mp4", [(0.0, 25.0), (29.0, 90.0)], 90.0)
    rules = {"lingers": {"type": "dwell", "zone": ZONE, "for_s": 500}}
    declared = {"patience_s": {"sets": ["rules.lingers.for_s"], "min": 0.5, "max": 600}}
    shop = application("shop", model(short_tmp), ["hall"], rules, parameters=declared)
    given = {"shop": {"patience_s": 400}}
    with running(shop, {"hall": str(recording)}, short_tmp / "run", parameters=given) as watched:
        state = watched.edge.settings.state_directory
        watched.wait_streaming({"hall"})
        before = processes(watched)
        began_s = time.monotonic()

        def show() -> tuple[object, str]:
            entry = parameters(state, "shop").parameters[0]
            return entry.value, entry.source

        wait_until(lambda: show() == (400, "deployment"), 10, "the deployed value")
        time.sleep(2.0)  # the visit goes on
        after_s = alert_after(
            watched, 0, lambda: vedette("app", "set", "shop", "patience_s=1.5", "--state", str(state))
        )
        first = watched.alerts()[0]
        assert first.duration_s is not None
        assert first.duration_s > after_s + 0.1, "the time before the change counts"
        assert show() == (1.5, "local")

        # Higher, lower, deployed anew: the visit was reported and is not again.
        for value in ("200", "1"):
            assert vedette("app", "set", "shop", f"patience_s={value}", "--state", str(state)).returncode == 0
        watched.edge.core.deploy(
            {"vedette.app.shop": ComponentSpec(configuration_merge={"parameters": {"patience_s": "300"}})}
        )
        wait_until(lambda: show() == (300, "deployment"), 10, "what is deployed ends what was set")
        wait_until(lambda: time.monotonic() - began_s > 34.0, 60, "the second visit is going on")
        assert len(watched.alerts()) == 1

        # As nucleus lite delivers it: text.
        merge = {"parameters": {"patience_s": "2"}}
        alert_after(
            watched, 1, lambda: watched.edge.core.deploy({"vedette.app.shop": ComponentSpec(configuration_merge=merge)})
        )
        second = watched.alerts()[1]
        assert second.track_ids != first.track_ids
        assert second.duration_s is not None
        assert second.duration_s >= 2.0
        time.sleep(1.5)
        assert len(watched.alerts()) == 2
        assert processes(watched) == before, "no process was restarted, none was started"
        states = watched.edge.core.states()
        assert {s.state for s in states.values()} == {ComponentState.RUNNING}
        assert {s.failures for s in states.values()} == {0}


@pytest.mark.timeout(120)
def test_another_version_of_an_application_does_not_report_anew(short_tmp: Path) -> None:
    """Its component is stopped and started; what its rules knew is kept meanwhile, and so are the tracks' numbers."""
    recording = clip(short_tmp / "hall.mp4", [(0.0, 60.0)], 60.0)
    rules = {"lingers": {"type": "dwell", "zone": ZONE, "for_s": 1}}
    first, other = (application(name, model(short_tmp), ["hall"], rules) for name in ("shop", "other"))
    with running([first, other], {"hall": str(recording)}, short_tmp / "run") as watched:
        wait_until(lambda: len(watched.alerts()) == 2, 40, "both have reported the visit")
        before = processes(watched, without="vedette.app.shop")
        watched.edge.add(RunApplication(first.model_copy(update={"version": "0.2.0"})))
        state = watched.edge.settings.state_directory

        def version() -> str:
            return next((app.version for app in status(state).applications if app.name == "shop"), "")

        wait_until(lambda: version() == "0.2.0", 30, "the new version is attached")
        watched.edge.add(RunApplication(first))
        wait_until(lambda: version() == "0.1.0", 30, "the one before is attached again")
        time.sleep(4.0)
        assert len(watched.alerts()) == 2, "one visit, one alert"
        assert processes(watched, without="vedette.app.shop") == before


@pytest.mark.timeout(120)
def test_a_deployed_value_that_is_not_allowed_fails_and_disturbs_nobody(short_tmp: Path) -> None:
    """The component ends, so that Greengrass takes the deployment back; what was attached goes on meanwhile."""
    recording = clip(short_tmp / "hall.mp4", [(0.0, 60.0)], 60.0)
    rules = {"lingers": {"type": "dwell", "zone": ZONE, "for_s": 500}}
    declared = {"patience_s": {"sets": ["rules.lingers.for_s"], "max": 600}}
    shop = application("shop", model(short_tmp), ["hall"], rules, parameters=declared)
    with running(shop, {"hall": str(recording)}, short_tmp / "run") as watched:
        watched.wait_streaming({"hall"})
        before = processes(watched, without="vedette.app.shop")
        core = watched.edge.core
        wrong = {"vedette.app.shop": ComponentSpec(configuration_merge={"parameters": {"patience_s": 5000}})}
        core.deploy(wrong)
        wait_until(lambda: core.states()["vedette.app.shop"].state is ComponentState.BROKEN, 30, "the deployment fails")
        assert "V106" in core.log_path("vedette.app.shop").read_text()
        state = watched.edge.settings.state_directory
        assert parameters(state, "shop").parameters[0].value == 500, "still attached, as before"
        # The rollback: the configuration before, and the component gets another chance.
        core.deploy({"vedette.app.shop": ComponentSpec(configuration_merge={"parameters": {"patience_s": 2}})})
        wait_until(lambda: len(watched.alerts()) == 1, 30, "an alert by the right value")
        assert processes(watched, without="vedette.app.shop") == before
