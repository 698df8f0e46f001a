"""Signals as variables of an OPC UA server."""

from __future__ import annotations

from typing import Any, Final

from vedette.adapters.egress.opcua import OpcUaConnection
from vedette.contracts.errors import DeliveryError
from vedette.contracts.manifest import OpcUaAction
from vedette.ports.outbox import OutboxRow

#: What a variable holds at rest, by its built-in type.
_REST: Final[dict[str, Any]] = {"Boolean": False, "Int16": 0, "Int32": 0, "Double": 0.0, "String": ""}


def variant_of(plan: OpcUaAction) -> str:
    """Name of the variable's built-in type."""
    return "String" if plan.value_type == "alert" else plan.value_type


class OpcUaLine:
    """Implements ``vedette.ports.signal.Line``.

    As with Modbus, what reads back otherwise with ``verify`` is refused rather than written again.

    Args:
        connection: to the server.
        plan: what is written.
    """

    def __init__(self, connection: OpcUaConnection, plan: OpcUaAction) -> None:
        self._connection = connection
        self._plan = plan
        self._rest = _REST[variant_of(plan)]
        self._readable = True

    def prepare(self) -> None:
        """Have a session."""
        self._connection.prepare()

    def on(self, row: OutboxRow) -> None:
        """Write the value.

        Raises:
            DeliveryError: V501, the server took it and has something else; V502, V504: see ``OpcUaConnection.write``.
        """
        self._write(self._value(row))

    def off(self) -> None:
        """Write false, 0 or an empty text.

        Raises:
            DeliveryError: as ``on``.
        """
        self._write(self._rest)

    def mend(self) -> None:
        """Write the value at rest where that of a pulse stands, which only we write there.

        Raises:
            DeliveryError: V502, the server cannot be reached.
        """
        self._connection.prepare()
        found = self._read()
        ours = found not in (None, self._rest) if self._plan.value_type == "alert" else found == self._value(None)
        if ours or not self._readable:
            try:
                self._connection.write(self._rest)
            except DeliveryError as error:
                if error.retryable:
                    raise

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def _value(self, row: OutboxRow | None) -> Any:
        plan = self._plan
        if plan.value_type == "alert":
            return "" if row is None else row.body.decode()
        if plan.value_type == "Boolean":
            return plan.value is None or bool(plan.value)
        if plan.value_type == "Double":
            return float(plan.value or 0)
        return plan.value

    def _write(self, value: Any) -> None:
        self._connection.write(value)
        if not self._plan.verify:
            return
        found = self._read()
        if found is not None and found != value:
            raise DeliveryError(
                f"{self._connection.where} took {_shown(value)} for {self._plan.node}, but reads back {_shown(found)}.",
                hint="Somebody else writes there, or the PLC takes it back by itself: then set `verify: false`.",
                code="V501",
                retryable=False,
            )

    def _read(self) -> Any:
        """What stands there; None where it cannot be read, or the answer is lost."""
        if not self._readable:
            return None
        try:
            return self._connection.read()
        except DeliveryError as error:
            if not error.retryable or "BadNotReadable" in error.message:
                self._readable = False
            return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
