"""A connection to a PLC over Modbus/TCP: pymodbus builds and reads the messages, on a connection that is made here."""

from __future__ import annotations

import logging
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from vedette.adapters.egress.rules import Resolve, check_service, resolve
from vedette.contracts.errors import ConfigurationError, DeliveryError

Kind = Literal["coil", "register"]

#: Exception codes of the Modbus Application Protocol V1.1b3, section 7.
_EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "accepted, but takes long",
    6: "device busy",
    7: "negative acknowledgement",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not respond",
}
#: Those that say that this request can never be served.
_NEVER: Final = frozenset({1, 2, 3})


@dataclass(frozen=True, slots=True)
class ModbusSettings:
    """A unit of a PLC.

    Attributes:
        timeout_s: for connecting, and for each answer.
    """

    host: str
    port: int
    unit: int
    timeout_s: float


class ModbusConnection:
    """Keeps one connection and makes it anew where it was closed. For one thread.

    Connects only to addresses of the site or of this machine: Modbus knows neither login nor encryption.
    """

    def __init__(self, settings: ModbusSettings, *, resolver: Resolve = resolve) -> None:
        self._settings = settings
        self._resolver = resolver
        self._client: Any = None
        self.where = f"PLC {settings.host}:{settings.port} unit {settings.unit}"

    def prepare(self) -> None:
        """Connect where there is no connection, or the PLC has closed it.

        Raises:
            DeliveryError: V502, the PLC cannot be reached, or its address is not allowed.
        """
        if self._client is not None and _was_closed(self._client.socket):
            self.close()
        if self._client is None:
            self._client = self._connect()

    def write(self, kind: Kind, address: int, values: Sequence[int]) -> None:
        """Write one coil, one register, or several registers in one message.

        Raises:
            DeliveryError: V504, the PLC says that this can never be written; V502, it cannot now, or its answer was
                lost: it may have been written.
        """
        if kind == "coil":
            self._ask(lambda c: c.write_coil(address, bool(values[0]), device_id=self._settings.unit))
        elif len(values) == 1:
            self._ask(lambda c: c.write_register(address, values[0], device_id=self._settings.unit))
        else:
            self._ask(lambda c: c.write_registers(address, list(values), device_id=self._settings.unit))

    def read(self, kind: Kind, address: int, count: int) -> tuple[int, ...]:
        """What coils (0 or 1) or holding registers hold.

        Raises:
            DeliveryError: V504, the PLC does not let this be read; V502, it cannot now.
        """
        unit = self._settings.unit
        if kind == "coil":
            answer = self._ask(lambda c: c.read_coils(address, count=count, device_id=unit))
            return tuple(int(bit) for bit in answer.bits[:count])
        answer = self._ask(lambda c: c.read_holding_registers(address, count=count, device_id=unit))
        return tuple(int(register) for register in answer.registers[:count])

    def close(self) -> None:
        """Close the connection; idempotent."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connect(self) -> Any:
        from pymodbus.client import ModbusTcpClient

        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # what it would log is raised here
        settings = self._settings
        deadline_s = time.monotonic() + settings.timeout_s
        try:
            checked = check_service(
                "PLC", "modbus", settings.host, settings.port, private=True, resolver=self._resolver
            )
        except ConfigurationError as error:  # the operator can mend it, so the alert waits
            raise DeliveryError(error.message, hint=error.hint, code="V502") from error
        except OSError as error:
            raise self._unreachable(f"its name cannot be resolved ({error.strerror or error})") from error
        failure: OSError | None = None
        for address in checked.addresses:
            left_s = max(0.01, deadline_s - time.monotonic())
            try:
                plain = socket.create_connection((address, checked.port), timeout=left_s)
            except OSError as error:
                failure = error
                continue
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = ModbusTcpClient(address, port=checked.port, timeout=settings.timeout_s, retries=0)
            client.socket = plain  # it sends on the connection to the address that was checked, and makes none
            return client
        words = "no answer in time" if isinstance(failure, TimeoutError) else getattr(failure, "strerror", None)
        raise self._unreachable(words or str(failure)) from failure

    def _ask(self, request: Callable[[Any], Any]) -> Any:
        from pymodbus.exceptions import ModbusException

        self.prepare()
        try:
            answer = request(self._client)
        except (ModbusException, OSError) as error:
            # An answer that comes after all must not be taken for the answer to something else.
            self.close()
            words = "no answer in time" if "No response" in str(error) else "the connection broke"
            raise self._unreachable(words) from error
        except Exception as error:  # what is no Modbus may make the library stumble anywhere
            self.close()
            raise self._unreachable(f"its answer is no Modbus ({type(error).__name__})") from error
        if answer.isError():
            raise self._refused(int(getattr(answer, "exception_code", 0)))
        return answer

    def _unreachable(self, words: str) -> DeliveryError:
        return DeliveryError(f"{self.where} cannot be reached: {words}.", code="V502")

    def _refused(self, code: int) -> DeliveryError:
        words = f"{self.where} answers with exception {code} ({_EXCEPTIONS.get(code, 'unknown')})."
        if code in _NEVER:
            return DeliveryError(
                words, hint="Check `write`, `address` and `value` of the action.", code="V504", retryable=False
            )
        return DeliveryError(words, code="V502")


def _was_closed(connection: socket.socket | None) -> bool:
    """Whether the other end has closed an idle connection, or sent what nobody asked for."""
    if connection is None:
        return True
    try:
        return bool(select.select([connection], [], [], 0)[0])
    except (OSError, ValueError):
        return True
