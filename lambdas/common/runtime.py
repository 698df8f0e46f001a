"""Settings and logger of a function, made once per process and never at import."""

from __future__ import annotations

import os
from functools import cache
from typing import Any, TypeVar

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from pydantic import ValidationError

from vedette.contracts.errors import CloudError
from vedette.contracts.functions import FunctionSettings

Settings = TypeVar("Settings", bound=FunctionSettings)

#: The service's own retries, with a wait that grows; what still fails is the queue's to repeat.
_RETRIES = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=3, read_timeout=10)


@cache
def settings(kind: type[Settings]) -> Settings:
    """The function's settings.

    Raises:
        CloudError: V003, the stack and the function do not belong together.
    """
    try:
        return kind.from_environment(os.environ)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise CloudError(
            f"the function's environment is not usable: {wrong}.", hint="Deploy the stacks again."
        ) from error


@cache
def logger(service: str) -> Logger:
    """Structured logs, one JSON object a line."""
    return Logger(service=service, level=os.environ.get("LOG_LEVEL", "INFO"))


@cache
def client(service: str) -> Any:
    """A client of an AWS service; where ``AWS_ENDPOINT_URL`` is set, of the sandbox."""
    return boto3.client(service, config=_RETRIES)
