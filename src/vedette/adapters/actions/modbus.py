"""Signals as coils and registers of a PLC."""

from __future__ import annotations

from typing import Final

from vedette.adapters.egress.modbus import ModbusConnection
from vedette.contracts.errors import DeliveryError
from vedette.contracts.manifest import ModbusAction
from vedette.ports.outbox import OutboxRow

_WORD: Final = 0xFFFF


class ModbusLine:
    """Implements ``vedette.ports.signal.Line``.

    The PLC's answer repeats what it was told, which says that it has taken it. With ``verify`` the value is read back
    as well, once, where the PLC lets it be read; what is then found otherwise is refused rather than written again, so
    that what the PLC takes back by itself is not switched on and on.

    Args:
        connection: to the PLC.
        plan: what is written.
    """

    def __init__(self, connection: ModbusConnection, plan: ModbusAction) -> None:
        self._connection = connection
        self._plan = plan
        self._value = words_of(plan)
        self._rest = (0,) * len(self._value)
        self._readable = True

    def prepare(self) -> None:
        """Connect."""
        self._connection.prepare()

    def on(self, row: OutboxRow) -> None:  # noqa: ARG002
        """Write the value.

        Raises:
            DeliveryError: V501, the PLC took it and has something else; V502, V504: see ``ModbusConnection.write``.
        """
        self._write(self._value)

    def off(self) -> None:
        """Write 0.

        Raises:
            DeliveryError: as ``on``.
        """
        self._write(self._rest)

    def mend(self) -> None:
        """Write 0 where the value of a pulse stands, which only we write there.

        Raises:
            DeliveryError: V502, the PLC cannot be reached.
        """
        self._connection.prepare()
        if self._read() in (None, self._value):
            try:
                self._connection.write(self._plan.write, self._plan.address, self._rest)
            except DeliveryError as error:
                if error.retryable:
                    raise

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def _write(self, words: tuple[int, ...]) -> None:
        self._connection.write(self._plan.write, self._plan.address, words)
        if not self._plan.verify:
            return
        found = self._read()
        if found not in (None, words):
            raise DeliveryError(
                f"{self._connection.where} took {_shown(words)} for {self._plan.write} {self._plan.address}, "
                f"but reads back {_shown(found or ())}.",
                hint="Somebody else writes there, or the PLC takes it back by itself: then set `verify: false`.",
                code="V501",
                retryable=False,
            )

    def _read(self) -> tuple[int, ...] | None:
        """What stands there; None where the PLC does not let it be read, or its answer is lost."""
        if not self._readable:
            return None
        try:
            return self._connection.read(self._plan.write, self._plan.address, len(self._value))
        except DeliveryError as error:
            self._readable = error.retryable
            return None


def words_of(plan: ModbusAction) -> tuple[int, ...]:
    """The value as 0 or 1 for a coil, as one or two words of 16 bits for a register.

    Negative numbers are written in two's complement.
    """
    if plan.write == "coil":
        return (int(plan.value is None or bool(plan.value)),)
    number = int(plan.value or 0)
    if plan.bits == 16:
        return (number & _WORD,)
    high, low = number >> 16 & _WORD, number & _WORD
    return (high, low) if plan.word_order == "high_first" else (low, high)


def _shown(words: tuple[int, ...]) -> str:
    return " ".join(map(str, words)) or "nothing"
