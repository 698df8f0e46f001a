"""Topics, filters and accessControl."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.conftest import PROPERTY
from vedette.contracts.errors import CoreError
from vedette.local.access import (
    PUBSUB_SERVICE,
    TopicError,
    check_filter,
    check_topic,
    parse_access_control,
    resource_matches,
    topic_matches,
)

_level = st.text("ab$", max_size=2)
_topics = st.lists(_level, min_size=1, max_size=4).map("/".join)
_filters = st.tuples(st.lists(st.one_of(_level, st.just("+")), min_size=1, max_size=3), st.booleans()).map(
    lambda pair: "/".join([*pair[0], *(["#"] if pair[1] else [])])
)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("a/+/c", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("+/b", "a/b", True),
        ("+", "/a", False),
        ("+/+", "/a", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
    ],
)
def test_filters_select_as_mqtt_says(topic_filter: str, topic: str, matches: bool) -> None:
    assert topic_matches(topic_filter, topic) is matches


@pytest.mark.parametrize("bad", ["", "a+", "a/+b", "a/#/b", "a#", "x" * 257, "a\x00"])
def test_bad_filters_are_refused(bad: str) -> None:
    with pytest.raises(TopicError):
        check_filter(bad)


@pytest.mark.parametrize("bad", ["", "a/+", "#", "x" * 257])
def test_bad_topics_are_refused(bad: str) -> None:
    with pytest.raises(TopicError):
        check_topic(bad)


@pytest.mark.parametrize(
    ("pattern", "requested", "mqtt", "covers"),
    [
        ("*", "anything/at/all", False, True),
        ("vedette/*", "vedette/cam/tracks", False, True),
        ("vedette/*/status", "vedette/a/b/status", False, True),
        ("vedette/*/status", "vedette/a/tracks", False, False),
        ("a/+", "a/b", True, True),
        ("a/+", "a/b", False, False),
        ("a/+", "a/+", False, True),
        ("a/+", "a/#", True, False),
        ("a/#", "a/+/b", True, True),
        ("a/#", "a/#", True, True),
        ("a/#", "a", True, True),
        ("a/#", "ab", True, False),
        ("a/+/c", "a/b/c", True, True),
        ("a/+/c", "a/b/d/c", True, False),
        ("a/${*}", "a/*", False, True),
        ("a/${*}", "a/b", False, False),
        ("", "", True, True),
        ("", "a", True, False),
    ],
)
def test_resources_cover(pattern: str, requested: str, mqtt: bool, covers: bool) -> None:
    assert resource_matches(pattern, requested, mqtt=mqtt) is covers


@given(_filters, _filters, _topics)
@PROPERTY
def test_what_a_resource_covers_never_selects_more_than_it(resource: str, wanted: str, topic: str) -> None:
    if resource_matches(resource, wanted, mqtt=True) and topic_matches(wanted, topic):
        assert resource_matches(resource, topic, mqtt=True)


def test_many_stars_do_not_explode() -> None:
    assert not resource_matches("*a" * 100 + "b", "a" * 250, mqtt=True)


def test_policies_allow_what_they_list_and_nothing_else() -> None:
    policy = parse_access_control(
        {
            PUBSUB_SERVICE: {
                "one": {
                    "policyDescription": "why",
                    "operations": ["aws.greengrass#PublishToTopic"],
                    "resources": ["a/*"],
                },
                "two": {"operations": ["*"], "resources": ["b"]},
            }
        },
        where="c",
    )
    assert policy.allows(PUBSUB_SERVICE, "PublishToTopic", "a/x")
    assert not policy.allows(PUBSUB_SERVICE, "SubscribeToTopic", "a/x")
    assert policy.allows(PUBSUB_SERVICE, "SubscribeToTopic", "b")
    assert not policy.allows("aws.greengrass.ipc.mqttproxy", "PublishToTopic", "a/x")
    assert not parse_access_control(None, where="c").allows(PUBSUB_SERVICE, "PublishToTopic", "a")


def test_lite_knows_no_mqtt_wildcards_in_local_resources() -> None:
    section = {PUBSUB_SERVICE: {"p": {"operations": ["*"], "resources": ["a/+"]}}}
    assert parse_access_control(section, where="c").allows(PUBSUB_SERVICE, "PublishToTopic", "a/b")
    assert not parse_access_control(section, where="c", lite=True).allows(PUBSUB_SERVICE, "PublishToTopic", "a/b")


@pytest.mark.parametrize(
    "section",
    [
        [],
        {"s": []},
        {"s": {"p": []}},
        {"s": {"p": {"operations": "x", "resources": []}}},
        {"s": {"p": {"operations": [1], "resources": []}}},
        {"s": {"p": {"Operations": [], "resources": []}}},
    ],
)
def test_a_misshapen_section_is_an_error_with_its_path(section: object) -> None:
    with pytest.raises(CoreError, match="c: accessControl"):
        parse_access_control(section, where="c")
