"""docs/requirements.yaml names every requirement of its catalogues once, with tests that exist or a reason."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.requirement_map import CATALOGUES, COUNTED, FILE, Share, known_tests, load, problems, share

THIS = "tests/test_requirements.py::test_what_is_wrong_with_a_map_is_told"
#: How many each catalogue says that it has, at the levels that are asked for.
NUMBERS = {"isvs": (76, 63), "etsi": (33, 35), "nist": (22, 0)}


def test_every_requirement_has_a_test_that_exists_or_a_reason() -> None:
    assert problems(load()) == []


def test_the_lists_are_as_long_as_the_catalogues() -> None:
    found = load()
    for name, (first, second) in NUMBERS.items():
        levels = [one["level"] for one in found[name]["requirements"].values()]
        assert sum(level in (1, "M", "core") for level in levels) == first, name
        assert sum(level in (2, "R") for level in levels) == second, name
    # 165 requirements of the ISVS in all, as its changelog says.
    assert sum(map(len, CATALOGUES["isvs"].values())) == 165


def requirement(found: dict[str, Any], identifier: str = "1.1.2") -> dict[str, Any]:
    entry: dict[str, Any] = found["isvs"]["requirements"][identifier]
    return entry


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda found: requirement(found)["tests"].append("tests/test_groups.py::test_x"), "no test tests/test_gr"),
        (lambda found: requirement(found)["tests"].append("tests/gone.py::test_x"), "no test tests/gone.py::test_x"),
        (lambda found: requirement(found)["tests"].clear(), "isvs 1.1.2: no test"),
        (lambda found: found["isvs"]["requirements"].pop("1.1.2"), "isvs 1.1.2: left out"),
        (lambda found: found["isvs"]["requirements"].update({"9.9.9": {}}), "isvs 9.9.9: the catalogue has none"),
        (lambda found: found.pop("nist"), "nist: left out"),
        (lambda found: found.update(other={}), "other: no such catalogue"),
        (lambda found: found["etsi"].pop("version"), "etsi: no version"),
        (lambda found: requirement(found).update(open="It is open, too."), "2 kinds"),
        (lambda found: requirement(found).pop("tests"), "0 kinds"),
        (lambda found: requirement(found).pop("says"), "nothing says"),
        (lambda found: requirement(found).update(level=2), "level 2, the catalogue says 1"),
        (lambda found: requirement(found).update(tets=[]), "unknown: tets"),
        (lambda found: requirement(found, "1.1.1").update(open="later"), "open is no sentence"),
        (lambda found: requirement(found, "1.1.1").update(rest="And something else."), "a rest without tests"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_map_is_told(change: Callable[[dict[str, Any]], object], told: str) -> None:
    found = copy.deepcopy(load())
    change(found)
    assert told in "\n".join(problems(found))


def test_one_identifier_twice_is_refused() -> None:
    text = FILE.read_text("utf-8")
    with pytest.raises(yaml.YAMLError, match=r"twice: 1\.1\.2"):
        load(text.replace('"1.1.3":', '"1.1.2":', 1))


def test_tests_are_found_by_their_names() -> None:
    assert THIS in known_tests("tests/test_requirements.py")
    assert "tests/cloud/test_state_functions.py::TestHealth::test_the_handler_sends_to_the_bus" in known_tests(
        "tests/cloud/test_state_functions.py"
    )


def test_a_share_counts_what_is_asked_and_shown_as_a_whole() -> None:
    entries: list[dict[str, Any]] = [
        {"level": 1, "tests": [THIS]},
        {"level": 1, "tests": [THIS], "rest": "Something is left."},
        {"level": 1, "open": "It is not done."},
        {"level": 2, "others": "Somebody else does it."},
        {"level": 1, "not_applicable": "There is no such thing."},
    ]
    catalogue = {"requirements": {str(number): entry for number, entry in enumerate(entries)}}
    assert share(catalogue, (1,)) == Share(whole=1, part=1, untested=0, others=0, open=1, not_applicable=1)
    assert share(catalogue, (1, 2)).asked == 4
    assert share(catalogue, (1, 2)).percent == 25.0


def test_the_page_has_the_shares_of_the_map() -> None:
    page, found = (REPOSITORY / "docs" / "security.md").read_text("utf-8"), load()
    for each in COUNTED:
        one = share(found[each.catalogue], each.levels)
        figures = (one.asked, f"{one.whole} ({one.percent:.0f} %)", one.part, one.untested, one.others, one.open)
        line = f"| {' | '.join(map(str, (each.name, *figures, one.not_applicable)))} |"
        assert line in page, line
