"""What is to be said of Panorama code before a device has it: packages that it will miss, files that look secret."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from vedette.core.panorama_import.sources import packages_of, read_sources

#: What the environment of ``vedette.AppHost`` gives code that brings no packages; ``panoramasdk`` needs NumPy.
ALWAYS_THERE: Final = frozenset({"numpy", "opencv-python-headless"})
_SECRET_NAME: Final = re.compile(
    r"(^|/)(\.env(\..+)?|\.netrc|\.pgpass|credentials(\.json|\.csv)?|id_(rsa|dsa|ecdsa|ed25519)|.+\.(pem|key|p12|pfx|jks))$",
    re.IGNORECASE,
)
_SECRET_CONTENT: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bA[KS]IA[A-Z0-9]{16}\b")
_LOOKED_AT_BYTES: Final = 1 << 20
_NAMED: Final = 5


def code_notes(folder: Path, files: Sequence[str], packages: Collection[str] | None) -> list[str]:
    """Notes for people; nothing here stops a build, because what code imports can only be guessed from its text.

    Args:
        folder: where the manifest lies.
        files: of the code, from there.
        packages: names of what is installed for it; None where the code runs with the environment of
            ``vedette.AppHost``.

    Raises:
        OSError: a file cannot be read.
    """
    return [*_missing(folder, files, packages), *_secrets(folder, files)]


def _missing(folder: Path, files: Sequence[str], packages: Collection[str] | None) -> Iterator[str]:
    sources = {
        name: (folder / name).read_bytes()[:_LOOKED_AT_BYTES].decode(errors="replace")
        for name in files
        if name.endswith(".py")
    }
    there = {canonicalize_name(name) for name in (ALWAYS_THERE if packages is None else packages)}
    # Any build of OpenCV serves: with or without windows, with or without what was contributed.
    if any(name.startswith("opencv-") for name in there):
        there.add(canonicalize_name("opencv-python-headless"))
    imports = read_sources(sources).imports
    if packages is not None and "numpy" not in there:
        yield "its requirements bring no numpy, which panoramasdk needs: its code will not start; add it."
    for module, file in sorted(imports.items()):
        (package,) = packages_of([module])
        if canonicalize_name(package) not in there and module != "numpy":
            where = "its requirements do not name it" if packages is not None else "devices have NumPy and OpenCV alone"
            yield f"{file} imports {module}, and {where}: add {package} to the file of `panorama.requirements`."


def _secrets(folder: Path, files: Sequence[str]) -> Iterator[str]:
    found = [name for name in files if _SECRET_NAME.search(name) or _holds_secret(folder / name)]
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        yield (
            f"{', '.join(found[:_NAMED])}{more} may hold a secret: whoever may read the artefact can read it. "
            "Take it out of the code's folder."
        )


def _holds_secret(path: Path) -> bool:
    with path.open("rb") as file:
        return _SECRET_CONTENT.search(file.read(_LOOKED_AT_BYTES)) is not None
