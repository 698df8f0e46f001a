"""GStreamer's C libraries, as much of them as decoding takes, by way of ctypes.

The bindings that distributions ship (``gi``) are built for the system's own Python and load in no other, and a device's
components run in a Python of their own. The C interface has been stable since GStreamer 1.0; structures and functions
are those of its reference manual (gstreamer.freedesktop.org/documentation).
"""

from __future__ import annotations

import ctypes
import threading
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.core.pixels import Pixels

_STATE_NULL: Final = 1
_STATE_PLAYING: Final = 4
_CHANGE_FAILED: Final = 0
_FLOW_OK: Final = 0
_MAP_READ: Final = 1
_MESSAGE_ERROR: Final = 1 << 1
#: Set by decoders on pictures that they had to invent parts of.
_FLAG_CORRUPTED: Final = 1 << 8
_NS_A_US: Final = 1000


class GstError(Exception):
    """GStreamer is missing or cannot do what was asked; never leaves ``adapters.capture``."""


class _MiniObject(ctypes.Structure):
    _fields_ = (
        ("type", c_size_t),
        ("refcount", c_int),
        ("lockstate", c_int),
        ("flags", c_uint),
        ("copy", c_void_p),
        ("dispose", c_void_p),
        ("free", c_void_p),
        ("priv_uint", c_uint),
        ("priv_pointer", c_void_p),
    )


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("object", _MiniObject),
        ("pool", c_void_p),
        ("pts", c_uint64),
        ("dts", c_uint64),
        ("duration", c_uint64),
        ("offset", c_uint64),
        ("offset_end", c_uint64),
    )


class _MapInfo(ctypes.Structure):
    _fields_ = (
        ("memory", c_void_p),
        ("flags", c_int),
        ("data", c_void_p),
        ("size", c_size_t),
        ("maxsize", c_size_t),
        ("user_data", c_void_p * 4),
        ("reserved", c_void_p * 4),
    )


class _VideoMeta(ctypes.Structure):
    _fields_ = (
        ("meta_flags", c_int),
        ("meta_info", c_void_p),
        ("buffer", c_void_p),
        ("flags", c_int),
        ("format", c_int),
        ("id", c_int),
        ("width", c_uint),
        ("height", c_uint),
        ("n_planes", c_uint),
        ("offset", c_size_t * 4),
        ("stride", c_int * 4),
    )


class _Error(ctypes.Structure):
    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


_P: Final = c_void_p
#: Library → functions: result, arguments.
_FUNCTIONS: Final[dict[str, dict[str, tuple[Any, tuple[Any, ...]]]]] = {
    "libgstreamer-1.0.so.0": {
        "gst_init_check": (c_int, (_P, _P, POINTER(POINTER(_Error)))),
        "gst_element_factory_find": (_P, (c_char_p,)),
        "gst_parse_launch": (_P, (c_char_p, POINTER(POINTER(_Error)))),
        "gst_bin_get_by_name": (_P, (_P, c_char_p)),
        "gst_element_set_state": (c_int, (_P, c_int)),
        "gst_element_get_bus": (_P, (_P,)),
        "gst_bus_pop_filtered": (_P, (_P, c_int)),
        "gst_message_parse_error": (None, (_P, POINTER(POINTER(_Error)), _P)),
        "gst_object_unref": (None, (_P,)),
        "gst_mini_object_unref": (None, (_P,)),
        "gst_buffer_new_allocate": (POINTER(_Buffer), (_P, c_size_t, _P)),
        "gst_buffer_fill": (c_size_t, (_P, c_size_t, c_char_p, c_size_t)),
        "gst_buffer_map": (c_int, (_P, POINTER(_MapInfo), c_int)),
        "gst_buffer_unmap": (None, (_P, POINTER(_MapInfo))),
        "gst_sample_get_buffer": (POINTER(_Buffer), (_P,)),
        "gst_sample_get_caps": (_P, (_P,)),
        "gst_caps_get_structure": (_P, (_P, c_uint)),
        "gst_structure_get_int": (c_int, (_P, c_char_p, POINTER(c_int))),
        "gst_structure_get_string": (c_char_p, (_P, c_char_p)),
    },
    "libgstapp-1.0.so.0": {
        "gst_app_src_push_buffer": (c_int, (_P, _P)),
        "gst_app_src_end_of_stream": (c_int, (_P,)),
        "gst_app_sink_try_pull_sample": (_P, (_P, c_uint64)),
    },
    "libgstvideo-1.0.so.0": {"gst_buffer_get_video_meta": (POINTER(_VideoMeta), (_P,))},
    "libglib-2.0.so.0": {"g_error_free": (None, (POINTER(_Error),))},
}

_load_lock = threading.Lock()
_loaded: Gst | None = None


def load_gstreamer() -> Gst:
    """This process' GStreamer, started at the first call, which may take seconds: it looks through its plug-ins.

    Raises:
        GstError: it is not installed, or does not start.
    """
    global _loaded
    with _load_lock:
        if _loaded is None:
            _loaded = Gst()
        return _loaded


class Gst:
    """The functions, and what they are used for.

    Raises:
        GstError: GStreamer is not installed, or does not start.
    """

    def __init__(self) -> None:
        self.call: dict[str, Any] = {}
        for library, functions in _FUNCTIONS.items():
            try:
                loaded = ctypes.CDLL(library)
            except OSError:
                raise GstError(f"{library} is not installed") from None
            for name, (result, arguments) in functions.items():
                function = getattr(loaded, name)
                function.restype, function.argtypes = result, arguments
                self.call[name] = function
        error = POINTER(_Error)()
        if not self.call["gst_init_check"](None, None, byref(error)):
            raise GstError(f"GStreamer does not start: {self.words(error)}")

    def has(self, element: str) -> bool:
        """Whether an element of this name can be made."""
        factory = self.call["gst_element_factory_find"](element.encode())
        if not factory:
            return False
        self.call["gst_object_unref"](factory)
        return True

    def words(self, error: Any) -> str:
        """The text of an error, which is freed."""
        if not error:
            return "no reason given"
        text = (error.contents.message or b"").decode(errors="replace").strip()
        self.call["g_error_free"](error)
        return text


class Mapped:
    """A buffer's memory for as long as an array refers to it; NumPy takes it as an array of bytes."""

    def __init__(self, gst: Gst, sample: int, buffer: Any) -> None:
        self._gst = gst
        self._sample: int | None = sample
        self._buffer = buffer
        self._info = _MapInfo()
        if not gst.call["gst_buffer_map"](buffer, byref(self._info), _MAP_READ):
            gst.call["gst_mini_object_unref"](sample)
            self._sample = None
            raise GstError("a picture's memory cannot be read")
        self.__array_interface__ = {
            "shape": (int(self._info.size),),
            "typestr": "|u1",
            "data": (int(self._info.data or 0), True),
            "version": 3,
        }

    def __del__(self) -> None:
        if self._sample is not None:
            self._gst.call["gst_buffer_unmap"](self._buffer, byref(self._info))
            self._gst.call["gst_mini_object_unref"](self._sample)
            self._sample = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture as it left a pipeline.

    Attributes:
        pixels: views into GStreamer's memory, which lives as long as they do.
        stamp_us: time stamp, microseconds, of the packet it came from.
        corrupt: the decoder says that parts of it are invented.
    """

    pixels: Pixels
    stamp_us: int
    corrupt: bool


class Pipeline:
    """A running pipeline with an ``appsrc`` named ``in`` and an ``appsink`` named ``out`` that gives I420.

    Raises:
        GstError: an element is missing or does not start.
    """

    def __init__(self, gst: Gst, text: str) -> None:
        self._gst = gst
        self._call = gst.call
        self._objects: list[int] = []
        error = POINTER(_Error)()
        self._pipeline = self._call["gst_parse_launch"](text.encode(), byref(error))
        if error:
            reason = gst.words(error)
            self._keep(self._pipeline)
            self.close()
            raise GstError(reason)
        self._keep(self._pipeline)
        self._source = self._keep(self._call["gst_bin_get_by_name"](self._pipeline, b"in"))
        self._sink = self._keep(self._call["gst_bin_get_by_name"](self._pipeline, b"out"))
        self._bus = self._keep(self._call["gst_element_get_bus"](self._pipeline))
        if self._call["gst_element_set_state"](self._pipeline, _STATE_PLAYING) == _CHANGE_FAILED:
            reason = self.error() or "it does not start"
            self.close()
            raise GstError(reason)

    def _keep(self, pointer: int | None) -> int:
        if not pointer:
            return 0
        self._objects.append(pointer)
        return pointer

    def push(self, data: bytes, stamp_us: int) -> bool:
        """Hand over a packet; False where the pipeline has failed."""
        buffer = self._call["gst_buffer_new_allocate"](None, len(data), None)
        if not buffer:
            raise GstError(f"no memory for a packet of {len(data)} bytes")
        self._call["gst_buffer_fill"](buffer, 0, data, len(data))
        buffer.contents.pts = stamp_us * _NS_A_US
        return bool(self._call["gst_app_src_push_buffer"](self._source, buffer) == _FLOW_OK)  # it owns the buffer now

    def end(self) -> None:
        """No more packets come: what is held back comes out."""
        self._call["gst_app_src_end_of_stream"](self._source)

    def pull(self, wait_s: float) -> Sample | None:
        """The next picture; None where none comes within the time, or ever.

        Raises:
            GstError: it is no I420 picture that can be read.
        """
        sample = self._call["gst_app_sink_try_pull_sample"](self._sink, round(wait_s * 1e9))
        if not sample:
            return None
        buffer = self._call["gst_sample_get_buffer"](sample)
        caps = self._call["gst_caps_get_structure"](self._call["gst_sample_get_caps"](sample), 0)
        width, height = c_int(), c_int()
        self._call["gst_structure_get_int"](caps, b"width", byref(width))
        self._call["gst_structure_get_int"](caps, b"height", byref(height))
        colours = (self._call["gst_structure_get_string"](caps, b"colorimetry") or b"").decode(errors="replace")
        meta = self._call["gst_buffer_get_video_meta"](buffer)
        layout = default_layout(width.value, height.value)
        if meta:
            layout = tuple((meta.contents.offset[plane], meta.contents.stride[plane]) for plane in range(3))
        stamp_us = round(buffer.contents.pts / _NS_A_US)
        corrupt = bool(buffer.contents.object.flags & _FLAG_CORRUPTED)
        memory = np.asarray(Mapped(self._gst, sample, buffer))
        # GStreamer writes range:matrix:transfer:primaries where it has no name for a combination; range 1 is full.
        return Sample(as_planes(memory, width.value, height.value, layout, colours.startswith("1:")), stamp_us, corrupt)

    def error(self) -> str:
        """What has gone wrong in it since the last call; empty where nothing has."""
        message = self._call["gst_bus_pop_filtered"](self._bus, _MESSAGE_ERROR)
        if not message:
            return ""
        error = POINTER(_Error)()
        self._call["gst_message_parse_error"](message, byref(error), None)
        self._call["gst_mini_object_unref"](message)
        return self._gst.words(error)

    def close(self) -> None:
        """Stop it; idempotent. Pictures that are in use stay readable."""
        objects, self._objects = self._objects, []
        if objects:
            self._call["gst_element_set_state"](objects[0], _STATE_NULL)
        for pointer in reversed(objects):
            self._call["gst_object_unref"](pointer)


Layout = tuple[tuple[int, int], ...]


def default_layout(width: int, height: int) -> Layout:
    """Offset and bytes a row of the planes of an I420 picture as GStreamer lays them out where it says nothing else.

    Source: ``gst_video_info_set_format``: rows are multiples of four bytes, heights of two.
    """
    row, chroma_row, rows = _up(width, 4), _up((width + 1) // 2, 4), _up(height, 2)
    luma = row * rows
    return (0, row), (luma, chroma_row), (luma + chroma_row * rows // 2, chroma_row)


def _up(value: int, step: int) -> int:
    return (value + step - 1) // step * step


def as_planes(memory: NDArray[np.uint8], width: int, height: int, layout: Layout, full_range: bool) -> Pixels:
    """Views of the planes of an I420 picture.

    Raises:
        GstError: the memory, uint8 (n,), is shorter than the picture.
    """
    chroma = ((height + 1) // 2, (width + 1) // 2)
    y, u, v = (
        _plane(memory, rows, columns, offset, stride)
        for (rows, columns), (offset, stride) in zip(((height, width), chroma, chroma), layout, strict=True)
    )
    return Pixels(y, u, v, full_range)


def _plane(memory: NDArray[np.uint8], rows: int, columns: int, offset: int, stride: int) -> NDArray[np.uint8]:
    if rows < 1 or stride < columns or offset + stride * (rows - 1) + columns > memory.size:
        raise GstError(f"a plane of {columns}x{rows} does not fit a picture's {memory.size} bytes")
    return np.lib.stride_tricks.as_strided(memory[offset:], (rows, columns), (stride, 1), writeable=False)
