"""The process in which a model is tried first: ``python -m vedette.adapters.engines.canary``.

Standard input: one line of JSON (``model``, ``memory_bytes``, ``cpu_s``), then the bytes of the model. Standard
output: one JSON object, ``{"ok": true, "size": [w, h], "run_s": t}`` or ``{"ok": false, "code", "message", "hint"}``.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final

from vedette.adapters.engines.confine import confine

_ANSWER_BYTES: Final = 16 << 10
_TEXT_LIMIT: Final = 400


def main() -> None:
    """Read the question, try the model, answer."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    header = json.loads(sys.stdin.buffer.readline())
    confine(int(header["memory_bytes"]), int(header["cpu_s"]), _ANSWER_BYTES)
    os.write(answer, json.dumps(_try(header["model"], sys.stdin.buffer.read())).encode())


def _try(document: dict[str, Any], data: bytes) -> dict[str, Any]:
    from vedette.contracts.errors import ModelError
    from vedette.contracts.manifest import Model

    model = Model.model_validate(document)
    try:
        from vedette.adapters.engines.trial import trial

        size, run_s = trial(data, model)
    except ModelError as error:
        return {"ok": False, "code": error.code, "message": error.message, "hint": error.hint}
    except MemoryError:
        return _refusal(model, "needs more memory than a trial run may have", "Use a smaller model.")
    except Exception as error:  # noqa: BLE001 - process boundary: whatever a hostile file raises becomes a refusal
        return _refusal(model, f"cannot be tried: {error}", "Export it again.")
    return {"ok": True, "size": size, "run_s": run_s}


def _refusal(model: Any, what: str, hint: str) -> dict[str, Any]:
    text = " ".join(f"{model.file} {what}".split())[:_TEXT_LIMIT]
    return {"ok": False, "code": "V302", "message": text.rstrip(".") + ".", "hint": hint}


if __name__ == "__main__":
    main()
