"""The confined process: ``python -m vedette.adapters.hooks.child.main CONTROL BROKER`` (two descriptors).

The process that the warden starts enters namespaces and starts the process proper, which is the first of its own
numbering; then it ends. The process proper builds the walls, says which stand, and serves calls.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

from vedette.adapters.confinement import walls
from vedette.adapters.hooks import framing


def main() -> None:
    """Become confined, then serve until the warden hangs up."""
    control, broker = (socket.socket(fileno=int(text)) for text in sys.argv[1:3])
    first = framing.receive(control, [])
    if first is None:
        return
    allowance = _allowance(first["allowance"])
    launched = walls.launch(allowance)
    process = os.fork()
    if process:
        framing.send(control, {"pid": process})
        os._exit(0)
    if framing.receive(control, []) is None:  # the warden waits for the launcher's end first
        os._exit(0)
    kept = frozenset({0, 1, 2, control.fileno(), broker.fileno()})
    report = walls.build(allowance, launched, kept)
    framing.send(control, {"ready": _as_json(report)})
    from vedette.adapters.hooks.child.runtime import Runtime

    Runtime(control, broker, allowance.code, allowance.data).serve()
    os._exit(0)  # threads of the application must not keep the process


def _allowance(document: dict[str, Any]) -> walls.Allowance:
    forgo = frozenset(walls.Wall(name) for name in document.pop("forgo", ()))
    return walls.Allowance(**document, forgo=forgo)


def _as_json(report: walls.Report) -> dict[str, Any]:
    return {
        "standing": {wall.value: detail for wall, detail in report.standing.items()},
        "missing": {wall.value: why for wall, why in report.missing.items()},
        "sufficient": report.sufficient(),
    }


if __name__ == "__main__":
    main()
