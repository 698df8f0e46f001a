"""The SQL of IoT rules that the sandbox runs, and topic filters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vedette.local.cloud.rule_sql import UNDEFINED, Message, SqlError, evaluate, matches, parse


def run(sql: str, payload: Any, topic: str = "vedette/cam-7/alerts", client_id: str = "cam-7") -> Any:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    chosen = parse(sql).run(Message(topic, data, client_id, 1700))
    return None if chosen is None else json.loads(chosen)


def test_everything_is_the_payload_byte_for_byte() -> None:
    message = Message("a", b"\x00not json", "", 0)
    assert parse("SELECT * FROM 'a'").run(message) == b"\x00not json"


def test_columns_are_added_to_everything() -> None:
    found = run("SELECT *, topic(2) AS thing, timestamp() as at FROM 'vedette/+/alerts'", {"x": {"y": 1}})
    assert found == {"x": {"y": 1}, "thing": "cam-7", "at": 1700}


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT x.y FROM 'a'", {"y": 1}),
        ("SELECT x.y AS z, clientid() AS who, topic() AS t FROM 'a'", {"z": 1, "who": "cam-7", "t": "a/b"}),
        (
            "SELECT missing, 'it''s' AS text, 2.5 AS number, TRUE AS yes FROM 'a'",
            {"text": "it's", "number": 2.5, "yes": True},
        ),
        ("SELECT topic(9) AS nothing, x FROM 'a'", {"x": {"y": 1}}),
    ],
)
def test_columns(sql: str, wanted: dict[str, Any]) -> None:
    assert run(sql, {"x": {"y": 1}}, topic="a/b") == wanted


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("x = 3", True),
        ("x <> 3", False),
        ("x >= 3 AND name = 'gate'", True),
        ("x > 3 OR name = 'gate'", True),
        ("NOT x > 3", True),
        ("NOT (x > 3 OR name = 'gate')", False),
        ("name < 3", False),
        ("missing = 3", False),
        ("missing <> 3", False),
        ("flag", True),
        ("name", False),
        ("isUndefined(missing)", True),
        ("isUndefined(name)", False),
        ("NOT isUndefined(x) AND isUndefined(missing.part)", True),
    ],
)
def test_conditions(condition: str, holds: bool) -> None:
    found = run(f"SELECT x FROM 'a' WHERE {condition}", {"x": 3, "name": "gate", "flag": True})
    assert (found is not None) is holds


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT",
        "SELECT * FROM a",
        "SELECT * FROM 'a' WHERE",
        "SELECT * FROM 'a' LIMIT 3",
        "SELECT topic(2) FROM 'a'",
        "SELECT get_thing_shadow('a', 'b') AS s FROM 'a'",
        "SELECT x + 1 AS y FROM 'a'",
        "SELECT aws_lambda(3) AS y FROM 'a'",
        "SELECT * FROM 'a' WHERE x IN [1, 2]",
        "UPDATE x",
    ],
)
def test_what_goes_beyond_is_refused_and_quoted(sql: str) -> None:
    with pytest.raises(SqlError, match="in: "):
        parse(sql)


def test_everything_with_columns_needs_an_object() -> None:
    for payload in (b"not json", b"[1]"):
        with pytest.raises(SqlError, match="no JSON object"):
            run("SELECT *, topic(2) AS thing FROM 'a'", payload)


def test_an_expression_alone() -> None:
    message = Message("vedette/cam-7/alerts", b"{}", "", 5)
    assert evaluate("topic(2)", message) == "cam-7"
    assert evaluate("x.y", message) is UNDEFINED
    assert evaluate("clientid()", message) == "n/a"
    with pytest.raises(SqlError):
        evaluate("topic(2) AS thing", message)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "wanted"),
    [
        ("vedette/+/alerts", "vedette/a/alerts", True),
        ("vedette/+/alerts", "vedette/a/b/alerts", False),
        ("vedette/+/alerts", "vedette/alerts", False),
        ("vedette/#", "vedette/a/b", True),
        ("vedette/#", "vedette", True),
        ("#", "a/b", True),
        ("#", "$aws/events/x", False),
        ("+/events/x", "$aws/events/x", False),
        ("$aws/events/presence/+/+", "$aws/events/presence/connected/cam", True),
        ("a", "a/b", False),
        ("a/b", "a", False),
    ],
)
def test_topic_filters(topic_filter: str, topic: str, wanted: bool) -> None:
    assert matches(topic_filter, topic) is wanted
