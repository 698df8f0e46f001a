"""``python -m vedette.local.cloud``: the sandbox's server, in this process until it is told to end."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from vedette.contracts.errors import VedetteError


def main() -> int:
    """Serve."""
    parser = argparse.ArgumentParser(prog="python -m vedette.local.cloud")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--region", required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    from vedette.local.cloud.server import Sandbox
    from vedette.local.cloud.world import World

    try:
        Sandbox(World(given.port, given.directory, given.region)).run()
    except VedetteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
