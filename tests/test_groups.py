"""The runner of the suite: every test once, and nothing that fails is passed over."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest

from tests.groups import TESTS, Outcome, Part, Runs, alone, parts, show, summary

GOOD = "def test_good():\n    pass\n"
BAD = "def test_bad():\n    assert 1 == 2\n"
ALONE = "import pytest\n\n\n@pytest.mark.alone\ndef test_time():\n    assert 3 == 4\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {
        "one/test_a.py": GOOD,
        "one/deep/test_b.py": BAD,
        "two/test_c.py": ALONE,
        "faults/test_d.py": BAD,
        "test_e.py": GOOD,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    alone\n    faults\n")
    return tmp_path


def test_every_test_file_is_in_exactly_one_part() -> None:
    found = [
        file
        for part in parts(TESTS)
        for given in part.files
        for file in ([Path(given)] if given.endswith(".py") else sorted(Path(given).rglob("test_*.py")))
    ]
    wanted = [file for file in TESTS.rglob("test_*.py") if "faults" not in file.relative_to(TESTS).parts[:1]]
    assert sorted(found) == sorted(wanted)
    last = alone(TESTS)
    assert last is not None
    assert {name for name in last.files if name.endswith("test_camera_faults.py")}


def test_what_fails_is_told_and_the_rest_runs(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = parts(tree, split=["one"])
    assert [part.name for part in made] == ["test_e.py", "one/deep/test_b.py", "one/test_a.py", "two"]
    last = alone(tree)
    assert last is not None
    assert [Path(file).name for file in last.files] == ["test_c.py"]
    runs = Runs(tmp_path, show)
    runs.beside([deque(made), deque()])
    runs.one(last)
    passed = {outcome.part.name: outcome.passed for outcome in runs.outcomes}
    assert passed == {
        "test_e.py": True,
        "one/deep/test_b.py": False,
        "one/test_a.py": True,
        "two": True,
        "alone": False,
    }
    said = capsys.readouterr().out
    assert "assert 1 == 2" in said
    assert "assert 3 == 4" in said
    told = summary(runs.outcomes, 60.0)
    assert "4 tests in 1.0 minutes" in told
    assert told.endswith(("failed: one/deep/test_b.py, alone", "failed: alone, one/deep/test_b.py"))


def test_a_pytest_that_cannot_begin_or_is_killed_has_not_passed(tmp_path: Path) -> None:
    told: list[Outcome] = []
    (tmp_path / "test_killed.py").write_text("import os\n\n\ndef test_it():\n    os.kill(os.getpid(), 9)\n")
    runs = Runs(tmp_path, told.append)
    runs.one(Part("none", (str(tmp_path / "test_gone.py"),), computes=False))
    runs.one(Part("killed", (str(tmp_path / "test_killed.py"),), computes=False))
    assert [(outcome.passed, outcome.calls) for outcome in told] == [(False, ()), (False, ())]
    runs.end()
    runs.beside([deque([Part("more", (str(tmp_path / "test_killed.py"),), computes=False)])])
    assert len(told) == 2, "nothing begins any more"


def test_what_failed_runs_once_more_by_itself(tmp_path: Path) -> None:
    sources = {
        "disturbed": "from pathlib import Path\n\n\ndef test_it():\n    mark = Path(__file__).with_suffix('.mark')\n"
        "    first = not mark.exists()\n    mark.touch()\n    assert not first\n",
        "broken": BAD,
        "killed": "import os\n\n\ndef test_it():\n    os.kill(os.getpid(), 9)\n",
        "unreadable": "import what_is_not_there\n",
        "good": GOOD,
    }
    made = []
    for name, text in sources.items():
        (tmp_path / f"test_{name}.py").write_text(text)
        made.append(Part(name, (str(tmp_path / f"test_{name}.py"),), computes=False, marks=""))
    told: list[tuple[str, bool]] = []
    runs = Runs(tmp_path, lambda outcome: told.append((outcome.part.name, outcome.passed)))
    runs.beside([deque(made)])
    runs.again()
    assert told[:5] == [(name, name == "good") for name in sources]
    assert told[5:] == [("disturbed", True), ("broken", False), ("killed", False), ("unreadable", False)]
    assert {outcome.part.name: outcome.passed for outcome in runs.outcomes} == {**dict(told[5:]), "good": True}
