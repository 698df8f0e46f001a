"""Signals of a plan → what they switch, and when."""

from __future__ import annotations

from vedette.adapters.actions.secrets import SecretStore
from vedette.contracts.manifest import ModbusAction, SignalBase
from vedette.core.signals import Timing
from vedette.ports.signal import Line


def make_line(plan: SignalBase, secrets: SecretStore) -> Line:  # noqa: ARG001
    """What a signal's action switches; nothing is connected to yet."""
    assert isinstance(plan, ModbusAction)
    from vedette.adapters.actions.modbus import ModbusLine
    from vedette.adapters.egress.modbus import ModbusConnection, ModbusSettings

    settings = ModbusSettings(plan.host, plan.port, plan.unit, plan.timeout_s)
    return ModbusLine(ModbusConnection(settings), plan)


def timing_of(plan: SignalBase) -> Timing:
    """When a signal is given."""
    return Timing(
        after_s=plan.after_s,
        late_s=plan.late_s,
        pulse_s=plan.pulse_s,
        again=plan.overlap == "again",
        gap_s=plan.gap_s,
    )
