"""The simulated PLC notes strokes, and strokes are given to the parts that were really in front of the ejector."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client import ModbusTcpClient

from vedette.testing.belt import BeltSettings, make_truth
from vedette.testing.belt.ejection import REACH_S, ejected
from vedette.testing.belt.ejector import COIL, UNIT, Ejector
from vedette.testing.belt.score import Passage, Repetition, passages

TRUTH = make_truth(BeltSettings(seed=41, duration_s=40))
PASSED = passages(TRUTH, [Repetition(0, 1000.0)], 0.0, 2000.0)
BAD = [passage for passage in PASSED if passage.part.defective]
GOOD = [passage for passage in PASSED if not passage.part.defective]


def at_ejector(passage: Passage) -> float:
    return 1000.0 + passage.part.ejector_s


def test_a_stroke_is_noted_when_the_coil_goes_on() -> None:
    before = threading.active_count()
    with Ejector() as ejector, ModbusTcpClient("127.0.0.1", port=ejector.port) as client:
        started_s = time.time()
        for on in (True, True, False, True, False):
            assert not client.write_coil(COIL, on, device_id=UNIT).isError()
        client.write_coil(COIL + 1, True, device_id=UNIT)
        assert client.read_coils(COIL, count=1, device_id=UNIT).bits[0] is False
        strokes = ejector.strokes()
    assert len(strokes) == 2
    assert started_s <= strokes[0] <= strokes[1] <= time.time()
    assert threading.active_count() == before


def test_several_coils_in_one_write() -> None:
    with Ejector() as ejector, ModbusTcpClient("127.0.0.1", port=ejector.port) as client:
        client.write_coils(COIL - 2, [True, True, True], device_id=UNIT)
        client.write_coils(COIL - 2, [True, True], device_id=UNIT)
        assert len(ejector.strokes()) == 1


@given(st.lists(st.floats(-REACH_S * 0.99, REACH_S * 0.99), min_size=len(BAD), max_size=len(BAD)))
@settings(deadline=None, max_examples=40)
def test_timing_errors_are_those_of_the_strokes(errors_s: list[float]) -> None:
    strokes = [at_ejector(passage) + error for passage, error in zip(BAD, errors_s, strict=True)]
    found = ejected(PASSED, strokes, 2000.0)
    assert (found.pushed, found.left, found.wrongly, found.idle) == (len(BAD), 0, 0, 0)
    assert found.errors_s == pytest.approx(errors_s, abs=1e-6)
    assert found.error_s(1.0) == pytest.approx(max(map(abs, errors_s)), abs=1e-6)


def test_every_fault_of_the_ejector_is_counted() -> None:
    strokes = [at_ejector(p) for p in BAD[1:]] + [at_ejector(GOOD[0]), at_ejector(GOOD[1]) + REACH_S + 0.01]
    found = ejected(PASSED, strokes, 2000.0)
    assert (found.pushed, found.left, found.wrongly, found.idle) == (len(BAD) - 1, 1, 1, 1)
    assert ejected(PASSED, [], 2000.0).left == len(BAD)
    assert ejected((), [1.0], 2000.0).idle == 1


def test_parts_that_had_not_come_to_the_ejector_do_not_count() -> None:
    end_s = at_ejector(BAD[-1]) + REACH_S - 0.01
    assert ejected(PASSED, [], end_s).left == len(BAD) - 1
