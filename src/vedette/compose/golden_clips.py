"""An application's own tests on the device: a process apart, which may take long, crash, or want too much memory."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vedette.adapters.supervision.child import describe_exit
from vedette.contracts.comparison import MAX_FAILURES, GoldenClips
from vedette.core.messages import one_line

logger = logging.getLogger("vedette.candidate")

#: Longest run of all tests together, by the clock and by the processor.
LIMIT_S: Final = 3600.0
#: Share of the machine's memory that the process may hold.
MEMORY_SHARE: Final = 0.5
_LETTERS: Final = 200
_MAX_OUTPUT_BYTES: Final = 16 << 20
_NICE: Final = 19
#: Of ``oom_score_adj``: where memory is short, the kernel ends this process before any other.
_FIRST_TO_GO: Final = b"1000"


class GoldenRun:
    """One run of all tests of an application. The process is ended by ``close``, and by its own limits.

    Args:
        command: prints the result as ``vedette app test --json`` does.
        tests: how many tests there are.
        folder: for its output.
        environment: in addition to this process' own.
        limit_s: longest time.
        memory_bytes: most resident memory; None: half of the machine's.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        tests: int,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        limit_s: float = LIMIT_S,
        memory_bytes: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tests = tests
        self._clock = clock
        self._limit_s = limit_s
        self._memory_bytes = _memory() * MEMORY_SHARE if memory_bytes is None else memory_bytes
        self._output, self._errors = folder / "golden.json", folder / "golden.log"
        self._ended_for = ""
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                process_group=0,
            )
        self._started_s = clock()
        self._give_way()

    def poll(self) -> GoldenClips | None:
        """What came of it; None while it runs."""
        if self._process.poll() is None:
            if self._clock() - self._started_s > self._limit_s:
                self._end(f"they were ended after {self._limit_s:g} s")
            elif (held := _resident(self._process.pid)) > self._memory_bytes:
                self._end(f"they were ended because they took {held / 1e6:.0f} MB of memory")
            else:
                return None
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, 9)  # what the tests left behind
        result = self._result()
        logger.info("golden clips: %d, %d failed, %d lacking", result.total, result.failed, result.lacking)
        return result

    def close(self) -> None:
        """End it; idempotent."""
        if self._process.poll() is None:
            self._end("they were ended with the candidate")
        for file in (self._output, self._errors):
            file.unlink(missing_ok=True)

    def _give_way(self) -> None:
        """Before it has begun anything: the lowest priority, one processor, the first to go where memory is short."""
        pid = self._process.pid
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, _NICE)
            os.sched_setaffinity(pid, {max(os.sched_getaffinity(0))})
            limit_s = int(self._limit_s) + 60
            # It may outlive this process, where that is killed.
            resource.prlimit(pid, resource.RLIMIT_CPU, (limit_s, limit_s))
            Path(f"/proc/{pid}/oom_score_adj").write_bytes(_FIRST_TO_GO)

    def _end(self, why: str) -> None:
        self._ended_for = self._ended_for or why
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, 9)
        self._process.wait()

    def _result(self) -> GoldenClips:
        document = _read(self._output)
        tests = document.get("tests") if document is not None else None
        if self._ended_for or not isinstance(tests, list):
            why = self._ended_for or f"{describe_exit(self._process.returncode)}: {_last_line(self._errors)}"
            return GoldenClips(total=self._tests, failed=self._tests, failures=(one_line(f"tests: {why}", _LETTERS),))
        lacking = sum(_not_there(test) for test in tests)
        failed = [test for test in tests if test.get("status") != "passed" and not _not_there(test)]
        return GoldenClips(
            total=len(tests),
            failed=len(failed),
            lacking=lacking,
            failures=tuple(one_line(_words(test), _LETTERS) for test in failed[:MAX_FAILURES]),
        )


def _not_there(test: Mapping[str, Any]) -> bool:
    return test.get("status") == "not_run"


def _words(test: Mapping[str, Any]) -> str:
    name = Path(str(test.get("file", "?"))).name
    said = [f"missing {miss.get('what')}" for miss in test.get("misses", ())]
    said += [f"extra {extra.get('rule')} on {extra.get('camera')}" for extra in test.get("extras", ())]
    return f"{name}: {test.get('problem') or '; '.join(said) or 'failed'}"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MAX_OUTPUT_BYTES))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "no word of it")


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
