"""Compares what is installed with the lists that the build wrote, before anything of it is imported.

    verify.py artefact FOLDER...        every file of unpacked artefacts, as install.sh needs them
    verify.py settle FOLDER NEW         makes a new environment what the list says, and compares it
    verify.py environment FOLDER WORK   a finished environment in a component's working directory
    verify.py start WORK FOLDER...      all that a start runs: artefacts without their wheels, and the environment

FOLDER holds a list ``.files.json``; the digests of the lists, of this file and of the scripts that call it are in the
component's recipe. Only standard library: it runs with ``-I -S``, by an interpreter that is not among these files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

LIST_NAME = ".files.json"
CODE = "V606"
# Read by pip alone, which install.sh starts after all of them were compared.
WHEELS = ("wheelhouse/", "installer/")
BYTE_CODE = "__pycache__"
CHUNK = 1 << 20
# Hashing runs outside of Python's lock; reading from the disk gains nothing from more.
THREADS = 4
NAMED = 5
# Path below a folder → size and SHA-256.
Listed = dict[str, list[Any]]


def artefact(folder: Path, skipped: tuple[str, ...] = ()) -> Iterator[str]:
    """What differs in an unpacked artefact.

    Args:
        folder: with its list.
        skipped: beginnings of paths whose files are compared by size only.
    """
    listed: Listed = read_list(folder)["files"]
    present = walk(folder)
    present.pop(LIST_NAME, None)
    yield from compare(folder, listed, present, lambda name: name.startswith(skipped))


def environment(folder: Path, work: Path) -> Iterator[str]:
    """What differs in the environment that an artefact's list describes, in the component's working directory."""
    described = read_list(folder).get("environment")
    if described:
        yield from check_environment(work / described["folder"], described["files"])


def check_environment(top: Path, listed: Listed) -> Iterator[str]:
    """What differs in an environment; its Python has to be the one that runs this."""
    present = walk(top)
    link, settings = "bin/python3", "pyvenv.cfg"
    if os.path.realpath(top / link) != os.path.realpath(base_python()):
        yield f"{top / link}: it is not {base_python()}"
    if not stat.S_ISREG(present.get(settings, 0)) or (top / settings).read_bytes() != own_settings():
        yield f"{top / settings}: it is not that of {base_python()}"
    for name in (link, settings):
        present.pop(name, None)
    # Some systems' Python has both names for one directory.
    if stat.S_ISLNK(present.get("lib64", 0)) and os.readlink(top / "lib64") == "lib":
        del present["lib64"]
    yield from compare(top, listed, present, lambda _name: False, {"bin"})


def settle(folder: Path, new: Path) -> Iterator[str]:
    """Take away what pip and venv add to the files of the wheels, and say what differs then."""
    listed: Listed = read_list(folder)["environment"]["files"]
    for name, mode in walk(new).items():
        if not stat.S_ISDIR(mode) and name not in listed and name != "lib64":
            (new / name).unlink()
    for name in sorted(walk(new), reverse=True):  # directories from the inside out; those with files stay
        if stat.S_ISDIR((new / name).lstat().st_mode) and not any((new / name).iterdir()):
            (new / name).rmdir()
    (new / "bin").mkdir(exist_ok=True)
    (new / "bin" / "python3").symlink_to(base_python())
    (new / "pyvenv.cfg").write_bytes(own_settings())
    yield from check_environment(new, listed)


def base_python() -> str:
    """The interpreter that runs this; where that is one of an environment, the one that it was made with."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def own_settings() -> bytes:
    """``pyvenv.cfg`` of an environment of this interpreter."""
    return f"home = {os.path.dirname(base_python())}\ninclude-system-site-packages = false\n".encode()


def read_list(folder: Path) -> dict[str, Any]:
    """The list of an artefact, whose digest the recipe has compared."""
    listed: dict[str, Any] = json.loads((folder / LIST_NAME).read_bytes())
    return listed


def walk(top: Path) -> dict[str, int]:
    """Everything below a folder → its mode. Byte code is taken away: Python makes it again from what was compared."""
    found: dict[str, int] = {}
    folders = [""]
    while folders:
        below = folders.pop()
        with os.scandir(top / below) as entries:
            for entry in entries:
                name = below + entry.name
                mode = entry.stat(follow_symlinks=False).st_mode
                if entry.name == BYTE_CODE and stat.S_ISDIR(mode):
                    shutil.rmtree(entry.path)
                    continue
                found[name] = mode
                if stat.S_ISDIR(mode):
                    folders.append(name + "/")
    return found


def compare(
    top: Path,
    listed: Listed,
    present: dict[str, int],
    by_size: Callable[[str], bool],
    folders: Iterable[str] = (),
) -> Iterator[str]:
    """What is missing, too much, or another file than the list says.

    Args:
        top: the folder.
        listed: what is to be there.
        present: what is there, with its modes.
        by_size: whether a file's content is left out.
        folders: that are there beside those of the listed files.
    """
    expected = {*folders}
    for name in listed:
        while name := name.rpartition("/")[0]:
            if name in expected:
                break
            expected.add(name)
    files = {name: mode for name, mode in present.items() if not stat.S_ISDIR(mode)}
    yield from (f"{top / name}: missing" for name in sorted(listed.keys() - files.keys()))
    yield from (f"{top / name}: not of this component" for name in sorted(files.keys() - listed.keys()))
    yield from (f"{top / name}: not of this component" for name in sorted(present.keys() - files.keys() - expected))
    plain = [name for name in files if name in listed and stat.S_ISREG(files[name])]
    yield from (f"{top / name}: it is not a plain file" for name in sorted(files.keys() & listed.keys() - {*plain}))
    asked: list[tuple[str, int, str]] = [(name, *listed[name]) for name in plain]
    asked.sort(key=lambda each: -each[1])
    yield from changed(top, [(name, size, "" if by_size(name) else sha256) for name, size, sha256 in asked])


def changed(top: Path, asked: list[tuple[str, int, str]]) -> list[str]:
    """Files with another size or content, compared by several threads; the largest are begun first."""
    wrong: list[str] = []
    waiting = iter(asked)
    lock = threading.Lock()

    def work() -> None:
        buffer = memoryview(bytearray(CHUNK))
        while True:
            with lock:
                each = next(waiting, None)
            if each is None:
                return
            name, size, sha256 = each
            try:
                same = is_same(f"{top}/{name}", size, sha256, buffer)
            except OSError as error:
                wrong.append(f"{top / name}: {error.strerror}")
                continue
            if not same:
                wrong.append(f"{top / name}: it was changed")

    threads = [threading.Thread(target=work) for _ in range(min(THREADS, os.cpu_count() or 1) - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    return sorted(wrong)


def is_same(path: str, size: int, sha256: str, buffer: memoryview) -> bool:
    """Whether a file has a size, and a content where one is asked for."""
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if os.fstat(opened).st_size != size:
            return False
        if not sha256:
            return True
        told = hashlib.sha256()
        while length := os.readv(opened, [buffer]):
            told.update(buffer[:length])
        return told.hexdigest() == sha256
    finally:
        os.close(opened)


def differences(what: str, folders: list[Path]) -> list[str]:
    """What a command finds; a list or a folder that cannot be read is a difference, too."""
    try:
        if what == "artefact":
            return [wrong for folder in folders for wrong in artefact(folder)]
        if what == "settle":
            return list(settle(*folders))
        if what == "environment":
            return list(environment(*folders))
        work, *unpacked = folders
        found = [wrong for folder in unpacked for wrong in artefact(folder, WHEELS)]
        return found + [wrong for folder in unpacked for wrong in environment(folder, work)]
    except OSError as error:
        return [f"{error.filename}: {error.strerror}"]
    except (ValueError, TypeError, KeyError) as error:
        return [f"{LIST_NAME}: it cannot be used: {error!r}"]


def main(what: str, *folders: str) -> int:
    """Exit status 1 with what differs on standard error."""
    wrong = differences(what, [Path(folder) for folder in dict.fromkeys(folders)])
    if wrong:
        more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        sys.stderr.write(f"error {CODE} installed files were changed: {'; '.join(wrong[:NAMED])}{more}.\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
