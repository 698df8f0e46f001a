"""Lets environments on one disk share the files that are equal:  share.py ENVIRONMENT  (called by install.sh)

Components have an environment each, and most files in them are the same. Here each file that has an equal in another
environment beside it (``./venv-*``, ``../vedette.*/venv-*``) becomes a hard link to that one. Nothing depends on it: a
file that cannot be shared stays a copy, a link survives the removal of the other environment, and nothing writes into
files of an environment that is finished. Only standard library: it runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# As long as others may share; whoever waits longer goes on without.
LOCK_LIMIT_S = 60.0
CHUNK = 1 << 20
# Not one that is being made: pip still writes into it.
FINISHED = re.compile(r"^venv-[0-9a-f]{16}$")


def share(environment: Path) -> tuple[int, int]:
    """Replace files of an environment by links to equal ones of the others.

    Args:
        environment: directory ``venv-DIGEST`` in the working directory of its component.

    Returns:
        Number of files replaced, and their size in bytes.
    """
    new = environment / ".shared"  # one name: what a run leaves that is killed, the next one takes away
    new.unlink(missing_ok=True)
    files = size = 0
    for site in sorted(environment.glob("lib/python*/site-packages")):
        others = _others(environment, site)
        for path in _files(site):
            with contextlib.suppress(OSError):  # vanished, another file system, not allowed: the copy stays
                shared = _share_file(path, [other / path.relative_to(site) for other in others], new)
                files, size = files + bool(shared), size + shared
    return files, size


def _others(environment: Path, site: Path) -> list[Path]:
    """The same directory in the finished environments beside it: of this component, and of ours beside it."""
    work = environment.resolve().parent
    here = site.relative_to(environment)
    found = []
    with contextlib.suppress(OSError):
        places = [work, *sorted(each for each in work.parent.glob("vedette.*") if each != work)]
        for place in places:
            finished = sorted(each for each in place.glob("venv-*") if FINISHED.match(each.name))
            found += [each / here for each in finished if each.name != environment.name or place != work]
    return found


def _files(site: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(site):
        yield from (Path(folder) / name for name in names)


def _share_file(path: Path, candidates: list[Path], new: Path) -> int:
    """Size of the file where it was replaced, else 0."""
    mine = path.lstat()
    # One that is shared already stays with those it is shared with, or these would be left with a copy of their own.
    if not stat.S_ISREG(mine.st_mode) or not mine.st_size or mine.st_nlink > 1 or mine.st_uid != os.geteuid():
        return 0
    for candidate in candidates:
        with contextlib.suppress(OSError):  # another one may do
            theirs = candidate.lstat()
            if _alike(mine, theirs) and _link_equal(path, candidate, theirs, new):
                return mine.st_size
    return 0


def _alike(mine: os.stat_result, theirs: os.stat_result) -> bool:
    """The same disk, owner, rights and size; so a link gives nobody a right that the copy did not."""
    keys = ("st_dev", "st_uid", "st_gid", "st_mode", "st_size")
    return all(getattr(mine, key) == getattr(theirs, key) for key in keys)


def _link_equal(path: Path, candidate: Path, theirs: os.stat_result, new: Path) -> bool:
    try:
        # Linked first and read through the link: what was compared is what takes the file's place.
        os.link(candidate, new, follow_symlinks=False)
        if not os.path.samestat(new.lstat(), theirs) or not _equal(path, new):
            return False
        os.replace(new, path)
        return True
    finally:
        new.unlink(missing_ok=True)


def _equal(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            part = first.read(CHUNK)
            if part != second.read(CHUNK):
                return False
            if not part:
                return True


@contextlib.contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    """Two that share with each other at once would swap their files and save nothing."""
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield
        return
    try:
        until = time.monotonic() + LOCK_LIMIT_S
        while time.monotonic() < until:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        os.close(lock)


def main(environment: Path) -> None:
    """Share, and say how much."""
    try:
        with _one_at_a_time(environment.resolve().parent.parent):
            files, size = share(environment)
    except OSError as error:
        sys.stderr.write(f"install: {environment} stays a copy as a whole: {error}\n")
        return
    if files:
        sys.stdout.write(f"install: {files} files ({size / 1e6:.0f} MB) are shared with other environments\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
