"""The process in which TensorRT builds an engine: ``python -m vedette.adapters.engines.engine_builder``.

Standard input: one line of JSON, then the bytes of the model. Standard output: one JSON object, ``{"why": ""}`` where
the engine lies whole in its directory, else why it does not.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

from vedette.adapters.confinement import privileges
from vedette.adapters.engines.accelerators import TENSORRT, Accelerator
from vedette.adapters.engines.engine_cache import EngineCache, EngineKey

#: Pictures go before: the model runs somewhere else meanwhile.
NICENESS: Final = 10
_TEXT_LIMIT: Final = 400


def main() -> None:
    """Read the question, build, answer."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    os.nice(NICENESS)
    header = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with, args=(int(header["life"]),), daemon=True).start()
    privileges.gain_nothing()
    try:
        why = _build(header, sys.stdin.buffer.read())
    except Exception as error:  # noqa: BLE001 - process boundary: what a driver raises becomes a reason
        why = str(error) or type(error).__name__
    os.write(answer, json.dumps({"why": " ".join(why.split())[:_TEXT_LIMIT]}).encode())


def _end_with(descriptor: int) -> None:
    """End when the process that asked has ended: nobody writes into this pipe, so it is readable only then."""
    os.read(descriptor, 1)
    os._exit(1)


def _build(header: dict[str, Any], data: bytes) -> str:
    """Build, one model at a time on this device; empty, or why it was not possible."""
    from vedette.adapters.engines.trial import run_once
    from vedette.contracts.manifest import Model

    model = Model.model_validate(header["model"])
    key = EngineKey(**header["key"] | {"precision": model.precision, "device": tuple(header["key"]["device"])})
    folder = Path(header["folder"])
    cache = EngineCache(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if cache.whole(key):
            return ""
        place = cache.prepare(key)
        accelerator = Accelerator(
            key.gpu, int(header["memory_bytes"]), key.workspace_bytes, model.precision, engines=place
        )
        providers, degraded = run_once(data, model, accelerator)
        if TENSORRT not in providers:
            cache.forget(key)
            return degraded.removeprefix("V306 ")
        if not cache.keep(key):
            cache.forget(key)
            return "TensorRT took no part of this model and built nothing"
        return ""


if __name__ == "__main__":
    main()
