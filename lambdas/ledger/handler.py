"""Messages of the alerts' queue, from the rule ``vedette_alerts``."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from lambdas.common.places import Places
from lambdas.common.runtime import client, logger, settings
from lambdas.ledger.keeper import Keeper
from lambdas.ledger.notify import Channels, Notifier
from lambdas.ledger.rows import LedgerRows
from lambdas.ledger.sequences import Sequences
from vedette.contracts.alert import Severity
from vedette.contracts.functions import LedgerSettings


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One batch; the answer names the messages that have to be delivered again."""
    return keeper().work(event)


@cache
def keeper() -> Keeper:
    """What does the work, made once per process."""
    told = settings(LedgerSettings)
    log, tables = logger("ledger"), client("dynamodb")
    channels = Channels(
        sns=client("sns"),
        events=client("events"),
        firehose=client("firehose"),
        topics={
            Severity.INFO: told.topic_info,
            Severity.WARNING: told.topic_warning,
            Severity.CRITICAL: told.topic_critical,
        },
        bus=told.event_bus,
        stream=told.alerts_stream,
    )
    return Keeper(
        places=Places(tables, told.devices_table, time.monotonic),
        rows=LedgerRows(tables, told.ledger_table, told.ledger_days),
        notifier=Notifier(channels, log),
        sequences=Sequences(tables, told.sequences_table),
        iot=client("iot-data"),
        log=log,
        now=time.time,
    )
