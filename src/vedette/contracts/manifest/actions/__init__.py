"""``actions`` of a manifest: where alerts go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vedette.contracts.manifest.actions.people import EmailAction, SmsAction
from vedette.contracts.manifest.actions.receivers import FileAction, IotCoreAction, MqttAction, WebhookAction
from vedette.contracts.manifest.actions.signals import GpioAction, ModbusAction, OpcUaAction, SignalBase

__all__ = [
    "Action",
    "EmailAction",
    "FileAction",
    "GpioAction",
    "IotCoreAction",
    "ModbusAction",
    "MqttAction",
    "OpcUaAction",
    "SignalBase",
    "SmsAction",
    "WebhookAction",
]

Action = Annotated[
    FileAction
    | WebhookAction
    | MqttAction
    | IotCoreAction
    | EmailAction
    | SmsAction
    | ModbusAction
    | OpcUaAction
    | GpioAction,
    Field(discriminator="type"),
]
