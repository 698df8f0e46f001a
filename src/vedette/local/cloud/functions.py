"""Lambda: every function really runs, from its deployed zip, in a process of its own.

A process stays for the next event (its modules loaded, as in AWS) and is replaced when the function's code or settings
change, or when it took too long. The platform's Python runs it, whatever the function's runtime is called.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import selectors
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from vedette.local.cloud import function_worker
from vedette.local.cloud.world import World

#: A log of this size begins anew.
_LOG_BYTES: Final = 8 << 20
#: Time to import a function's modules, besides its own limit (Lambda's limit for initialisation is 10 s).
_INIT_S: Final = 10.0
#: Further tries of an asynchronous invocation that failed.
_RETRIES: Final = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one invocation.

    Attributes:
        payload: JSON that the function returned, or Lambda's description of its error.
        failed: the function raised, ended or took too long.
    """

    payload: str
    failed: bool


class _Worker:
    """One process."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Callable[[str], None]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            start_new_session=True,
        )
        assert self._process.stderr is not None
        self._fresh = True
        self._reader = threading.Thread(target=_copy, args=(self._process.stderr, log), daemon=True)
        self._reader.start()

    def ask(self, request: dict[str, Any], limit_s: float) -> dict[str, Any] | None:
        """The answer; None where the process ended or the time is over, after which it is of no use."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        allowed = limit_s + (_INIT_S if self._fresh else 0)
        self._fresh = False
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            return None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(allowed):
                return None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def end(self) -> int | None:
        """End the process; its exit status, where it had ended by itself."""
        status = self._process.poll()
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=1)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        return status


def _copy(stream: IO[str], log: Callable[[str], None]) -> None:
    with contextlib.suppress(ValueError, OSError):
        for line in stream:
            log(line.rstrip("\n"))


class Functions:
    """All functions of the sandbox."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._idle: dict[tuple[str, str], list[_Worker]] = {}
        self._lock = threading.Lock()

    def run(self, function: Any, body: str | bytes | None) -> Outcome:
        """Invoke a function and wait for it."""
        event = json.loads(body) if body else {}
        request = {"event": event, "id": str(uuid.uuid4()), "arn": function.function_arn}
        limit_s = float(function.timeout or 3)
        worker = self._take(function)
        began = time.monotonic()
        answer = worker.ask({**request, "deadline": time.time() + limit_s}, limit_s)
        took_s = time.monotonic() - began
        outcome = self._outcome(worker, answer, took_s, limit_s, request["id"])
        if answer is not None:
            with self._lock:
                self._idle.setdefault(_key(function), []).append(worker)
        self._world.note(
            "invocation",
            function=function.function_name,
            event=event,
            answer=json.loads(outcome.payload),
            failed=outcome.failed,
            took_s=round(took_s, 3),
        )
        return outcome

    def _outcome(
        self, worker: _Worker, answer: dict[str, Any] | None, took_s: float, limit_s: float, request: str
    ) -> Outcome:
        if answer is None:
            status = worker.end()
            message = (
                f"RequestId: {request} Error: Task timed out after {limit_s:.2f} seconds"
                if status is None and took_s >= limit_s
                else f"RequestId: {request} Error: Runtime exited with status {status}"
            )
            kind = "Sandbox.Timedout" if "timed out" in message else "Runtime.ExitError"
            return Outcome(json.dumps({"errorType": kind, "errorMessage": message}), failed=True)
        if "error" in answer:
            return Outcome(json.dumps(answer["error"]), failed=True)
        return Outcome(json.dumps(answer["result"]), failed=False)

    def later(self, function: Any, body: str | bytes | None) -> None:
        """Invoke asynchronously: up to three tries, then the destination for failures, if the function has one."""

        def tries() -> None:
            outcome = Outcome("null", failed=True)
            for _ in range(1 + _retries(function)):
                outcome = self.run(function, body)
                if not outcome.failed:
                    return
            self._give_up(function, body, outcome)

        self._world.later(f"function {function.function_name}", tries)

    def _give_up(self, function: Any, body: str | bytes | None, outcome: Outcome) -> None:
        target = _failure_target(function)
        self._world.note("problem", what=f"function {function.function_name}", error=outcome.payload)
        if target is None:
            return
        sent = json.dumps(
            {
                "version": "1.0",
                "requestContext": {"functionArn": function.function_arn, "condition": "RetriesExhausted"},
                "requestPayload": json.loads(body) if body else {},
                "responsePayload": json.loads(outcome.payload),
            }
        )
        from vedette.local.cloud.delivery import deliver

        deliver(self._world, target, sent)

    def _take(self, function: Any) -> _Worker:
        with self._lock:
            idle = self._idle.setdefault(_key(function), [])
            if idle:
                return idle.pop()
            stale = [key for key in self._idle if key[0] == function.function_arn and key != _key(function)]
            leaving = [worker for key in stale for worker in self._idle.pop(key)]
        for worker in leaving:
            worker.end()
        return self._start(function)

    def _start(self, function: Any) -> _Worker:
        name = str(function.function_name)
        group = log_group(function)
        stream = f"{time.strftime('%Y/%m/%d')}/[$LATEST]{uuid.uuid4().hex}"
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON", "VEDETTE_"))}
        environment |= {k: str(v) for k, v in (function.environment_vars or {}).items()}
        environment |= self._world.environment() | {
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_LOG_GROUP_NAME": group,
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        }
        command = [sys.executable, "-u", function_worker.__file__, str(self._unpacked(function)), function.handler]
        return _Worker(command, environment, self._logger(name, group, stream))

    def _unpacked(self, function: Any) -> Path:
        """The function's files, unpacked once for each content."""
        target = self._world.directory / "code" / str(function.code_digest)[:32].replace("/", "_").replace("=", "")
        with self._lock:
            if not target.is_dir():
                work = target.with_suffix(f".{uuid.uuid4().hex}")
                zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(work)
                work.rename(target)
        return target

    def _logger(self, name: str, group: str, stream: str) -> Callable[[str], None]:
        from moto.logs.models import logs_backends

        from vedette.local.cloud.world import ACCOUNT

        path = self._world.directory / "functions" / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        backend = logs_backends[ACCOUNT][self._world.region]
        if group in backend.groups:
            backend.create_log_stream(group, stream)

        def log(line: str) -> None:
            with path.open("a") as file:
                if file.tell() > _LOG_BYTES:
                    file.truncate(0)
                file.write(line + "\n")
            if group in backend.groups:
                backend.put_log_events(group, stream, [{"timestamp": int(time.time() * 1000), "message": line}])

        return log

    def stop(self) -> None:
        """End every process."""
        with self._lock:
            workers = [worker for idle in self._idle.values() for worker in idle]
            self._idle.clear()
        for worker in workers:
            worker.end()


def _key(function: Any) -> tuple[str, str]:
    settings = (function.code_digest, function.handler, sorted((function.environment_vars or {}).items()))
    return str(function.function_arn), repr(settings)


def log_group(function: Any) -> str:
    """The log group that the function's template names, or Lambda's own."""
    configured = getattr(function, "template_properties", {}).get("LoggingConfig", {}).get("LogGroup")
    return str(configured or f"/aws/lambda/{function.function_name}")


def _retries(function: Any) -> int:
    configs = function.event_invoke_config
    asked = configs[-1].config.get("MaximumRetryAttempts") if configs else None
    return _RETRIES if asked is None else int(asked)


def _failure_target(function: Any) -> str | None:
    configs = function.event_invoke_config
    if configs:
        chosen = (configs[-1].config.get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination")
        if chosen:
            return str(chosen)
    dead_letters = getattr(function, "template_properties", {}).get("DeadLetterConfig", {}).get("TargetArn")
    return str(dead_letters) if dead_letters else None


def install(world: World) -> Functions:
    """Put the executor in place of moto's, which would ask Docker."""
    import moto.awslambda.models as models

    functions = Functions(world)

    def invoke(backend: Any, function_name: str, qualifier: Any, body: Any, headers: Any, response_headers: Any) -> Any:
        function = backend.get_function(function_name, qualifier)
        return _answer(functions, function, body, headers, response_headers)

    def invoke_function(function: Any, body: Any, request_headers: Any, response_headers: Any) -> Any:
        return _answer(functions, function, body, {"X-Amz-Invocation-Type": "Event"}, response_headers)

    made = models.LambdaFunction.create_from_cloudformation_json.__func__

    def create(cls: Any, resource_name: str, cloudformation_json: Any, *rest: Any, **named: Any) -> Any:
        function = made(cls, resource_name, cloudformation_json, *rest, **named)
        function.template_properties = cloudformation_json["Properties"]
        return function

    models.LambdaBackend.invoke = invoke
    models.LambdaFunction.invoke = invoke_function
    models.LambdaFunction.create_from_cloudformation_json = classmethod(create)
    return functions


def _answer(functions: Functions, function: Any, body: Any, headers: Any, response_headers: Any) -> bytes:
    kind = {str(k).lower(): v for k, v in dict(headers).items()}.get("x-amz-invocation-type", "RequestResponse")
    if kind == "DryRun":
        return b""
    if kind == "Event":
        functions.later(function, body)
        return b""
    outcome = functions.run(function, body)
    if outcome.failed:
        response_headers["x-amz-function-error"] = "Unhandled"
    return outcome.payload.encode()
