"""Who logs never waits for whoever reads the lines."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from vedette.adapters import log_output
from vedette.adapters.log_output import LINES_LIMIT, LogOutput


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        os.close(descriptor)


def logger_of(output: LogOutput) -> logging.Logger:
    found = logging.Logger("any")
    found.addHandler(output)
    return found


def read_until(descriptor: int, end: bytes) -> bytes:
    found = b""
    while end not in found:
        found += os.read(descriptor, 65536)
    return found


def test_lines_come_in_their_order(pipe: tuple[int, int]) -> None:
    output = LogOutput(pipe[1])
    log = logger_of(output)
    for number in range(100):
        log.warning("line %d äöü", number)
    output.flush()
    assert os.read(pipe[0], 65536).decode() == "".join(f"line {number} äöü\n" for number in range(100))


def test_a_pipe_that_nobody_reads_stops_nobody(pipe: tuple[int, int]) -> None:
    log = logger_of(output := LogOutput(pipe[1]))
    done = threading.Event()

    def work() -> None:
        for _ in range(2 * LINES_LIMIT):
            log.warning("x" * 1_000)
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(20), "logging waits for a reader"
    kept = 2 * LINES_LIMIT - output.left_out
    assert LINES_LIMIT <= kept < 2 * LINES_LIMIT
    found = read_until(pipe[0], b"were left out here")
    assert found.count(b"x\n") == kept
    assert b"%d log lines were left out here" % (2 * LINES_LIMIT - kept) in found


def test_end_of_a_process_does_not_wait_long_for_a_reader(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_output, "FLUSH_S", 0.05)
    log = logger_of(output := LogOutput(pipe[1]))
    for _ in range(200):
        log.warning("x" * 1_000)
    output.flush()
    found = b""
    while found.count(b"\n") < 200:
        found += os.read(pipe[0], 65536)


def test_a_reader_that_is_gone_and_a_record_that_makes_no_sense_end_nothing() -> None:
    read, write = os.pipe()
    log = logger_of(output := LogOutput(write))
    log.warning("%d", "not a number")
    output.flush()
    assert b"cannot be shown: TypeError" in os.read(read, 65536)
    os.close(read)
    log.warning("into the void")
    output.flush()
    os.close(write)


def test_last_words_of_a_process_are_read() -> None:
    program = (
        "import logging, sys\n"
        "from vedette.compose.processes import configure_logging\n"
        "configure_logging()\n"
        "for number in range(300): logging.error('line %d', number)\n"
        "sys.exit(3)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].endswith("line 299")
    assert len(done.stderr.splitlines()) == 300
