"""Opens one archive after another as the product does: ``python -m tests.faults.security.archive_program FOLDER``.

Reads ``KIND PATH`` a line and answers with one JSON object: ``error`` (code, or the name of an exception
that is none of ours; empty where it was taken) and ``peak`` (bytes of memory above what there was before).
"""

from __future__ import annotations

import json
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from vedette.adapters.engines.neo_archive import unpack_neo
from vedette.adapters.panorama_project import what_archive
from vedette.contracts.errors import VedetteError
from vedette.local.artifacts import unpack


def memory(what: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) << 10
    raise AssertionError(what)


def careless(path: Path, target: Path) -> None:
    """What a program does that trusts archives: the control of this measurement."""
    target.mkdir(parents=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                place = target / member.filename
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(archive.read(member))
    else:
        with tarfile.open(path) as packed:
            packed.extractall(target)


def compiled_model(path: Path, target: Path) -> None:
    data = path.read_bytes()
    target.mkdir(parents=True)
    unpack_neo(data, path.name, target)


WAYS: dict[str, Callable[[Path, Path], object]] = {
    "neo": compiled_model,
    "component": lambda path, target: unpack(path, target, where=path.name),
    "project": lambda path, _: what_archive(path),
    "careless": careless,
}


def main() -> None:
    folder = Path(sys.argv[1])
    for number, line in enumerate(sys.stdin):
        kind, _, path = line.strip().partition(" ")
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest memory so far
        before, error = memory("VmRSS"), ""
        try:
            WAYS[kind](Path(path), folder / f"target{number}")
        except VedetteError as refused:
            error = refused.code
        except (OSError, zipfile.BadZipFile, tarfile.TarError, ValueError, RuntimeError, EOFError) as failed:
            error = type(failed).__name__
        print(json.dumps({"error": error, "peak": memory("VmHWM") - before}), flush=True)


if __name__ == "__main__":
    main()
