from __future__ import annotations

import resource
import subprocess
import sys
from functools import partial

import pytest

PROGRAM = """
import resource, subprocess, sys
from vedette.compose.processes import run_component
assert run_component(lambda *_: None) == 1, "there is no nucleus here"
print(resource.getrlimit(resource.RLIMIT_CORE), flush=True)
subprocess.run([sys.executable, "-c", "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"])
"""


@pytest.mark.parametrize("allowed", [resource.RLIM_INFINITY, 0])
def test_processes_of_components_and_their_children_leave_no_core(allowed: int) -> None:
    """One byte is too little for a file, and tells the kernel to give no program the core either."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    most = hard if allowed == resource.RLIM_INFINITY else allowed
    found = subprocess.run(
        ["setpriv", "--bounding-set=-sys_resource", sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin"},
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_CORE, (most, most)),
    )
    expected = "(1, 1)" if most else "(0, 0)"
    assert found.stdout.splitlines() == [expected, expected], found.stderr
