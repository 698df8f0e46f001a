from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource, subprocess, sys
from vedette.compose.processes import run_component
assert run_component(lambda *_: None) == 1, "there is no nucleus here"
print(resource.getrlimit(resource.RLIMIT_CORE), flush=True)
subprocess.run([sys.executable, "-c", "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"])
"""


def test_processes_of_components_and_their_children_write_no_core_files() -> None:
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env={"PATH": "/usr/bin"})
    assert found.stdout.splitlines() == ["(0, 0)", "(0, 0)"], found.stderr
