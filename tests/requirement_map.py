"""docs/requirements.yaml: which requirement of which catalogue is shown by which test, and what is said of others."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import yaml

from tests.conftest import REPOSITORY

FILE: Final = REPOSITORY / "docs" / "requirements.yaml"
#: Of each requirement there is one of these.
KINDS: Final = ("tests", "untested", "others", "open", "not_applicable")
#: A reason is a sentence.
LEAST_REASON: Final = 12

#: What each catalogue holds: its sections, and the level of each requirement there, one letter each. Kept apart from
#: the map, so that one that is left out there is missed. Level 3 of the ISVS is not asked for.
CATALOGUES: Final[Mapping[str, Mapping[str, str]]] = {
    "isvs": {
        "1.1.": "111111",
        "1.2.": "111222222",
        "1.3.": "112111222221211",
        "1.4.": "2222222",
        "1.5.": "222",
        "2.1.": "1111111111312",
        "2.2.": "1112",
        "2.3.": "1112",
        "2.4.": "11222233",
        "3.1.": "222222223",
        "3.2.": "11112223333",
        "3.3.": "22223",
        "3.4.": "2111131121213",
        "3.5.": "2222",
        "3.6.": "21",
        "4.1.": "11122333",
        "4.2.": "111",
        "4.3.": "1111111333",
        "4.4.": "11113",
        "4.5.": "11111133",
        "4.6.": "11112",
        "5.1.": "2222222333333",
    },
    "etsi": {
        "4-": "M",
        "5.1-": "MMMMM",
        "5.2-": "MRR",
        "5.3-": "RMMRRRMMRMRRMRRM",
        "5.4-": "MMMM",
        "5.5-": "MRRRMRMM",
        "5.6-": "MMRMRRRRR",
        "5.7-": "RR",
        "5.8-": "RMM",
        "5.9-": "RRR",
        "5.10-": "R",
        "5.11-": "MRRR",
        "5.12-": "RRR",
        "5.13-": "M",
        "6-": "MMMRM",
    },
    "nist": {
        "Device Identification ": "cc",
        "Device Configuration ": "ccc",
        "Data Protection ": "ccc",
        "Logical Access to Interfaces ": "ccc",
        "Software Update ": "cccccc",
        "Cybersecurity State Awareness ": "ccccc",
    },
}
LEVELS: Final = {"1": 1, "2": 2, "M": "M", "R": "R", "c": "core"}


@dataclass(frozen=True)
class Counted:
    """Levels of a catalogue that are counted together.

    Attributes:
        row: of the scorecard.
        least: percent that is asked for, where it is.
    """

    row: str
    catalogue: str
    levels: tuple[object, ...]
    name: str
    least: float | None = None


COUNTED: Final = (
    Counted("X19-isvs-1", "isvs", (1,), "OWASP ISVS 1.0, level 1", 90.0),
    Counted("X19-isvs-2", "isvs", (1, 2), "OWASP ISVS 1.0, all that level 2 asks", 70.0),
    Counted("X19-etsi", "etsi", ("M", "R"), "ETSI EN 303 645 V2.1.1"),
    Counted("X19-nist", "nist", ("core",), "NISTIR 8259A"),
)


@dataclass(frozen=True)
class Share:
    """How many requirements there are of each kind.

    Attributes:
        whole: with tests that show all of it.
        part: with tests, and a rest that they do not show.
    """

    whole: int
    part: int
    untested: int
    others: int
    open: int
    not_applicable: int

    @property
    def asked(self) -> int:
        """All but those that are about something that there is not."""
        return self.whole + self.part + self.untested + self.others + self.open

    @property
    def percent(self) -> float:
        """Of those asked, shown by tests as a whole."""
        return 100.0 * self.whole / self.asked


class _OnceOnly(yaml.SafeLoader):
    """Refuses what YAML takes: a second entry under a name, which hides the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [name.value for name, _ in node.value if name.value != "<<"]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {', '.join(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)


def load(text: str | None = None) -> dict[str, Any]:
    """The map, or the one that ``text`` holds.

    Raises:
        yaml.YAMLError: it is no YAML, or has two entries of one name.
    """
    said = FILE.read_text("utf-8") if text is None else text
    return dict(yaml.load(said, _OnceOnly))


def share(catalogue: Mapping[str, Any], levels: tuple[object, ...]) -> Share:
    """Requirements of these levels, by kind."""
    entries = [one for one in catalogue["requirements"].values() if one["level"] in levels]
    shown = [one for one in entries if "tests" in one]
    rest = {kind: sum(kind in one for one in entries) for kind in KINDS[1:]}
    part = sum("rest" in one for one in shown)
    return Share(len(shown) - part, part, **rest)


def problems(found: Mapping[str, Any]) -> list[str]:
    """What is wrong with a map, a line each."""
    said = [f"{name}: no such catalogue" for name in found if name not in CATALOGUES]
    for name, sections in CATALOGUES.items():
        if name not in found:
            said.append(f"{name}: left out")
            continue
        catalogue = found[name]
        said += [f"{name}: no {key}" for key in ("name", "version", "source") if not catalogue.get(key)]
        entries = catalogue["requirements"]
        asked = dict(_asked(sections))
        said += [f"{name} {identifier}: left out" for identifier in asked if identifier not in entries]
        said += [f"{name} {identifier}: the catalogue has none" for identifier in entries if identifier not in asked]
        for identifier, entry in entries.items():
            if identifier in asked and entry.get("level") != asked[identifier]:
                said.append(f"{name} {identifier}: level {entry.get('level')}, the catalogue says {asked[identifier]}")
            said += [f"{name} {identifier}: {what}" for what in _wrong(entry)]
    return said


def _asked(sections: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    for section, levels in sections.items():
        for number, level in enumerate(levels, 1):
            if level in LEVELS:
                yield f"{section}{number}", LEVELS[level]


def _wrong(entry: Mapping[str, Any]) -> Iterator[str]:
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1:
        yield f"{len(kinds)} kinds, allowed: one of {', '.join(KINDS)}"
    if not entry.get("says"):
        yield "nothing says what it asks"
    yield from (f"unknown: {key}" for key in sorted(set(entry) - {"level", "says", "rest", *KINDS}))
    if "rest" in entry and "tests" not in entry:
        yield "a rest without tests"
    for kind in {*kinds, "rest"} - {"tests"}:
        if kind in entry and (len(str(entry[kind])) < LEAST_REASON or not str(entry[kind]).endswith(".")):
            yield f"{kind} is no sentence"
    if "tests" in entry:
        if not entry["tests"]:
            yield "no test"
        yield from (f"no test {test}" for test in entry["tests"] if test not in known_tests(test.partition("::")[0]))


@cache
def known_tests(path: str) -> frozenset[str]:
    """``path::name`` of every test in a file; of none where there is no file."""
    file = REPOSITORY / path
    if not file.is_file():
        return frozenset()
    return frozenset(f"{path}::{name}" for name in _names(ast.parse(file.read_text("utf-8")).body))


def _names(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _names(node.body, f"{node.name}::")
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield within + node.name
