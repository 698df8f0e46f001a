"""How far a comparison has come, on disk: a process that is killed goes on where it was, and counts nothing twice."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from vedette.adapters.state.files import read_bounded, write_durably
from vedette.contracts.comparison import ComparisonPolicy, GoldenClips
from vedette.contracts.errors import StorageError
from vedette.core.comparison import Comparer

logger = logging.getLogger("vedette.candidate")

FILE_NAME: Final = "comparison.json"
_VERSION: Final = 1


@dataclass(slots=True)
class Progress:
    """One comparison.

    Attributes:
        identity: what is compared for whom; with another one the comparison begins anew.
        comparer: what was counted.
        against: version that runs; None while none was seen.
        journal: which file the journal is; empty where there is none yet, None where nobody has looked.
        row: number of the last row of the journal that was read.
        spent_s: time that the comparison took so far.
        golden: what came of the golden clips; None before.
        done: whether the budget is spent.
    """

    identity: str
    comparer: Comparer
    against: str | None = None
    journal: str | None = None
    row: int = 0
    spent_s: float = 0.0
    golden: GoldenClips | None = None
    done: bool = False

    def begin_anew(self, policy: ComparisonPolicy, against: str | None) -> None:
        """Against another running version: nothing that was counted holds. The golden clips know no other version."""
        self.comparer = Comparer(policy)
        self.against, self.journal, self.row, self.spent_s, self.done = against, None, 0, 0.0, False

    def save(self, folder: Path) -> None:
        """Write it down, so that after a crash there is this or what was there before.

        Raises:
            StorageError: V401 or V404, it cannot be written.
        """
        # Rows that wait for their partner are read again: what was counted of them is known by the comparer.
        waiting = self.comparer.first_waiting()
        document = {
            "version": _VERSION,
            "identity": self.identity,
            "against": self.against,
            "journal": self.journal,
            "spent_s": self.spent_s,
            "done": self.done,
            "row": self.row if waiting is None else min(self.row, waiting - 1),
            "golden": None if self.golden is None else self.golden.model_dump(mode="json"),
            "comparer": self.comparer.dump(),
        }
        write_durably(folder / FILE_NAME, json.dumps(document, separators=(",", ":")).encode())

    @classmethod
    def load(cls, folder: Path, identity: str, policy: ComparisonPolicy) -> Progress:
        """What was saved of this comparison, else a new one: also where the file is damaged or of another."""
        fresh = cls(identity, Comparer(policy))
        try:
            content = read_bounded(folder / FILE_NAME)
            document: Any = None if content is None else json.loads(content)
            if document is None or document["version"] != _VERSION or document["identity"] != identity:
                return fresh
            golden = document["golden"]
            return cls(
                identity,
                Comparer.load(policy, document["comparer"]),
                against=None if document["against"] is None else str(document["against"]),
                journal=None if document["journal"] is None else str(document["journal"]),
                row=int(document["row"]),
                spent_s=float(document["spent_s"]),
                golden=None if golden is None else GoldenClips.model_validate(golden),
                done=bool(document["done"]),
            )
        except (StorageError, ValidationError, ValueError, KeyError, TypeError, RecursionError) as error:
            logger.warning("what was counted so far cannot be read; the comparison begins anew (%s)", error)
            return fresh
