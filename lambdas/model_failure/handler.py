"""A model did not get ready for a kind of device: record why, in the words of whoever knows.

Event: a plan of ``model_intake`` with ``error`` (``Error`` and ``Cause`` of the state machine: something broke), or
else ``neo`` (``DescribeCompilationJob``'s answer: Neo gave up). Answer: ``outcome``, ``BROKEN``
where it was not the model, and ``reason``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lambdas.common.model_book import ModelBook, OtherContentError
from lambdas.common.runtime import logger, settings
from vedette.contracts.functions import ModelFailureSettings
from vedette.contracts.model_card import Target
from vedette.contracts.model_record import BROKEN, MAX_REASON, ModelState


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Entry point.

    Raises:
        botocore.exceptions.ClientError: AWS refused.
    """
    del context
    own = settings(ModelFailureSettings)
    target = Target(event["target"])
    name, version = str(event["model"]), str(event["version"])
    broken = "error" in event
    reason = _of_machine(event["error"]) if broken else _of_neo(event["neo"])
    log = logger("model_failure")
    log.warning("failed", extra={"model": name, "version": version, "target": target.value, "reason": reason})
    book = ModelBook(own.models_table, own.event_bus, str(event["execution"]))
    try:
        book.write(
            *(name, version, target, ModelState.FAILED),
            reason=reason,
            runtime=str(event["runtime"]),
            sha256=str(event["source"]),
        )
    except OtherContentError as error:
        reason = str(error)
    return {"outcome": BROKEN if broken else ModelState.FAILED.value, "reason": reason}


def _of_neo(job: Mapping[str, Any]) -> str:
    status = str(job.get("CompilationJobStatus"))
    said = str(job.get("FailureReason") or f"the job is {status} and says no reason")
    return f"V007 SageMaker Neo: {said}"[:MAX_REASON]


def _of_machine(error: Mapping[str, Any]) -> str:
    """``Cause`` is the JSON of an exception where a function raised it, else text."""
    cause = str(error.get("Cause", ""))
    try:
        said = json.loads(cause)
        text = f"{said['errorType']}: {said['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        text = cause or str(error.get("Error", "no reason given"))
    return f"V003 {text}"[:MAX_REASON]
