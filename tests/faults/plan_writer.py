"""Saves a plan again and again until it is killed; see ``alert_writer`` for how it is told to."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from tests.alerting.scene import plan
from tests.faults.alert_writer import main, say
from vedette.adapters.state.files import write_durably


def work(asked: dict[str, Any]) -> None:
    """One life. Plans are of different sizes, and each says its number when it is safe."""
    path = Path(asked["folder"]) / "plan.json"
    for revision in itertools.count(int(asked["first"])):
        content = plan([f"cam{n}" for n in range(1 + revision % 40)], revision=revision).model_dump_json(indent=1)
        if asked["mutant"]:
            path.write_text(content, encoding="utf-8")
        else:
            write_durably(path, content.encode())
        say(f"acked {revision}")


if __name__ == "__main__":
    main(work)
