"""``tests/*.yaml`` of an application: found, read, checked against its manifest."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from vedette.adapters.manifest.explain import explain
from vedette.adapters.manifest.loading import manifest_path, read_document, refusal
from vedette.contracts.application_test import ApplicationTest
from vedette.contracts.manifest import Manifest
from vedette.core.application_tests import check_test
from vedette.core.manifest_checks import Finding

FOLDER: Final = "tests"


def application_tests(path: Path) -> list[Path]:
    """The test files of an application, by name.

    Args:
        path: the manifest, or the directory it lies in.
    """
    folder = manifest_path(path).parent / FOLDER
    return sorted(file for pattern in ("*.yaml", "*.yml") for file in folder.glob(pattern))


def load_application_test(path: Path, manifest: Manifest) -> ApplicationTest:
    """Read and check a test.

    Args:
        path: the file.
        manifest: of the application it is for.

    Raises:
        ConfigurationError: V101, the file cannot be read; V107, it has mistakes: the message lists all of them.
    """
    test, mistakes = read_document(path, lambda value: _validate(value, manifest), "api: vedette-test/v1")
    errors = [mistake for mistake in mistakes if mistake.level == "error"]
    if test is None or errors:
        raise refusal(path, errors, "docs/applications.md", "V107")
    return test


def _validate(value: dict[str, Any], manifest: Manifest) -> tuple[ApplicationTest | None, list[Finding]]:
    findings = check_test(value, manifest)
    try:
        test = ApplicationTest.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        places = {finding.path for finding in findings}
        details = [each for each in errors if each["type"] != "value_error"]
        explained = [finding for finding in explain(details, value, _schema()) if finding.path not in places]
        # What pydantic says of an entry as a whole the checks have often said with the exact place.
        entries = [
            Finding(each["loc"], str(each["msg"]).removeprefix("Value error, "))
            for each in errors
            if each["type"] == "value_error"
        ]
        said = places | {finding.path for finding in explained}
        explained += [entry for entry in entries if not any(path[: len(entry.path)] == entry.path for path in said)]
        return None, explained + findings
    return test, findings


@cache
def _schema() -> dict[str, Any]:
    return ApplicationTest.model_json_schema()
