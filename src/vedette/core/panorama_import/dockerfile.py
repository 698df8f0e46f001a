"""What a package's Dockerfile says: which files come to ``/panorama``, and what was installed."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vedette.contracts.manifest.panorama import CODE_FOLDER

_VERSION: Final = re.compile(r"(?:py|python)[:-]?(3\.\d{1,2})", re.IGNORECASE)
#: Python of AWS's base images.
_BASE: Final = (("1.2.1", "3.8"), ("1.2.0-py3.8", "3.8"), ("1.", "3.7"))


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """What was found.

    Attributes:
        base: image that it begins with.
        copies: (file or folder in the package, place below ``/panorama``).
        elsewhere: ``COPY`` and ``ADD`` to other places, as they stand.
        packages: what ``pip install`` names.
        other: other commands that change the image, as they stand.
        environment: ``ENV``, which had no effect on the appliance.
    """

    base: str = ""
    copies: tuple[tuple[str, str], ...] = ()
    elsewhere: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()

    @property
    def python(self) -> str:
        """Version of Python that the base image had; empty where its name does not say."""
        match = _VERSION.search(self.base)
        if match:
            return match[1]
        if "panorama" not in self.base:
            return ""
        tag = self.base.rpartition(":")[2]
        return next((version for start, version in _BASE if tag.startswith(start)), "")


def read_dockerfile(text: str) -> Dockerfile:
    """Read what matters; what it does not understand is kept as it stands."""
    base = ""
    copies: list[tuple[str, str]] = []
    elsewhere: list[str] = []
    packages: list[str] = []
    other: list[str] = []
    environment: list[str] = []
    folder = "/"
    for word, rest in _instructions(text):
        if word == "FROM":
            base = rest.split()[0] if rest.split() else ""
        elif word == "WORKDIR":
            folder = posixpath.join(folder, rest.strip())
        elif word in ("COPY", "ADD"):
            found = _copies(rest, folder)
            copies += found
            if not found:
                elsewhere.append(f"{word} {rest}")
        elif word == "RUN":
            installed, left = _installed(rest)
            packages += installed
            other += left
        elif word == "ENV":
            environment.append(rest)
    return Dockerfile(base, tuple(copies), tuple(elsewhere), tuple(packages), tuple(other), tuple(environment))


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    joined = re.sub(r"\\[ \t]*\r?\n", " ", text)
    for line in joined.splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word.upper(), rest.strip()


def _copies(rest: str, folder: str) -> list[tuple[str, str]]:
    words = _words(rest)
    words = [word for word in words if not word.startswith("--")]
    if len(words) < 2:
        return []
    *sources, target = words
    whole = posixpath.normpath(posixpath.join(folder, target))
    if whole != CODE_FOLDER and not whole.startswith(f"{CODE_FOLDER}/"):
        return []
    inside = whole.removeprefix(CODE_FOLDER).strip("/")
    if target.endswith("/") or len(sources) > 1 or whole == CODE_FOLDER:
        inside += "/"
    return [(source.removeprefix("./").rstrip("/") or ".", inside) for source in sources]


def _words(rest: str) -> list[str]:
    try:
        if rest.startswith("["):
            return [str(word) for word in json.loads(rest)]
        return shlex.split(rest)
    except ValueError:
        return rest.split()


def _installed(rest: str) -> tuple[list[str], list[str]]:
    """Packages that ``pip install`` names in a command line, and the commands that are something else."""
    packages: list[str] = []
    other: list[str] = []
    for command in re.split(r"&&|;|\|\|", rest):
        words = _words(command.strip())
        at = next((index for index, word in enumerate(words) if word == "install"), -1)
        if at > 0 and any(re.fullmatch(r"pip[0-9.]*", word) for word in words[:at]):
            packages += _named(words[at + 1 :])
        elif words and words[0] not in ("cd", "echo", "true"):
            other.append(" ".join(words))
    return packages, other


def _named(words: list[str]) -> list[str]:
    """Arguments of ``pip install`` that name a package: no options, no files, not pip itself."""
    found = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in ("-r", "--requirement", "-i", "--index-url", "-f", "--find-links", "-t", "--target", "-c")
        elif re.match(r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?([=<>!~].*)?$", word) and word not in (
            "pip",
            "setuptools",
            "wheel",
        ):
            found.append(word)
    return found
