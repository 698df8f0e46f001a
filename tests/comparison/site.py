"""A device with a running version and a candidate, without cameras: rows of the journal are written by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.comparison.test_counting import Thing, batch
from tests.comparison.test_plan import CAMERAS, attached, manifest
from vedette.adapters.journal.sqlite import SqliteJournalWriter
from vedette.adapters.state.owner import StateOwner
from vedette.compose.candidate import Candidate, Surroundings
from vedette.contracts.comparison import ComparisonReport
from vedette.contracts.config import CandidateConfig
from vedette.contracts.errors import DeliveryError

ROLLOUT = "rollout-1"
POLICY = {"frames": 50, "warm_up": 0, "least_pictures": 1, "timeout_s": 600}


@dataclass
class Site:
    """What a test works with. Time stands still until it is moved."""

    root: Path
    owner: StateOwner
    at_s: float = 1000.0
    told: list[ComparisonReport] = field(default_factory=list)
    offline: bool = False
    tests: Sequence[str] = ()
    rows: int = 0

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def folder(self) -> Path:
        return self.root / "new"

    def publish(self, payload: bytes) -> None:
        if self.offline:
            raise DeliveryError("no network.", code="V502")
        self.told.append(ComparisonReport.model_validate_json(payload))

    def candidate(self, *, policy: dict[str, Any] | None = None, rollout: str = ROLLOUT) -> Candidate:
        task = {"rollout_id": rollout, "policy": POLICY | (policy or {})}
        config = CandidateConfig.model_validate(
            # As nucleus lite hands it over: every value is text.
            {"stateDirectory": str(self.state), "bindings": '{"door": "east"}', "task": json.dumps(task)}
        )
        around = Surroundings(self.folder, manifest(version="0.2.0"), "dev", self.work, self.publish, self.tests)
        return Candidate(around, config, lambda: self.at_s, lambda: datetime(2026, 11, 27, tzinfo=UTC))

    @staticmethod
    def kill(candidate: Candidate) -> None:
        """As ``kill -9`` ends it: the kernel closes what was open, and that is all."""
        candidate._hang_up()
        if candidate._journal is not None:
            candidate._journal.close()

    def step(self, candidate: Candidate, seconds: float = 2.0) -> None:
        """Let time pass, then do what is due."""
        self.at_s += seconds
        candidate.step()

    def write(self, rows: Sequence[tuple[str, int, list[Thing]]], epoch: str = "e") -> None:
        """Rows: name in the journal, number of the picture, objects."""
        from dataclasses import replace

        writer = SqliteJournalWriter(self.state / "journal.db", self.state / "run" / "alerting.bell")
        for source, number, things in rows:
            made = batch(number, things, epoch)
            made = replace(made, pipeline=source, frame=replace(made.frame, camera="east"))
            writer.append(made)
        writer.close()

    def pictures(self, first: int, last: int) -> None:
        """Both versions see the same object in each."""
        scene: list[Thing] = [(1, "car", 0.0)]
        self.write([(source, n, scene) for n in range(first, last) for source in ("gate/main", "candidate:gate/main")])


@contextmanager
def site(root: Path, *, running: bool = True) -> Iterator[Site]:
    """A device on which version 0.1.0 runs."""
    (root / "new").mkdir()
    (root / "work").mkdir()
    owner = StateOwner(root / "state")
    owner.start()
    try:
        owner.set_cameras(CAMERAS)
        if running:
            owner.attach(attached(manifest()))
        yield Site(root, owner)
    finally:
        owner.close()


def printing(document: object, code: int = 0) -> tuple[str, ...]:
    """A command that prints a document as the tests of an application do."""
    script = f"import sys; print({json.dumps(document)!r}); sys.exit({code})"
    return (sys.executable, "-c", script)
