"""A model has arrived: is it what it says, and which way does it go to each of its targets?

The first step of the state machine. Event: ``{"event": <EventBridge event>, "execution": <name>}``. Answer: ``model``,
``version`` and ``plans``, one for each target that there is something to do for. What the model's author did wrong is
recorded, not raised; what is raised, the state machine repeats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from lambdas.common.model_book import ModelBook, OtherContentError
from lambdas.common.runtime import logger, settings
from lambdas.model_intake.arrival import arrival, trained_archive
from lambdas.model_intake.staging import Staged, stage, unpack_training
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import ModelIntakeSettings
from vedette.contracts.model_record import COMPILED, ModelState
from vedette.core.fleet.compile_plan import Path as Way
from vedette.core.fleet.compile_plan import TargetPlan, plan

#: Codes that are about the model, so that nobody but its author can do anything.
_AUTHORS = frozenset({"V005", "V006"})
_STATES = {Way.NEO: ModelState.COMPILING, Way.ONNX: ModelState.PACKING, Way.REFUSED: ModelState.REFUSED}


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Entry point.

    Raises:
        CloudError: V003 or V011, not the author's fault.
        botocore.exceptions.ClientError: AWS refused.
    """
    del context
    own = settings(ModelIntakeSettings)
    execution = str(event["execution"])
    book = ModelBook(own.models_table, own.event_bus, execution)
    found = arrival(event["event"])
    log = logger("model_intake")
    try:
        if archive := trained_archive(event["event"]):
            unpack_training(own.models_bucket, archive)
            log.info("training output taken in", extra={"archive": archive})
            return {"model": found.model, "version": found.version, "plans": []}
        staged = stage(own.models_bucket, found)
        _refuse_other_content(book, staged)
    except CloudError as error:
        if error.code not in _AUTHORS:
            raise
        log.warning("refused", extra={"model": found.model, "version": found.version, "reason": str(error)})
        book.write(found.model, found.version, None, ModelState.REFUSED, reason=str(error))
        return {"model": found.model, "version": found.version, "plans": []}
    book.forget(found.model, found.version)
    plans = [_start(book, own, staged, one, execution) for one in plan(staged.card)]
    log.info("planned", extra={"model": found.model, "version": found.version, "sha256": staged.sha256})
    return {"model": found.model, "version": found.version, "plans": [one for one in plans if one is not None]}


def _refuse_other_content(book: ModelBook, staged: Staged) -> None:
    for target in staged.card.targets:
        before = book.read(staged.card.name, staged.card.version, target)
        if before is not None and before.state is ModelState.RELEASED and before.sha256 != staged.source:
            raise OtherContentError(staged.card.name, staged.card.version)


def _start(
    book: ModelBook, own: ModelIntakeSettings, staged: Staged, one: TargetPlan, execution: str
) -> dict[str, Any] | None:
    """Record that work begins; None where there is none to do."""
    name, version = staged.card.name, staged.card.version
    before = book.read(name, version, one.target)
    if before is not None and before.state is ModelState.RELEASED:
        return None
    state = _STATES[one.path]
    book.write(name, version, one.target, state, reason=one.reason, runtime=one.runtime, sha256=staged.source)
    if one.path is Way.REFUSED:
        return None
    found = {"model": name, "version": version, "source": staged.source, "prefix": staged.prefix}
    found |= {
        "execution": execution,
        "target": one.target.value,
        "path": one.path.value,
        "runtime": one.runtime,
        "reason": one.reason,
    }
    return found | ({"job": _job(own, staged, one, execution)} if one.job is not None else {})


def _job(own: ModelIntakeSettings, staged: Staged, one: TargetPlan, execution: str) -> dict[str, Any]:
    """The request for Neo, but for its role. A repeated step of an execution finds the job that is there."""
    assert one.job is not None
    attempt = hashlib.sha256(execution.encode()).hexdigest()[:6]
    where = f"s3://{own.models_bucket}/"
    output = f"{where}{COMPILED}{staged.card.name}/{staged.card.version}/{staged.source[:16]}/{one.target.value}/"
    return {
        "CompilationJobName": f"vedette-{own.stage}-{staged.source[:8]}-{one.target.value}-{attempt}",
        "InputConfig": one.job.input_config(f"{where}{staged.neo_key}"),
        "OutputConfig": one.job.output_config(output, own.objects_key),
    }
