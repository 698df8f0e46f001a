"""The worker: one model, one socket, tensors in shared memory. Python 3.6, standard library and NumPy.

Messages are JSON behind their length (4 bytes, big endian). It is asked, in this order:

``open``    ``inputs`` {name: {shape, dtype}} → loads the model, runs it on zeros, answers ``outputs``, one each:
            {name, shape, dtype}
``memory``  one descriptor goes along; ``size``, ``inputs`` {name: offset}, ``outputs`` [offset] → maps it, answers
``run``     ``id`` → reads the inputs there, writes the outputs there, answers ``id``

Every answer has ``ok``; where it is false, ``error`` says why. The end of the socket is the end of the program.
"""

import argparse
import array
import json
import mmap
import os
import socket
import struct
import sys
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

#: Larger messages are no messages of ours.
MAX_MESSAGE = 1 << 20
VERSION = 1


class ClosedError(Exception):
    """The other side is gone."""


class Link:
    """Framed messages over a socket, with at most one descriptor beside each."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def receive(self) -> Tuple[Dict[str, Any], Optional[int]]:
        """The next message, and the descriptor that came with it.

        Raises:
            ClosedError: there is no other side any more.
            ValueError: it is no message of ours.
        """
        head, descriptor = self._exactly(4)
        (size,) = struct.unpack(">I", head)
        if size > MAX_MESSAGE:
            raise ValueError(f"a message of {size} bytes")
        body, other = self._exactly(size)
        document = json.loads(body.decode("utf-8"))
        if not isinstance(document, dict):
            raise ValueError("a message that is no object")
        return document, descriptor if descriptor is not None else other

    def send(self, document: Dict[str, Any]) -> None:
        """Send one message."""
        body = json.dumps(document).encode("utf-8")
        self._socket.sendall(struct.pack(">I", len(body)) + body)

    def _exactly(self, size: int) -> Tuple[bytes, Optional[int]]:
        found, descriptor = b"", None
        while len(found) < size:
            chunk, ancillary, _, _ = self._socket.recvmsg(size - len(found), socket.CMSG_SPACE(4))
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    descriptors = array.array("i")
                    descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
                    descriptor = descriptors[0]
            if not chunk:
                raise ClosedError
            found += chunk
        return found, descriptor


class Worker:
    """One model.

    Args:
        directory: what Neo made, unpacked.
        device: ``cpu`` or ``gpu``.
    """

    def __init__(self, directory: str, device: str) -> None:
        self._directory, self._device = directory, device
        self._model = None  # type: Any
        self._specs = {}  # type: Dict[str, Dict[str, Any]]
        self._outputs = []  # type: List[Dict[str, Any]]
        self._inputs_at = {}  # type: Dict[str, Any]
        self._outputs_at = []  # type: List[Any]

    def answer(self, question: Dict[str, Any], descriptor: Optional[int]) -> Dict[str, Any]:
        """Do what is asked.

        Raises:
            Exception: it cannot be done; the message says why.
        """
        operation = question.get("op")
        if operation == "open":
            return self._open(question["inputs"])
        if operation == "memory":
            if descriptor is None:
                raise ValueError("no descriptor came with the memory")
            return self._attach(descriptor, question)
        if operation == "run":
            return self._run(question["id"])
        raise ValueError(f"unknown operation {operation!r}")

    def _open(self, inputs: Dict[str, Dict[str, Any]]) -> Dict[str, Any]:
        from dlr import DLRModel

        self._model = DLRModel(self._directory, self._device, 0)
        names = list(self._model.get_input_names())
        if sorted(names) != sorted(inputs):
            # One input needs no name to be told from others: PyTorch's tracing often calls it ``input0``.
            if len(names) != 1 or len(inputs) != 1:
                raise ValueError(f"the model has the inputs {sorted(names)}, not {sorted(inputs)}")
            inputs = {names[0]: next(iter(inputs.values()))}
        self._specs = inputs
        zeros = {n: np.zeros(spec["shape"], np.dtype(spec["dtype"])) for n, spec in inputs.items()}
        found = [np.asarray(output) for output in self._model.run(zeros)]
        self._outputs = [
            {"name": name, "shape": list(output.shape), "dtype": output.dtype.name}
            for name, output in zip(self._output_names(len(found)), found)
        ]
        return {"version": VERSION, "outputs": self._outputs}

    def _output_names(self, count: int) -> List[str]:
        try:
            names = [str(name) for name in self._model.get_output_names()]
        except Exception:  # noqa: BLE001 - older runtimes and models without metadata know no names
            names = []
        return names if len(names) == count else [f"output_{number}" for number in range(count)]

    def _attach(self, descriptor: int, question: Dict[str, Any]) -> Dict[str, Any]:
        try:
            memory = mmap.mmap(descriptor, int(question["size"]))
        finally:
            os.close(descriptor)
        offsets = list(question["inputs"].values()) if len(self._specs) == 1 else None
        for name, spec in self._specs.items():
            at = offsets[0] if offsets is not None else question["inputs"][name]
            self._inputs_at[name] = _view(memory, spec, at)
        self._outputs_at = [_view(memory, spec, at) for spec, at in zip(self._outputs, question["outputs"])]
        return {}

    def _run(self, number: int) -> Dict[str, Any]:
        found = self._model.run({name: np.array(view) for name, view in self._inputs_at.items()})
        if len(found) != len(self._outputs_at):
            raise ValueError(f"{len(found)} outputs, {len(self._outputs_at)} before")
        for value, place in zip(found, self._outputs_at):
            output = np.asarray(value)
            if output.shape != place.shape or output.dtype != place.dtype:
                raise ValueError(f"an output became {output.dtype.name} {list(output.shape)}")
            np.copyto(place, output)
        return {"id": number}


def _view(memory: mmap.mmap, spec: Dict[str, Any], offset: int) -> Any:
    dtype = np.dtype(spec["dtype"])
    count = int(np.prod(spec["shape"], dtype=np.int64))
    return np.frombuffer(memory, dtype, count, offset).reshape(spec["shape"])


def serve(link: Link, worker: Worker) -> None:
    """Answer until the other side is gone."""
    while True:
        try:
            question, descriptor = link.receive()
        except ClosedError:
            return
        try:
            answer = worker.answer(question, descriptor)
            answer["ok"] = True
        except Exception as error:  # noqa: BLE001 - whatever the runtime raises, the other side has to hear of
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"[:500]}
        link.send(answer)


def main(arguments: List[str]) -> int:
    """Entry point; the exit code."""
    parser = argparse.ArgumentParser(prog="dlr_worker")
    parser.add_argument("--socket", type=int, required=True, help="descriptor of the socket")
    parser.add_argument("--model", required=True, help="directory of what Neo made")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    given = parser.parse_args(arguments)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=given.socket)
    # What the runtime prints must not look like anything else's output.
    os.dup2(2, 1)
    try:
        serve(Link(connection), Worker(given.model, given.device))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"dlr_worker: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
