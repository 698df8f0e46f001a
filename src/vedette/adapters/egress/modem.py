"""A GSM modem at a serial device, spoken to in AT commands (3GPP TS 27.005 and 27.007)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from vedette.adapters.egress.terminal import Terminal
from vedette.contracts.errors import DeliveryError
from vedette.core.sms import Part, cut, is_basic, submit, ucs2_hex
from vedette.ports.action import ReceiverBusyError

#: One command is answered within this time, sending excepted.
COMMAND_S: Final = 5.0
#: Attempts to find the modem awake, and how long each waits.
WAKE_TRIES: Final = 3
WAKE_S: Final = 1.0
#: Registration in the network and a SIM that was just unlocked take some time.
NETWORK_S: Final = 5.0
#: Lines of a modem are short; of noise without an end the last of it is kept.
MAX_BUFFER_BYTES: Final = 8_192

_FINAL: Final = re.compile(r"(OK|ERROR|\+CM[ES] ERROR: ?(.*)|COMMAND NOT SUPPORT)")
_ESCAPE, _SEND = b"\x1b", b"\x1a"
#: Causes of TS 27.005 section 3.2.5 and TS 24.011 annex E-2 that another try cannot change.
_NEVER: Final = {
    1: "the number is not assigned",
    8: "the operator bars messages to it",
    10: "it is barred",
    28: "the subscriber is not identified",
    30: "the subscriber is not known",
    50: "messages to it were not subscribed to",
    96: "the network finds the message invalid",
    304: "the modem finds the message invalid",
    305: "the modem finds the message invalid",
}
_NOW: Final = {
    21: "the network rejects it",
    27: "the phone is out of service",
    38: "the network is out of order",
    41: "temporary failure",
    42: "congestion",
    47: "resources unavailable",
    310: "there is no SIM",
    311: "the SIM asks for its PIN",
    313: "the SIM failed",
    314: "the SIM is busy",
    316: "the SIM asks for its PUK",
    330: "the SIM knows no service centre",
    331: "no network",
    332: "the network does not answer",
}


class _ModemError(Exception):
    """A final answer other than OK."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        digits = re.search(r"\d+", answer)
        self.code = int(digits[0]) if digits else 0


class Modem:
    """An open modem, ready to send. Use as a context manager; for one thread.

    Args:
        device: such as ``/dev/ttyUSB2``.
        baud: speed.
        mode: how messages are handed over.
        pin: the SIM's, asked for only where the SIM does; None where none is known.

    Raises:
        DeliveryError: V506, the device or the SIM is not available; V502, the modem or the network is not ready.
    """

    def __init__(self, device: str, baud: int, mode: Literal["pdu", "text"], pin: Callable[[], str | None]) -> None:
        self._where = f"modem {device}"
        self._mode = mode
        self._buffer = b""
        self._terminal = Terminal(device, baud)
        try:
            self._wake()
            self._unlock(pin)
            self._register()
            self._ask(f"AT+CMGF={'1' if mode == 'text' else '0'}", what="its way of taking messages")
            if mode == "text":
                self._ask('AT+CSCS="UCS2"', what="the character set UCS2 (use `mode: pdu`)")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Modem:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the device; idempotent."""
        self._terminal.close()

    def send(self, number: str, text: str, *, parts: int, reference: int, timeout_s: float) -> None:
        """Send a text; returns when the network has taken it.

        Raises:
            DeliveryError: V504, the network will never take it for this number; V502, it does not now, or its answer
                was lost: it may have taken it.
        """
        deadline_s = time.monotonic() + timeout_s
        for command, content in self._messages(number, text, parts, reference):
            try:
                self._say(command, deadline_s)
                if not self._prompted(deadline_s):
                    raise DeliveryError(f"{self._where} does not ask for the message.", code="V502")
                self._terminal.write(content + _SEND, deadline_s)
                self._answer(command, "+CMGS:", deadline_s)
            except _ModemError as error:
                raise self._refused(error) from None
            except TimeoutError:
                self._terminal.write(_ESCAPE, time.monotonic() + WAKE_S)
                raise DeliveryError(f"{self._where} does not answer; the message may be sent.", code="V502") from None

    def _messages(self, number: str, text: str, parts: int, reference: int) -> Iterator[tuple[str, bytes]]:
        if self._mode == "pdu":
            pdus: Sequence[Part] = submit(number, text, parts, reference)
            for part in pdus:
                yield f"AT+CMGS={part.length}", part.pdu.encode()
            return
        (piece,) = cut(text, 1)
        self._ask(f"AT+CSMP=17,167,0,{0 if is_basic(piece) else 8}", what="the alphabet of the message")
        yield f'AT+CMGS="{ucs2_hex(number)}"', ucs2_hex(piece).encode()

    # -- getting ready ------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        for _ in range(WAKE_TRIES):
            self._terminal.write(_ESCAPE, time.monotonic() + WAKE_S)  # it may still wait for a message of somebody else
            self._terminal.discard()
            self._buffer = b""
            try:
                self._command("AT", WAKE_S)
                self._command("ATE0", WAKE_S)
            except (_ModemError, TimeoutError):
                continue
            self._optional("AT+CMEE=1")
            return
        raise DeliveryError(f"{self._where} does not answer; is it a modem, at this speed?", code="V502")

    def _unlock(self, pin: Callable[[], str | None]) -> None:
        state = self._ask("AT+CPIN?", "+CPIN:", what="the state of its SIM")
        if state == "READY":
            return
        if state != "SIM PIN":
            raise DeliveryError(f"{self._where}: the SIM asks for {state[:20] or 'something'}.", code="V506")
        known = pin()
        if known is None or not re.fullmatch(r"[0-9]{4,8}", known):
            raise DeliveryError(
                f"{self._where}: the SIM asks for its PIN.",
                hint="Give a `secret` with `pin` (4 to 8 digits).",
                code="V506",
            )
        left = re.search(r"\d+", self._optional("AT+CPINR", "+CPINR: SIM PIN,"))
        if left is not None and int(left[0]) < 2:
            raise DeliveryError(
                f"{self._where}: the SIM would be locked by another wrong PIN; it is not tried.",
                hint="Enter the PIN in a phone once.",
                code="V506",
            )
        try:
            self._command(f'AT+CPIN="{known}"', COMMAND_S)
        except (_ModemError, TimeoutError):
            raise WrongPinError(
                f"{self._where}: the SIM refuses the PIN; it is not tried again.", code="V506"
            ) from None
        raise ReceiverBusyError(f"{self._where}: the SIM was unlocked and gets ready.", retry_after_s=NETWORK_S)

    def _register(self) -> None:
        answers = [self._optional(f"AT+{name}?", f"+{name}:") for name in ("CREG", "CEREG")]
        states = [found[1] for answer in answers if (found := re.match(r"\s*\d+\s*,\s*(\d+)", answer))]
        if states and not {"1", "5", "6", "7"} & set(states):
            raise ReceiverBusyError(f"{self._where} is not registered in a network.", retry_after_s=NETWORK_S)

    # -- commands and answers -----------------------------------------------------------------------------------------

    def _ask(self, command: str, prefix: str = "", *, what: str) -> str:
        """A command that has to work."""
        try:
            return self._command(command, COMMAND_S, prefix)
        except _ModemError as error:
            if error.code in (10, 310):
                raise DeliveryError(f"{self._where} has no SIM.", code="V506") from None
            raise DeliveryError(f"{self._where} does not tell or set {what} ({error}).", code="V506") from None
        except TimeoutError:
            raise DeliveryError(f"{self._where} does not answer.", code="V502") from None

    def _optional(self, command: str, prefix: str = "") -> str:
        """A command that not every modem knows; empty where it does not."""
        try:
            return self._command(command, COMMAND_S, prefix)
        except (_ModemError, TimeoutError):
            return ""

    def _command(self, command: str, timeout_s: float, prefix: str = "") -> str:
        deadline_s = time.monotonic() + timeout_s
        self._say(command, deadline_s)
        return self._answer(command, prefix, deadline_s)

    def _say(self, command: str, deadline_s: float) -> None:
        self._terminal.write(f"{command}\r".encode(), deadline_s)

    def _answer(self, command: str, prefix: str, deadline_s: float) -> str:
        """What stands behind ``prefix`` before OK; lines that nobody asked for are passed over."""
        found = ""
        while True:
            line = self._line(deadline_s)
            if line == command:  # echo
                continue
            if prefix and line.startswith(prefix):
                found = line.removeprefix(prefix).strip()
            elif final := _FINAL.fullmatch(line):
                if final[1] != "OK":
                    raise _ModemError(final[1])
                return found

    def _prompted(self, deadline_s: float) -> bool:
        """Whether the modem asks for a message, with ``>``."""
        while True:
            while (line := self._complete()) is not None:
                if final := _FINAL.fullmatch(line):
                    if final[1] != "OK":
                        raise _ModemError(final[1])
                    return False
            if self._buffer.lstrip().startswith(b">"):
                self._buffer = b""
                return True
            self._more(deadline_s)

    def _line(self, deadline_s: float) -> str:
        """The next line that is not empty, as ASCII."""
        while (line := self._complete()) is None:
            self._more(deadline_s)
        return line

    def _complete(self) -> str | None:
        """A line that has come whole and is not empty; None where there is none."""
        while match := re.match(rb"([^\r\n]*)[\r\n]+", self._buffer):
            self._buffer = self._buffer[match.end() :]
            if line := match[1].decode("ascii", "replace").strip():
                return line
        return None

    def _more(self, deadline_s: float) -> None:
        if time.monotonic() >= deadline_s:  # also where what comes has no end
            raise TimeoutError
        self._buffer = (self._buffer + self._terminal.read(deadline_s))[-MAX_BUFFER_BYTES:]

    def _refused(self, error: _ModemError) -> DeliveryError:
        words = _NEVER.get(error.code) or _NOW.get(error.code) or str(error)[:40]
        message = (
            f"{self._where} could not send: {words} ({error})" if words != str(error) else f"{self._where}: {words}"
        )
        if error.code in _NEVER:
            return DeliveryError(f"{message}.", code="V504", retryable=False)
        return DeliveryError(f"{message}.", code="V502")


class WrongPinError(DeliveryError):
    """The SIM does not take the PIN; a SIM is locked after three tries."""
