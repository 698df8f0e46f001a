"""Rules of AWS's that are knowingly not followed, each with its reason, next to what does not follow it."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def accept(scope: IConstruct, reasons: Mapping[str, str]) -> None:
    """Say why findings of cdk-nag on this construct and what is in it are right as they are.

    Args:
        scope: the construct, as small as can be.
        reasons: rule, with the finding's own words in brackets where it has any (``AwsSolutions-IAM5[Resource::*]``)
            → one sentence.
    """
    for rule, reason in reasons.items():
        Validations.of(scope).acknowledge(Acknowledgment(id=rule, reason=reason))
