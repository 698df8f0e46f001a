"""Signals as lines of a GPIO chip of this device."""

from __future__ import annotations

from vedette.adapters.egress.gpio import GpioOutput
from vedette.contracts.errors import DeliveryError
from vedette.ports.outbox import OutboxRow


class GpioLine:
    """Implements ``vedette.ports.signal.Line``.

    Args:
        output: the line.
    """

    def __init__(self, output: GpioOutput) -> None:
        self._output = output

    def prepare(self) -> None:
        """Have the line, at rest."""
        self._output.open()

    def on(self, row: OutboxRow) -> None:  # noqa: ARG002
        """Make it active.

        Raises:
            DeliveryError: V501, the line reads otherwise (a short circuit, another driver); V506, it is not available.
        """
        self._set(True)

    def off(self) -> None:
        """Put it at rest.

        Raises:
            DeliveryError: as ``on``.
        """
        self._set(False)

    def mend(self) -> None:
        """Having the line puts it at rest."""
        self._output.open()

    def close(self) -> None:
        """Give the line back."""
        self._output.close()

    def _set(self, active: bool) -> None:
        self._output.set(active)
        if self._output.get() is not active:
            raise DeliveryError(
                f"{self._output.where} was made {'active' if active else 'inactive'} but reads otherwise.",
                hint="Something else drives it, or it is shorted.",
                code="V501",
                retryable=False,
            )
