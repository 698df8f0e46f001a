"""Kinds of values that a parameter can have, and how a value is read that came as text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time
from enum import StrEnum
from typing import Any, Final

from vedette.contracts.manifest.parameters import ParameterValue
from vedette.core.manifest_checks.finding import near_miss
from vedette.core.manifest_checks.plain import some

_CLOCK: Final = re.compile(r"\d\d:\d\d(:\d\d)?")
_NUMBER: Final = re.compile(r"[-+]?(\d{1,300}(\.\d*)?|\.\d+)([eE][-+]?\d{1,4})?")
_LONGEST_TEXT: Final = 10_000
#: Every whole number below it is a float.
_LARGEST: Final = 2.0**53


class KindName(StrEnum):
    """The kinds."""

    NUMBER = "a number"
    WHOLE = "a whole number"
    TRUTH = "true or false"
    TEXT = "text"
    TIME = "a time of day"
    LIST = "a list of text"


class ValueRefusedError(Exception):
    """A value is not one that is allowed.

    Attributes:
        found: what it is, in words.
        allowed: what is allowed.
        suggestion: what was probably meant.
    """

    def __init__(self, found: str, allowed: str, suggestion: str = "") -> None:
        super().__init__(f"{found}, allowed: {allowed}")
        self.found = found
        self.allowed = allowed
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class Kind:
    """What values are allowed.

    Attributes:
        name: of which kind.
        least: the least number allowed.
        most: the largest number allowed.
        above: numbers must be larger.
        below: numbers must be smaller.
        words: the only texts allowed, of a text or of each entry of a list; all where None.
        choices: the only values allowed at all; all where None.
        longest: most characters of a text.
        shortest: fewest characters of a text, or entries of a list.
    """

    name: KindName
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    words: tuple[str, ...] | None = None
    choices: tuple[ParameterValue, ...] | None = None
    longest: int | None = None
    shortest: int = 0

    @property
    def is_number(self) -> bool:
        """Whether limits make sense."""
        return self.name in (KindName.NUMBER, KindName.WHOLE)

    @property
    def allowed(self) -> str:
        """In words."""
        if self.choices is not None:
            return some(tuple(shown(choice) for choice in self.choices), 20)
        if self.words is not None:
            return f"{'a list of ' if self.name is KindName.LIST else ''}{some(self.words, 20)}"
        limits = [
            f"{word} {limit:g}"
            for word, limit in (
                ("at least", self.least),
                ("more than", self.above),
                ("at most", self.most),
                ("less than", self.below),
            )
            if limit is not None
        ]
        return ", ".join([self.name.value, *limits])

    def read(self, raw: Any) -> ParameterValue:
        """The value that is meant; configuration that went through nucleus lite has become text.

        Raises:
            ValueRefusedError: not allowed.
        """
        value = self._converted(raw)
        if self.choices is not None and value not in self.choices:
            near = near_miss(value, (c for c in self.choices if isinstance(c, str))) if isinstance(value, str) else ""
            raise ValueRefusedError(f"found {shown(raw)}", self.allowed, near)
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._check_limits(value, raw)
        return value

    def _converted(self, raw: Any) -> ParameterValue:
        match self.name:
            case KindName.NUMBER | KindName.WHOLE:
                return self._number(raw)
            case KindName.TRUTH:
                if isinstance(raw, bool):
                    return raw
                if isinstance(raw, str) and raw.strip().lower() in ("true", "false"):
                    return raw.strip().lower() == "true"
            case KindName.TEXT:
                if isinstance(raw, str | int | float) and not isinstance(raw, bool):
                    return self._text(str(raw))
            case KindName.TIME:
                if isinstance(raw, str) and (clock := _clock(raw.strip())):
                    return clock
                raise ValueRefusedError(f"found {shown(raw)}", "a time of day, such as 22:00")
            case KindName.LIST:
                entries = _entries(raw)
                if entries is not None and self.shortest <= len(entries):
                    return tuple(self._text(entry, part=True) for entry in entries)
        raise ValueRefusedError(f"found {shown(raw)}", self.allowed)

    def _number(self, raw: Any) -> int | float:
        given = isinstance(raw, int | float) and not isinstance(raw, bool) and abs(raw) < _LARGEST
        # Stripped here: float() takes less for white space than strip() does.
        written = raw.strip() if isinstance(raw, str) else ""
        number = float(raw) if given else float(written) if _NUMBER.fullmatch(written) else math.nan
        whole = self.name is KindName.WHOLE
        if not abs(number) < _LARGEST or (whole and number != int(number)):
            raise ValueRefusedError(f"found {shown(raw)}", self.allowed)
        return int(number) if whole else number

    def _check_limits(self, value: float, raw: Any) -> None:
        if (
            (self.least is not None and value < self.least)
            or (self.most is not None and value > self.most)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        ):
            raise ValueRefusedError(f"found {shown(raw)}", self.allowed)

    def _text(self, text: str, *, part: bool = False) -> str:
        if self.words is not None and text not in self.words:
            raise ValueRefusedError(f"found {shown(text)}", self.allowed, near_miss(text, self.words))
        longest = _LONGEST_TEXT if self.longest is None else self.longest
        if len(text) > longest or (not part and len(text) < self.shortest):
            limit = f"at most {longest}" if len(text) > longest else f"at least {self.shortest}"
            raise ValueRefusedError(f"found {len(text)} characters", f"{limit} characters")
        return text


def kind_of_schema(schemas: Sequence[Mapping[str, Any]]) -> Kind | None:
    """What the alternatives of a place's schema allow; None where that is nothing a parameter can be."""
    words = [word for schema in schemas for word in _words(schema)]
    if words and all(list(_words(schema)) for schema in schemas):
        return Kind(KindName.TEXT, words=tuple(dict.fromkeys(words)))
    if len(schemas) != 1:
        return None
    schema = schemas[0]
    match schema.get("type"):
        case "number" | "integer":
            return Kind(
                KindName.NUMBER if schema["type"] == "number" else KindName.WHOLE,
                least=schema.get("minimum") if "exclusiveMinimum" not in schema else None,
                most=schema.get("maximum"),
                above=schema.get("exclusiveMinimum"),
                below=schema.get("exclusiveMaximum"),
            )
        case "boolean":
            return Kind(KindName.TRUTH)
        case "string" if schema.get("format") == "time":
            return Kind(KindName.TIME)
        case "string":
            return Kind(KindName.TEXT, longest=schema.get("maxLength"), shortest=schema.get("minLength", 0))
    return None


def kind_of_list(entries: Kind, shortest: int) -> Kind | None:
    """A list of such entries; None where lists of them cannot be parameters."""
    if entries.name is not KindName.TEXT:
        return None
    return Kind(KindName.LIST, words=entries.words, longest=entries.longest, shortest=shortest)


def kind_of_value(value: Any) -> Kind | None:
    """The kind of a default that stands for itself."""
    if isinstance(value, bool):
        return Kind(KindName.TRUTH)
    if isinstance(value, int):
        return Kind(KindName.WHOLE)
    if isinstance(value, float):
        return Kind(KindName.NUMBER) if math.isfinite(value) else None
    if isinstance(value, str):
        return Kind(KindName.TEXT)
    if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
        return Kind(KindName.LIST)
    return None


def both(first: Kind, second: Kind) -> Kind | None:
    """What two places that are to hold the same value allow together; None where that is nothing."""
    names = {first.name, second.name}
    if len(names) > 1 and names != {KindName.NUMBER, KindName.WHOLE}:
        return None
    words = first.words if second.words is None else second.words
    if first.words is not None and second.words is not None:
        words = tuple(word for word in first.words if word in second.words)
    return replace(
        first,
        name=KindName.WHOLE if KindName.WHOLE in names else first.name,
        least=_tighter(max, first.least, second.least),
        most=_tighter(min, first.most, second.most),
        above=_tighter(max, first.above, second.above),
        below=_tighter(min, first.below, second.below),
        longest=_tighter(min, first.longest, second.longest),
        shortest=max(first.shortest, second.shortest),
        words=words,
    )


def shown(value: Any) -> str:
    """A value in a message: short, with its kind where it could be mistaken."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        text = f"[{', '.join(map(str, value))}]"
    elif isinstance(value, dict):
        return "fields"
    else:
        text = repr(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:56]} …"


def _words(schema: Mapping[str, Any]) -> Sequence[str]:
    if schema.get("type") != "string":
        return ()
    return [schema["const"]] if "const" in schema else schema.get("enum", ())


def _tighter(choose: Any, first: Any, second: Any) -> Any:
    given = [limit for limit in (first, second) if limit is not None]
    return choose(given) if given else None


def _clock(text: str) -> str:
    """The time of day as a manifest writes it; empty where it is none."""
    if not _CLOCK.fullmatch(text):
        return ""
    try:
        return time.fromisoformat(text).isoformat()
    except ValueError:
        return ""


def _entries(raw: Any) -> list[str] | None:
    """The texts of a list, also of ``[a, b]`` and ``a,b``."""
    if isinstance(raw, list | tuple):
        return list(raw) if all(isinstance(entry, str) for entry in raw) else None
    if not isinstance(raw, str):
        return None
    inner = raw.strip()
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1]
    return [entry for part in inner.split(",") if (entry := part.strip().strip("\"'"))]
