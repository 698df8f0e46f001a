"""Lines of GPIO chips, by the kernel's own interface: version 2 of ``linux/gpio.h``, from Linux 5.10 on.

The official library (libgpiod) has wheels, also for aarch64, but hides its requests in C, where nothing but hardware
shows whether they are right. The interface is four requests and never changes; their bytes are compared with what a
compiler makes of the kernel's own header.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vedette.contracts.errors import DeliveryError

#: ``ioctl`` numbers: direction, size of the argument, 0xB4, number.
_IOR, _IOWR = 2, 3
#: struct gpiochip_info: name[32], label[32], lines.
CHIP_INFO: Final = struct.Struct("=32s32sI")
#: struct gpio_v2_line_info: name[32], consumer[32], offset, num_attrs, flags, attrs[10] of 16 bytes, padding[4].
LINE_INFO: Final = struct.Struct("=32s32sIIQ160s16x")
#: struct gpio_v2_line_request: offsets[64], consumer[32]; config: flags, num_attrs, padding[5], one attribute
#: (id, padding, values, mask) and room for nine; num_lines, event_buffer_size, padding[5], fd.
LINE_REQUEST: Final = struct.Struct("=I252x32sQI20xI4xQQ216xII20xi")
#: struct gpio_v2_line_values: bits, mask.
LINE_VALUES: Final = struct.Struct("=QQ")


def request_number(direction: int, number: int, size: int) -> int:
    """``_IOC`` of ``asm-generic/ioctl.h``, as x86-64 and aarch64 have it."""
    return direction << 30 | size << 16 | 0xB4 << 8 | number


GET_CHIP_INFO: Final = request_number(_IOR, 0x01, CHIP_INFO.size)
GET_LINE_INFO: Final = request_number(_IOWR, 0x05, LINE_INFO.size)
GET_LINE: Final = request_number(_IOWR, 0x07, LINE_REQUEST.size)
GET_VALUES: Final = request_number(_IOWR, 0x0E, LINE_VALUES.size)
SET_VALUES: Final = request_number(_IOWR, 0x0F, LINE_VALUES.size)

FLAG_USED, FLAG_ACTIVE_LOW, FLAG_OUTPUT = 1 << 0, 1 << 1, 1 << 3
ATTRIBUTE_OUTPUT_VALUES: Final = 2
_CONSUMER: Final = b"vedette"

Ioctl = Callable[[int, int, bytearray], object]


@dataclass(frozen=True, slots=True)
class GpioSettings:
    """A line: one of offset and name is given."""

    chip: str
    offset: int | None
    name: str | None
    active_low: bool


class GpioOutput:
    """One line, ours as output while it is open; inactive when it is opened.

    Args:
        settings: which line.
        ioctl: the system call; for tests.
    """

    def __init__(self, settings: GpioSettings, *, ioctl: Ioctl = fcntl.ioctl) -> None:
        self._settings = settings
        self._ioctl = ioctl
        self._line = -1
        self.where = f"line {settings.name if settings.offset is None else settings.offset} of {settings.chip}"

    def open(self) -> None:
        """Have the line.

        Raises:
            DeliveryError: V506, there is no such chip or line, it is somebody else's, or it is not open to us.
        """
        if self._line >= 0:
            return
        settings = self._settings
        try:
            chip = os.open(settings.chip, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise self._unavailable(error.strerror or str(error)) from error
        try:
            offset = self._offset(chip)
            flags = FLAG_OUTPUT | (FLAG_ACTIVE_LOW if settings.active_low else 0)
            request = bytearray(LINE_REQUEST.pack(offset, _CONSUMER, flags, 1, ATTRIBUTE_OUTPUT_VALUES, 0, 1, 1, 0, -1))
            self._ioctl(chip, GET_LINE, request)
            self._line = int(LINE_REQUEST.unpack(request)[-1])
        except OSError as error:
            raise self._unavailable(self._words(error, chip)) from error
        finally:
            os.close(chip)

    def set(self, active: bool) -> None:
        """Make the line active or not.

        Raises:
            DeliveryError: V506, it is gone.
        """
        self.open()
        try:
            self._ioctl(self._line, SET_VALUES, bytearray(LINE_VALUES.pack(int(active), 1)))
        except OSError as error:
            self.close()
            raise self._unavailable(error.strerror or str(error)) from error

    def get(self) -> bool:
        """Whether the line is active.

        Raises:
            DeliveryError: V506, it is gone.
        """
        self.open()
        values = bytearray(LINE_VALUES.pack(0, 1))
        try:
            self._ioctl(self._line, GET_VALUES, values)
        except OSError as error:
            self.close()
            raise self._unavailable(error.strerror or str(error)) from error
        return bool(LINE_VALUES.unpack(values)[0] & 1)

    def close(self) -> None:
        """Give the line back; what it does then is the chip's own. Idempotent."""
        if self._line >= 0:
            with contextlib.suppress(OSError):
                os.close(self._line)
            self._line = -1

    def _offset(self, chip: int) -> int:
        """The line's offset; by its name where that was given."""
        info = bytearray(CHIP_INFO.size)
        self._ioctl(chip, GET_CHIP_INFO, info)
        lines = int(CHIP_INFO.unpack(info)[2])
        if self._settings.offset is not None:
            if self._settings.offset >= lines:
                raise self._unavailable(f"the chip has {lines} lines, from 0 to {lines - 1}")
            return self._settings.offset
        wanted = (self._settings.name or "").encode()
        for offset in range(lines):
            if self._info(chip, offset)[0] == wanted:
                return offset
        raise self._unavailable("the chip has no line of that name")

    def _info(self, chip: int, offset: int) -> tuple[bytes, bytes, int]:
        """Name, user and flags of a line."""
        info = bytearray(LINE_INFO.pack(b"", b"", offset, 0, 0, b""))
        self._ioctl(chip, GET_LINE_INFO, info)
        name, consumer, _, _, flags, _ = LINE_INFO.unpack(info)
        return name.partition(b"\0")[0], consumer.partition(b"\0")[0], int(flags)

    def _words(self, error: OSError, chip: int) -> str:
        if error.errno == errno.EBUSY:
            with contextlib.suppress(OSError, DeliveryError):
                _, consumer, _ = self._info(chip, self._offset(chip))
                return f"it is in use by {consumer.decode('ascii', 'replace') or 'something'}"
            return "it is in use"
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            return (
                "the kernel does not know version 2 of the GPIO interface (Linux 5.10), or the device is no GPIO chip"
            )
        return error.strerror or str(error)

    def _unavailable(self, words: str) -> DeliveryError:
        return DeliveryError(
            f"{self.where} is not available: {words}.",
            hint="See `gpiodetect` and `gpioinfo`; the component's user has to be in the device's group.",
            code="V506",
        )
