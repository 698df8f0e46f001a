"""``vedette app get``, ``vedette app set`` and the values of a deployment, as processes against a real owner."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest

from tests.cli.test_app_and_status import Watched, attached
from tests.cli.test_cli_main import vedette
from tests.manifest.test_manifest_mistakes import GOOD
from vedette.contracts.manifest import LineCrossed

pytestmark = pytest.mark.processes

MANIFEST = f"""{GOOD}    cooldown_s: 20
parameters:
  quiet_s: {{title: Silence after an alert, sets: [rules.leaves.cooldown_s], min: 1, max: 600}}
  mode: {{default: day, choices: [day, night]}}
"""


@pytest.fixture
def application(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "vedette.yaml").write_text(MANIFEST)
    return folder


def quiet_s(watched: Watched) -> float:
    rule = watched.owner.plan.rules[0].rule
    assert isinstance(rule, LineCrossed)
    return rule.cooldown_s


def test_shown_changed_and_taken_back_while_attached(application: Path, short_tmp: Path) -> None:
    root = short_tmp / "s"
    watched = Watched(root)
    with attached(application, root, "--bind", "hall=cam-1", "--set", "quiet_s=30"):
        watched.wait_for_rules(1)
        assert quiet_s(watched) == 30
        shown = vedette("app", "get", "shop", "--state", str(root), COLUMNS="200")
        for word in ("quiet_s", "30", "the deployment", "a number, at least 1, at most 600", "Silence after an alert"):
            assert word in shown.stdout
        done = vedette("app", "set", "shop", "quiet_s=45", "mode=night", "--state", str(root), "--json")
        assert done.returncode == 0, done.stderr
        entry = json.loads(done.stdout)["parameters"]["quiet_s"]
        assert (entry["value"], entry["default"], entry["deployed"], entry["local"]) == (45, 20, 30, 45)
        assert entry["by"] == getpass.getuser()
        assert quiet_s(watched) == 45
        table = vedette("app", "get", "shop", "quiet_s", "--state", str(root), COLUMNS="200").stdout
        assert f"{getpass.getuser()} 20" in table
        assert "mode" not in table
        assert vedette("app", "set", "shop", "--reset", "quiet_s", "--state", str(root)).returncode == 0
        assert quiet_s(watched) == 30
    watched.owner.close()


def test_mistakes_are_said_and_change_nothing(application: Path, short_tmp: Path) -> None:
    root = short_tmp / "s"
    watched = Watched(root)
    with attached(application, root, "--bind", "hall=cam-1"):
        watched.wait_for_rules(1)
        for arguments, words in (
            (["set", "shop", "quiet_s=0"], "V106 .*found '0'; allowed: a number, at least 1"),
            (["set", "shop", "quit_s=5"], "V106 .*meant `quiet_s`"),
            (["set", "shop"], "V701 .*nothing to set"),
            (["set", "shop", "quiet_s"], "V701 .*NAME=VALUE"),
            (["set", "shop", "rules.leaves.cooldown_s=5"], "V701 .*NAME=VALUE"),
            (["set", "shop", "quiet_s=5", "quiet_s=6"], "V701 .*twice"),
            (["set", "shop", "quiet_s=5", "--reset", "quiet_s"], "V701 .*both"),
            (["set", "shp", "quiet_s=5"], "V701 .*did you mean 'shop'"),
            (["get", "shop", "quit_s"], "V701 .*meant `quiet_s`"),
        ):
            run = vedette("app", *arguments, "--state", str(root))
            text = " ".join(run.stderr.split())
            assert run.returncode == 1
            code, _, sentence = words.partition(" .*")
            assert code in text
            assert sentence in text, text
        assert quiet_s(watched) == 20
    watched.owner.close()
    gone = vedette("app", "get", "shop", "--state", str(root))
    assert gone.returncode == 1
    assert "V401" in gone.stderr


def test_a_deployment_with_a_value_that_is_not_allowed_fails(application: Path, short_tmp: Path) -> None:
    watched = Watched(short_tmp / "s")
    run = vedette("app", "attach", str(application), "--state", str(short_tmp / "s"), "--set", "quiet_s=5000")
    assert run.returncode == 1
    assert "V106" in run.stderr
    assert "at most 600" in run.stderr
    assert watched.owner.applications == ()
    watched.owner.close()
