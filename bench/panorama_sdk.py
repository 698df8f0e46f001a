"""What ``panoramasdk`` itself costs its code: ``python -m bench.panorama_sdk [PYTHON]``.

A process as an application has one asks a real server for pictures of 1920x1080, parameters and calls; the model does
nothing, so that what is left is the way there and back. PYTHON runs the code; another version may be given.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.panorama.serving import MadeUp, rig
from vedette.ports.panorama import OutputPicture

_ROUNDS: Final = 200
_CODE: Final = """
    import sys, time
    import numpy as np, panoramasdk
    ROUNDS = int(sys.argv[1])
    node = panoramasdk.node()
    tensor = np.zeros((1, 3, 640, 640), np.float32)

    def timed(what, run):
        spent = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            run()
            spent.append(1e3 * (time.perf_counter() - started))
        spent.sort()
        print("{:44} p50 {:7.3f} ms   p95 {:7.3f} ms".format(what, spent[ROUNDS // 2], spent[ROUNDS * 95 // 100]))

    def put():
        for _ in range(20):
            pictures[0].add_rect(0.1, 0.2, 0.3, 0.4)
            pictures[0].add_label("person", 0.1, 0.2)
        node.outputs.video_out.put(pictures)
        del pictures[0]._annotations[:]
        pictures[0]._size = 0

    print("Python {}, NumPy {}".format(sys.version.split()[0], np.__version__))
    timed("a parameter", lambda: node.inputs.threshold.get())
    timed("a picture of 1920x1080, written and read", lambda: node.inputs.video_in.get())
    kept = [node.inputs.video_in.get() for _ in range(6)]
    timed("the same, copied because all are kept", lambda: node.inputs.video_in.get())
    pictures = kept[0]
    timed("call: 4.9 MB there, 8 bytes back", lambda: node.call({"data": tensor}, "nothing"))
    timed("call: 4.9 MB there and back", lambda: node.call({"data": tensor}, "double"))
    timed("put with 20 rectangles and labels", put)
"""


class _Nothing:
    """Models and outputs: gives what it was given, or next to nothing; computes neither, keeps nothing."""

    def run(self, node: str, inputs: Any) -> tuple[Any, ...]:
        """See ``TensorRunner``."""
        (data,) = inputs.values()
        return (data,) if node == "double" else (np.zeros(1),)

    def put(self, port: str, pictures: Sequence[OutputPicture]) -> None:
        """See ``OutputSink``."""


def main() -> None:
    """Print one line for each kind of request."""
    python = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    with tempfile.TemporaryDirectory() as folder, rig(Path(folder)) as host:
        host.model.run = _Nothing().run  # type: ignore[method-assign]
        host.sink.put = _Nothing().put  # type: ignore[method-assign]
        for number in range(2 * _ROUNDS + 6):
            host.feed.give(MadeUp("a", number, size=(1920, 1080)))
        process = host.start(_CODE.replace("sys.argv[1]", str(_ROUNDS)), python)
        out, err = process.communicate(timeout=120)
        print(out, end="")
        if process.returncode:
            print(err, file=sys.stderr)
            raise SystemExit(process.returncode)


if __name__ == "__main__":
    main()
