"""A model is ready for a kind of device: make the component that brings it there.

Event: a plan of ``model_intake``, with ``neo`` (``DescribeCompilationJob``'s answer) where Neo compiled. Answer:
``outcome``, the state, and ``reason``.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from lambdas.common.model_book import ModelBook, OtherContentError
from lambdas.common.objects import fetch_object, read_object
from lambdas.common.runtime import logger, settings
from lambdas.model_release.compiled import add_card
from lambdas.model_release.component import release_component
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import ModelReleaseSettings
from vedette.contracts.model_card import CARD_NAME, MAX_CARD_MODEL_BYTES, ModelCard, Target
from vedette.contracts.model_record import ModelState, model_component
from vedette.core.fleet.compile_plan import Path as Way
from vedette.core.fleet.model_pack import COMPILED_NAME
from vedette.core.fleet.model_yaml import parse_model_card
from vedette.core.yaml_reader import MAX_BYTES

#: One of these is in everything that Neo makes for the DLR runtime.
_COMPILED_SUFFIXES: Final = (".so", ".params", ".ro", ".meta")


def handle(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Entry point.

    Raises:
        CloudError: V003, AWS refused for now.
        botocore.exceptions.ClientError: AWS refused.
    """
    del context
    own = settings(ModelReleaseSettings)
    target = Target(event["target"])
    name, version, source = str(event["model"]), str(event["version"]), str(event["source"])
    book = ModelBook(own.models_table, own.event_bus, str(event["execution"]))
    log = logger("model_release")
    try:
        card = parse_model_card(read_object(own.models_bucket, f"{event['prefix']}{CARD_NAME}", MAX_BYTES), CARD_NAME)
        with tempfile.TemporaryDirectory() as work:
            file, file_name, sha256 = _model(own, event, card, target, Path(work))
            release_component(own.artefacts_bucket, card, target, file, file_name, sha256, source)
        state, reason = ModelState.RELEASED, str(event["reason"])
        component = model_component(name, target)
    except OtherContentError as error:
        # Another upload of this version was faster. What that one released stays, and this one's author is told.
        log.warning("refused", extra={"model": name, "version": version, "reason": str(error)})
        book.write(name, version, None, ModelState.REFUSED, reason=str(error))
        return {"outcome": ModelState.REFUSED.value, "reason": str(error)}
    except CloudError as error:
        if error.retryable:
            raise
        log.warning("not released", extra={"model": name, "version": version, "reason": str(error)})
        state, reason, component = ModelState.FAILED, str(error), ""
    book.write(
        name, version, target, state, reason=reason, runtime=str(event["runtime"]), sha256=source, component=component
    )
    log.info("settled", extra={"model": name, "version": version, "target": target.value, "state": state.value})
    return {"outcome": state.value, "reason": reason}


def _model(
    own: ModelReleaseSettings, event: Mapping[str, Any], card: ModelCard, target: Target, work: Path
) -> tuple[Path, str, str]:
    """The file that goes to the device, its name there, its digest."""
    if event["path"] == Way.ONNX.value:
        file = work / card.file
        return (
            file,
            card.file,
            fetch_object(own.models_bucket, f"{event['prefix']}{card.file}", file, MAX_CARD_MODEL_BYTES),
        )
    uri = str(event["neo"]["ModelArtifacts"]["S3ModelArtifacts"])
    place = urlsplit(uri)
    if place.netloc != own.models_bucket:
        raise CloudError(f"what Neo made is in another bucket: {uri}", code="V007")
    file = work / COMPILED_NAME
    try:
        fetch_object(own.models_bucket, place.path.lstrip("/"), file, MAX_CARD_MODEL_BYTES)
        with tarfile.open(file, "r:gz") as made:
            members = made.getnames()
    except CloudError as error:
        raise CloudError(f"what Neo made cannot be read: {error.message}", code="V007") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CloudError(f"what Neo made cannot be read: {error}.", code="V007") from None
    if not any(member.endswith(_COMPILED_SUFFIXES) for member in members):
        raise CloudError(f"what Neo made holds no compiled model: {json.dumps(members)[:200]}", code="V007")
    packed = work / f"described-{COMPILED_NAME}"
    described = card.model_copy(update={"targets": (target,), "compiler_options": {}})
    sha256 = add_card(file, packed, described)
    file.unlink()  # a function's disk holds two archives of the largest size, not three
    return packed, COMPILED_NAME, sha256
