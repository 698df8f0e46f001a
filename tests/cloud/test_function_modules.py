"""Functions as AWS loads them: nothing happens at import, and each has an entry of the right form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cloud.conftest import EVERYTHING, resources, templates

REPOSITORY = Path(__file__).parents[2]
HANDLERS = sorted(f"lambdas.{path.parent.name}.handler" for path in (REPOSITORY / "lambdas").glob("*/handler.py"))
#: No region, no credentials, no network; a client made at import would fail.
LOAD = """
import importlib, inspect, json, socket, sys
def refuse(*_, **__): raise AssertionError("a socket at import")
socket.socket.connect = refuse
found = {}
for name in json.loads(sys.argv[1]):
    found[name] = list(inspect.signature(importlib.import_module(name).handle).parameters)
print(json.dumps({"found": found, "heavy": [m for m in ("numpy", "aws_cdk", "moto") if m in sys.modules]}))
"""


def test_they_load_without_an_environment_and_without_a_word() -> None:
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    command = [sys.executable, "-W", "error", "-c", LOAD, json.dumps(HANDLERS)]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, timeout=60, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")
    loaded = json.loads(done.stdout)
    assert loaded["heavy"] == []
    for name, parameters in loaded["found"].items():
        assert len(parameters) == 2, name


def test_every_function_of_the_stacks_has_its_folder_and_every_folder_its_function() -> None:
    deployed = {
        one["Properties"]["Handler"]
        for template in templates(EVERYTHING).values()
        for one in resources(template, "AWS::Lambda::Function").values()
    }
    assert deployed == {f"{name}.handle" for name in HANDLERS}


@pytest.mark.parametrize("concern", ["alerts", "deployments", "fleet", "models", "monitoring"])
def test_the_environment_that_a_stack_sets_is_the_one_that_its_function_reads(concern: str) -> None:
    """Each environment is that of one class of settings, whole and with nothing beside it."""
    from vedette.contracts import functions

    kinds = [
        kind
        for kind in vars(functions).values()
        if isinstance(kind, type) and issubclass(kind, functions.FunctionSettings)
    ]
    for name, one in resources(templates(EVERYTHING)[concern], "AWS::Lambda::Function").items():
        said = set(one["Properties"]["Environment"]["Variables"])
        assert any(said == {field.upper() for field in kind.model_fields} for kind in kinds), (name, sorted(said))
