"""LocalCore and real component processes that use the unmodified awsiotsdk."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.local.conftest import TIMEOUT_S, deploy_probe, make_core, probe_recipe
from vedette.contracts import topics
from vedette.contracts.errors import CoreError
from vedette.local.core import ComponentSpec, ComponentState
from vedette.local.ledger import Ledger

pytestmark = pytest.mark.processes


def test_publishes_and_receives_json_and_binary(short_tmp: Path, lite: bool) -> None:
    with make_core(short_tmp, probe_recipe(), lite_quirks=lite) as core:
        probe = deploy_probe(core)
        assert probe.do("subscribe", "allowed/+/x") == "subscribed"
        assert probe.do("publish_json", ["allowed/one/x", {"n": [1, None, "ü"]}]) == "published"
        assert probe.hear("local") == ["allowed/one/x", {"n": [1, None, "ü"]}]
        assert probe.do("publish_binary", ["allowed/two/x", "00ff10"]) == "published"
        assert probe.hear("local") == ["allowed/two/x", "00ff10"]
        assert probe.do("publish_json", ["allowed/one/y", {}]) == "published"
        assert probe.do("subscribe", "allowed/#") == "subscribed"
        core.publish_local("allowed/deep/er", b"\x01\x02")
        assert probe.hear("local") == ["allowed/deep/er", "0102"]


def test_access_control_is_enforced(short_tmp: Path, lite: bool) -> None:
    with make_core(short_tmp, probe_recipe(), lite_quirks=lite) as core:
        probe = deploy_probe(core)
        for request in (
            ("publish_json", ["elsewhere", {}]),
            ("publish_binary", ["probes/x", "00"]),
            ("subscribe", "elsewhere"),
            ("subscribe", "#"),
            ("publish_cloud", ["elsewhere", "x"]),
            ("subscribe_cloud", "vedette/#"),
        ):
            answer = probe.do(*request)
            assert answer["error"] == "UnauthorizedError", request
            assert (answer["message"] is None) is lite  # lite sends no text the SDK would read
        assert probe.do("subscribe", "allowed/a+")["error"] == "InvalidArgumentsError"
        assert probe.do("publish_json", ["allowed/+", {}])["error"] == "InvalidArgumentsError"


def test_configuration_merges_survive_a_restart_of_the_core(short_tmp: Path, lite: bool) -> None:
    given = probe_recipe(configuration={"cameras": {"gate": {"url": "x", "fps": 5}}, "level": "INFO"})
    now_s = time.time()
    with make_core(short_tmp, given, lite_quirks=lite) as core:
        probe = deploy_probe(core, configuration_merge={"level": "DEBUG"})
        assert probe.do("config", ["level"]) == {"level": "DEBUG"}
        assert probe.do("config", ["cameras", "gate"]) == {"url": "x", "fps": 5}
        assert probe.do("config", ["cameras", "yard"])["error"] == "ResourceNotFoundError"
        update = {"time": now_s + 60, "value": {"gate": {"fps": 10}, "yard": {}}, "path": ["cameras"]}
        assert probe.do("update", update) == "updated"
        stale = probe.do("update", {"time": now_s, "value": {"fps": 99}, "path": ["cameras", "gate"]})
        assert stale == "updated" if lite else stale["error"] == "FailedUpdateConditionCheckError"
        evil = {"time": now_s + 61, "value": {"accessControl": {}}}
        assert probe.do("update", evil)["error"] == "InvalidArgumentsError"
    with make_core(short_tmp, given, lite_quirks=lite) as core:
        probe = deploy_probe(core)
        assert probe.do("config", ["cameras"]) == {"gate": {"url": "x", "fps": 10}, "yard": {}}
        assert probe.do("config", ["level"]) == {"level": "DEBUG"}
        assert "accessControl" in probe.do("config", [])


def test_a_redeployment_of_configuration_only_tells_each_leaf_and_restarts_nothing(short_tmp: Path) -> None:
    with make_core(short_tmp, probe_recipe(configuration={"a": {"b": 1, "c": 2}, "d": 3})) as core:
        probe = deploy_probe(core)
        pid = core.states()["test.Probe"].pid
        assert probe.do("watch", ["a"]) == "watching"
        assert probe.do("watch", ["zzz"])["error"] == "ResourceNotFoundError"
        core.deploy({"test.Probe": ComponentSpec(configuration_merge={"a": {"b": 5, "e": {"f": 1, "g": 2}}, "d": 4})})
        assert sorted(probe.hear("config") for _ in range(3)) == [["a", "b"], ["a", "e", "f"], ["a", "e", "g"]]
        core.deploy({"test.Probe": ComponentSpec(reset=["/a/b"])})
        assert probe.hear("config") == ["a", "b"]
        assert probe.do("config", ["a", "b"]) == {"b": 1}
        assert probe.silent("config")
        assert core.states()["test.Probe"].pid == pid == probe.do("pid")


def test_two_components_hear_each_other_and_read_each_others_configuration(short_tmp: Path) -> None:
    one = probe_recipe("test.One", configuration={"mine": 1})
    two = probe_recipe("test.Two", depends={"test.One": "HARD"})
    with make_core(short_tmp, one, two) as core:
        deploy_probe(core, "test.One")  # its word that it is ready must not come after the subscription below
        second = deploy_probe(core, "test.Two")
        assert set(core.states()) == {"test.One", "test.Two"}
        assert second.do("subscribe", "probe/test.One/+") == "subscribed"
        core.publish_local("probe/test.One/do", {"do": "pid"})
        heard = {second.hear("local")[0] for _ in range(2)}
        assert heard == {"probe/test.One/do", "probe/test.One/done"}


def test_alerts_are_acknowledged_through_the_ledger(short_tmp: Path, lite: bool) -> None:
    def alert(seq: int, name: str) -> list[str]:
        return [topics.cloud_alerts("thing-1"), json.dumps({"epoch": "e1", "seq": seq, "alert_id": name, "alert": {}})]

    with make_core(short_tmp, probe_recipe(), lite_quirks=lite) as core:
        probe = deploy_probe(core)
        assert probe.do("subscribe_cloud", "vedette/thing-1/ack") == "subscribed"
        assert probe.do("publish_cloud", [topics.cloud_alerts("thing-1"), '{"no": "alert"}']) == "published"
        late = json.dumps({"epoch": "late", "seq": 2, "alert_id": "late-2", "alert": {}})
        assert (
            probe.do("publish_cloud", [topics.cloud_alerts("thing-1"), late]) == "published"
        )  # 1 is missing: no answer
        for seq, name, through in ((1, "a", 1), (2, "b", 2), (2, "b", 2), (4, "d", 2), (3, "c", 4)):
            assert probe.do("publish_cloud", alert(seq, name)) == "published"
            topic, payload = probe.hear("cloud")
            assert topic == "vedette/thing-1/ack"
            assert json.loads(payload) == {"epoch": "e1", "through_seq": through}
        gone = {"epoch": "e1", "from_seq": 5, "through_seq": 9, "tombstone": "evicted"}
        assert probe.do("publish_cloud", [topics.cloud_alerts("thing-1"), json.dumps(gone)]) == "published"
        assert json.loads(probe.hear("cloud")[1]) == {"epoch": "e1", "through_seq": 9}
        assert probe.do("publish_cloud", ["cloud/other", "plain text"]) == "published"
    lines = [json.loads(line) for line in (short_tmp / "iot.jsonl").read_text().splitlines()]
    assert [line["payload"].get("alert_id") for line in lines[2:8]] == ["a", "b", "b", "d", "c", None]
    assert (lines[8]["topic"], lines[8]["payload"]) == ("cloud/other", "plain text")
    ledger = Ledger(short_tmp / "iot.jsonl.ledger")
    assert [row["alert_id"] for row in ledger.alerts()] == ["late-2", "a", "b", "d", "c"]
    ledger.close()


def test_secrets_come_from_the_private_file_and_nowhere_else(
    short_tmp: Path, lite: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    path = short_tmp / "secrets.json"
    path.write_text(json.dumps({"camera": {"user": "u", "password": "hush-hush"}, "other": "hush-too"}))
    path.chmod(0o600)
    with make_core(short_tmp, probe_recipe(), secrets_file=path, lite_quirks=lite) as core:
        core.subscribe_local("probe/+/secret-listener", lambda _: None)
        probe = deploy_probe(core)
        answer = probe.do("secret", "camera")
        if lite:
            assert answer == {"error": "ServiceError", "message": None}
        else:
            assert json.loads(answer) == {"user": "u", "password": "hush-hush"}
            assert probe.do("secret", "other")["error"] == "UnauthorizedError"
            path.chmod(0o644)
            refused = probe.do("secret", "camera")
            assert refused["error"] == "ServiceError"
            assert "chmod 600" in refused["message"]
        assert "hush" not in repr(core.states())
    assert "hush" not in caplog.text
    for file in short_tmp.rglob("*"):
        if file.is_file() and file != path:
            assert b"hush" not in file.read_bytes(), file


def test_what_a_component_says_of_itself(short_tmp: Path, lite: bool) -> None:
    with make_core(short_tmp, probe_recipe(), lite_quirks=lite) as core:
        probe = deploy_probe(core)
        before = core.states()["test.Probe"]
        assert before.reported_running
        core.publish_local("probe/test.Probe/do", {"do": "state", "with": "ERRORED"})
        if lite:
            assert probe.hear("done") == {"ok": "told"}
            assert core.states()["test.Probe"] == before
        else:
            probe.hear("ready")
            after = core.wait_for("test.Probe", ComponentState.RUNNING, TIMEOUT_S)
            assert (after.failures, after.pid != before.pid) == (1, True)


def test_the_environment_and_folder_of_a_component(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "must not leak into components")
    given = probe_recipe(lifecycle={"Setenv": {"ROOT": "{kernel:rootPath}", "THING": "{iot:thingName}"}})
    with make_core(short_tmp, given, environment={"EXTRA": "1"}) as core:
        probe = deploy_probe(core)
        found = probe.do("environment")
        assert found["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"] == str(core.socket_path)
        assert found["AWS_IOT_THING_NAME"] == "thing-1"
        assert found["GGC_VERSION"]
        assert len(found["SVCUID"]) >= 32
        assert (found["ROOT"], found["THING"], found["EXTRA"]) == (str(short_tmp), "thing-1", "1")
        assert "AWS_SECRET_ACCESS_KEY" not in found
        assert probe.do("cwd") == str(short_tmp / "work" / "test.Probe")
        with pytest.raises(CoreError, match="another LocalCore"):
            make_core(short_tmp).start()
