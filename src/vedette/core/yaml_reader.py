"""YAML to plain values with the place of every key and value, for files that strangers may have written.

Values follow YAML 1.2 (yaml.org/spec/1.2.2, core schema): ``22:00`` and ``on`` are text, not numbers or booleans as in
YAML 1.1. Nothing but mappings, lists and scalars is allowed: no tags, no merge keys; aliases within a budget.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from vedette.core.mistake import Path_

MAX_BYTES: Final = 256 << 10
MAX_DEPTH: Final = 24
MAX_VALUES: Final = 20_000

_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,300}")
_OCTAL_OR_HEX: Final = re.compile(r"0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of one line; line and column from 1."""

    line: int
    column: int
    width: int = 1


@dataclass(frozen=True, slots=True)
class Note:
    """A mistake in the YAML itself."""

    place: Place
    path: Path_
    message: str
    allowed: str = ""


@dataclass(slots=True)
class Document:
    """A file, read.

    Attributes:
        value: mappings with text keys, lists, text, numbers, booleans, None.
        keys: path → where its key stands (list items: the item itself).
        values: path → where its value stands.
        notes: mistakes in the YAML; the rest of the file is read as far as possible.
    """

    value: Any = None
    keys: dict[Path_, Place] = field(default_factory=dict)
    values: dict[Path_, Place] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def read_yaml(text: str) -> Document:
    """Read one YAML document. Never raises for what is in the text; mistakes are in ``notes``."""
    document = Document()
    try:
        _Reader(text, document).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        document.notes.append(Note(place, (), _syntax_message(error, text, place), _syntax_advice(text, place)))
        document.value = None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
        document.notes.append(
            Note(place, (), f"character U+{ord(text[error.position]):04X} may not stand in YAML", "printable text")
        )
        document.value = None
    except _TooMuchError as error:
        document.notes.append(Note(error.place, error.path, str(error)))
        document.value = None
    return document


def _syntax_message(error: yaml.MarkedYAMLError, text: str, place: Place) -> str:
    problem = error.problem or "not YAML"
    line = _line(text, place)
    if "\t" in line[: len(line) - len(line.lstrip())]:
        problem = "a tab in the indentation"
    context = f" {error.context}" if error.context else ""
    return f"not valid YAML{context}: {problem}"


def _syntax_advice(text: str, place: Place) -> str:
    line = _line(text, place)
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "spaces; YAML does not allow tabs there"
    if ": " in line.partition(":")[2]:
        return "text with `: ` in it needs quotes"
    return ""


def _line(text: str, place: Place) -> str:
    lines = text.splitlines()
    return lines[place.line - 1] if 0 < place.line <= len(lines) else ""


class _TooMuchError(Exception):
    """The file is deeper or larger than a manifest can be."""

    def __init__(self, message: str, place: Place, path: Path_) -> None:
        super().__init__(message)
        self.place = place
        self.path = path


@dataclass(slots=True)
class _Anchored:
    """A node that an alias may repeat."""

    value: Any
    complete: bool
    size: int


class _Reader:
    """Composes values from PyYAML's events, which do not recurse; the depth here is bounded."""

    def __init__(self, text: str, document: Document) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._document = document
        self._anchors: dict[str, _Anchored] = {}
        self._count = 0

    def read(self) -> None:
        started = False
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if started:
                    self._note(event, (), "a second YAML document", "one document in the file")
                    return
                started = True
                self._document.value = self._node(next(self._events), ())

    def _node(self, event: yaml.Event, path: Path_) -> Any:
        place = _place(event)
        self._document.values[path] = place
        self._document.keys.setdefault(path, place)
        self._count += 1
        if len(path) > MAX_DEPTH:
            raise _TooMuchError(f"nested deeper than {MAX_DEPTH} levels", place, path[:4])
        if self._count > MAX_VALUES:
            raise _TooMuchError(f"more than {MAX_VALUES} values", place, ())
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._note(event, path, f"tag {tag[:60]!r}", "plain values without tags")
        before = self._count
        anchor = getattr(event, "anchor", None)
        anchored = _Anchored(None, False, 0)
        if anchor is not None:
            self._anchors[anchor] = anchored
        if isinstance(event, yaml.MappingStartEvent):
            anchored.value = self._mapping(path)
        elif isinstance(event, yaml.SequenceStartEvent):
            anchored.value = self._sequence(path)
        elif isinstance(event, yaml.ScalarEvent):
            quoted = event.style is not None or tag is not None
            anchored.value = event.value if quoted else plain_value(event.value)
        anchored.complete = True
        anchored.size = self._count - before + 1
        return anchored.value

    def _alias(self, event: yaml.AliasEvent, path: Path_) -> Any:
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            self._note(event, path, f"alias *{event.anchor}, but nothing is marked &{event.anchor}", "a name in use")
            return None
        if not anchored.complete:
            self._note(event, path, f"alias *{event.anchor} inside of what it stands for", "a value that ends")
            return None
        self._count += anchored.size
        if self._count > MAX_VALUES:
            raise _TooMuchError(f"more than {MAX_VALUES} values after the aliases are written out", _place(event), path)
        return anchored.value

    def _mapping(self, path: Path_) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path)
            if key is None:
                self._node(next(self._events), (*path, "?"))
                continue
            inner = (*path, key)
            if key in first:
                self._note(event, inner, f"{key!r} stands here twice, first in line {first[key]}", "each name once")
                kept = dict(self._document.keys), dict(self._document.values)
                self._node(next(self._events), inner)
                self._document.keys, self._document.values = kept
                continue
            first[key] = _place(event).line
            self._document.keys[inner] = _place(event)
            values[key] = self._node(next(self._events), inner)
        return values

    def _key(self, event: yaml.Event, path: Path_) -> str | None:
        if isinstance(event, yaml.ScalarEvent):
            if event.value == "<<" and event.style is None:
                self._note(event, path, "merge key `<<`", "the fields written out")
                return None
            return str(event.value)
        self._note(event, path, "a key that is not text", "text before the colon")
        if not isinstance(event, yaml.AliasEvent):
            self._node(event, (*path, "?"))
        return None

    def _sequence(self, path: Path_) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._node(event, (*path, len(values))))
        return values

    def _note(self, event: yaml.Event, path: Path_, message: str, allowed: str) -> None:
        self._document.notes.append(Note(_place(event), path, message, allowed))


def _place(event: yaml.Event) -> Place:
    start, end = event.start_mark, event.end_mark
    if start is None or end is None:  # only events made by hand have none
        return Place(1, 1)
    scalar = isinstance(event, yaml.ScalarEvent | yaml.AliasEvent)
    width = end.column - start.column if scalar and end.line == start.line else 1
    return Place(start.line + 1, start.column + 1, max(1, width))


def plain_value(text: str) -> Any:
    """A scalar without quotes, by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
