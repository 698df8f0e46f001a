"""The account that commands work on: clients, what the stacks made, and AWS's errors in the project's own words.

The credentials, region and endpoint are those that every AWS tool uses (environment, profile). With
``AWS_ENDPOINT_URL`` set it is the sandbox.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from vedette.contracts.account import DEFAULT_STAGE, parameter
from vedette.contracts.errors import CloudError, UsageError

#: AWS's names for "not now": the same request may succeed later.
_RETRYABLE: Final = frozenset(
    {
        *(
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "TooManyRequestsException",
            "RequestLimitExceeded",
        ),
        *("ProvisionedThroughputExceededException", "ServiceUnavailable", "ServiceUnavailableException"),
        *("InternalServerError", "InternalFailure", "InternalServerException", "RequestTimeout", "SlowDown"),
    }
)
_NO_ACCESS: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"}
)
_HINT_REGION: Final = (
    'Set AWS_REGION, or give a profile one. For the account on this machine: eval "$(vedette cloud env)"'
)
_HINT_CREDENTIALS: Final = "See: vedette doctor. For AWS: aws configure sso, AWS_PROFILE and AWS_REGION."


class Account:
    """One account, region and stage.

    Args:
        stage: of the stacks.
        region: AWS's own choice (environment, profile) where None.

    Raises:
        UsageError: V702, boto3 is not installed.
    """

    def __init__(self, stage: str = DEFAULT_STAGE, *, region: str | None = None) -> None:
        try:
            import boto3
        except ModuleNotFoundError:
            raise UsageError(
                "commands that work on an account need boto3.", hint='Type: pip install "vedette[cloud]"', code="V702"
            ) from None
        self.stage = stage
        # boto3 looks at AWS_DEFAULT_REGION alone; every other tool of AWS's, the CDK among them, looks at AWS_REGION.
        self._session = boto3.Session(region_name=region or os.environ.get("AWS_REGION"))
        self._clients: dict[str, Any] = {}
        self._made: Mapping[str, str] | None = None

    @property
    def region(self) -> str:
        """The region.

        Raises:
            CloudError: V001, none is set.
        """
        region = self._session.region_name
        if not region:
            raise CloudError("no AWS region is set.", hint=_HINT_REGION, code="V001")
        return str(region)

    def client(self, service: str) -> Any:
        """A client, made once.

        Raises:
            CloudError: V001, no region is set.
        """
        if service not in self._clients:
            from botocore.config import Config

            retries = Config(retries={"mode": "standard", "max_attempts": 5})
            self._clients[service] = self._session.client(service, region_name=self.region, config=retries)
        return self._clients[service]

    def made(self, key: str) -> str:
        """What the stacks published under a key, such as ``models-bucket``.

        Raises:
            CloudError: V001 the account cannot be used, V002 no such stacks, V003 the request was refused.
        """
        if self._made is None:
            self._made = self._parameters()
        value = self._made.get(key)
        if value is None:
            raise CloudError(
                f"the stacks of stage {self.stage!r} in {self.region} "
                + (f"have no {key!r}: they are older than this command." if self._made else "are not there."),
                hint="Deploy them: cdk deploy --all",
                code="V002",
            )
        return value

    def _parameters(self) -> dict[str, str]:
        prefix = parameter(self.stage, "")
        found: dict[str, str] = {}
        with aws_errors("the stacks' parameters"):
            pages = self.client("ssm").get_paginator("get_parameters_by_path")
            for page in pages.paginate(Path=prefix.rstrip("/"), Recursive=True):
                found |= {entry["Name"].removeprefix(prefix): entry["Value"] for entry in page["Parameters"]}
        return found


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """AWS's refusals and lost connections as errors of the project.

    Raises:
        CloudError: V001 the account cannot be used, V003 the request was refused; with AWS's own words.
    """
    from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError

    try:
        yield
    except NoCredentialsError:
        raise CloudError("there are no AWS credentials.", hint=_HINT_CREDENTIALS, code="V001") from None
    except EndpointConnectionError as error:
        raise CloudError(
            f"{what}: {error}.", hint="Is the network up, or the sandbox, if this is one?", code="V001", retryable=True
        ) from None
    except ClientError as error:
        said = error.response.get("Error", {})
        code, text = said.get("Code", ""), said.get("Message", "")
        if text.lstrip().startswith("<"):  # a page of some server in between, not AWS's words
            text = "no such request is known there"
        if code in _NO_ACCESS:
            raise CloudError(f"{what}: {code}: {text}", hint=_HINT_CREDENTIALS, code="V001") from None
        raise CloudError(f"{what}: {code}: {text}", retryable=code in _RETRYABLE) from None
    except BotoCoreError as error:
        raise CloudError(f"{what}: {error}") from None
