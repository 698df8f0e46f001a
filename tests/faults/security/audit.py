"""`make audit`: known weaknesses of everything in requirements/, as far as the package index tells them here.

pip-audit asks the index, then OSV, for each locked version. It ends well too where nobody answered, so a version with known
weaknesses is asked for beside the others: where nothing is found of that one, nothing was measured. Where both are out of
reach, the index's page of each project is asked: it tells the weaknesses of the newest release, and of no other.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from tests.faults.scorecard import REPOSITORY

PROGRAM: Final = REPOSITORY / "build" / "audit" / "bin" / "pip-audit"
LOCKS: Final = tuple(sorted((REPOSITORY / "requirements").glob("*.txt")))
#: CVE-2018-18074 and later ones: whoever has the data knows it.
WEAK: Final = "requests==2.19.1"
SERVICES: Final = ("pypi", "osv")
#: Given up by its makers: its newest release has CVE-2013-7459 and CVE-2018-6594.
WEAK_NEWEST: Final = "pycrypto"
NEWEST: Final = "the index, of newest releases"
_LIMIT_S: Final = 300
#: What a command tells: well, something found, nothing measured.
WELL, FOUND, NOT_MEASURED = 0, 1, 2


@dataclass(frozen=True)
class Audit:
    """What came of it.

    Attributes:
        service: who was asked.
        asked: versions that were looked up.
        weak: ``name version: identifiers``, of ours.
        unknown: versions of which the service has nothing.
        control: weaknesses it names of ``WEAK``.
        trouble: why it could not be asked; empty where it could.
    """

    service: str
    asked: int = 0
    weak: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    control: int = 0
    trouble: str = ""

    @property
    def measured(self) -> bool:
        """Whether the absence of a finding means anything."""
        return not self.trouble and self.control > 0 and self.asked > 0

    @property
    def complete(self) -> bool:
        """Whether it means everything that is locked."""
        return self.measured and not self.unknown


def read(service: str, said: str) -> Audit:
    """What pip-audit's JSON says.

    Raises:
        ValueError: it is none.
    """
    document = json.loads(said)
    weak, unknown, control, asked = set[str](), set[str](), 0, set[str]()
    for one in document["dependencies"]:
        if "skip_reason" in one:
            unknown.add(str(one["skip_reason"]))
            continue
        name = f"{one['name']}=={one['version']}"
        found = sorted({str(each["id"]) for each in one["vulns"]})
        if name == WEAK:
            control = len(found)
            continue
        asked.add(name)
        if found:
            weak.add(f"{name}: {', '.join(found)}")
    return Audit(service, len(asked), tuple(sorted(weak)), tuple(sorted(unknown)), control)


def audit(service: str, locks: Sequence[Path] = LOCKS, address: str = "") -> Audit:
    """Ask one service about everything locked, and about the weak version; ``address`` of an OSV other than the public one."""
    at = ("--osv-url", address) if address else ()
    with tempfile.TemporaryDirectory() as work:
        control = Path(work, "control.txt")
        control.write_text(f"{WEAK}\n")
        beside = _ask(service, control, at)
    if beside.trouble or not beside.control:
        return beside
    rounds = [_ask(service, lock, (*at, "--require-hashes")) for lock in locks]
    return Audit(
        service,
        sum(one.asked for one in rounds),
        tuple(sorted({weak for one in rounds for weak in one.weak})),
        tuple(sorted({unknown for one in rounds for unknown in one.unknown})),
        beside.control,
        next((one.trouble for one in rounds if one.trouble), ""),
    )


def _ask(service: str, lock: Path, options: Sequence[str]) -> Audit:
    command = [str(PROGRAM), "--vulnerability-service", service, "--no-deps", "--disable-pip", *options]
    command += ["--progress-spinner", "off", "--format", "json", "--requirement", str(lock)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL)
        return read(service, done.stdout)
    except subprocess.TimeoutExpired:
        return Audit(service, trouble=f"no answer in {_LIMIT_S} s")
    except OSError as error:
        return Audit(service, trouble=f"{PROGRAM}: {error.strerror}; `make audit` installs it")
    except (ValueError, KeyError, TypeError):
        return Audit(service, trouble=(done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200])


def locked(locks: Sequence[Path] = LOCKS) -> list[tuple[str, str]]:
    """(name, version) of everything locked, each once."""
    pattern = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
    return sorted({(found[1], found[2]) for lock in locks for found in pattern.finditer(lock.read_text("utf-8"))})


def newest(wanted: Sequence[tuple[str, str]], index: str = "") -> Audit:
    """Ask the index's pages of projects, one after the other.

    Args:
        wanted: (name, version).
        index: address of the pages; that of pip's own index where empty.
    """
    index = index or str(import_module("pip._internal.models.index").PyPI.pypi_url)
    try:
        _, known = _page(index, WEAK_NEWEST)
        weak, unknown = [], []
        for name, version in wanted if known else ():
            latest, ids = _page(index, name)
            if latest != version:
                unknown.append(f"{name} {version} (newest: {latest})")
            elif ids:
                weak.append(f"{name}=={version}: {', '.join(ids)}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Audit(NEWEST, trouble=f"{type(error).__name__}: {error}"[:200])
    asked = len(wanted) - len(unknown) if known else 0
    return Audit(NEWEST, asked, tuple(weak), tuple(unknown), len(known))


def _page(index: str, name: str) -> tuple[str, list[str]]:
    """Newest version of a project, and what is known of it."""
    with urllib.request.urlopen(f"{index}/{name}/json", timeout=20) as answer:
        page = json.load(answer)
    return str(page["info"]["version"]), sorted({str(one["id"]) for one in page["vulnerabilities"]})


def best() -> Audit:
    """A service that knows all versions, else the index's pages."""
    for service in SERVICES:
        found = audit(service)
        if found.complete or found.weak:
            return found
    return newest(locked())


def told(found: Audit) -> str:
    """For people."""
    rest = f"NOT MEASURED HERE: {len(found.unknown)} others: {', '.join(found.unknown)}." if found.unknown else ""
    if found.weak:
        head = f"{len(found.weak)} locked versions with known weaknesses ({found.service}):"
        return "\n".join([head, *found.weak, *([rest] if rest else [])])
    if found.measured:
        said = f"No known weakness in {found.asked} locked versions ({found.service}; its control: {found.control})."
        return f"{said}\n{rest}".rstrip()
    why = found.trouble or "nothing is known of anything"
    return (
        f"NOT MEASURED HERE: neither the package index nor OSV gave its data on known weaknesses, not even of {WEAK} or "
        f"{WEAK_NEWEST}, which have some. Last said: {found.service}: {why}."
    )


def main() -> int:
    """Audit, print, and say by the exit code what came of it."""
    found = best()
    print(told(found))
    if found.weak:
        return FOUND
    return WELL if found.complete else NOT_MEASURED


if __name__ == "__main__":
    sys.exit(main())
