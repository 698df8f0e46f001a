"""Lists of what is installed, and recipes that hold their digests: a start compares every file with what was built.

Each artefact holds ``.files.json``: its own files and those of the environment that ``install.sh`` makes of its wheels,
with size and SHA-256. The recipe's scripts compare the digests of the lists, of ``verify.py`` that reads them, and of
the scripts themselves, before they start any of these. The recipe is not part of what is installed.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from vedette.contracts.errors import UsageError
from vedette.local.building.archive import Member

LIST_NAME: Final = ".files.json"
CODE: Final = "V606"
_WHERE: Final = "{artifacts:decompressedPath}"
_VERIFIER: Final = "verify.py"
#: What the recipe's scripts call, and what these read before anything is compared.
_CALLED: Final = ("python.sh", _VERIFIER)
_CALL: Final = re.compile(
    r"exec sh \{artifacts:decompressedPath\}/(?P<folder>[^/{}\s]+)/(?P<script>install|run)\.sh(?P<rest>.*)", re.DOTALL
)
_DATA: Final = re.compile(r"[^/]+\.data/([^/]+)/(.+)")
_CHUNK: Final = 1 << 20

#: Path below a folder → size and SHA-256.
Listed = dict[str, tuple[int, str]]


def sealed(
    document: Mapping[str, Any], archives: Mapping[str, list[Member]], python: str
) -> tuple[dict[str, Any], dict[str, list[Member]]]:
    """Add the lists to the archives and their digests to the recipe.

    Args:
        document: the recipe; its scripts begin with ``exec sh {artifacts:decompressedPath}/FOLDER/run.sh``.
        archives: name of each artefact → what is in it.
        python: of the environment, such as ``3.11``; empty where there is none.

    Raises:
        UsageError: V710, a wheel does not say what it installs.
        ValueError: a script calls something else, so that nothing would be compared.
        OSError: a file cannot be read.
    """
    lists = {name: _list(members, python) for name, members in archives.items()}
    scripts = {name.removesuffix(".zip"): members for name, members in archives.items()}
    pins = {f"{name.removesuffix('.zip')}/{LIST_NAME}": _sha256(content) for name, content in lists.items()}
    manifests = [
        {**manifest, "Lifecycle": {key: _pinned(one, scripts, pins) for key, one in manifest["Lifecycle"].items()}}
        for manifest in document["Manifests"]
    ]
    kept = {name: [*members, Member(LIST_NAME, lists[name])] for name, members in archives.items()}
    return {**document, "Manifests": manifests}, kept


def _pinned(step: Mapping[str, Any], scripts: Mapping[str, list[Member]], pins: Mapping[str, str]) -> dict[str, Any]:
    """A step of the lifecycle whose script compares before it calls. No braces: nucleus lite takes them for its own."""
    call = _CALL.fullmatch(step["Script"])
    if call is None or call["folder"] not in scripts:
        raise ValueError(f"script {step['Script']!r}: it calls no script of an artefact")
    folder, script = call["folder"], f"{call['script']}.sh"
    wanted = {f"{folder}/{name}": _digest(scripts[folder], name) for name in (script, *_CALLED)} | dict(pins)
    lines = "; ".join(f'echo "{digest}  {_WHERE}/{name}"' for name, digest in sorted(wanted.items()))
    content = next((name for name in scripts if name != folder), folder)
    refused = (
        f"exec sh -c 'echo \"error {CODE} installed files were changed: $0. Deploy the component again.\" >&2; exit 1' "
        '"$found"'
    )
    compared = f"found=$( ({lines}) | sha256sum -c 2>&1) || {refused}"
    called = f"exec sh {_WHERE}/{folder}/{script} --verify {_WHERE}/{content}/{call['rest']}"
    return {**step, "Script": f"{compared}; {called}"}


def _list(members: Iterable[Member], python: str) -> bytes:
    """The list of an archive."""
    by_name = {member.name: member for member in members}
    document: dict[str, Any] = {"files": {name: _measured(one) for name, one in by_name.items()}}
    wheels = [one for name, one in by_name.items() if name.startswith("wheelhouse/")]
    if wheels:
        lock = by_name["requirements.txt"].source
        assert isinstance(lock, bytes)
        site = f"lib/python{python}/site-packages"
        files = {name: entry for wheel in wheels for name, entry in _installed(wheel, site)}
        document["environment"] = {"folder": f"venv-{_sha256(lock)[:16]}", "files": files}
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def _installed(wheel: Member, site: str) -> Iterator[tuple[str, tuple[int, str]]]:
    """Files that pip makes of a wheel, but for programs and headers, which an environment of ours does not keep.

    Digests are those of the wheel's own record; the wheel as a whole is compared with the lock.
    """
    assert isinstance(wheel.source, Path)
    with zipfile.ZipFile(wheel.source) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}
        record = next((name for name in sizes if name.count("/") == 1 and name.endswith(".dist-info/RECORD")), None)
        if record is None:
            raise UsageError(f"{wheel.source.name}: it has no record of its files.", code="V710")
        told = {row[0]: row[1] for row in csv.reader(io.StringIO(archive.read(record).decode())) if row}
    for name, size in sizes.items():
        if name.startswith(record):  # pip writes its own; signatures of it have no digest
            continue
        placed = _placed(name, site)
        if placed:
            yield placed, (size, _hexadecimal(wheel.source.name, name, told.get(name, "")))


def _placed(name: str, site: str) -> str:
    """Where pip puts a file of a wheel, in the environment; empty where it is not kept."""
    part = _DATA.fullmatch(name)
    if part is None or part[1] in ("purelib", "platlib"):
        return f"{site}/{part[2] if part else name}"
    return part[2] if part[1] == "data" else ""


def _hexadecimal(wheel: str, name: str, told: str) -> str:
    kind, _, text = told.partition("=")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raw = b""
    if kind != "sha256" or len(raw) != 32:
        raise UsageError(f"{wheel}: its record has no SHA-256 of {name}.", code="V710")
    return raw.hex()


def _measured(member: Member) -> tuple[int, str]:
    if isinstance(member.source, bytes):
        return len(member.source), _sha256(member.source)
    told = hashlib.sha256()
    with member.source.open("rb") as content:
        while chunk := content.read(_CHUNK):
            told.update(chunk)
    return member.size(), told.hexdigest()


def _digest(members: Iterable[Member], name: str) -> str:
    (found,) = (member for member in members if member.name == name)
    return _measured(found)[1]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
