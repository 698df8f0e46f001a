"""Signals of a plan → what they switch, and when."""

from __future__ import annotations

from pathlib import Path

from vedette.adapters.secrets import SecretStore
from vedette.contracts.manifest import GpioAction, ModbusAction, OpcUaAction, SignalBase
from vedette.core.signals import Timing
from vedette.ports.signal import Line


def make_line(plan: SignalBase, secrets: SecretStore) -> Line:
    """What a signal's action switches; nothing is connected to yet. Its libraries are loaded here, and no others."""
    if isinstance(plan, OpcUaAction):
        return _opcua(plan, secrets)
    if isinstance(plan, GpioAction):
        from vedette.adapters.actions.gpio import GpioLine
        from vedette.adapters.egress.gpio import GpioOutput, GpioSettings

        return GpioLine(GpioOutput(GpioSettings(plan.chip, plan.line, plan.line_name, plan.active_low)))
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


def _opcua(plan: OpcUaAction, secrets: SecretStore) -> Line:
    from vedette.adapters.actions.credentials import user_and_password
    from vedette.adapters.actions.opcua import OpcUaLine, variant_of
    from vedette.adapters.egress.opcua import OpcUaConnection, OpcUaSecurity, OpcUaSettings

    def settings() -> OpcUaSettings:
        username = password = ""
        if plan.secret is not None:
            username, password = user_and_password(secrets.get(plan.secret), plan.secret)
        security = None
        if plan.security != "none":
            security = OpcUaSecurity(
                Path(plan.certificate_file or ""),
                Path(plan.private_key_file or ""),
                Path(plan.server_certificate_file or ""),
            )
        return OpcUaSettings(plan.endpoint, plan.node, variant_of(plan), plan.timeout_s, security, username, password)

    return OpcUaLine(OpcUaConnection(settings, f"OPC UA server {plan.endpoint}"), plan)
