"""From a file to a ``Manifest``, or to the list of its mistakes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from vedette.adapters.hooks.code_files import code_digests
from vedette.adapters.manifest.explain import check_clock_times, explain, has, shown
from vedette.adapters.manifest.hook_files import check_hook_files
from vedette.adapters.manifest.panorama_files import check_panorama_files
from vedette.adapters.panorama.code_files import code_digests as panorama_digests
from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import Manifest, ParameterValue
from vedette.contracts.plan import AttachedApplication
from vedette.core.manifest_checks import Finding, check_document
from vedette.core.mistake import Mistake, Path_, path_text
from vedette.core.yaml_reader import MAX_BYTES, Document, Place, read_yaml

_Read = TypeVar("_Read")

MANIFEST_NAME: Final = "vedette.yaml"
_MAX_MISTAKES: Final = 100
#: What stands between ``//`` and ``@`` of an address: not to be repeated on a screen or in a log.
_SECRET: Final = re.compile(r"(secret[\"']?\s*:\s*)(.+)")
_CREDENTIALS: Final = re.compile(r"(?<=//)\S*(?=@)")


def manifest_path(path: Path) -> Path:
    """The manifest's file, of itself or of the directory it lies in."""
    return path / MANIFEST_NAME if path.is_dir() else path


def load_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Args:
        path: the file, or the directory with ``vedette.yaml`` in it.

    Raises:
        ConfigurationError: V101, the file cannot be read; V102, it has mistakes: the message lists all of them.
    """
    manifest, mistakes = _read_manifest(path)
    errors = [mistake for mistake in mistakes if mistake.level == "error"]
    if manifest is not None and not errors:
        return manifest
    raise refusal(manifest_path(path), errors, "docs/manifest.md", "V102")


def check_manifest(path: Path) -> list[Mistake]:
    """All mistakes and warnings of a manifest, in the order of the file; empty where it is right.

    Raises:
        ConfigurationError: V101, the file cannot be read.
    """
    return _read_manifest(path)[1]


def attached_application(
    path: Path,
    bindings: Mapping[str, Sequence[str]] | None = None,
    manifest: Manifest | None = None,
    parameters: Mapping[str, ParameterValue | None] | None = None,
    python: str = "",
) -> AttachedApplication:
    """An application as it is attached: model files that lie beside the manifest are named by path and digest.

    The digest lets applications that each bring the same model share one session.

    Args:
        path: the manifest, or the directory it lies in.
        bindings: the application's camera → the device's cameras.
        manifest: where it was read already.
        parameters: values that the deployment gives to parameters.
        python: interpreter that was installed for its Panorama code.

    Raises:
        ConfigurationError: V101 or V102, see ``load_manifest``.
    """
    manifest = manifest or load_manifest(path)
    directory = manifest_path(path).resolve().parent
    models = {}
    for name, model in manifest.models.items():
        beside = directory / model.file
        if beside.is_file() and not model.built_in:
            digest = model.sha256 or _digest(beside)
            model = model.model_copy(update={"file": str(beside.resolve()), "sha256": digest})
        models[name] = model
    return AttachedApplication(
        manifest=manifest.model_copy(update={"models": models}),
        directory=str(directory),
        code=recorded_code(manifest, directory),
        bindings={name: tuple(cameras) for name, cameras in (bindings or {}).items()},
        parameters=dict(parameters or {}),
        python=python,
    )


def recorded_code(manifest: Manifest, directory: Path) -> dict[str, str]:
    """Files of an application's own code: path from the directory → SHA-256, so that no other code is run.

    Raises:
        ConfigurationError: V101, a file cannot be read, or there is too much of them.
    """
    code = code_digests(directory) if manifest.hooks else {}
    if manifest.panorama is not None:
        code |= panorama_digests(directory, manifest.panorama.code)
    return code


def _digest(file: Path) -> str | None:
    """SHA-256; None where the file cannot be read, which who loads it will say."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return None


def _read_manifest(path: Path) -> tuple[Manifest | None, list[Mistake]]:
    file = manifest_path(path)

    def validate(value: dict[str, Any]) -> tuple[Manifest | None, list[Finding]]:
        manifest, findings = validate_document(value)
        return manifest, [
            *findings,
            *check_hook_files(value, file.resolve().parent),
            *check_panorama_files(value, file.resolve().parent),
        ]

    return read_document(file, validate)


def refusal(path: Path, errors: Sequence[Mistake], document: str, code: str) -> ConfigurationError:
    """All mistakes of a file in one error."""
    count = "1 mistake" if len(errors) == 1 else f"{len(errors)} mistakes"
    listed = "\n".join(mistake.render() for mistake in errors)
    hint = f"Every field is described in {document}."
    return ConfigurationError(f"{path} has {count}:\n{listed}", hint=hint, code=code)


def read_document(
    path: Path,
    validate: Callable[[dict[str, Any]], tuple[_Read | None, list[Finding]]],
    first: str = "api: vedette/v1",
) -> tuple[_Read | None, list[Mistake]]:
    """Read a file of YAML, and say what is wrong with it, each mistake in its place.

    Args:
        path: the file.
        validate: what was read → the result, None where it has mistakes, and everything there is to say of it.
        first: a field that the file must have, for one that has none.

    Raises:
        ConfigurationError: V101, the file cannot be read.
    """
    text = _text(path)
    if isinstance(text, Mistake):
        return None, [text]
    document = read_yaml(text)
    show = _Shower(str(path), text, document)
    mistakes = [show.at(note.place, note.path, Finding((), note.message, note.allowed)) for note in document.notes]
    if not isinstance(document.value, dict):
        if not mistakes:
            found = "the file is empty" if document.value is None else f"found {shown(document.value)} at the top"
            mistakes.append(show.at(Place(1, 1), (), Finding((), found, f"fields, first of all `{first}`")))
        return None, mistakes
    result, findings = validate(document.value)
    reported = {path_text(note.path) for note in document.notes}
    mistakes += [
        show.finding(finding)
        for finding in findings
        if not (path_text(finding.path) in reported and finding.message == "found nothing")  # what an alias left
    ]
    mistakes.sort(key=lambda mistake: (mistake.line, mistake.column))
    return result, mistakes[:_MAX_MISTAKES]


def _text(path: Path) -> str | Mistake:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror or error}.",
            hint=f"Name the file, or the directory in which {MANIFEST_NAME} lies.",
            code="V101",
        ) from error
    if len(content) > MAX_BYTES:
        return Mistake(str(path), 1, 1, "", f"the file is larger than {MAX_BYTES >> 10} KiB", "a smaller file of text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        return Mistake(str(path), before.count(b"\n") + 1, column, "", "not UTF-8 text", "UTF-8 text")


def validate_document(value: dict[str, Any]) -> tuple[Manifest | None, list[Finding]]:
    """The manifest, None where it has mistakes, and what there is to say of it.

    Args:
        value: what was read from YAML.
    """
    findings = [*check_document(value), *check_clock_times(value)]
    errors = [finding for finding in findings if finding.level == "error"]
    try:
        manifest = Manifest.model_validate(value)
    except ValidationError as error:
        details = [
            detail
            for detail in error.errors(include_url=False)
            if detail["loc"] or detail["type"] != "value_error"  # the references, reported above with their places
        ]
        known = _prefixes(finding.path for finding in errors)
        explained = [
            finding
            for finding in explain(details, value, _schema())
            if not (finding.path in known and _is_summary(finding, details))
        ]
        places = {finding.path for finding in explained if not finding.message.startswith("name ")}
        return None, explained + [finding for finding in findings if finding.path not in places]
    return manifest, findings


def _prefixes(paths: Iterable[Path_]) -> set[Path_]:
    return {path[:length] for path in paths for length in range(1, len(path) + 1)}


def _is_summary(finding: Finding, details: Sequence[Any]) -> bool:
    """Whether a finding is a validator's word about a whole rule, which the checks have said with the exact place."""
    return any(
        detail["type"] == "value_error" and detail["msg"].removeprefix("Value error, ") == finding.message
        for detail in details
    )


@cache
def _schema() -> dict[str, Any]:
    return Manifest.model_json_schema()


class _Shower:
    """Gives findings their place in the file."""

    def __init__(self, file: str, text: str, document: Document) -> None:
        self._file = file
        self._lines = text.splitlines()
        self._document = document

    def finding(self, finding: Finding) -> Mistake:
        """At the value where there is one, at the key where the field itself is the mistake, else at the parent."""
        document, path = self._document, finding.path
        about_key = finding.message.startswith(("unknown field", "name ", "no pipeline uses"))
        places = document.keys if about_key else document.values
        place = places.get(path)
        while place is None and path:
            path = path[:-1]
            place = document.keys.get(path)
        if not about_key and isinstance(self._value(finding.path), dict):
            place = document.keys.get(finding.path, place)
        return self.at(place or Place(1, 1), finding.path, finding)

    def _value(self, path: Path_) -> Any:
        value = self._document.value
        for part in path:
            if not has(value, part):
                return None
            value = value[part]
        return value

    def at(self, place: Place, path: Path_, finding: Finding) -> Mistake:
        """A mistake at a place."""
        source = self._lines[place.line - 1] if place.line <= len(self._lines) else ""
        source = _CREDENTIALS.sub(lambda found: "*" * len(found[0]), source)
        if path[-1:] == ("secret",) and finding.message.startswith("not the name"):  # it may be the secret itself
            source = _SECRET.sub(lambda found: found[1] + "*" * len(found[2]), source)
        return Mistake(
            self._file,
            place.line,
            place.column,
            path_text(path),
            finding.message,
            finding.allowed,
            finding.suggestion,
            finding.level,
            source,
            place.width,
        )
