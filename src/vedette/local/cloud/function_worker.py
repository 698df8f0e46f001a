"""The inside of one function's process: loads the handler, then answers one event after another.

Run as a script, with the standard library alone, by the Python that runs the sandbox: ``function_worker.py FOLDER
HANDLER``. Requests come as JSON lines on standard input; answers leave as JSON lines on what was standard output, and
what the function itself prints goes to standard error, which is its log.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from typing import Any


class Context:
    """What a handler gets besides its event."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.aws_request_id = request["id"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = "$LATEST"
        self.invoked_function_arn = request["arn"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline = float(request["deadline"])

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is ended."""
        return max(0, int((self._deadline - time.time()) * 1000))


def failure(error: BaseException) -> dict[str, Any]:
    """An exception as Lambda tells it."""
    stack = traceback.format_exception(type(error), error, error.__traceback__)
    return {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": stack}


def answer(handler: Any, line: str) -> dict[str, Any]:
    """Run the handler once."""
    request = json.loads(line)
    try:
        return {"result": json.loads(json.dumps(handler(request["event"], Context(request))))}
    except BaseException as error:  # noqa: BLE001 - the function's own, whatever it is: Lambda answers for it
        traceback.print_exc()
        return {"error": failure(error)}


def main(folder: str, handler: str) -> None:
    """Load and answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.insert(0, folder)
    module, _, name = handler.rpartition(".")
    try:
        function: Any = getattr(importlib.import_module(module.replace("/", ".")), name)
        loaded: BaseException | None = None
    except BaseException as error:  # noqa: BLE001 - told in answer to each event, as Lambda does
        traceback.print_exc()
        loaded = error
    for line in sys.stdin:
        said = {"error": failure(loaded)} if loaded else answer(function, line)
        sys.stderr.flush()
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
