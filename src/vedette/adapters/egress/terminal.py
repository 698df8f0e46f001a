"""A serial device, spoken to without ever waiting longer than told."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import stat
import termios
import time
import tty
from typing import Final

from vedette.contracts.errors import DeliveryError

_SPEEDS: Final = {
    9600: termios.B9600,
    19200: termios.B19200,
    38400: termios.B38400,
    57600: termios.B57600,
    115200: termios.B115200,
    230400: termios.B230400,
    460800: termios.B460800,
}


class Terminal:
    """An open serial device in raw mode, this process' own while it is open.

    Args:
        path: such as ``/dev/ttyUSB2``.
        baud: speed.

    Raises:
        DeliveryError: V506, it is not there, is no serial device, is not open to us, or is another program's.
    """

    def __init__(self, path: str, baud: int) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise self._unavailable(error.strerror or str(error)) from error
        try:
            if not stat.S_ISCHR(os.fstat(self._descriptor).st_mode):
                raise self._unavailable("it is no device")
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._set_up(baud)
        except (OSError, termios.error) as error:
            self.close()
            words = "another program has it" if isinstance(error, BlockingIOError) else str(error.args[-1])
            raise self._unavailable(words) from error
        except BaseException:
            self.close()
            raise

    def write(self, content: bytes, deadline_s: float) -> None:
        """Send all of it.

        Raises:
            DeliveryError: V506, the device is gone; V502, it takes nothing.
        """
        while content:
            if not select.select([], [self._descriptor], [], max(0.0, deadline_s - time.monotonic()))[1]:
                raise DeliveryError(f"modem {self._path} takes no data.", code="V502")
            try:
                content = content[os.write(self._descriptor, content) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._unavailable(error.strerror or str(error)) from error

    def read(self, deadline_s: float) -> bytes:
        """What has come, waiting for something until then; empty where nothing has.

        Raises:
            DeliveryError: V506, the device is gone.
        """
        if not select.select([self._descriptor], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
            return b""
        try:
            content = os.read(self._descriptor, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._unavailable(error.strerror or str(error)) from error
        if not content:
            raise self._unavailable("it was unplugged")
        return content

    def discard(self) -> None:
        """Forget what has come and was not read."""
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(self._descriptor, termios.TCIFLUSH)

    def close(self) -> None:
        """Close it; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _set_up(self, baud: int) -> None:
        tty.setraw(self._descriptor, termios.TCSANOW)
        mode = termios.tcgetattr(self._descriptor)
        mode[2] = (mode[2] | termios.CLOCAL | termios.CREAD) & ~(termios.CRTSCTS | termios.CSTOPB)
        mode[4] = mode[5] = _SPEEDS[baud]
        termios.tcsetattr(self._descriptor, termios.TCSANOW, mode)

    def _unavailable(self, words: str) -> DeliveryError:
        return DeliveryError(
            f"serial device {self._path} is not available: {words}.",
            hint="Check `device`, and that the component's user may open it (group dialout).",
            code="V506",
        )
