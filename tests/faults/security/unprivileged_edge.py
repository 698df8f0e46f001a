"""A whole edge side, for a process to run as an ordinary user: ``python -m tests.faults.security.unprivileged_edge DIR``.

One camera, one application with a hook. Prints one line once everything is analysed and the hook runs, a JSON object
with the first process of each component and the hook's own; ends when standard input does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.edge.made_up import clip
from tests.edge.running import Watched, wait_until
from tests.edge.test_hooks_live import Running
from vedette.local.edge import Edge
from vedette.local.simulated import SimulatedCameras

LIMIT_S = 90.0


def main(folder: Path) -> None:
    """Run it in a folder of its own, whose path is short."""
    recording = clip(folder / "gate.mp4", [(2.0, 4.0)], 6.0)
    with SimulatedCameras({"gate": recording}, log_file=folder / "simulator.log") as simulated:
        rig = Running(folder, dict(simulated.urls))
        with Edge(rig.settings) as edge:
            watched = Watched(edge, rig.settings.alerts_file)
            edge.core.subscribe_local("vedette/#", watched.listen)
            edge.core.subscribe_local("vedette/hooks/#", rig.listen)
            watched.wait_streaming({"gate"}, LIMIT_S)

            def hook() -> Any:
                return rig.hooks.get("visits", {})

            wait_until(lambda: hook().get("state") == "RUNNING", LIMIT_S, f"the hook runs: {rig.hooks}")
            first = {name: state.pid for name, state in edge.core.states().items() if state.pid is not None}
            print(json.dumps({"components": first, "hook": hook()["pid"]}), flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
