"""``vedette app test``: an application's recordings against what it must report on them."""

from __future__ import annotations

import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vedette.adapters.manifest.loading import MANIFEST_NAME
from vedette.cli.application_tests import AppUnderTest, Case, find_cases, judge, run_case
from vedette.cli.tables import plain_table
from vedette.compose.clips import clip_seconds
from vedette.contracts.errors import CameraError, UsageError, VedetteError
from vedette.core.application_tests import Difference, RuleScore, Verdict, compare, differences, score
from vedette.core.application_tests.compare import describe

_ADVICE = "Every field is described in docs/applications.md."


@dataclass(slots=True)
class Result:
    """One test, and what came of it.

    Attributes:
        case: the test.
        verdict: None where it was not run.
        problem: why it was not run or could not be compared.
        changes: what another version of the application does otherwise.
        notes: what is to be said of the recordings.
    """

    case: Case
    verdict: Verdict | None = None
    problem: str = ""
    changes: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check(
    directory: Annotated[
        Path, typer.Argument(help="The application's directory, or its vedette.yaml.", metavar="DIR")
    ] = Path("."),
    clips: Annotated[list[Path] | None, typer.Option(help="Folder of recordings; may be given more than once.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: a parameter; path=value: any value of the manifest.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Another version to compare with, without --set: a directory, a manifest, a git revision."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A test whose recording is not here fails.")] = False,
    app_python: Annotated[
        Path | None, typer.Option(help="Interpreter of Panorama code; else the application's own, else this one.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Run an application over the recordings of its tests and compare its alerts with what is expected.

    The tests are the files tests/*.yaml beside the manifest. Recordings are looked for beside them, in --clips and in
    VEDETTE_DATA. The result is the same on every run. Ends with 1 where a test failed.

    Examples:
        vedette app test examples/people_flow

        vedette app test . --clips ~/recordings --strict

        vedette app test . --against HEAD~1

        vedette app test . --set patience_s=30 --against .
    """
    application = AppUnderTest.load(directory, set_ or [], python=app_python)
    cases = find_cases(application, clips or [])
    if not cases:
        folder = application.path.parent / "tests"
        raise UsageError(f"application {application.manifest.name} has no tests: {folder} has no *.yaml.", hint=_ADVICE)
    results = [Result(case) for case in cases]
    with _progress(results, twice=against is not None) as tick:
        for result in results:
            _run(application, result, tick)
        if against is not None:
            with _other(against, application) as other:
                for result in results:
                    _compare_with(other, result, tick)
    failed = [result for result in results if _failed(result, strict=strict)]
    if json_:
        print(json.dumps(_document(application, results, against, failed)))
    else:
        _print(results, against, Console(highlight=False))
    if failed:
        names = ", ".join(result.case.file.name for result in failed)
        what = "failed, or could not be run" if any(result.case.lacking for result in failed) else "failed"
        raise UsageError(f"{len(failed)} of {len(results)} tests {what}: {names}.", hint=_ADVICE, code="V704")


def _failed(result: Result, *, strict: bool) -> bool:
    if result.verdict is not None:
        return not result.verdict.passed
    return strict or result.case.wrong or not result.case.lacking


def _run(application: AppUnderTest, result: Result, tick: Callable[[str, float], None]) -> None:
    case = result.case
    if case.lacking:
        result.problem = case.lacking
        return
    try:
        result.verdict = judge(case, run_case(application, case, tick, result.notes))
    except CameraError as error:  # of this recording; the other tests are run all the same
        result.problem = f"{error.code} {error.message}"


def _compare_with(other: AppUnderTest, result: Result, tick: Callable[[str, float], None]) -> None:
    if result.verdict is None:
        return
    try:
        before = compare(result.case.test, run_case(other, result.case, tick))
    except VedetteError as error:
        result.problem = f"cannot be compared: {error.message}"
        return
    result.changes = differences(result.case.test, result.verdict, before)


@contextmanager
def _other(against: str, application: AppUnderTest) -> Iterator[AppUnderTest]:
    """Another version of the application as it is: what lies at a path, or what git knows under a name.

    Raises:
        UsageError: V701, it is neither.
    """
    path = Path(against)
    here = application.path.resolve().parent
    if path.exists():
        yield AppUnderTest.load(path, store=application.store, beside=here, python=application.python)
        return
    with tempfile.TemporaryDirectory(prefix="vedette-against-") as folder:
        done = subprocess.run(
            ["git", "-C", str(here), "archive", "--format=tar", against, "--", "."], capture_output=True, check=False
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["no answer"]
            raise UsageError(
                f"--against {against!r} is no path, and git does not know it here: {said[-1]}.",
                hint="Name a directory, a vedette.yaml, or a revision such as HEAD~1.",
            )
        with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        if not (Path(folder) / MANIFEST_NAME).is_file():
            raise UsageError(f"--against {against}: there is no {MANIFEST_NAME} in {here.name} at that revision.")
        yield AppUnderTest.load(Path(folder), store=application.store, beside=here, python=application.python)


@contextmanager
def _progress(results: Sequence[Result], *, twice: bool) -> Iterator[Callable[[str, float], None]]:
    """A bar over the seconds of all recordings."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[at]}"), TimeRemainingColumn())
    runnable = [result.case for result in results if not result.case.lacking]
    lengths = [clip_seconds(path) for case in runnable for path in case.clips.values()]
    total = sum(length or 0.0 for length in lengths) * (2 if twice else 1)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task: TaskID = bar.add_task("tests", total=total if all(lengths) else None, at="")
        last = ("", 0.0)

        def tick(camera: str, media_s: float) -> None:
            nonlocal last
            before_s = last[1] if camera == last[0] and media_s >= last[1] else 0.0
            bar.update(task, advance=media_s - before_s, description=camera, at=f"{media_s:.1f} s")
            last = (camera, media_s)

        yield tick


def _print(results: Sequence[Result], against: str | None, console: Console) -> None:
    scores = score(result.verdict for result in results if result.verdict is not None)
    if scores:
        console.print(_score_table(scores))
    for result in results:
        name, verdict = result.case.file.name, result.verdict
        title = f" ({result.case.test.title})" if result.case.test.title else ""
        if verdict is None:
            word = "[yellow]not run[/yellow]" if result.case.lacking else "[red]failed[/red]"
            console.print(f"{word} {escape(name + title)}: {escape(result.problem)}", soft_wrap=True)
            continue
        word = "[green]passed[/green]" if verdict.passed else "[red]failed[/red]"
        unjudged = f", {len(verdict.unjudged)} others not judged" if verdict.unjudged else ""
        console.print(f"{word} {escape(name + title)}: {len(verdict.matches)} as expected{unjudged}", soft_wrap=True)
        for note in result.notes:
            console.print(f"  note: {escape(note)}", soft_wrap=True)
        for line in _lines(result.case, verdict):
            console.print(escape(line), soft_wrap=True)
    if against is None:
        return
    lines = [line for result in results for line in _change_lines(result)]
    console.print(f"against {escape(against)}:" if lines else f"against {escape(against)}: no difference")
    for line in lines:
        console.print(escape(line), soft_wrap=True)


def _score_table(scores: Sequence[RuleScore]) -> Any:
    table = plain_table("rule", "camera", "expected", "right", "extra", "precision", "recall", "error", "worst")
    for entry in scores:
        table.add_row(
            entry.rule,
            entry.camera,
            str(entry.expected),
            str(entry.matched),
            str(entry.extra),
            _percent(entry.precision),
            _percent(entry.recall),
            "" if entry.median_error_s is None else f"{entry.median_error_s:.2f} s",
            "" if entry.worst_error_s is None else f"{entry.worst_error_s:.2f} s",
        )
    return table


def _lines(case: Case, verdict: Verdict) -> Iterator[str]:
    for miss in verdict.misses:
        near = f"; {miss.near}" if miss.near else ""
        yield f"  missing: {describe(miss.expected, case.test.tolerance_s)}{near}"
    for extra in verdict.extras:
        alert = extra.alert
        why = ", where none may come" if extra.span is not None else ""
        yield f"  extra: {alert.rule} on {alert.camera} at {alert.media_time_s:.2f} s{why}: {alert.message}"


_CHANGES = {
    "gained": "+ gained",
    "lost": "- lost",
    "quieter": "+ false alarm gone",
    "louder": "- new false alarm",
}


def _change_lines(result: Result) -> Iterator[str]:
    for change in result.changes:
        yield f"  {_CHANGES[change.kind]}: {result.case.file.name}: {change.what}"
    if result.problem and result.verdict is not None:
        yield f"  {result.case.file.name} {result.problem}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _document(
    application: AppUnderTest, results: Sequence[Result], against: str | None, failed: Sequence[Result]
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "application": application.manifest.name,
        "version": application.manifest.version,
        "passed": not failed,
        "tests": [_result_document(result) for result in results],
        "rules": [
            {
                "rule": entry.rule,
                "camera": entry.camera,
                "expected": entry.expected,
                "matched": entry.matched,
                "extra": entry.extra,
                "precision": entry.precision,
                "recall": entry.recall,
                "median_error_s": entry.median_error_s,
                "worst_error_s": entry.worst_error_s,
            }
            for entry in score(result.verdict for result in results if result.verdict is not None)
        ],
    }
    if against is not None:
        document["against"] = {
            "version": against,
            "changes": [
                {"test": result.case.file.name, "kind": change.kind, "what": change.what, "at_s": change.at_s}
                for result in results
                for change in result.changes
            ],
        }
    return document


def _result_document(result: Result) -> dict[str, Any]:
    verdict = result.verdict
    document: dict[str, Any] = {
        "file": str(result.case.file),
        "title": result.case.test.title,
        "status": "not_run" if result.case.lacking else "passed" if verdict and verdict.passed else "failed",
        "problem": result.problem,
        "notes": result.notes,
    }
    if verdict is None:
        return document
    tolerance_s = result.case.test.tolerance_s
    return document | {
        "matches": [
            {
                "rule": match.expected.rule,
                "camera": match.expected.camera,
                "at_s": match.alert.media_time_s,
                "error_s": match.error_s,
            }
            for match in verdict.matches
        ],
        "misses": [
            {
                "rule": miss.expected.rule,
                "camera": miss.expected.camera,
                "what": describe(miss.expected, tolerance_s),
                "near": miss.near,
            }
            for miss in verdict.misses
        ],
        "extras": [extra.alert.model_dump(mode="json", exclude_none=True) for extra in verdict.extras],
        "unjudged": len(verdict.unjudged),
    }
