"""Logs of devices: each line once, in its order, of this device only, and what the log manager is told."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.device_logs import DeviceLogs
from vedette.cli.logs import LATE_S, following
from vedette.cli.main import main
from vedette.contracts.errors import CloudError, UsageError
from vedette.contracts.logs import JOURNAL_LOGS, LOG_MANAGER, component_group, nucleus_group
from vedette.contracts.rollout import ApplicationChoice, ComponentChoice, DesiredState
from vedette.core.fleet.document import deployment
from vedette.core.fleet.log_lines import Line, Unseen, days, named, seconds_of

REGION = "eu-central-1"
NOW_MS = 1_795_780_800_000  # 2026-11-27, noon
TODAY = "/2026/11/27/thing/{}"
ALERTING = component_group(REGION, "vedette.Alerting")
PPE = component_group(REGION, "vedette.app.ppe")


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr("time.time", lambda: NOW_MS / 1000)
    with mock_aws():
        client = boto3.client("logs", region_name=REGION)
        for group in (ALERTING, PPE, nucleus_group(REGION), JOURNAL_LOGS, component_group(REGION, "other.Thing")):
            client.create_log_group(logGroupName=group)
        ssm, tables = boto3.client("ssm", region_name=REGION), boto3.client("dynamodb", region_name=REGION)
        for table, key in (("devices", "thing"), ("registrations", "serial")):
            ssm.put_parameter(Name=f"/vedette/prod/{table}-table", Value=table, Type="String")
            tables.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        tables.put_item(TableName="devices", Item={"thing": {"S": "cam"}, "fleet": {"S": "main"}})
        yield client


def write(logs: Any, group: str, stream: str, *lines: tuple[int, str]) -> None:
    """Lines, each so many seconds before now."""
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    events = [{"timestamp": NOW_MS - ago_s * 1000, "message": text} for ago_s, text in lines]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def told(component: str | None = None, since_s: int = 600, thing: str = "cam") -> list[tuple[str, str]]:
    found = DeviceLogs(Account(), thing)
    lines = found.lines(found.groups(component), NOW_MS - since_s * 1000, NOW_MS)
    return [(line.component, line.text) for line in lines]


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["logs", *arguments])
    out = capsys.readouterr()
    return ended.value.code, out.out, out.err


def test_components_are_merged_by_time_and_other_devices_left_out(logs: Any) -> None:
    write(logs, ALERTING, TODAY.format("cam"), (30, "a"), (10, "c"))
    write(logs, PPE, TODAY.format("cam"), (20, "b"))
    write(logs, nucleus_group(REGION), TODAY.format("cam"), (5, "d"))
    write(logs, JOURNAL_LOGS, "cam", (4, "e"))
    for other in ("cam2", "2cam", "cam-2"):
        write(logs, ALERTING, TODAY.format(other), (10, other))
        write(logs, JOURNAL_LOGS, other, (10, other))
    assert [text for _, text in told()] == ["a", "b", "c", "d", "e"]
    assert told("ppe")[0] == ("vedette.app.ppe", "b")
    assert [text for _, text in told(since_s=7)] == ["d", "e"]


def test_yesterday_is_another_stream(logs: Any) -> None:
    write(logs, ALERTING, "/2026/11/26/thing/cam", (80_000, "yesterday"))
    write(logs, ALERTING, TODAY.format("cam"), (10, "today"))
    assert [text for _, text in told(since_s=86_400)] == ["yesterday", "today"]


def test_pages_lose_and_repeat_nothing(logs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write(logs, ALERTING, TODAY.format("cam"), *((500 - n, f"{n:03}") for n in range(250)))
    account = Account()
    client = account.client("logs")
    whole = client.filter_log_events
    monkeypatch.setattr(client, "filter_log_events", lambda **asked: whole(**asked, limit=40))
    found = DeviceLogs(account, "cam")
    lines = found.lines(found.groups("Alerting"), NOW_MS - 600_000, NOW_MS)
    assert [line.text for line in lines] == [f"{n:03}" for n in range(250)]


def test_following_shows_each_line_once_and_late_ones_when_they_come(logs: Any) -> None:
    write(logs, ALERTING, TODAY.format("cam"), (60, "first"))
    now_s, looks = NOW_MS / 1000, 0
    late = {1: (45, "late"), 2: (-5, "new"), 4: (LATE_S - 60, "very late")}

    class Stop(Exception):  # noqa: N818 - ends the test's loop
        pass

    def sleep(_: float) -> None:
        nonlocal looks, now_s
        looks, now_s = looks + 1, now_s + 10
        if looks in late:
            write(logs, ALERTING, TODAY.format("cam"), late[looks])
        if looks == 3:
            write(logs, PPE, TODAY.format("cam"), (-20, "an application that has just come"))
        if looks == 8:
            raise Stop

    found = DeviceLogs(Account(), "cam")
    shown: list[Line] = []
    lines = following(
        found,
        found.groups(),
        first_ms=NOW_MS - 120_000,
        matching=lambda lines: lines,
        now=lambda: now_s,
        sleep=sleep,
    )
    with pytest.raises(Stop):
        deque(map(shown.append, lines))
    # What is older than was asked for is not shown, however late it comes.
    assert [line.text for line in shown] == ["first", "late", "new", "an application that has just come"]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 40)), max_size=60), st.integers(0, 100))
def test_a_line_is_let_through_once_and_forgotten_with_its_time(events: list[tuple[int, int]], cut: int) -> None:
    unseen = Unseen()
    lines = [Line(at, "c", f"{at}-{number}", "") for at, number in events]
    through = [*unseen.of(lines), *unseen.of(lines)]
    assert len(through) == len({line.event_id for line in lines}) == len(unseen)
    unseen.forget_before(cut)
    assert len(unseen) == len({line.event_id for line in lines if line.at_ms >= cut})


def test_memory_of_what_was_seen_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vedette.core.fleet.log_lines._REMEMBERED", 10)
    unseen = Unseen()
    assert sum(1 for _ in unseen.of(Line(n, "c", str(n), "") for n in range(1_000))) == 1_000
    assert len(unseen) == 10


@given(st.integers(0, 4_000_000_000_000), st.integers(0, 30 * 86_400_000))
def test_every_line_of_a_time_is_in_one_of_its_days(since_ms: int, length_ms: int) -> None:
    found = days(since_ms, since_ms + length_ms)
    assert len(found) == len(set(found)) <= 33
    for at_ms in (since_ms, since_ms + length_ms // 2, since_ms + length_ms):
        assert any(day.toordinal() - 719_163 == at_ms // 86_400_000 for day in found)


def test_names_of_components() -> None:
    known = ["system", "vedette.Alerting", "vedette.app.ppe", "vedette.app.Alerting"]
    assert named("alerting", known) == ["vedette.Alerting"]
    assert named("vedette.app.alerting", known) == ["vedette.app.Alerting"]
    assert named("PPE", known) == ["vedette.app.ppe"]
    assert named("pp", known) == []


@pytest.mark.parametrize("text", ["", "10", "m", "0s", "-5m", "31d", "1w", "10 m", "9999999s"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        seconds_of(text)


def test_an_unknown_component_names_those_there_are(logs: Any) -> None:
    with pytest.raises(CloudError, match=r"V024 no component 'belt'.*system, journal, vedette\.Alerting, vedette\.app"):
        DeviceLogs(Account(), "cam").groups("belt")


def test_the_command(logs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write(logs, ALERTING, TODAY.format("cam"), (30, "V502 no answer"), (20, "all well \x1b[31m"))
    write(logs, JOURNAL_LOGS, "cam", (5, "ggl.vedette.Alerting.service: V502"), (4, "sshd: V502"))
    code, out, _ = ran(capsys, "cam", "alerting", "--grep", "V502")
    assert code == 0
    assert out.splitlines() == [
        "2026-11-27T11:59:30.000Z Alerting V502 no answer",
        "2026-11-27T11:59:55.000Z journal ggl.vedette.Alerting.service: V502",
    ]
    code, out, _ = ran(capsys, "cam", "--json", "--since", "25s")
    documents = [json.loads(line) for line in out.splitlines()]
    assert documents[0] == {
        "time": "2026-11-27T11:59:40.000Z",
        "device": "cam",
        "component": "vedette.Alerting",
        "message": "all well \x1b[31m",
    }
    code, out, _ = ran(capsys, "cam", "Alerting", "--grep", "all")
    assert "\x1b" not in out, "a log gives a terminal no orders"


def test_no_lines_say_where_they_might_be(logs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "cam", "--since", "2m")
    assert (code, out) == (0, "")
    assert "No lines of cam in the last 2m" in err
    code, _, err = ran(capsys, "nobody")
    assert code == 1
    assert "no device is called 'nobody'" in err


def test_ctrl_c_ends_it(logs: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    write(logs, ALERTING, TODAY.format("cam"), (30, "before"))
    monkeypatch.setattr(
        "vedette.cli.logs.following.__kwdefaults__", {"now": lambda: NOW_MS / 1000, "sleep": interrupted}
    )
    code, out, _ = ran(capsys, "cam", "--follow")
    assert code == 130
    assert "before" in out


def test_the_log_manager_is_told_of_everything_that_the_ring_runs() -> None:
    chosen = {
        "logsUploaderConfiguration": {"componentLogsConfigurationMap": {"own.Thing": {"minimumLogLevel": "WARN"}}}
    }
    state = DesiredState(
        fleet="main",
        ring="canary",
        components={
            LOG_MANAGER: ComponentChoice(version="2.3.5", configuration=chosen),
            "aws.greengrass.Nucleus": ComponentChoice(version="2.14.3"),
            "vedette.Alerting": ComponentChoice(version="1.0.0"),
        },
        applications={"ppe": ApplicationChoice(version="1.0.0")},
    )
    update = deployment(state, "arn", watched=True)["components"][LOG_MANAGER]["configurationUpdate"]
    assert update["reset"] == [""], "an application that was taken out is gone from it, too"
    uploader = json.loads(update["merge"])["logsUploaderConfiguration"]
    assert sorted(uploader["componentLogsConfigurationMap"]) == ["own.Thing", "vedette.Alerting", "vedette.app.ppe"]
    assert uploader["systemLogsConfiguration"]["uploadToCloudWatch"] == "true"
    without = state.model_copy(update={"components": {"vedette.Alerting": ComponentChoice(version="1.0.0")}})
    assert LOG_MANAGER not in deployment(without, "arn", watched=True)["components"]
