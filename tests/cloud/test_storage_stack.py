"""Keys and buckets: nothing is readable from outside, nothing unencrypted, nothing kept for ever by oversight."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cloud.conftest import resources, templates


@pytest.fixture(scope="module")
def storage() -> dict[str, Any]:
    return templates()["storage"]


def test_every_bucket_is_closed_encrypted_versioned_and_cleaned_up(storage: dict[str, Any]) -> None:
    buckets = resources(storage, "AWS::S3::Bucket")
    assert len(buckets) == 5
    for name, bucket in buckets.items():
        said = bucket["Properties"]
        assert said["VersioningConfiguration"] == {"Status": "Enabled"}, name
        assert all(said["PublicAccessBlockConfiguration"].values()), name
        rule = said["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"]
        assert rule["SSEAlgorithm"] == ("AES256" if name.startswith("AccessLogs") else "aws:kms"), name
        assert ("LoggingConfiguration" in said) is not name.startswith("AccessLogs"), name
        for lifecycle in said["LifecycleConfiguration"]["Rules"]:
            assert lifecycle["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 2, name
            assert lifecycle["NoncurrentVersionExpiration"]["NoncurrentDays"] >= 1, name
        assert bucket["DeletionPolicy"] == "Retain", name


def test_every_bucket_refuses_plain_http(storage: dict[str, Any]) -> None:
    policies = resources(storage, "AWS::S3::BucketPolicy")
    assert len(policies) == 5
    for policy in policies.values():
        denied = [s for s in policy["Properties"]["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in [s.get("Condition") for s in denied]


def test_pictures_end_and_artefacts_stay() -> None:
    short = templates(json.dumps({"evidence_days": 7}))["storage"]
    by_name = {name.rstrip("0123456789ABCDEF"): b for name, b in resources(short, "AWS::S3::Bucket").items()}
    expiry = {
        name: [r.get("ExpirationInDays") for r in b["Properties"]["LifecycleConfiguration"]["Rules"]]
        for name, b in by_name.items()
    }
    assert expiry["Evidence"] == [7]
    assert expiry["Artefacts"] == expiry["Models"] == expiry["Insights"] == [None]


def test_keys_rotate_and_services_use_them_for_this_account_only(storage: dict[str, Any]) -> None:
    keys = resources(storage, "AWS::KMS::Key")
    assert len(keys) == 4
    for key in keys.values():
        assert key["Properties"]["EnableKeyRotation"] is True
        for statement in key["Properties"]["KeyPolicy"]["Statement"]:
            if "Service" in statement["Principal"]:
                condition = json.dumps(statement["Condition"])
                assert "AWS::AccountId" in condition, statement


def test_only_the_models_bucket_tells_of_uploads_and_no_function_is_added_for_it(storage: dict[str, Any]) -> None:
    telling = [
        name
        for name, bucket in resources(storage, "AWS::S3::Bucket").items()
        if "NotificationConfiguration" in bucket["Properties"]
    ]
    assert [name.startswith("Models") for name in telling] == [True]
    assert not resources(storage, "AWS::Lambda::Function")


def test_a_sandbox_leaves_nothing_behind() -> None:
    thrown = templates(json.dumps({"keep_data": False}))["storage"]
    kept = [name for name, one in thrown["Resources"].items() if one.get("DeletionPolicy") == "Retain"]
    assert kept == []
