"""The part of AWS IoT's SQL that the stacks' rules use; what goes beyond is refused.

``SELECT *`` and columns with names, of payload paths, literals and a few functions, ``FROM`` one topic filter,
``WHERE`` with comparisons, ``AND``, ``OR``, ``NOT`` and brackets.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>\$?[A-Za-z_][\w$]*(?:\.[A-Za-z_][\w$]*)*)
    |(?P<mark><>|!=|<=|>=|[=<>(),*]))""",
    re.VERBOSE,
)
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONSTANTS: Final[Mapping[str, Any]] = {"TRUE": True, "FALSE": False, "NULL": None}
_WORDS: Final = frozenset({"SELECT", "FROM", "WHERE", "AS", "AND", "OR", "NOT", *_CONSTANTS})


class SqlError(ValueError):
    """A statement that cannot be read or goes beyond what is emulated."""


class Undefined:
    """What a path or function gives that has no value; comparisons with it are false."""


UNDEFINED: Final = Undefined()


@dataclass(frozen=True, slots=True)
class Message:
    """What a statement runs on.

    Attributes:
        topic: as the rule sees it (without the prefix of basic ingest).
        payload: bytes.
        client_id: who sent it; empty where nobody knows.
        at_ms: when it arrived, milliseconds since 1970.
    """

    topic: str
    payload: bytes
    client_id: str
    at_ms: int

    def document(self) -> Any:
        """The payload as JSON; ``UNDEFINED`` where it is none."""
        try:
            return json.loads(self.payload)
        except ValueError:
            return UNDEFINED


Expression = Callable[[Message], Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, ready to run.

    Attributes:
        topic_filter: of ``FROM``.
        everything: ``*`` is among the columns.
        columns: name and value of each other column.
        condition: of ``WHERE``.
    """

    topic_filter: str
    everything: bool
    columns: tuple[tuple[str, Expression], ...]
    condition: Expression

    def run(self, message: Message) -> bytes | None:
        """What the actions get; None where the condition does not hold.

        Raises:
            SqlError: the payload is no JSON object, and the columns need one.
        """
        if self.condition(message) is not True:
            return None
        if self.everything and not self.columns:
            return message.payload
        chosen: dict[str, Any] = {}
        if self.everything:
            document = message.document()
            if not isinstance(document, dict):
                raise SqlError(f"the payload on {message.topic} is no JSON object, which SELECT *, … needs")
            chosen |= document
        for name, value in self.columns:
            found = value(message)
            if found is not UNDEFINED:
                chosen[name] = found
        return json.dumps(chosen).encode()


def parse(sql: str) -> Statement:
    """Read a statement.

    Raises:
        SqlError: it cannot be read, or goes beyond what is emulated.
    """
    return _Parser(sql).statement()


def evaluate(expression: str, message: Message) -> Any:
    """The value of one expression, as substitution templates hold it; ``UNDEFINED`` where it has none.

    Raises:
        SqlError: it cannot be read, or goes beyond what is emulated.
    """
    return _Parser(expression).expression()(message)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic is one of a filter's (``+`` one level, ``#`` all that follow)."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and not wanted[0].startswith("$"):
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(given) or level not in ("+", given[index]):
            return False
    return len(wanted) == len(given)


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._tokens = _tokens(sql)
        self._next = 0

    def statement(self) -> Statement:
        self._expect("SELECT")
        everything, columns = self._columns()
        self._expect("FROM")
        kind, topic_filter = self._take()
        if kind != "text":
            raise SqlError(f"FROM needs one topic filter in quotation marks; found {topic_filter!r} in: {self._sql}")
        condition: Expression = _always
        if self._word("WHERE"):
            condition = self._either()
        if self._next < len(self._tokens):
            raise SqlError(f"not emulated: {self._tokens[self._next][1]!r} in: {self._sql}")
        return Statement(_unquoted(topic_filter), everything, columns, condition)

    def expression(self) -> Expression:
        value = self._value()
        if self._next < len(self._tokens):
            raise SqlError(f"not emulated: {self._tokens[self._next][1]!r} in: {self._sql}")
        return value

    def _columns(self) -> tuple[bool, tuple[tuple[str, Expression], ...]]:
        everything, columns = False, []
        while True:
            if self._mark("*"):
                everything = True
            else:
                start = self._next
                value = self._value()
                columns.append((self._alias(start), value))
            if not self._mark(","):
                return everything, tuple(columns)

    def _alias(self, start: int) -> str:
        if self._word("AS"):
            kind, name = self._take()
            if kind != "name":
                raise SqlError(f"AS needs a name; found {name!r} in: {self._sql}")
            return name
        kind, name = self._tokens[start]
        if kind != "name" or self._next != start + 1:
            raise SqlError(f"a column that is no plain path needs AS and a name in: {self._sql}")
        return name.rpartition(".")[2]

    def _either(self) -> Expression:
        found = self._both()
        while self._word("OR"):
            found = _any_of(found, self._both())
        return found

    def _both(self) -> Expression:
        found = self._not()
        while self._word("AND"):
            found = _all_of(found, self._not())
        return found

    def _not(self) -> Expression:
        if self._word("NOT"):
            inner = self._not()
            return lambda m: inner(m) is False
        if self._mark("("):
            inner = self._either()
            self._expect(")")
            return inner
        left = self._value()
        kind, sign = self._peek()
        if kind == "mark" and sign in _COMPARE:
            self._next += 1
            right, compare = self._value(), _COMPARE[sign]
            return lambda m: _compared(compare, left(m), right(m))
        return left

    def _value(self) -> Expression:
        kind, word = self._take()
        if kind == "text":
            literal = _unquoted(word)
            return lambda _: literal
        if kind == "number":
            number = float(word) if "." in word else int(word)
            return lambda _: number
        if kind == "name" and word.upper() in _CONSTANTS:
            return lambda _: _CONSTANTS[word.upper()]
        if kind == "name" and self._mark("("):
            return self._function(word)
        if kind == "name" and word.upper() not in _WORDS:
            path = word.split(".")
            return lambda m: _at(m.document(), path)
        raise SqlError(f"a value was expected, found {word!r} in: {self._sql}")

    def _function(self, name: str) -> Expression:
        if name == "isUndefined":
            return self._is_undefined()
        arguments: list[Any] = []
        while not self._mark(")"):
            kind, word = self._take()
            if kind != "number":
                raise SqlError(f"not emulated: the argument {word!r} of {name}() in: {self._sql}")
            arguments.append(int(word))
            self._mark(",")
        if name == "topic" and len(arguments) == 1:
            return lambda m: _level(m.topic, arguments[0])
        if name == "topic" and not arguments:
            return lambda m: m.topic
        if name == "timestamp" and not arguments:
            return lambda m: m.at_ms
        if name == "clientid" and not arguments:
            return lambda m: m.client_id or "n/a"
        raise SqlError(f"not emulated: {name}() with {len(arguments)} arguments in: {self._sql}")

    def _is_undefined(self) -> Expression:
        value = self._value()
        self._expect(")")
        return lambda m: value(m) is UNDEFINED

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "the end")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._next += 1
        return token

    def _word(self, word: str) -> bool:
        kind, found = self._peek()
        if kind == "name" and found.upper() == word:
            self._next += 1
            return True
        return False

    def _mark(self, mark: str) -> bool:
        if self._peek() == ("mark", mark):
            self._next += 1
            return True
        return False

    def _expect(self, wanted: str) -> None:
        if not (self._word(wanted) or self._mark(wanted)):
            raise SqlError(f"{wanted} was expected, found {self._peek()[1]!r} in: {self._sql}")


def _any_of(left: Expression, right: Expression) -> Expression:
    return lambda m: left(m) is True or right(m) is True


def _all_of(left: Expression, right: Expression) -> Expression:
    return lambda m: left(m) is True and right(m) is True


def _always(_: Message) -> bool:
    return True


def _tokens(sql: str) -> list[tuple[str, str]]:
    found, position, text = [], 0, sql.rstrip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise SqlError(f"not emulated: {text[position : position + 20].strip()!r} in: {sql}")
        kind = str(token.lastgroup)
        found.append((kind, token[kind]))
        position = token.end()
    return found


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _level(topic: str, number: int) -> Any:
    levels = topic.split("/")
    return levels[number - 1] if 1 <= number <= len(levels) else UNDEFINED


def _at(document: Any, path: list[str]) -> Any:
    for part in path:
        if not isinstance(document, dict) or part not in document:
            return UNDEFINED
        document = document[part]
    return document


def _compared(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    if left is UNDEFINED or right is UNDEFINED:
        return False
    try:
        return compare(left, right)
    except TypeError:  # such as a text and a number, which have no order
        return False
