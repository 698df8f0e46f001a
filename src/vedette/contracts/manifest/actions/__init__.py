"""``actions`` of a manifest: where alerts go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vedette.contracts.manifest.actions.receivers import FileAction, IotCoreAction, MqttAction, WebhookAction
from vedette.contracts.manifest.actions.signals import ModbusAction, SignalBase

__all__ = ["Action", "FileAction", "IotCoreAction", "ModbusAction", "MqttAction", "SignalBase", "WebhookAction"]

Action = Annotated[FileAction | WebhookAction | MqttAction | IotCoreAction | ModbusAction, Field(discriminator="type")]
