"""``bench/REPORT.md`` and its plots, from the results that are there."""

from __future__ import annotations

import importlib.util
import math
import re
import statistics
import textwrap
from pathlib import Path
from typing import Any

from bench.result import ROOT, number, read_all
from bench.rows import ORDER

PLOTS = ROOT / "plots"

HEAD = """# Measured

`make bench` makes this page, and measures everything on it but the hour with faults, which is of `make soak`. Every
figure is of the run named beside it: command, machine and commit are with each measurement (a + behind the commit:
with changes that are in none); the median and, in brackets, the smallest and largest round. The median is judged where
the target does not name another. Names in italics and grey bars are other programs or a floor.
"""

METHOD = """
## How it was measured

- **In turns.** What is compared runs one after the other, round after round, within the same run, on the same files,
  with the same model and one thread for a run of it. A machine that is slower for a while is slower for all. Where a
  row says otherwise, it was not so.
- **Everything is counted.** Processor time is user and system time of every process of the program from `/proc`, of
  children too. Memory is the proportional set size of the same processes: a page that several share counts once.
- **Not counted** are the cameras, a simulator in a process of its own, and LocalCore, which stands for AWS's nucleus
  on a device; what LocalCore takes is shown where it matters. Both use the same cores, so a machine of its own would
  hold somewhat more.
- **The floor** is the least that any program does: decoding, resizing, the run of the model, in one process and
  nothing else.
- **Lost** are pictures that were due and that nobody analysed, not only those that a program says it dropped.
- **Footage** is real. Where it is encoded anew, codec, distance of key pictures and B pictures are named; an upscaled
  recording decodes somewhat faster than a camera's own, for every program alike.
- **A target that was missed stays in the table**, with the reason in its section.{peers}
"""
PEERS = "\n- **The other programs** are set up as [PEERS.md](PEERS.md) says, with each deviation from their documents."


def write_report() -> Path:
    """Write the page; plots where Matplotlib is installed (``requirements/bench.txt``)."""
    rows = sorted(read_all(), key=lambda row: ORDER.index(row["id"]) if row["id"] in ORDER else len(ORDER))
    plots = _draw(rows) if importlib.util.find_spec("matplotlib") is not None else _drawn(rows)
    text = [HEAD, "## Targets\n", "| what | target | measured | |", "|---|---|---|---|"]
    for row in rows:
        for figure in row["figures"]:
            if figure["met"] is not None:
                verdict = "met" if figure["met"] else f"missed, see [below](#{row['id']})"
                text.append(
                    f"| {figure['name']} | {figure['target']} {figure['unit']} | {_spread(figure)} | {verdict} |"
                )
    missing = [f"`python -m bench {name}`" for name in ORDER if name not in {row["id"] for row in rows}]
    if missing:
        text.append(f"\nNot on this page, because no measurement of it was kept: {', '.join(missing)}.")
    text.append(METHOD.format(peers=PEERS if (ROOT / "PEERS.md").exists() else "").rstrip())
    for row in rows:
        text += _section(row, plots.get(row["id"], []))
    path = ROOT / "REPORT.md"
    path.write_text("\n".join(text) + "\n")
    return path


def _section(row: dict[str, Any], plots: list[Path]) -> list[str]:
    text = [
        f'\n## <a id="{row["id"]}"></a>{row["title"]}\n',
        f"{row['method']}\n",
        f"`{row['command']}` · {row['machine']} · {_libraries(row)} · {row['measured']}, commit {row['sha']}, "
        f"{row['seconds']:.0f} s\n",
        "| | median | from | to | unit | target |",
        "|---|---|---|---|---|---|",
    ]
    for figure in row["figures"]:
        name = f"*{figure['name']}*" if figure["peer"] else figure["name"]
        low, high = min(figure["samples"]), max(figure["samples"])
        text.append(
            f"| {name} | {number(statistics.median(figure['samples']))} | {number(low)} | {number(high)} | "
            f"{figure['unit']} | {figure['target']} |"
        )
    text += [f"\n![{row['title']}](plots/{plot.name})" for plot in plots]
    text += [f"\n{note}" for note in row["notes"]]
    return text


def _libraries(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in row["versions"].items())


def _spread(figure: dict[str, Any]) -> str:
    samples = figure["samples"]
    middle = number(statistics.median(samples))
    if len(samples) == 1:
        return middle
    return f"{middle} ({number(min(samples))} to {number(max(samples))})"


def _drawn(rows: list[dict[str, Any]]) -> dict[str, list[Path]]:
    """Plots of an earlier run."""
    return {row["id"]: sorted(PLOTS.glob(f"{row['id']}-*.png")) for row in rows}


def _draw(rows: list[dict[str, Any]]) -> dict[str, list[Path]]:
    """Draw everything anew; what earlier runs drew and no row draws any more goes."""
    import matplotlib as mpl

    mpl.use("Agg")
    PLOTS.mkdir(exist_ok=True)
    drawn: dict[str, list[Path]] = {}
    for row in rows:
        for name, bars in compared(row["figures"]).items():
            drawn.setdefault(row["id"], []).append(_bars(bars, name, PLOTS / f"{row['id']}-{_slug(name)}.png"))
        for plot in dict.fromkeys(series["plot"] for series in row["series"]):
            curves = [series for series in row["series"] if series["plot"] == plot]
            drawn.setdefault(row["id"], []).append(_curves(curves, PLOTS / f"{row['id']}-{plot}.png"))
    for path in set(PLOTS.glob("*.png")) - {path for paths in drawn.values() for path in paths}:
        path.unlink()
    return drawn


def compared(figures: list[dict[str, Any]]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """What several have a figure of, one of them a peer or the floor: quantity → (who, figure)."""
    groups: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for figure in figures:
        who, colon, what = figure["name"].partition(": ")
        if colon and all(map(math.isfinite, figure["samples"])):  # one that analysed nothing has no cost a picture
            groups.setdefault(f"{what}, {figure['unit']}", []).append((who, figure))
    return {name: group for name, group in groups.items() if len({figure["peer"] for _, figure in group}) == 2}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _bars(bars: list[tuple[str, dict[str, Any]]], title: str, path: Path) -> Path:
    """Medians with their spread; the others' grey."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 0.9 + 0.42 * len(bars)), layout="constrained")
    values = [statistics.median(bar["samples"]) for _, bar in bars]
    low = [value - min(bar["samples"]) for value, (_, bar) in zip(values, bars, strict=True)]
    high = [max(bar["samples"]) - value for value, (_, bar) in zip(values, bars, strict=True)]
    colours = ["#b0b4ba" if bar["peer"] else "#1f6feb" for _, bar in bars]
    places = list(range(len(bars)))
    axes.barh(places, values, xerr=[low, high], color=colours, height=0.62, error_kw={"capsize": 3, "lw": 1})
    most = max(max(bar["samples"]) for _, bar in bars) or 1.0
    for place, value, above in zip(places, values, high, strict=True):
        axes.text(value + above + 0.015 * most, place, number(value), va="center", fontsize=9)
    axes.set_yticks(places, [textwrap.fill(who, 34) for who, _ in bars])
    axes.invert_yaxis()
    axes.set(xlabel=title, xlim=(0, 1.14 * most))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def _curves(curves: list[dict[str, Any]], path: Path) -> Path:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
    for curve in curves:
        axes.plot(curve["xs"], curve["ys"], marker="o", markersize=4, label=curve["name"])
    axes.set(xlabel=curves[0]["x_label"], ylabel=curves[0]["y_label"])
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
