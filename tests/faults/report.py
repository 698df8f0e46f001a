"""`python -m tests.faults.report`: docs/scorecard.md and docs/scorecard.json out of the rows that were recorded."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.faults import catalogue, scorecard
from tests.faults.catalogue import Wanted

DOCS: Final = scorecard.REPOSITORY / "docs"
GREEN: Final = "🟢"
RED: Final = "🔴"
GREY: Final = "⚪"

_HEAD: Final = """# Scorecard

What is broken on purpose, how often, and what came of it. Made by `make faults`; do not edit. The same as data:
[scorecard.json](scorecard.json).

A share of nothing is shown with its upper bound at 95 %: none of 300 means no more than 1 %. A control is the same
meter over a loss that was put in on purpose; a row whose control was not seen has failed. {green} goal met,
{red} not met, {grey} no figure; "quick": of fewer tries than a full run makes.
"28 of 50 asked": the figure is of 28 tries, and the goal asks for 50.
"""


@dataclass(frozen=True)
class Line:
    """A row of a table: what is wanted, and the records that were made for it."""

    wanted: Wanted
    found: tuple[Mapping[str, Any], ...]


def read(folder: Path) -> list[dict[str, Any]]:
    """The rows that were recorded, by their ids.

    Raises:
        ValueError: a file is no row.
    """
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        row = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(row, dict) or row.get("id") != path.stem:
            raise ValueError(f"{path.name}: not a row of the scorecard.")
        rows.append(row)
    return sorted(rows, key=lambda row: _order(str(row["id"])))


def ended(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Tests that failed without a row that says so, and tests that were skipped; the last word of each counts."""
    path = folder / scorecard.ENDED
    told = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    last = {str(each["test"]): each for each in told}
    said = {str(row["command"]).split(" ")[-1] for row in rows if not row["passed"]}
    silent = {test for test, each in last.items() if each["outcome"] == "failed" and test not in said}
    return [each for test, each in last.items() if each["outcome"] == "skipped" or test in silent]


def lines(wanted: Sequence[Wanted], rows: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Each figure that is wanted with its rows: of its id, or of its id and a dash unless that is wanted itself."""
    own = {each.id for each in catalogue.ALL}
    kept = list(rows)
    return [
        Line(
            each,
            tuple(
                row
                for row in kept
                if row["id"] == each.id or (row["id"] not in own and str(row["id"]).startswith(f"{each.id}-"))
            ),
        )
        for each in wanted
    ]


def markdown(rows: Sequence[Mapping[str, Any]], tests: Sequence[Mapping[str, str]] = ()) -> str:
    """The whole page.

    Args:
        tests: those that ``ended`` found.
    """
    parts = [_HEAD.format(green=GREEN, red=RED, grey=GREY)]
    headlines = [next(each for each in catalogue.ALL if each.id == name) for name in catalogue.HEADLINES]
    parts += ["## At a glance\n", *_glance(lines(headlines, rows)), ""]
    for title, wanted in (
        ("Reliability", catalogue.RELIABILITY),
        ("Single faults", catalogue.FAULTS),
        ("Cameras", catalogue.CAMERAS),
        ("Security", catalogue.SECURITY),
    ):
        parts += [f"## {title}\n", *_table(lines(wanted, rows)), ""]
    others = [row for row in rows if not any(row in line.found for line in lines(catalogue.ALL, rows))]
    if others:
        parts += ["## Others\n", *_table([Line(_wanted_of(row), (row,)) for row in others]), ""]
    parts += _open(rows, tests)
    parts += _how(rows)
    return "\n".join(parts).rstrip() + "\n"


def _glance(found: Iterable[Line]) -> list[str]:
    out = ["| | figure | here | others |", "|---|---|---|---|"]
    for line in found:
        if not line.found:
            out.append(f"| {GREY} {line.wanted.id} | {line.wanted.name} | {line.wanted.without} | |")
        out += [f"| {_id(row)} | {row['name']} | {_value(row)} | {_anchors(row)} |" for row in line.found]
    return out


def _table(found: Iterable[Line]) -> list[str]:
    out = ["| | figure | value | n | goal | control | others |", "|---|---|---|---|---|---|---|"]
    for line in found:
        if not line.found:
            wanted = line.wanted
            out.append(f"| {GREY} {wanted.id} | {wanted.name} | {wanted.without} | | {wanted.goal} | | |")
        out += [
            f"| {_id(row)} | {row['name']} | {_value(row)} | {_tries(row, line.wanted)} | {row['goal']} "
            f"| {_control(row)} | {_anchors(row)} |"
            for row in line.found
        ]
    return out


def _open(rows: Sequence[Mapping[str, Any]], tests: Sequence[Mapping[str, str]]) -> list[str]:
    failed = [
        f"* {RED} **{row['id']}** {row['name']}: {_value(row)}, goal {row['goal']}. {row['notes']}"
        for row in rows
        if not row["passed"]
    ]
    failed += [
        f"* {RED} `{each['test']}` failed, whatever rows it has: {_short(each['why'])}"
        for each in tests
        if each["outcome"] == "failed"
    ]
    skipped = [f"* {GREY} `{each['test']}`: {_short(each['why'])}" for each in tests if each["outcome"] == "skipped"]
    return [
        *(["## Open\n", *failed, ""] if failed else []),
        *(["## Not measured\n", *skipped, ""] if skipped else []),
    ]


def _short(why: str) -> str:
    return " ".join(why.split())[:300]


def _how(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    out = ["## How it was measured\n"]
    for row in rows:
        seed = f", seed {row['seed']}" if row["seed"] is not None else ""
        notes = f" {row['notes']}" if row["notes"] else ""
        out.append(
            f"* **{row['id']}**: `{row['command']}`, {row['seconds']:g} s{seed}, {row['date']}, {row['sha']}.{notes}"
        )
    out += ["", "Machines: " + "; ".join(sorted({str(row["machine"]) for row in rows})) + "."]
    return out


def _id(row: Mapping[str, Any]) -> str:
    mark = GREEN if row["passed"] else RED
    return f"{mark} {row['id']}{', quick' if row['profile'] == 'quick' else ''}"


def _value(row: Mapping[str, Any]) -> str:
    value = float(row["value"])
    text = f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"
    if row["upper95"] is None:
        return f"{text} {row['unit']}".strip()
    share = 100.0 * float(row["upper95"])
    return f"{text} {row['unit']}".strip() + f" (failures <= {f'{share:.2g}' if share < 99.5 else '100'} % at 95 %)"


def _tries(row: Mapping[str, Any], wanted: Wanted) -> str:
    """How many; and how many the goal asks for, where these are more. Parts of a figure have counts of their own."""
    fewer = row["id"] == wanted.id and row["n"] < wanted.tries
    return f"{row['n']:,} of {wanted.tries:,} asked" if fewer else f"{row['n']:,}"


def _control(row: Mapping[str, Any]) -> str:
    control = row["control"]
    if control is None:
        return ""
    value = float(control["value"])
    text = f"{value:.0f}" if value == int(value) else f"{value:.4g}"
    return f"{control['what']}: {text}{'' if control['seen'] else ', **not seen**'}"


def _anchors(row: Mapping[str, Any]) -> str:
    return "; ".join(f"{each['name']}: {each['value']} ({each['kind']})" for each in row["anchors"])


def _wanted_of(row: Mapping[str, Any]) -> Wanted:
    return Wanted(str(row["id"]), str(row["name"]), str(row["goal"]))


def _order(name: str) -> tuple[int, str, int, str]:
    """As in the catalogue; what is not in it, by letters and number."""
    ids = [each.id for each in catalogue.ALL]
    base = name if name in ids else name.split("-")[0]
    parted = re.match(r"([A-Z]+)(\d*)", name)
    letters, number = (parted[1], int(parted[2] or 0)) if parted else (name, 0)
    return ids.index(base) if base in ids else len(ids), letters, number, name


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both files; says how many rows there are and how many failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.report", description=__doc__)
    parser.add_argument("--rows", type=Path, default=scorecard.FOLDER, help="where rows were recorded")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the two files go")
    asked = parser.parse_args(arguments)
    rows = read(asked.rows)
    tests = ended(asked.rows, rows)
    (asked.docs / "scorecard.md").write_text(markdown(rows, tests), encoding="utf-8")
    (asked.docs / "scorecard.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    failed = [str(row["id"]) for row in rows if not row["passed"]]
    failed += [each["test"] for each in tests if each["outcome"] == "failed"]
    skipped = sum(each["outcome"] == "skipped" for each in tests)
    print(
        f"{len(rows)} rows, {len(failed)} failed{': ' + ', '.join(failed) if failed else ''}, {skipped} tests skipped; "
        "docs/scorecard.md written"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
