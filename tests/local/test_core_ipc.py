"""LocalCore and real component processes that use the unmodified awsiotsdk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local.conftest import deploy_probe, make_core, probe_recipe

pytestmark = pytest.mark.processes


def test_publishes_and_receives_json_and_binary(short_tmp: Path, lite: bool) -> None:
    with make_core(short_tmp, probe_recipe(), lite_quirks=lite) as core:
        probe = deploy_probe(core)
        assert probe.do("subscribe", "allowed/+/x") == "subscribed"
        assert probe.do("publish_json", ["allowed/one/x", {"n": [1, None, "ü"]}]) == "published"
        assert probe.hear("local") == ["allowed/one/x", {"n": [1, None, "ü"]}]
        assert probe.do("publish_binary", ["allowed/two/x", "00ff10"]) == "published"
        assert probe.hear("local") == ["allowed/two/x", "00ff10"]
        assert probe.do("publish_json", ["allowed/one/y", {}]) == "published"
        assert probe.do("subscribe", "allowed/#") == "subscribed"
        core.publish_local("allowed/deep/er", b"\x01\x02")
        assert probe.hear("local") == ["allowed/deep/er", "0102"]
