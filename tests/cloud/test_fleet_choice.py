"""What an operator chooses on top of what runs, and the fleet in a few lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.cli.fleet_options import agreed, duration, target
from vedette.contracts.comparison import ComparisonTask
from vedette.contracts.errors import ConfigurationError, UsageError
from vedette.contracts.manifest import Manifest
from vedette.contracts.rollout import (
    ApplicationChange,
    ApplicationChoice,
    Candidate,
    ComponentChange,
    ComponentChoice,
    DesiredState,
)
from vedette.core.fleet.choice import changes, checked, choice, common, runs, unknown_cameras
from vedette.core.fleet.desired import applied, undoing
from vedette.core.fleet.device_summary import DeviceSummary
from vedette.core.fleet.overview import NAMED, overview

MANIFEST = Manifest.model_validate(
    {
        "api": "vedette/v1",
        "name": "door",
        "version": "1.0.0",
        "cameras": {"gate": {}, "yard": {}},
        "models": {"people": {"family": "yolox", "file": "people.onnx"}},
        "pipelines": {"look": {"model": "people", "cameras": ["gate", "yard"], "fps": 5}},
        "rules": {
            "someone": {
                "type": "zone_occupied",
                "pipeline": "look",
                "zone": [[0, 0], [1, 0], [1, 1]],
                "for_s": 5,
            }
        },
        "parameters": {"patience_s": {"sets": ["rules.someone.for_s"], "min": 1, "max": 60}},
    }
)
NAMES = st.sampled_from(["a", "b", "c"])
CHOICES = st.builds(
    ApplicationChoice,
    version=st.sampled_from(["1.0.0", "2.0.0"]),
    bindings=st.dictionaries(NAMES, st.lists(NAMES, min_size=1, max_size=2).map(tuple), max_size=2),
    parameters=st.dictionaries(NAMES, st.one_of(st.integers(0, 5), NAMES), max_size=2),
)


def test_what_is_not_given_stays() -> None:
    now = ApplicationChoice(version="1.0.0", bindings={"gate": ("cam-1",)}, parameters={"patience_s": 5})
    assert choice("1.1.0", now, {"yard": ("cam-2", "cam-3")}, {}) == ApplicationChoice(
        version="1.1.0", bindings={"gate": ("cam-1",), "yard": ("cam-2", "cam-3")}, parameters={"patience_s": 5}
    )
    assert choice("1.1.0", now, {"gate": ()}, {"patience_s": None}) == ApplicationChoice(version="1.1.0")
    assert choice("1.1.0", None, {}, {}) == ApplicationChoice(version="1.1.0")


def test_bindings_and_values_are_checked_and_typed() -> None:
    typed = checked(MANIFEST, choice("1.0.0", None, {"gate": ("cam-1",)}, {"patience_s": "30"}))
    assert typed.parameters == {"patience_s": 30}
    with pytest.raises(ConfigurationError, match=r"V104 .*no camera 'gaet' to bind; it has gate, yard; meant .gate.\?"):
        checked(MANIFEST, choice("1.0.0", None, {"gaet": ("cam-1",)}, {}))
    with pytest.raises(ConfigurationError, match="V106"):
        checked(MANIFEST, choice("1.0.0", None, {}, {"patience_s": "90"}))
    with pytest.raises(ConfigurationError, match="V106"):
        checked(MANIFEST, choice("1.0.0", None, {}, {"patience": "9"}))


def test_a_change_in_words() -> None:
    now = ApplicationChoice(version="1.0.0", bindings={"gate": ("cam-1",)}, parameters={"patience_s": 5})
    to = ApplicationChoice(version="1.1.0", bindings={"gate": ("cam-2",)}, parameters={"patience_s": 30})
    lines = changes(ApplicationChange(name="door", to=now), ApplicationChange(name="door", to=to))
    assert lines == ("version 1.0.0 → 1.1.0", "camera gate: cam-1 → cam-2", "parameter patience_s: 5 → 30")
    assert changes(ApplicationChange(name="door", to=now), ApplicationChange(name="door", to=None)) == ("taken out",)
    one, two = ComponentChoice(version="1.0.0"), ComponentChoice(version="1.0.0", configuration={"logLevel": "DEBUG"})
    assert changes(ComponentChange(to={"vedette.A": one}), ComponentChange(to={"vedette.A": two})) == (
        "vedette.A logLevel: not there → 'DEBUG'",
    )


@given(now=st.none() | CHOICES, to=st.none() | CHOICES)
def test_there_are_words_for_a_change_exactly_where_there_is_one(
    now: ApplicationChoice | None, to: ApplicationChoice | None
) -> None:
    change = ApplicationChange(name="door", to=to)
    state = DesiredState(fleet="main", ring="rest", version=1, applications={"door": now} if now else {})
    before = undoing(state, change)
    assert bool(changes(before, change)) == (before != change)
    assert runs(undoing(applied(state, change), change)) == (to.version if to is not None else "-")


def test_rings_that_differ_in_more_than_the_version() -> None:
    one, two = ApplicationChoice(version="1.0.0"), ApplicationChoice(version="2.0.0")
    assert common([None, one, two]) == (one, True)
    assert common([None]) == (None, True)
    bound = two.model_copy(update={"bindings": {"gate": ("cam-1",)}})
    assert common([one, bound]) == (one, False)


def test_cameras_that_nobody_has() -> None:
    wanted = ApplicationChoice(version="1.0.0", bindings={"gate": ("cam-1", "cam-9")})
    assert unknown_cameras(wanted, MANIFEST, ["cam-1", "yard"]) == ("cam-9",)
    assert unknown_cameras(wanted, MANIFEST, ["cam-1", "cam-9"]) == ("yard",)


@pytest.mark.parametrize(
    ("given_", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5 h", 5400), ("2min", 120), ("0s", 0)]
)
def test_durations(given_: str, seconds: int) -> None:
    assert duration(given_, "--soak") == seconds


@pytest.mark.parametrize("given_", ["", "m", "-5s", "1w", "1h30"])
def test_what_is_no_duration(given_: str) -> None:
    with pytest.raises(UsageError, match=r"V701 --soak .* is no duration"):
        duration(given_, "--soak")


def test_nobody_is_asked_where_there_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert agreed("?", yes=True)
    with pytest.raises(UsageError, match=r"not a terminal.* --yes") as refused:
        agreed("?", yes=False)
    assert "--dry-run" in refused.value.hint


@pytest.mark.parametrize(("fleet", "device"), [(None, None), ("main", "SN-1")])
def test_one_of_fleet_and_device(fleet: str | None, device: str | None) -> None:
    with pytest.raises(UsageError, match=r"V701 (neither|both) --fleet (nor|and) --device w"):
        target(None, fleet, device)  # type: ignore[arg-type]


def device(thing: str, ring: str, *conditions: str, seen: float | None = 1.0, core: str = "") -> DeviceSummary:
    return DeviceSummary(
        thing=thing,
        serial=thing,
        ring=ring,
        site="s",
        version="0.1.0" if seen else "",
        last_seen_s=seen,
        conditions=conditions,
        cameras_down=0,
        core=core,
        retired=False,
    )


def test_a_fleet_in_a_few_lines() -> None:
    running = ApplicationChoice(version="1.0.0")
    task = ComparisonTask(rollout_id="r-12345678")
    compared = Candidate(version="2.0.0", task=task)
    states = [
        DesiredState(
            fleet="main", ring="canary", version=3, applications={"door": running}, candidates={"door": compared}
        ),
        DesiredState(fleet="main", ring="rest"),
        DesiredState(fleet="main", ring="thing/r1", version=1, applications={"own": running}),
    ]
    devices = [
        device("c1", "canary", core="UNHEALTHY"),
        device("r1", "rest", "offline"),
        device("r2", "rest", seen=None),
        *(device(f"u{n:02}", "rest", "camera_down") for n in range(NAMED + 3)),
    ]
    canary, rest, own = overview(states, devices)
    assert (canary.devices, canary.online, canary.failed, canary.unwell) == (1, 1, 1, 1)
    assert canary.trouble == (("c1", ("deployment failed",)),)
    assert (rest.devices, rest.offline, rest.waiting, rest.online) == (NAMED + 5, 1, 1, NAMED + 3)
    assert len(rest.trouble) == NAMED
    assert rest.unwell == NAMED + 4
    assert (own.devices, own.offline) == (1, 1)
    assert canary.document()["desired"]["candidates"]["door"]["version"] == "2.0.0"
