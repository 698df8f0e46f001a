"""What the sandbox answers to those it is not for, and about the account as a whole."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from tests.cloud.sandbox_account import SandboxAccount


def test_web_pages_are_refused(bare_sandbox: SandboxAccount) -> None:
    """A page in a browser could otherwise create a function, which runs on this machine."""
    request = urllib.request.Request(
        f"{bare_sandbox.running.endpoint}/vedette/state", headers={"Origin": "http://example.org"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as answer:
        assert answer.code == 403
    assert bare_sandbox.ask("/vedette/state")["account"]


def test_greengrass_has_a_role_once_it_was_given_one(bare_sandbox: SandboxAccount) -> None:
    greengrass = bare_sandbox.client("greengrassv2")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        greengrass.get_service_role_for_account()
    role = "arn:aws:iam::123456789012:role/Greengrass_ServiceRole"
    greengrass.associate_service_role_to_account(roleArn=role)
    assert greengrass.get_service_role_for_account()["roleArn"] == role
    greengrass.disassociate_service_role_from_account()
