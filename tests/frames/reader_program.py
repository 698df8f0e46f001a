"""Checks every pixel of the pictures it leases for some seconds; prints what it saw. Run by the stress test."""

from __future__ import annotations

import json
import select
import sys
import time
from pathlib import Path

from tests.frames.pattern import intact
from vedette.adapters.frames import FrameStoreClient
from vedette.contracts.errors import CameraError


def main() -> None:
    path, seconds = Path(sys.argv[1]), float(sys.argv[2])
    seen = {"pictures": 0, "torn": 0, "backwards": 0, "late": 0, "sizes": 0, "lost": 0}
    deadline_s = time.monotonic() + seconds
    after, size = None, None
    client = FrameStoreClient(path)
    print("connected", flush=True)
    while time.monotonic() < deadline_s:
        try:
            client.arm(after, 0.0)
            select.select([client], [], [], 0.5)
            lease = client.latest()
        except CameraError:
            seen["lost"] += 1
            client.close()
            break
        if lease is None:
            continue
        good = intact(lease.pixels, lease.info.frame_no)
        if after is not None and lease.info.frame_no <= after.frame_no:
            seen["backwards"] += 1
        after = lease.info
        if size != (after.width, after.height):
            size = (after.width, after.height)
            seen["sizes"] += 1
        if lease.release():
            seen["pictures"] += 1
            seen["torn"] += not good
        else:
            seen["late"] += 1
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
