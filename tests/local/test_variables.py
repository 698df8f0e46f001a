"""Variables of recipes, on both nuclei."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import JsonValue

from vedette.contracts.errors import CoreError
from vedette.local.variables import Variables


def variables(lite: bool = False, **configuration: JsonValue) -> Variables:
    return Variables(
        artifacts=Path("/r/a"),
        decompressed=Path("/r/d"),
        work=Path("/r/w"),
        root=Path("/r"),
        thing_name="thing-1",
        configuration=lambda pointer: configuration[pointer.strip("/")],
        lite=lite,
    )


def test_paths_end_in_a_slash_on_lite_only() -> None:
    text = "{artifacts:path} {artifacts:decompressedPath} {work:path} {kernel:rootPath} {iot:thingName}"
    assert variables().script(text, where="c") == "/r/a /r/d /r/w /r thing-1"
    assert variables(lite=True).script(text, where="c") == "/r/a/ /r/d/ /r/w/ /r/ thing-1"


def test_configuration_values() -> None:
    given = variables(port=8080, flag=True, name="cam-1")
    assert given.script("x {configuration:/port} {configuration:/flag} {configuration:/name}", where="c") == (
        "x 8080 true cam-1"
    )
    with pytest.raises(CoreError, match="/gone"):
        given.script("{configuration:/gone}", where="c")


@pytest.mark.parametrize("evil", ["; rm -rf /", "$(id)", "`id`", "a b", "'", '"', "\n", "{x}"])
def test_a_value_a_shell_would_interpret_stays_out_of_scripts(evil: str) -> None:
    with pytest.raises(CoreError, match="shell"):
        variables(v=evil).script("echo {configuration:/v}", where="c")
    assert variables(v=evil).setting("{configuration:/v}", where="c") == evil


@pytest.mark.parametrize(
    "script", ["echo ${HOME}", "awk '{print}'", "a {unknown:x} b", "a {other:configuration:/x}", "{"]
)
def test_any_other_brace_is_refused_or_cuts_the_script(script: str) -> None:
    with pytest.raises(CoreError, match="unknown variable") as caught:
        variables().script(script, where="c: run.Script")
    assert "c: run.Script: line 1" in str(caught.value)
    assert variables(lite=True).script(script, where="c") == script[: script.index("{")]


def test_an_unknown_brace_in_the_environment_is_refused_even_on_lite() -> None:
    with pytest.raises(CoreError, match="unknown variable"):
        variables(lite=True).setting("${HOME}", where="c")


@pytest.mark.parametrize("lite", [False, True])
def test_between_single_quotes_a_value_may_hold_what_a_shell_takes_as_it_is(lite: bool) -> None:
    given = variables(lite, state='/home/Jörg/a b $(x) ; "', bad="a'b", line="a\nb", open="/a b")
    assert given.script("f '{configuration:/state}'", where="c") == "f '/home/Jörg/a b $(x) ; \"'"
    for text in (
        "'{configuration:/bad}'",
        "'{configuration:/line}'",
        "'{configuration:/open}",
        "{configuration:/open}'",
    ):
        with pytest.raises(CoreError, match="a shell would interpret"):
            given.script(text, where="c")
