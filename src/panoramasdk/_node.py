"""The node of the graph that an application's code is, and its ports."""

from __future__ import annotations

import mmap
import threading
import weakref
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from . import _wire
from ._media import media, upload_of

#: Between two arrays in shared memory: each begins where any type may begin.
_ALIGNMENT = 64

_lock = threading.Lock()
_client: Optional[_wire.Client] = None


def _shared_client() -> _wire.Client:
    """The connection to the host, one for the process however many nodes it makes."""
    global _client
    with _lock:
        if _client is None:
            _client = _wire.connect()
        return _client


class _Ports:
    """Ports as attributes."""

    def __init__(self, ports: Dict[str, "port"]) -> None:
        self.__dict__.update(ports)

    def __repr__(self) -> str:
        return "<ports {}>".format(", ".join(sorted(self.__dict__)) or "none")


class port:  # noqa: N801 - the name that applications use
    """One port of the node's interface."""

    def __init__(self, client: _wire.Client, name: str, type_: str) -> None:
        self._client = client
        self._name = name
        self._type = type_
        self._rings: Dict[int, mmap.mmap] = {}
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
        with self._reading:
            return self._pictures(timeout)

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
            room = connection.room(max(size, 1))
            for part, (one, array, offset) in enumerate(zip(pictures, uploads, offsets)):
                image = None
                if array is not None:
                    np.frombuffer(room, np.uint8, array.nbytes, offset)[:] = array.reshape(-1)
                    image = {"offset": offset, "height": array.shape[0], "width": array.shape[1]}
                entry = {"token": one._token, "annotations": one._annotations, "image": image}
                question = {"do": "put", "port": self._name, "part": part, "of": len(pictures), "media": entry}
                answer, _ = connection.ask(question)
                self._client.pictures_wanted = bool(answer["pictures"])
        finally:
            self._client.give(connection)

    def _pictures(self, timeout: Optional[float]) -> List[media]:
        question = {"do": "get", "port": self._name, "timeout_s": timeout, "released": self._client.released()}
        answer, descriptors = self._client.ask(question)
        for ring, descriptor in zip(answer.get("rings", ()), descriptors):
            self._rings[ring["ring"]] = _wire.map_shared(descriptor, ring["bytes"])
        used = {entry["ring"] for entry in answer["media"] if not entry["cached"]}
        pictures = [self._picture(entry) for entry in answer["media"]]
        for entry, picture in zip(answer["media"], pictures):
            if not entry["cached"]:
                self._latest[entry["stream_id"]] = picture
        for ring in [ring for ring in self._rings if ring in answer.get("gone", ()) and ring not in used]:
            del self._rings[ring]
        return pictures

    def _picture(self, entry: Dict[str, Any]) -> media:
        stream, uri = entry["stream_id"], entry["stream_uri"]
        stamp = (entry["time_stamp"][0], entry["time_stamp"][1])
        if entry["cached"]:
            known = self._latest[stream]
            return media(known.image, stream, uri, stamp, True, known._token, known._in_place)
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
        client = _shared_client()
        answer, _ = client.ask({"do": "hello", "sdk": 1})
        self._client = client
        self.inputs = _Ports({name: port(client, name, given) for name, given in answer["inputs"].items()})
        self.outputs = _Ports({name: port(client, name, "media") for name in answer["outputs"]})
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is left to do; whatever is given is accepted."""

    _client: _wire.Client

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
        connection = self._client.take()
        try:
            outputs = _run(connection, name, names, arrays, time_out)
        except _wire.TimeoutException:
            raise
        except (KeyError, ValueError, RuntimeError):
            self._client.give(connection)
            raise
        self._client.give(connection)
        return outputs or None


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
    return name, value, None if time_out is None else float(time_out)


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
    offsets, size = _places([array.nbytes for array in arrays])
    room = connection.room(max(size, 1))
    entries = []
    for tensor, array, offset in zip(names, arrays, offsets):
        np.frombuffer(room, array.dtype, array.size, offset)[:] = array.reshape(-1)
        entries.append({"name": tensor, "dtype": array.dtype.name, "shape": list(array.shape), "offset": offset})
    answer, descriptors = connection.ask({"do": "call", "node": name, "inputs": entries}, time_out)
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
