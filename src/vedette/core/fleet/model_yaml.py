"""Text of ``model.yaml`` to a ``ModelCard``, or everything that is wrong with it, each mistake in its line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from vedette.contracts.errors import CloudError
from vedette.contracts.model_card import ModelCard
from vedette.core.mistake import Mistake, Path_, path_text
from vedette.core.yaml_reader import MAX_BYTES, Document, Place, read_yaml

_PATTERNS: Final = {
    "name": "small letters, digits, - and _, at most 40, a letter first",
    "version": "three numbers, such as 1.0.0",
    "framework_version": 'numbers with dots, in quotes, such as "1.8"',
    "file": "the name of a file beside model.yaml: letters, digits, dot, - and _",
    "sha256": "64 hexadecimal digits in lower case",
    "trt_ver": "three numbers, such as 8.2.1",
    "cuda_ver": "two numbers, such as 10.2",
}
_TYPES: Final = {
    "string_type": "text (put it in quotes)",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "tuple_type": "a list",
    "dict_type": "fields, `name: value` a line",
    "model_type": "fields, `name: value` a line",
    "model_attributes_type": "fields, `name: value` a line",
}
_HINT: Final = "Every field is described in docs/models.md; vedette model inspect prints a fitting one."


def parse_model_card(content: bytes, name: str) -> ModelCard:
    """Read and check a ``model.yaml``.

    Args:
        content: of the file.
        name: what to call it in messages.

    Raises:
        CloudError: V005, it has mistakes; the message lists all of them with line and column.
    """
    if len(content) > MAX_BYTES:
        raise _refusal(name, [Mistake(name, 1, 1, "", f"the file is larger than {MAX_BYTES >> 10} KiB")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refusal(name, [Mistake(name, 1, 1, "", "not UTF-8 text", "UTF-8 text")]) from None
    document = read_yaml(text)
    shower = _Shower(name, text, document)
    mistakes = [shower.at(note.place, note.path, note.message, note.allowed) for note in document.notes]
    if not isinstance(document.value, dict):
        if not mistakes:
            mistakes.append(Mistake(name, 1, 1, "", "no fields", "fields, first of all `api: vedette-model/v1`"))
        raise _refusal(name, mistakes)
    try:
        card = ModelCard.model_validate(document.value)
    except ValidationError as error:
        raise _refusal(name, [*mistakes, *shower.explained(error.errors(include_url=False))]) from None
    if mistakes:
        raise _refusal(name, mistakes)
    return card


def _refusal(name: str, mistakes: Iterable[Mistake]) -> CloudError:
    found = sorted(mistakes, key=lambda mistake: (mistake.line, mistake.column))
    count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
    listed = "\n".join(mistake.render() for mistake in found)
    return CloudError(f"{name} has {count}:\n{listed}", hint=_HINT, code="V005")


class _Shower:
    """Gives mistakes their place in the file."""

    def __init__(self, name: str, text: str, document: Document) -> None:
        self._name = name
        self._lines = text.splitlines()
        self._document = document

    def explained(self, errors: Sequence[ErrorDetails]) -> list[Mistake]:
        """One mistake a place; of alternatives that all failed, the last says what a list would need."""
        found: dict[Path_, Mistake] = {}
        for error in errors:
            path = self._path(error["loc"])
            message, allowed = _words(error, path)
            place = self._place(path, key=error["type"] == "extra_forbidden")
            found[path] = self.at(place, path, message, allowed)
        return list(found.values())

    def at(self, place: Place, path: Path_, message: str, allowed: str) -> Mistake:
        """A mistake at a place."""
        source = self._lines[place.line - 1] if place.line <= len(self._lines) else ""
        return Mistake(
            *(self._name, place.line, place.column, path_text(path), message, allowed), source=source, width=place.width
        )

    def _path(self, location: tuple[int | str, ...]) -> Path_:
        """A pydantic location without the alternatives that it tried."""
        path: Path_ = ()
        here: Any = self._document.value
        for number, part in enumerate(location):
            inside = isinstance(here, dict) and (part in here or number == len(location) - 1)
            inside = inside or (isinstance(here, list) and isinstance(part, int))
            if not inside or part == "[key]":
                continue
            path = (*path, part)
            known = (isinstance(here, dict) and part in here) or (isinstance(here, list) and part in range(len(here)))
            here = here[part] if known else None
        return path

    def _place(self, path: Path_, *, key: bool) -> Place:
        places = self._document.keys if key else self._document.values
        while path not in places and path:
            path, places = path[:-1], self._document.keys
        return places.get(path) or Place(1, 1)


def _words(error: ErrorDetails, path: Path_) -> tuple[str, str]:
    """What was found, and what is allowed there."""
    kind, context = error["type"], error.get("ctx", {})
    shown = repr(error["input"])[:80]
    field = next((part for part in reversed(path) if isinstance(part, str)), "")
    if kind == "missing":
        return "is missing", _PATTERNS.get(field, "")
    if kind == "extra_forbidden":
        return "unknown field", ", ".join(ModelCard.model_fields) if len(path) == 1 else ""
    if kind in ("enum", "literal_error"):
        return f"found {shown}", str(context.get("expected", "")).replace("'", "")
    if kind == "string_pattern_mismatch":
        return f"found {shown}", _PATTERNS.get(field, "letters and digits")
    if kind == "value_error":
        return str(context.get("error", error["msg"])), ""
    if kind in _TYPES:
        return f"found {shown}", _TYPES[kind]
    return f"found {shown}", error["msg"][:1].lower() + error["msg"][1:]
