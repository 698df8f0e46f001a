"""Mistakes of actions are found before anything runs, each in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.manifest.test_manifest_fuzz import VALUES
from tests.manifest.test_manifest_mistakes import GOOD
from vedette.adapters.manifest import check_manifest, load_manifest
from vedette.core.manifest_checks import check_document
from vedette.core.mistake import Mistake

CHECKED: dict[str, dict[str, Any]] = {
    "webhook": {"url": "https://alarm.example.org/in"},
    "mqtt": {"host": "broker.site", "tls": False},
    "email": {"host": "mail.site.example", "sender": "alarm@site.example", "to": ["guard@site.example"]},
    "sms": {
        "gateway": "http",
        "to": ["+4915112345678"],
        "url": "https://sms.example/v1",
        "body": {"to": "{to}", "text": "{text}"},
    },
    "modbus": {"host": "10.0.0.9", "write": "coil", "address": 12, "pulse_s": 0.2, "after_s": 0.8, "late_s": 0.1},
    "opcua": {"endpoint": "opc.tcp://10.0.0.9:4840/plc", "node": "ns=2;s=Line1.Reject", "value_type": "Boolean"},
    "gpio": {"chip": "/dev/gpiochip0", "line": 17, "pulse_s": 0.1},
}


def document(kind: str, **fields: Any) -> str:
    """A manifest with one action."""
    known = {"type": kind, **CHECKED[kind], **fields}
    lines = [f"    {key}: {_yaml(value)}" for key, value in known.items() if value is not ...]
    return GOOD + "actions:\n  it:\n" + "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:
    return json.dumps(value)


@pytest.fixture
def check(tmp_path: Path) -> Any:
    def run(text: str) -> list[Mistake]:
        (tmp_path / "vedette.yaml").write_text(text)
        return check_manifest(tmp_path)

    return run


@pytest.mark.parametrize("kind", CHECKED)
def test_a_right_one_has_no_mistakes(check: Any, kind: str) -> None:
    assert check(document(kind)) == []


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        *((kind, {}) for kind in CHECKED),
        ("modbus", {"pulse_s": ..., "after_s": ..., "late_s": ...}),
        ("modbus", {"write": "register", "value": 7}),
        ("sms", {"gateway": "serial", "url": ..., "body": ..., "device": "/dev/ttyUSB2"}),
        ("opcua", {"value_type": "alert"}),
    ],
)
def test_what_a_program_writes_out_is_right_as_well(
    check: Any, kind: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    """With every default in it, as `vedette run` hands an application to its component."""
    assert check(document(kind, **fields)) == []
    written = load_manifest(tmp_path).model_dump(mode="json", exclude_none=True)
    assert check(json.dumps(written)) == []


# kind, fields, path below the action, words of the message, words of what is allowed, suggestion
ONE: list[tuple[str, dict[str, Any], str, str, str, str]] = [
    ("webhook", {"url": "ftp://x/y"}, "url", "scheme 'ftp'", "https://host/path", ""),
    ("mqtt", {"host": "mqtt://broker.site:1883"}, "host", "another form", "without port", "`broker.site`"),
    ("mqtt", {"host": "broker.site:1884"}, "host", "a port stands behind", "", "`broker.site` here and `port: 1884`"),
    ("mqtt", {"host": "169.254.169.254"}, "host", "link-local", "", ""),
    ("mqtt", {"host": "10.0.0"}, "host", "unusual spelling", "", ""),
    ("mqtt", {"host": "my broker"}, "host", "space", "", ""),
    ("email", {"host": "smtp://mail.site.example:587"}, "host", "another form", "", "`mail.site.example`"),
    ("email", {"host": "93.184.215.14", "tls": "none"}, "host", "public address", "site's own network", ""),
    ("email", {"tls": "none", "secret": "vedette/receiver/x"}, "secret", "sent unencrypted", "starttls", ""),
    ("email", {"port": 465}, "port", "unusual", "implicit", ""),
    ("email", {"sender": "Alarm <alarm@site.example>"}, "sender", "found", "name@example.org", ""),
    ("email", {"to": ["guard@site.example", "guard"]}, "to[1]", "'guard'", "name@example.org", ""),
    ("email", {"to": ["a@b\\r\\nBcc: c@d.example"]}, "to[0]", "found", "name@example.org", ""),
    ("email", {"to": []}, "to", "a list of 0", "at least 1", ""),
    ("email", {"timezone": "Berlin"}, "timezone", "'Berlin'", "IANA", "`Europe/Berlin`"),
    ("email", {"tls": "ssl"}, "tls", "'ssl'", "implicit", ""),
    ("webhook", {"secret": "hunter2 is the password"}, "secret", "not the name of a secret", "never the secret", ""),
    ("email", {"secret": "mail"}, "secret", "below vedette/receiver/ only", "", "`vedette/receiver/mail`"),
    ("sms", {"to": ["0049 151 1234-5678"]}, "to[0]", "found", "plus sign", "`+4915112345678`"),
    ("sms", {"to": ["0151 12345678"]}, "to[0]", "found", "plus sign", ""),
    ("sms", {"url": ...}, "url", "`url` is missing", "gateway: http", ""),
    ("sms", {"url": "sms.example/v1"}, "url", "not an address", "https://host/path", ""),
    ("sms", {"body": ...}, "body", "`body` is missing", "gateway: http", ""),
    ("sms", {"device": "/dev/ttyUSB2"}, "device", "with `gateway: http`", "", "`gateway: serial`"),
    ("sms", {"body": {"text": "{text}"}}, "body", "nothing is filled in for {to}", "", ""),
    ("sms", {"encoding": "form", "body": {"to": "{to}", "m": ["{text}"]}}, "body.m", "of a form", "json", ""),
    ("sms", {"header": "X-Api-Key"}, "header", "without `secret`", "", ""),
    ("modbus", {"host": "8.8.8.8"}, "host", "public address", "site's own network", ""),
    ("modbus", {"host": "[fd12::1]:502"}, "host", "a port stands behind", "", "`fd12::1` here and `port: 502`"),
    ("modbus", {"port": 70000}, "port", "70000", "at most 65535", ""),
    ("modbus", {"unit": 256}, "unit", "256", "at most 255", ""),
    ("modbus", {"address": -1}, "address", "-1", "at least 0", ""),
    ("modbus", {"write": "coils"}, "write", "'coils'", "coil, register", "`coil`"),
    ("modbus", {"value": 2}, "value", "a coil cannot hold 2", "true or false", ""),
    ("modbus", {"value": False}, "value", "at rest changes nothing", "", ""),
    ("modbus", {"bits": 32}, "bits", "of a coil", "write: register", ""),
    ("modbus", {"write": "register"}, "value", "`value` is missing", "whole number", ""),
    ("modbus", {"write": "register", "value": True}, "value", "found true", "whole number", ""),
    ("modbus", {"write": "register", "value": 70000}, "value", "does not fit 16 bits", "-32768 to 65535", "`bits: 32`"),
    ("modbus", {"write": "register", "value": 2**33, "bits": 32}, "value", "does not fit 32 bits", "", ""),
    ("modbus", {"write": "register", "value": 1, "bits": 24}, "bits", "24", "16 or 32", ""),
    ("modbus", {"write": "register", "value": 1, "word_order": "low_first"}, "word_order", "single", "`bits: 32`", ""),
    ("modbus", {"write": "register", "value": 1, "bits": 32, "address": 65535}, "address", "65535", "65534", ""),
    ("modbus", {"after_s": ...}, "late_s", "`late_s` without `after_s`", "", ""),
    ("modbus", {"pulse_s": ..., "overlap": "again"}, "overlap", "without `pulse_s`", "", ""),
    ("modbus", {"gap_s": 0.1}, "gap_s", "without `overlap: again`", "", ""),
    ("modbus", {"pulse_s": 0}, "pulse_s", "found 0", "more than 0", ""),
    ("modbus", {"after_s": -1}, "after_s", "-1", "at least 0", ""),
    ("opcua", {"endpoint": "10.0.0.9:4840"}, "endpoint", "not an address", "opc.tcp://", "`opc.tcp://10.0.0.9:4840`"),
    ("opcua", {"endpoint": "opc.tcp://u:p@10.0.0.9"}, "endpoint", "credentials", "`secret`", ""),
    ("opcua", {"endpoint": "opc.tcp://93.184.215.14:4840"}, "endpoint", "public address", "", ""),
    ("opcua", {"endpoint": "opc.tcp://169.254.169.254"}, "endpoint", "metadata", "", ""),
    ("opcua", {"node": "Line1.Reject"}, "node", "found 'Line1.Reject'", "node id, such as", ""),
    ("opcua", {"value_type": "Float"}, "value_type", "'Float'", "Double", ""),
    ("opcua", {"value": 5}, "value", "found 5", "true or false", ""),
    ("opcua", {"value_type": "Int16"}, "value", "`value` is missing", "Int16", ""),
    ("opcua", {"value_type": "Int16", "value": 40000}, "value", "40000", "-32768 to 32767", ""),
    ("opcua", {"value_type": "Double", "value": "x"}, "value", "'x'", "a number", ""),
    ("opcua", {"value_type": "String", "value": 5}, "value", "found 5", "text", ""),
    ("opcua", {"value_type": "alert", "value": "x"}, "value", "beside the alert", "", ""),
    ("opcua", {"value": False, "pulse_s": 1}, "value", "changes nothing", "", ""),
    ("opcua", {"secret": "vedette/receiver/x"}, "secret", "sent unencrypted", "basic256sha256", ""),
    ("opcua", {"certificate_file": "x.pem"}, "certificate_file", "without security", "", ""),
    (
        "opcua",
        {"security": "basic256sha256", "certificate_file": "a.pem", "private_key_file": "b.pem"},
        "server_certificate_file",
        "is missing",
        "",
        "",
    ),
    ("gpio", {"chip": "gpiochip0"}, "chip", "'gpiochip0'", "/dev/gpiochip0", ""),
    ("gpio", {"line_name": "PAC.06"}, "line_name", "both", "exactly one", ""),
    ("gpio", {"line": ...}, "", "neither", "exactly one", ""),
    ("gpio", {"pulse_s": ...}, "", "stays active", "", ""),
    ("modbus", {"afer_s": 1}, "afer_s", "unknown field", "after_s", "`after_s`"),
]


@pytest.mark.parametrize("case", ONE, ids=lambda case: f"{case[0]}-{case[2]}-{case[3][:20]}")
def test_one_mistake_of_an_action(check: Any, case: tuple[Any, ...]) -> None:
    kind, fields, path, message, allowed, suggestion = case
    found = check(document(kind, **fields))
    assert len(found) == 1, [one.render() for one in found]
    assert found[0].path == f"actions.it.{path}".rstrip(".")
    assert message in found[0].message
    assert allowed in found[0].allowed
    assert found[0].suggestion == suggestion


def serial(**fields: Any) -> str:
    known: dict[str, Any] = {"gateway": "serial", "url": ..., "body": ..., "device": "/dev/ttyUSB2"}
    return document("sms", **{**known, **fields})


def test_what_may_be_a_secret_is_not_repeated(check: Any) -> None:
    (found,) = check(document("webhook", secret="hunter2 is the password"))
    assert "hunter2" not in found.message + found.allowed + found.suggestion


def test_a_modem(check: Any) -> None:
    assert check(serial(mode="pdu", parts=3, baud=9600, secret="vedette/receiver/sim")) == []
    for fields, path, message in (
        ({"device": ...}, "device", "`device` is missing"),
        ({"device": "COM3"}, "device", "found 'COM3'"),
        ({"url": "https://x.example/"}, "url", "with `gateway: serial`"),
        ({"mode": "text", "parts": 2}, "parts", "with `mode: text`"),
        ({"baud": 1200}, "baud", "1200"),
    ):
        (found,) = check(serial(**fields))
        assert found.path == f"actions.it.{path}"
        assert message in found.message


def test_an_unknown_placeholder_has_a_suggestion(check: Any) -> None:
    found = check(document("sms", body={"to": "{to}", "text": "{txt}"}))
    assert [one.suggestion for one in found] == ["`{text}`", ""]
    assert "{txt} does not exist" in found[0].message
    assert "{to}, {text}, {alert_id}, {severity}" in found[0].allowed


def test_a_rule_that_is_sure_too_late_for_its_signal(check: Any) -> None:
    text = document("modbus").replace("    direction: left_to_right\n", "    hold_s: 0.9\n")
    (found,) = check(text)
    assert found.path == "rules.leaves.hold_s"
    assert "due after 0.8 s" in found.message
    assert check(text.replace("0.9", "0.5")) == []
    assert check(text.replace("    hold_s: 0.9\n", "    hold_s: 0.9\n    actions: []\n")) == []


def test_two_masters_of_one_output(check: Any) -> None:
    text = document("modbus")
    second = text.partition("  it:\n")[2]
    (found,) = check(f"{text}  twin:\n{second}")
    assert (found.level, found.path) == ("warning", "actions.twin")
    assert "'it'" in found.message


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(CHECKED)), st.data())
def test_whatever_stands_in_an_action_is_no_fault_of_ours(kind: str, data: st.DataObject) -> None:
    fields = {"type": kind, **CHECKED[kind]}
    for key in data.draw(
        st.lists(st.sampled_from([*fields, "value", "bits", "write", "overlap", "gap_s"]), max_size=4)
    ):
        fields[key] = data.draw(VALUES)
    rule = {"type": data.draw(VALUES), "hold_s": data.draw(VALUES), "actions": data.draw(VALUES)}
    check_document({"actions": {"it": fields, "twin": dict(fields)}, "rules": {"r": rule}})
