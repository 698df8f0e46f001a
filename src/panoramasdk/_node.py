"""The node of the graph that an application's code is, and its ports."""

from __future__ import annotations

import math
import mmap
import os
import threading
import time
import weakref
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from . import _wire
from ._media import media, upload_of

#: Between two arrays in shared memory: each begins where any type may begin.
_ALIGNMENT = 64


class _Process:
    """What all nodes of this process share: the connection to the host, and the ports."""

    def __init__(self) -> None:
        self.client = client = _wire.connect()
        told = client.interface
        self.inputs = {name: port(client, name, given) for name, given in told["inputs"].items()}
        self.outputs = {name: port(client, name, "media") for name in told["outputs"]}
        os.register_at_fork(after_in_child=self.begin_anew)

    def begin_anew(self) -> None:
        """In the child after a fork."""
        global _lock
        _lock = threading.Lock()
        self.client.begin_anew()
        for one in self.inputs.values():
            one._forget()


_lock = threading.Lock()
_process: Optional[_Process] = None


def _this_process() -> _Process:
    """One for the process, however many nodes it makes."""
    global _process
    with _lock:
        if _process is None:
            _process = _Process()
        return _process


class _Ports:
    """Ports as attributes."""

    def __init__(self, ports: Dict[str, "port"]) -> None:
        self.__dict__.update(ports)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError("the node has no port {!r} here; it has {}".format(name, self._names()))

    def __repr__(self) -> str:
        return "<ports {}>".format(self._names())

    def _names(self) -> str:
        return ", ".join(sorted(self.__dict__)) or "none"


class port:  # noqa: N801 - the name that applications use
    """One port of the node's interface."""

    def __init__(self, client: _wire.Client, name: str, type_: str) -> None:
        self._client = client
        self._name = name
        self._type = type_
        self._forget()

    def _forget(self) -> None:
        self._rings: Dict[int, mmap.mmap] = {}
        self._ring_of: Dict[str, int] = {}
        self._latest: Dict[str, media] = {}
        self._reading = threading.Lock()

    def get(self, timeout: Optional[float] = None) -> Any:
        """The value of a parameter, or a list of pictures: one of each stream, as soon as one of them is new.

        Args:
            timeout: seconds to wait for a picture; for ever where None.

        Raises:
            TimeoutException: no stream had a new picture in time.
        """
        if self._type != "media":
            answer, _ = self._client.ask({"do": "value", "port": self._name})
            return answer["value"]
        return self._pictures(_seconds(timeout))

    def put(self, data_tuple: Any) -> None:
        """Hand pictures on, with what was drawn on them.

        Args:
            data_tuple: one picture, or a list or tuple of them.

        Raises:
            ValueError: it is an empty list, or holds what is no picture.
        """
        pictures = [data_tuple] if isinstance(data_tuple, media) else list(data_tuple)
        if not pictures:
            raise ValueError("an empty list was put on the port {}".format(self._name))
        for one in pictures:
            if not isinstance(one, media):
                raise ValueError(
                    "only pictures can be put on the port {}, not {}".format(self._name, type(one).__name__)
                )
        uploads = [upload_of(one) if self._client.pictures_wanted else None for one in pictures]
        offsets, size = _places([0 if array is None else array.nbytes for array in uploads])
        connection = self._client.take()
        try:
            for part, (one, array, offset) in enumerate(zip(pictures, uploads, offsets)):
                image = None
                if array is not None:
                    room = connection.room(size)
                    np.frombuffer(room, np.uint8, array.nbytes, offset)[:] = array.reshape(-1)
                    image = {"offset": offset, "height": array.shape[0], "width": array.shape[1]}
                entry = {"token": one._token, "annotations": one._annotations, "image": image}
                question = {"do": "put", "port": self._name, "part": part, "of": len(pictures), "media": entry}
                answer, _ = connection.ask(question)
                self._client.pictures_wanted = bool(answer["pictures"])
        finally:
            self._client.give(connection)

    def _pictures(self, timeout_s: Optional[float]) -> List[media]:
        reading = self._reading
        if timeout_s is None:
            reading.acquire()
        else:
            until_s = time.monotonic() + timeout_s
            if not reading.acquire(timeout=min(timeout_s, threading.TIMEOUT_MAX)):
                raise _wire.TimeoutException("no new picture within {:g} s".format(timeout_s))
            timeout_s = max(0.0, until_s - time.monotonic())
        try:
            return self._next(timeout_s)
        finally:
            reading.release()

    def _next(self, timeout_s: Optional[float]) -> List[media]:
        client = self._client
        released = client.released()
        question = {"do": "get", "port": self._name, "timeout_s": timeout_s, "client": client.number}
        try:
            answer, descriptors = client.ask({**question, "rings": list(self._rings), "released": released})
        except _wire.ANSWERED:
            raise
        except BaseException:  # such as one that a signal's handler raised
            for token in released:
                client.release(token)
            raise
        for ring, descriptor in zip(answer["rings"], descriptors):
            self._rings[ring["ring"]] = _wire.map_shared(descriptor, ring["bytes"])
        pictures = []
        for entry in answer["media"]:
            if not entry["cached"]:
                self._latest[entry["stream_id"]] = self._picture(entry)
                self._ring_of[entry["stream_id"]] = entry["ring"]
            elif entry["stream_id"] not in self._latest:
                continue  # another process of the application has had it
            pictures.append(self._cached(entry) if entry["cached"] else self._latest[entry["stream_id"]])
        current = set(self._ring_of.values())
        for number in [number for number in self._rings if number not in current]:
            del self._rings[number]  # a stream has changed its size; pictures keep the memory they lie in
        return pictures

    def _cached(self, entry: Dict[str, Any]) -> media:
        known = self._latest[entry["stream_id"]]
        return media(
            known.image, known.stream_id, known.stream_uri, known.time_stamp, True, known._token, known._in_place
        )

    def _picture(self, entry: Dict[str, Any]) -> media:
        stream, uri = entry["stream_id"], entry["stream_uri"]
        stamp = (entry["time_stamp"][0], entry["time_stamp"][1])
        token, shape = entry["token"], (entry["height"], entry["width"], 3)
        memory = self._rings[entry["ring"]]
        # This array is the one that every view of the picture, and every part of it, keeps alive.
        flat = np.frombuffer(memory, np.uint8, shape[0] * shape[1] * 3, entry["offset"])
        if entry["copy"]:
            image = flat.reshape(shape).copy()
            self._client.release(token)
            return media(image, stream, uri, stamp, False, token, False)
        weakref.finalize(flat, self._client.release, token).atexit = False
        return media(flat.reshape(shape), stream, uri, stamp, False, token, True)


class node:  # noqa: N801 - the name that applications use
    """The business logic node of the graph. Applications derive from it, or make one.

    Attributes:
        inputs: ports that values and pictures come from.
        outputs: ports that pictures go to.
    """

    inputs: Any
    outputs: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> "node":
        """Find this node's ports. Not done in ``__init__``, which most applications do not call."""
        self = super().__new__(cls)
        process = _this_process()
        self._panoramasdk_client = process.client
        self.inputs = _Ports(process.inputs)
        self.outputs = _Ports(process.outputs)
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is left to do; whatever is given is accepted."""

    #: A name that no application gives to an attribute of its own.
    _panoramasdk_client: _wire.Client

    def call(self, *args: Any, **kwargs: Any) -> Optional[Tuple[Any, ...]]:
        """Run a model and wait for what it gives.

        Both orders are understood: ``call(input, name)`` and ``call(name, input)``.

        Args:
            *args: the model node's name, its input, and the seconds to wait, the last at third place. An input is a
                dictionary ``{tensor: array}``, or an array or a picture where the model has one input.
            **kwargs: the same as ``name``, ``input`` and ``time_out``.

        Returns:
            The outputs in the model's order; None where it has none.

        Raises:
            KeyError: no model node has this name.
            ValueError: the input does not fit the model.
            TimeoutException: there was no answer in time.
        """
        name, given, time_out = _call_arguments(args, kwargs)
        names, arrays = _arrays(given)
        client = self._panoramasdk_client
        connection = client.take()
        try:
            return _run(connection, name, names, arrays, time_out) or None
        finally:
            client.give(connection)


def _call_arguments(args: Sequence[Any], kwargs: Dict[str, Any]) -> Tuple[str, Any, Optional[float]]:
    unknown = set(kwargs) - {"name", "input", "time_out"}
    if unknown or len(args) > 3:
        raise TypeError("call() takes a name, an input and time_out; got {}".format(sorted(unknown) or len(args)))
    given = list(args[:2])
    time_out = args[2] if len(args) == 3 else kwargs.get("time_out")
    name, value = kwargs.get("name"), kwargs.get("input")
    for one in given:
        if name is None and isinstance(one, str):
            name = one
        elif value is None:
            value = one
    if not isinstance(name, str):
        raise TypeError("call() needs the name of a model node as text")
    if value is None:
        raise ValueError("call() needs an input for the model node {}".format(name))
    return name, value, _seconds(time_out)


def _seconds(timeout: Any) -> Optional[float]:
    """A time to wait: None is for ever."""
    if timeout is None:
        return None
    seconds = float(timeout)
    if math.isnan(seconds):
        raise ValueError("a time to wait is a number of seconds, or None; got {!r}".format(timeout))
    return None if math.isinf(seconds) and seconds > 0 else max(0.0, seconds)


def _arrays(given: Any) -> Tuple[List[str], List[Any]]:
    if isinstance(given, dict):
        names = [str(name) for name in given]
        return names, [_array(name, value) for name, value in given.items()]
    return [""], [_array("", given)]


def _array(name: str, value: Any) -> Any:
    array = np.ascontiguousarray(value.image if isinstance(value, media) else value)
    if array.dtype.kind not in "biuf":
        raise ValueError("the input {} holds {}, not numbers".format(name or "of the model", array.dtype))
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _places(sizes: Sequence[int]) -> Tuple[List[int], int]:
    """Where arrays of these sizes begin in shared memory, and how much of it they need."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(end)
        end += -(-size // _ALIGNMENT) * _ALIGNMENT
    return offsets, end


def _run(
    connection: _wire.Connection, name: str, names: Sequence[str], arrays: Sequence[Any], time_out: Optional[float]
) -> Tuple[Any, ...]:
    until_s = None if time_out is None else time.monotonic() + time_out
    offsets, size = _places([array.nbytes for array in arrays])
    room = connection.room(max(size, 1), time_out)
    entries = []
    for tensor, array, offset in zip(names, arrays, offsets):
        np.frombuffer(room, array.dtype, array.size, offset)[:] = array.reshape(-1)
        entries.append({"name": tensor, "dtype": array.dtype.name, "shape": list(array.shape), "offset": offset})
    left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
    answer, descriptors = connection.ask({"do": "call", "node": name, "inputs": entries}, left_s)
    room = connection.take_room(answer, descriptors)
    return tuple(
        np.frombuffer(room, entry["dtype"], _count(entry["shape"]), entry["offset"]).reshape(entry["shape"]).copy()
        for entry in answer["outputs"]
    )


def _count(shape: Sequence[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count
