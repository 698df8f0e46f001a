"""A new version of a running model: tried beside it, so that a bad one costs no picture."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vedette.adapters.engines.gate import Gate
from vedette.adapters.engines.neo_archive import is_neo_archive
from vedette.compose.gate_memory import trial_mark
from vedette.contracts.errors import VedetteError
from vedette.contracts.manifest import Model
from vedette.contracts.plan import ModelPlan

logger = logging.getLogger(__name__)


def replaceable(plan: ModelPlan) -> bool:
    """Whether the store may bring another version of a model under the same name."""
    return not (plan.model.built_in or plan.model.sha256 is not None or Path(plan.file).is_absolute())


def goes_on(error: VedetteError) -> str:
    """What is said while a version is not used, for people."""
    return f"{error.message} The version that ran before goes on."


def bare(error: VedetteError) -> VedetteError:
    """An error that may be kept: the one that was raised holds the file and the session it was raised in."""
    return type(error)(error.message, hint=error.hint, code=error.code)


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of the trial.

    Attributes:
        digest: of the new version; empty where it cannot be read.
        mark: what the trial depended on.
        run_s: what one run takes.
        error: why it is refused; None where it is not.
    """

    digest: str
    mark: str = ""
    run_s: float = 0.0
    error: VedetteError | None = None


class Successor:
    """Runs in a thread of its own until it is known.

    Args:
        read: gives the whole file.
        model: what the manifest says of it.
    """

    def __init__(self, read: Callable[[], bytes], model: Model) -> None:
        self._read = read
        self._model = model
        self._tried: Tried | None = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="successor", daemon=True)
        self._thread.start()

    def poll(self) -> Tried | None:
        """What came of it; None while it is not known.

        Raises:
            Exception: what nobody foresaw.
        """
        if self._failure is not None:
            raise self._failure
        return self._tried

    def _run(self) -> None:
        digest = ""
        try:
            data = self._read()
            digest = hashlib.sha256(data).hexdigest()
            if is_neo_archive(data):  # it is tried where it is loaded: two do not fit beside each other on such devices
                self._tried = Tried(digest)
                return
            mark = trial_mark(data, self._model)
            with Gate(data, self._model).start() as gate:
                report = gate.result()
            self._tried = Tried(digest, mark, report.run_s)
        except VedetteError as error:
            self._tried = Tried(digest, error=bare(error))
        except Exception as error:  # a thread's outermost frame: the main thread raises it
            logger.exception("the trial of a new version failed")
            self._failure = error
