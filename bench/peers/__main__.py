"""Environments of the peers.

Examples:
    python -m bench.peers install             all: about 9 GB and a quarter of an hour, most of it Roboflow's
    python -m bench.peers install opencv pyav these alone
    python -m bench.peers list                what is there and how large it is
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from bench.peers import HERE, Peer, named


def main() -> int:
    """Install or list."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("install", "list"))
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    failed = []
    for peer in named(arguments.names):
        if arguments.action == "install" and not _install(peer):
            failed.append(peer.name)
        print(f"{peer.name}: {peer.missing() or f'ready, {size_mb(peer.folder):,.0f} MB'}", flush=True)
    if failed:
        print(f"not installed: {', '.join(failed)}; the others can be measured", file=sys.stderr)
    return 1 if failed else 0


def _install(peer: Peer) -> bool:
    """Whether its environment is there; one that is there with these versions is left alone."""
    wanted = (HERE / f"{peer.environment}.txt").read_text()
    done = peer.folder / ".installed"
    if done.exists() and done.read_text() == wanted:
        return True
    begun_s = time.monotonic()
    print(f"{peer.name}: installing …", flush=True)
    python = str(peer.folder / "bin" / "python")
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(peer.folder)],
        [
            python,
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "-r",
            str(HERE / f"{peer.environment}.txt"),
        ],
    )
    for step in steps:
        if subprocess.run(step).returncode:
            return False
    done.write_text(wanted)
    print(f"{peer.name}: installed in {time.monotonic() - begun_s:.0f} s", flush=True)
    return True


def size_mb(folder: Path) -> float:
    """Of all files, in MB."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    sys.exit(main())
