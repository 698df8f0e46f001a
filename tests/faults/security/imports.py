"""Which distributions the processes of an edge side import, noted by the processes themselves."""

from __future__ import annotations

import json
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

#: Python imports it before anything else. It sees each module that is looked for, also in forked copies, and finds none.
_NOTES: Final = """
import os, sys

class _Notes:
    known = set()

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in cls.known:
            cls.known.add(top)
            try:
                with open(os.path.join({folder!r}, str(os.getpid())), "a") as notes:
                    notes.write("\\t".join((sys.orig_argv[-1] if "-m" not in sys.orig_argv
                        else sys.orig_argv[sys.orig_argv.index("-m") + 1], top)) + "\\n")
            except OSError:
                pass  # behind a wall

sys.meta_path.insert(0, _Notes)
"""
_OURS: Final = frozenset({"vedette", "dlr_worker", "panoramasdk"})


def note_imports(folder: Path) -> Path:
    """Make what notes imports; put the folder that is returned into PYTHONPATH."""
    notes, place = folder / "notes", folder / "place"
    notes.mkdir()
    notes.chmod(0o777)
    place.mkdir()
    (place / "sitecustomize.py").write_text(_NOTES.format(folder=str(notes)))
    return place


def noted(folder: Path) -> dict[str, set[str]]:
    """Top package of a process (``inference``) → distributions that it imported."""
    owners = packages_distributions()
    found: dict[str, set[str]] = {}
    for file in sorted((folder / "notes").iterdir()):
        for line in file.read_text().splitlines():
            program, _, module = line.partition("\t")
            names = {str(canonicalize_name(name)) for name in owners.get(module, ())}
            found.setdefault(program.partition(".")[0], set()).update(names - _OURS)
    return found


def libraries(document: bytes, part: str | None = None) -> set[str]:
    """Names of the distributions of a bill of materials, or of one part of it."""
    read = json.loads(document)
    names = {one["bom-ref"]: str(one["name"]) for one in read["components"] if one["type"] == "library"}
    if part is None:
        return set(names.values())
    (needs,) = (one["dependsOn"] for one in read["dependencies"] if one["ref"].startswith(f"{part}@"))
    return {names[reference] for reference in needs}
