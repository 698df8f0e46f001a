"""A device at the sandbox's broker, as tests act it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.cloud.sandbox_account import SandboxAccount
from vedette.contracts.errors import CloudError
from vedette.local.iot import BrokerIot
from vedette.local.iot_broker import BrokerBridge


def credentials(account: SandboxAccount, thing: str) -> BrokerIot:
    """What a thing that is registered connects with; waits for the broker, which starts beside the server."""

    def ask() -> dict[str, Any] | None:
        try:
            return account.ask(f"/vedette/devices/{thing}/credentials", {})
        except CloudError as error:
            if "it is starting" not in error.message:
                raise
            return None

    found = account.until("the broker", ask)
    ca, certificate, key = (Path(found[one]) for one in ("ca_file", "cert_file", "key_file"))
    return BrokerIot(found["host"], found["port"], ca, certificate, key)


def as_device(settings: BrokerIot, thing: str, act: Callable[[BrokerBridge], Awaitable[None]]) -> None:
    """Act as a device that is connected."""

    async def run() -> None:
        bridge = BrokerBridge(settings, thing, lite=False)
        await bridge.start()
        try:
            for _ in range(400):
                if bridge._connected:
                    break
                await asyncio.sleep(0.05)
            await act(bridge)
        finally:
            await bridge.stop()

    asyncio.run(run())
