"""A modem at a pseudo-terminal that speaks AT as modems do, with their moods."""

from __future__ import annotations

import os
import re
import threading
import time
import tty
from collections.abc import Callable, Sequence


class FakeModem:
    """What was sent is in ``sent``: (command, content). ``answer`` may replace what it says to a command.

    Args:
        echo: repeats what it hears until told otherwise.
        noise: written before every answer.
        pin: what the SIM asks for; None where it asks for none.
    """

    def __init__(self, *, echo: bool = True, noise: bytes = b"", pin: str | None = None) -> None:
        self.sent: list[tuple[str, str]] = []
        self.heard: list[str] = []
        self.answer: Callable[[str], str | None] = lambda _command: None
        self.sends: Callable[[str], str | None] = lambda _content: None
        self.creg = "0,1"
        self.pins: list[str] = []
        self._echo, self._noise, self._pin = echo, noise, pin
        self._locked = pin is not None
        self._waiting = ""
        self._reference = 0
        self._ours, theirs = os.openpty()
        tty.setraw(theirs)
        self.path = os.ttyname(theirs)
        self._theirs = theirs  # kept open, so that the line does not hang up between two uses
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def write(self, content: bytes) -> None:
        os.write(self._ours, content)

    def close(self) -> None:
        self._done.set()
        os.write(self._theirs, b"\r")
        self._thread.join(5)
        os.close(self._ours)
        if self._theirs >= 0:
            os.close(self._theirs)

    def _serve(self) -> None:
        buffer = b""
        while not self._done.is_set():
            try:
                content = os.read(self._ours, 4096)
            except OSError:
                return
            if self._done.is_set():
                return
            if self._echo:
                self.write(content)
            buffer += content
            buffer = buffer.rpartition(b"\x1b")[2]  # escape: whatever was begun is forgotten
            if b"\x1b" in content:
                self._waiting = ""
            while (self._waiting and b"\x1a" in buffer) or (not self._waiting and b"\r" in buffer):
                if self._waiting:
                    text, _, buffer = buffer.partition(b"\x1a")
                    self._send(text.decode("ascii", "replace").strip())
                else:
                    text, _, buffer = buffer.partition(b"\r")
                    self._command(text.decode("ascii", "replace").strip())

    def _say(self, *lines: str) -> None:
        self.write(self._noise + b"".join(f"\r\n{line}\r\n".encode() for line in lines))

    def _send(self, content: str) -> None:
        self.sent.append((self._waiting, content))
        self._waiting = ""
        said = self.sends(content)
        if said is not None:
            if said:
                self._say(said)
            return
        self._reference += 1
        self._say(f"+CMGS: {self._reference}", "OK")

    def _command(self, command: str) -> None:
        if not command:
            return
        self.heard.append(command)
        said = self.answer(command)
        if said is not None:
            if said:
                self._say(*said.split("\n"))
            return
        if command == "ATE0":
            self._echo = False
        elif command == "AT+CPIN?":
            self._say(f"+CPIN: {'SIM PIN' if self._locked else 'READY'}", "OK")
            return
        elif match := re.fullmatch(r'AT\+CPIN="(\d+)"', command):
            self.pins.append(match[1])
            if match[1] != self._pin:
                self._say("+CME ERROR: 16")
                return
            self._locked = False
        elif command in ("AT+CREG?", "AT+CEREG?"):
            self._say(f"+{command[3:-1]}: {self.creg}", "OK")
            return
        elif command.startswith("AT+CMGS="):
            if self._locked:
                self._say("+CMS ERROR: 311")
                return
            self._waiting = command
            self.write(self._noise + b"\r\n> ")
            return
        elif command.startswith("AT+CPINR"):
            self._say("ERROR")
            return
        self._say("OK")


def decoded(pdu: str) -> tuple[str, str]:
    """Number and text of an SMS-SUBMIT without a service centre, read from the specification alone (TS 23.040)."""
    raw = bytes.fromhex(pdu)
    assert raw[0] == 0
    assert raw[1] & 3 == 1
    digits = raw[3]
    assert raw[4] == 0x91
    number = "".join(f"{byte & 15:x}{byte >> 4:x}" for byte in raw[5 : 5 + (digits + 1) // 2])[:digits]
    _pid, coding, length, *rest = raw[5 + (digits + 1) // 2 :]
    data = bytes(rest)
    header = data[0] + 1 if raw[1] & 0x40 else 0
    if coding == 8:
        return f"+{number}", data[header:length].decode("utf-16-be")
    bits = "".join(format(byte, "08b")[::-1] for byte in data)
    septets = [int(bits[at : at + 7][::-1], 2) for at in range(0, length * 7, 7)][(header * 8 + 6) // 7 :]
    return f"+{number}", _text(septets)


def _text(septets: Sequence[int]) -> str:
    from vedette.core.sms import _BASIC, _EXTENSION

    extension = {code: mark for mark, code in _EXTENSION.items()}
    found, escaped = "", False
    for septet in septets:
        found += extension[septet] if escaped else "" if septet == 27 else _BASIC[septet]
        escaped = septet == 27 and not escaped
    return found


def wait(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    limit_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit_s
        time.sleep(0.005)
