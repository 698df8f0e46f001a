"""``make bench``: every measurement, each beside its floor or its peers, and the report.

Examples:
    python -m bench                    everything, then bench/REPORT.md
    python -m bench --quick            the same in a few minutes: whether it runs, no figures to quote
    python -m bench site scale         these alone
    python -m bench report             the report from the results that are there
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback

from bench.report import write_report
from bench.result import Stopwatch, figure_line, write
from bench.rows import ORDER


def main() -> int:
    """Measure what was asked for and write the report."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"report, or of: {', '.join(ORDER)}")
    parser.add_argument("--quick", action="store_true", help="one short round of each; nothing is kept")
    arguments = parser.parse_args()
    wanted = [name for name in arguments.rows if name != "report"] or ([] if arguments.rows else list(ORDER))
    unknown = [name for name in wanted if name not in ORDER]
    if unknown:
        parser.error(f"no measurement is called {', '.join(unknown)}; there are {', '.join(ORDER)}")
    failed: list[str] = []
    for number, name in enumerate(wanted, 1):
        print(f"[{number}/{len(wanted)}] {name} …", flush=True)
        watch = Stopwatch()
        try:
            row = importlib.import_module(f"bench.rows.{name}").measure(arguments.quick)
        except Exception:  # noqa: BLE001 - whatever it is, the others are measured all the same
            traceback.print_exc()
            failed.append(name)
            continue
        for figure in row.figures:
            print(f"    {figure_line(figure)}", flush=True)
        print(f"    {watch.seconds:.0f} s", flush=True)
        if not arguments.quick:
            write(row, watch.seconds)
    if not arguments.quick:
        print(f"{write_report()} written")
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
