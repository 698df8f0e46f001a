"""Publishes checkable pictures as fast as it can, changing their size now and then; run by the stress test."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.frames.pattern import info, picture
from vedette.adapters.frames import FrameStoreWriter


def main() -> None:
    store = FrameStoreWriter(Path(sys.argv[1]), "gate")
    print("ready", flush=True)
    frame_no = 0
    sizes = ((320, 240), (321, 241), (640, 360))
    while True:
        width, height = sizes[(frame_no // 5000) % len(sizes)]
        store.publish(info(frame_no, width, height), picture(frame_no, width, height))
        frame_no += 1


if __name__ == "__main__":
    main()
