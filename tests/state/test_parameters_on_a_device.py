"""Values of parameters on a device: who wins, how long they last, what a restart and a full disk leave of them."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.state.test_plan import app as plain_app
from tests.state.test_plan import cam
from tests.state.test_state_owner import owner, raw
from vedette.adapters.state import client as state
from vedette.adapters.state.owner import StateOwner
from vedette.adapters.state.values import MAX_KEPT, user_name
from vedette.cli.local_values import LocalValues
from vedette.contracts.errors import ConfigurationError, StorageError, UsageError, VedetteError
from vedette.contracts.manifest import NothingSeen
from vedette.contracts.plan import AttachedApplication
from vedette.contracts.state import StateAnswer

__all__ = ["owner"]

PARAMETERS = {
    "patience_s": {"title": "Patience", "sets": ["rules.empty.for_s"], "min": 1, "max": 600},
    "hold_s": {"sets": ["rules.empty.hold_s"]},
    "mode": {"default": "day", "choices": ["day", "night"]},
}


def app(name: str = "shop", deployed: dict[str, Any] | None = None, **changes: Any) -> AttachedApplication:
    application = plain_app(name, **{"parameters": PARAMETERS, **changes})
    return application.model_copy(update={"parameters": deployed or {}})


def patience_s(owner: StateOwner) -> float:
    """What the plan says, which is what the rules are judged by."""
    rule = owner.plan.rules[0].rule
    assert isinstance(rule, NothingSeen)
    return rule.for_s


def test_what_is_set_here_goes_before_the_deployment_and_that_before_the_manifest(owner: StateOwner) -> None:
    root = owner.layout.root
    owner.set_cameras([cam()])
    state.attach(root, app())
    assert patience_s(owner) == 5
    state.attach(root, app(deployed={"patience_s": "40"}))
    assert patience_s(owner) == 40
    revision = owner.plan.revision
    answer = state.set_parameters(root, "shop", {"patience_s": "7.5", "mode": "night"})
    assert answer.changed
    assert answer.revision == revision + 1
    assert patience_s(owner) == 7.5
    first, _, mode = answer.parameters
    assert (first.name, first.value, first.source, first.default, first.deployed, first.local) == (
        ("patience_s", 7.5, "local", 5, 40, 7.5)
    )
    assert first.by == pwd.getpwuid(os.getuid()).pw_name
    assert first.allowed == "a number, at least 1, at most 600"
    assert first.places == ("rules.empty.for_s",)
    assert (mode.value, mode.source, mode.default) == ("night", "local", "day")
    assert state.parameters(root, "shop").parameters == answer.parameters
    assert not state.set_parameters(root, "shop", {"patience_s": 7.5}).changed
    taken_back = state.set_parameters(root, "shop", {"patience_s": None, "mode": None}).parameters
    assert [(entry.value, entry.source) for entry in taken_back] == [
        (40, "deployment"),
        (0, "manifest"),
        ("day", "manifest"),
    ]
    assert patience_s(owner) == 40


def test_values_last_until_something_else_is_deployed(short_tmp: Path) -> None:
    root = short_tmp / "s"
    for round_number in range(3):
        owner = StateOwner(root)
        owner.start()
        owner.set_cameras([cam()])
        owner.attach(app(deployed={"hold_s": 1}))
        if round_number == 0:
            owner.set_parameters("shop", {"patience_s": 9}, "ana")
        # A restart of the owner, of the component (it detaches), of the device: the value is there.
        assert patience_s(owner) == 9
        owner.attach(app(deployed={"hold_s": 1}, bindings={"hall": ("hall",)}))
        owner.detach("shop")
        owner.close()
    for change in ({"deployed": {"hold_s": 2}}, {"deployed": {"hold_s": 1}, "version": "0.2.0"}):
        owner = StateOwner(root)
        owner.start()
        owner.set_cameras([cam()])
        owner.attach(app(deployed={"hold_s": 1}))
        owner.set_parameters("shop", {"patience_s": 9}, "ana")
        owner.attach(app(**change))
        assert patience_s(owner) == 5
        owner.attach(app(deployed={"hold_s": 1}))
        assert patience_s(owner) == 5, "what went does not come back"
        owner.close()


def test_what_is_not_allowed_changes_nothing(owner: StateOwner) -> None:
    root = owner.layout.root
    owner.set_cameras([cam()])
    state.attach(root, app())
    before = (owner.layout.attachments.read_bytes(), owner.layout.plan.read_bytes())
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"patience_s": "long"}, "found 'long'; allowed: a number"),
        ({"patience_s": 9, "mode": "dusk"}, "'mode': found 'dusk'"),
        ({"patience": None}, "no parameter is called 'patience'"),
    ]
    for values, words in mistakes:
        with pytest.raises(VedetteError, match=words) as caught:
            state.set_parameters(root, "shop", values)
        assert caught.value.code == "V106"
    with pytest.raises(VedetteError, match=r"attached as 'shp'; attached: shop \(did you mean 'shop'") as caught:
        state.set_parameters(root, "shp", {"patience_s": 9})
    assert caught.value.code == "V701"
    with pytest.raises(VedetteError, match="found 601") as caught:
        state.attach(root, app(deployed={"patience_s": 601}))
    assert caught.value.code == "V106"
    assert before == (owner.layout.attachments.read_bytes(), owner.layout.plan.read_bytes())


def test_values_that_do_not_fit_what_is_deployed_are_refused(owner: StateOwner) -> None:
    tracker = {
        "low": {"sets": ["pipelines.main.tracker.low_confidence"]},
        "high": {"sets": ["pipelines.main.tracker.high_confidence"]},
    }
    owner.set_cameras([cam()])
    owner.attach(app(deployed={"high": 0.3}, parameters=tracker))
    owner.set_parameters("shop", {"low": 0.2}, "ana")
    with pytest.raises(ConfigurationError, match=r"low_confidence 0.4 is above high_confidence 0.3"):
        owner.set_parameters("shop", {"low": 0.4}, "ana")
    with pytest.raises(ConfigurationError, match=r"low_confidence 0.2 is above high_confidence 0.15"):
        owner.set_parameters("shop", {"high": 0.15}, "ana")
    owner.set_parameters("shop", {"high": 0.6, "low": 0.4}, "ana")
    with pytest.raises(ConfigurationError, match=r"low_confidence 0.4 is above high_confidence 0.3"):
        owner.set_parameters("shop", {"high": None}, "ana")


def test_a_value_of_another_release_is_left_out_and_told_of(short_tmp: Path) -> None:
    owner = StateOwner(short_tmp / "s")
    owner.start()
    owner.set_cameras([cam()])
    owner.attach(app(deployed={"patience_s": 8}))
    owner.set_parameters("shop", {"hold_s": 2, "mode": "night"}, "ana")
    owner.close()
    document = json.loads(owner.layout.attachments.read_bytes())
    document["applications"][0]["manifest"]["parameters"]["patience_s"]["max"] = 7
    document["local"][0]["values"]["mode"]["value"] = "dusk"
    document["local"].append({"application": "x"})
    owner.layout.attachments.write_text(json.dumps(document))
    owner = StateOwner(short_tmp / "s")
    owner.start()
    owner.set_cameras([cam()])
    assert patience_s(owner) == 5
    assert owner.plan.rules[0].rule.hold_s == 2
    assert ["deployed: " in problem for problem in owner.plan.problems] == [True, False]
    assert "set on this device: " in owner.plan.problems[1]
    assert next((entry.value, entry.deployed) for entry in owner.parameters("shop")) == (5, None)
    owner.set_parameters("shop", {"mode": None}, "ana")
    assert len(owner.plan.problems) == 1
    owner.close()


def test_a_full_disk_refuses_the_change(owner: StateOwner, monkeypatch: pytest.MonkeyPatch) -> None:
    owner.set_cameras([cam()])
    owner.attach(app())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("vedette.adapters.state.files.os.fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            owner.set_parameters("shop", {"patience_s": 9}, "ana")
    assert owner.parameters("shop")[0].source == "manifest"
    assert patience_s(owner) == 5


def test_values_of_many_applications_that_are_gone_do_not_pile_up(owner: StateOwner) -> None:
    owner.set_cameras([cam()])
    for number in range(MAX_KEPT + 5):
        owner.attach(app(f"app-{number}"))
        owner.set_parameters(f"app-{number}", {"patience_s": 9}, "ana")
        if number:
            owner.detach(f"app-{number}")
    kept = [entry["application"] for entry in json.loads(owner.layout.attachments.read_bytes())["local"]]
    assert kept == ["app-0", *(f"app-{number}" for number in range(5, MAX_KEPT + 5))]


def test_hostile_requests_are_answered(owner: StateOwner) -> None:
    owner.attach(app())
    for line, code in (
        (b'{"op":"set","name":"shop","values":{"patience_s":{"a":1}}}', "V605"),
        (b'{"op":"set","name":"shop","values":{"a b":1}}', "V605"),
        (b'{"op":"set","name":"../x","values":{}}', "V605"),
        (b'{"op":"set","name":"shop","values":{"patience_s":1e999}}', "V605"),
        (b'{"op":"set","name":"shop","values":{"patience_s":NaN}}', "V605"),
        (b'{"op":"set","name":"shop","values":{"patience_s":' + b"9" * 5000 + b"}}", "V605"),
        (b'{"op":"set","name":"shop","values":{"patience_s":' + b"9" * 400 + b"}}", "V106"),
        (b'{"op":"set","name":"shop","values":{"patience_s":"' + b"9" * 100_000 + b'"}}', "V106"),
        (b'{"op":"parameters","name":"nope"}', "V701"),
    ):
        answer = StateAnswer.model_validate_json(raw(owner.layout.socket, line + b"\n"))
        assert (answer.ok, answer.code) == (False, code), line[:80]
        assert len(answer.message) < 600
    assert owner.parameters("shop")[0].source == "manifest"


def test_a_run_says_what_was_set_here_before(owner: StateOwner) -> None:
    notes: list[str] = []
    local = LocalValues(owner.layout.root, ["shop", "other"], notes.append)
    local.look()
    assert notes == [], "not attached yet"
    owner.attach(app(deployed={"patience_s": 30}))
    owner.set_parameters("shop", {"mode": "night"}, "ana")
    for _ in range(3):
        local.look()
    assert len(notes) == 1
    assert notes[0].startswith("shop: mode = 'night', set here by ana; to undo: vedette app set shop --reset mode")
    owner.attach(app("other"))
    local.look()
    owner.close()
    local.look()
    assert len(notes) == 1


def test_a_user_without_a_name_has_a_number() -> None:
    assert user_name(0) == "root"
    assert user_name(3_999_999_999) == "user 3999999999"


def test_an_application_that_is_not_attached_has_no_parameters(owner: StateOwner) -> None:
    with pytest.raises(UsageError, match="attached: none"):
        owner.parameters("shop")


VALUES = st.sampled_from([None, 1, 9, "30", 600, 0.5, "x"])
STEPS = st.one_of(
    st.tuples(st.just("attach"), st.sampled_from(["0.1.0", "0.2.0"]), VALUES),
    st.tuples(st.just("set"), st.just(""), VALUES),
    st.tuples(st.just("detach"), st.just(""), st.none()),
    st.tuples(st.just("restart"), st.just(""), st.none()),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=14))
def test_any_order_of_events_leaves_what_was_said_last(steps: list[tuple[str, str, Any]]) -> None:
    """Against a model of a few lines: local before deployed before manifest, local as long as nothing is redeployed."""
    root = Path(tempfile.mkdtemp(prefix="vd", dir="/tmp"))
    owner = StateOwner(root / "s")
    owner.start()
    owner.set_cameras([cam()])
    attached: tuple[str, Any] | None = None
    local: tuple[tuple[str, Any], float] | None = None
    try:
        for kind, version, value in steps:
            allowed = value is None or (value != "x" and 1 <= float(value) <= 600)
            if kind == "attach":
                try:
                    owner.attach(app(deployed={} if value is None else {"patience_s": value}, version=version))
                except ConfigurationError:
                    assert not allowed
                    continue
                assert allowed
                attached = (version, value)
                local = local if local is not None and local[0] == attached else None
            elif kind == "set":
                try:
                    owner.set_parameters("shop", {"patience_s": value}, "ana")
                except (ConfigurationError, UsageError):
                    assert attached is None or not allowed
                    continue
                assert attached is not None
                assert allowed
                local = None if value is None else (attached, float(value))
            elif kind == "detach":
                assert owner.detach("shop") is (attached is not None)
                attached = None
            else:
                owner.close()
                owner = StateOwner(root / "s")
                owner.start()
                owner.set_cameras([cam()])
            if attached is None:
                assert owner.plan.rules == ()
                continue
            deployed = 5.0 if attached[1] is None else float(attached[1])
            assert patience_s(owner) == (deployed if local is None else local[1])
    finally:
        owner.close()
        shutil.rmtree(root)
