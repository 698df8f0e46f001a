"""Speaking to the owner of a state directory."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import ValidationError

from vedette.adapters.state.layout import StateLayout
from vedette.adapters.unix_sockets import check_socket_path
from vedette.contracts.errors import ERROR_CODES, CoreError, StorageError, VedetteError
from vedette.contracts.manifest import ParameterValue
from vedette.contracts.plan import AttachedApplication
from vedette.contracts.state import (
    AttachRequest,
    DetachCandidateRequest,
    DetachRequest,
    ParametersRequest,
    PlanRequest,
    SetParametersRequest,
    StateAnswer,
    StateRequest,
    StatusRequest,
)

_MAX_ANSWER_BYTES: Final = 16 << 20


class StateClient:
    """One connection to the owner.

    Args:
        directory: the state directory.
        timeout_s: for connecting and for each answer.

    Raises:
        StorageError: V401, nobody listens there, or this user may not connect.
    """

    def __init__(self, directory: Path, timeout_s: float = 5.0) -> None:
        path = StateLayout(directory).socket
        check_socket_path(path)
        self._path = path
        self._timeout_s = timeout_s
        self._rest = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise StorageError(
                f"nobody answers on {path}: {error.strerror or error}.",
                hint="vedette.CameraIngest (or `vedette run`) must be running with this state directory.",
            ) from error

    def request(self, request: StateRequest) -> StateAnswer:
        """Ask and wait for the answer.

        Raises:
            StorageError: V401, the owner hung up or did not answer in time.
            CoreError: V605, the answer does not follow the protocol.
            VedetteError: what the owner says is wrong, with its code.
        """
        deadline_s = time.monotonic() + self._timeout_s
        try:
            self._socket.sendall(request.model_dump_json(exclude_unset=False).encode() + b"\n")
            line = self._line(deadline_s)
        except OSError as error:
            raise StorageError(f"no answer on {self._path}: {error.strerror or 'time-out'}.") from error
        try:
            answer = StateAnswer.model_validate_json(line)
        except ValidationError as error:
            raise CoreError(
                f"answer on {self._path} not understood: {error.errors()[0]['msg']}.",
                hint="Run all components and the command line in one version.",
                code="V605",
            ) from error
        if not answer.ok:
            code = answer.code if answer.code in ERROR_CODES else "V603"
            raise VedetteError(answer.message or "request refused", hint=answer.hint, code=code)
        return answer

    def _line(self, deadline_s: float) -> bytes:
        while b"\n" not in self._rest:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            data = self._socket.recv(1 << 16)
            if not data or len(self._rest) > _MAX_ANSWER_BYTES:
                raise ConnectionResetError(0, "the owner hung up")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def fileno(self) -> int:
        """Readable once the owner is gone (or speaks out of turn): wait on it to notice a restart."""
        return self._socket.fileno()

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until the owner hangs up; False on time-out."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLHUP)
        return bool(poll.poll(timeout_s * 1000))

    def close(self) -> None:
        """Hang up; idempotent."""
        with suppress(OSError):
            self._socket.close()

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self.close()


def attach(directory: Path, application: AttachedApplication, timeout_s: float = 5.0) -> StateAnswer:
    """Attach an application; returns once it is on disk.

    Raises:
        VedetteError: see ``StateClient``.
    """
    with StateClient(directory, timeout_s) as client:
        return client.request(AttachRequest(application=application))


def detach(directory: Path, name: str, timeout_s: float = 5.0) -> bool:
    """Detach an application; whether there was one.

    Raises:
        VedetteError: see ``StateClient``.
    """
    with StateClient(directory, timeout_s) as client:
        return client.request(DetachRequest(name=name)).changed


def detach_candidate(directory: Path, name: str, timeout_s: float = 5.0) -> bool:
    """Detach the candidate of an application; whether there was one.

    Raises:
        VedetteError: see ``StateClient``.
    """
    with StateClient(directory, timeout_s) as client:
        return client.request(DetachCandidateRequest(name=name)).changed


def status(directory: Path, timeout_s: float = 5.0) -> StateAnswer:
    """What is attached, what is wrong, and what the owner knows besides.

    Raises:
        VedetteError: see ``StateClient``.
    """
    with StateClient(directory, timeout_s) as client:
        return client.request(StatusRequest())


def parameters(directory: Path, name: str, timeout_s: float = 5.0) -> StateAnswer:
    """The parameters of an attached application, in ``StateAnswer.parameters``.

    Raises:
        VedetteError: see ``StateClient``.
    """
    with StateClient(directory, timeout_s) as client:
        return client.request(ParametersRequest(name=name))


def set_parameters(
    directory: Path, name: str, values: Mapping[str, ParameterValue | None], timeout_s: float = 5.0
) -> StateAnswer:
    """Change parameters of an attached application; returns once it is on disk, with all of its parameters.

    Raises:
        VedetteError: V106, a value is not allowed and nothing was changed; else see ``StateClient``.
    """
    with StateClient(directory, timeout_s) as client:
        return client.request(SetParametersRequest(name=name, values=dict(values)))


def plan(directory: Path, timeout_s: float = 5.0) -> StateAnswer:
    """The plan in force, in ``StateAnswer.plan``.

    Raises:
        VedetteError: see ``StateClient``.
    """
    with StateClient(directory, timeout_s) as client:
        return client.request(PlanRequest())
