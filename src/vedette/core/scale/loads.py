"""What a fleet asks of the account, as so much for the account and so much for each device. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vedette.contracts.fleet_metrics import COUNT_MINUTES
from vedette.contracts.scale import ScaleInputs
from vedette.core.cost.estimate import ALARMS, ALERT_WRITES, STATE_WRITES
from vedette.core.fleet.device_state import OFFLINE_S
from vedette.core.scale.quotas import MESSAGES_PER_CALL_S

_DAY_S: Final = 86_400.0
_MINUTE_S: Final = 60.0
#: A device that lost its connection tries again at least so often. The SDK's own limit; a nucleus may be quicker.
RECONNECT_S: Final = 120.0
#: A device's item with its last message, KB; DynamoDB reads 4 KB for half a unit where the newest is not needed.
_ITEM_KB: Final = 3.0
#: Devices that a count reads in a second: a guess, not measured on AWS.
COUNTED_PER_S: Final = 2_000.0
#: Groups of our components' logs that a device sends, and how often Greengrass's log manager does so, seconds.
_LOGS: Final = 5
_LOGS_EVERY_S: Final = 60.0
#: Bytes of a report of figures, at most, of an alert, and of a device's own state.
_REPORT_BYTES, _ALERT_BYTES, _STATE_BYTES = 7_000.0, 2_000.0, 3_000.0


@dataclass(frozen=True, slots=True)
class Load:
    """One load: ``fixed + per_device * devices``.

    Attributes:
        area: service.
        what: in words.
        unit: of the value.
        quota: name in the table of quotas.
        per_device: grows with the devices.
        fixed: does not.
    """

    area: str
    what: str
    unit: str
    quota: str
    per_device: float = 0.0
    fixed: float = 0.0

    def value(self, devices: int) -> float:
        """For so many devices."""
        return self.fixed + self.per_device * devices


def loads(inputs: ScaleInputs) -> Iterator[Load]:
    """All loads of a fleet."""
    alerts = inputs.cameras * inputs.alerts_per_camera_day / _DAY_S
    reports = inputs.cameras * inputs.insights / _MINUTE_S
    states = 1 / _MINUTE_S
    yield from _broker(inputs, alerts, reports, states)
    yield from _functions(alerts, reports, states)
    yield from _stores(alerts, reports, states)
    yield from _deployments(inputs)
    yield from _rest(inputs)


def _broker(inputs: ScaleInputs, alerts: float, reports: float, states: float) -> Iterator[Load]:
    sent = alerts + reports + states
    area, rate = "AWS IoT Core", "a second"
    back = inputs.outage_devices / RECONNECT_S
    moved = alerts * _ALERT_BYTES + reports * _REPORT_BYTES + states * _STATE_BYTES
    yield Load(area, "devices' own states", rate, "iot_publish", states)
    yield Load(area, "alerts", rate, "iot_publish", alerts)
    yield Load(area, "reports of figures", rate, "iot_publish", reports)
    yield Load(area, "messages in, all (basic ingest)", rate, "iot_publish", sent)
    yield Load(area, "messages in, one device", rate, "iot_publish_connection", fixed=sent)
    yield Load(area, "bytes in, one device", "bytes a second", "iot_bytes_connection", fixed=moved)
    yield Load(area, "rules evaluated", rate, "iot_rules", sent)
    yield Load(area, "acknowledgements out", rate, "iot_publish_out", alerts)
    yield Load(area, "connections", "at once", "iot_connections", 1.0)
    yield Load(area, f"connects after an outage, spread over {RECONNECT_S:.0f} s", rate, "iot_connect", back)
    yield Load(area, "shadow requests after an outage", rate, "iot_shadow", back)
    yield Load(area, "credentials after an outage", rate, "credentials", back)


def _functions(alerts: float, reports: float, states: float) -> Iterator[Load]:
    busy = (alerts + reports + states) / MESSAGES_PER_CALL_S
    yield Load("AWS Lambda", "calls at once", "at once", "lambda_concurrency", busy)
    for what, rate in (("states", states), ("alerts", alerts), ("reports", reports)):
        yield Load("AWS Lambda", f"messages of the function for {what}", "a second", "function_rate", rate)
    yield Load("Amazon SQS", "messages in flight, states", "at once", "sqs_in_flight", states / MESSAGES_PER_CALL_S)


def _stores(alerts: float, reports: float, states: float) -> Iterator[Load]:
    area, writes = "Amazon DynamoDB", "units a second"
    read = _ITEM_KB / 4 * 0.5 / (COUNT_MINUTES * _MINUTE_S)
    yield Load(area, "table of devices, writes", writes, "dynamodb_table", states * STATE_WRITES)
    yield Load(area, "its index by fleet, writes to one fleet", writes, "dynamodb_partition", states * STATE_WRITES / 2)
    yield Load(area, "its index by fleet, reads of the counts", writes, "dynamodb_table", read)
    yield Load(area, "ledger, writes", writes, "dynamodb_table", alerts * ALERT_WRITES)
    yield Load("Amazon Data Firehose", "rows of alerts", "a second", "firehose_records", alerts)
    yield Load("Amazon Data Firehose", "rows of figures", "a second", "firehose_records", reports)
    yield Load("Amazon SNS", "alerts told of", "a second", "sns_publish", alerts)
    yield Load("Amazon EventBridge", "events of alerts", "a second", "eventbridge_put", alerts)


def _deployments(inputs: ScaleInputs) -> Iterator[Load]:
    area = "Greengrass"
    yield Load(area, "deployments that run, one a ring", "jobs", "iot_jobs", fixed=float(len(inputs.rings)))
    yield Load(area, "time of one count", "seconds", "count_seconds", 1 / COUNTED_PER_S)
    largest = max(inputs.rings.values())
    yield Load(
        area, "devices unwell in the largest ring, at 2 in 100", "devices", "unwell_named", per_device=0.02 * largest
    )


def _rest(inputs: ScaleInputs) -> Iterator[Load]:
    yield Load("Amazon CloudWatch", "alarms", "alarms", "cloudwatch_alarms", fixed=float(ALARMS))
    yield Load("Amazon CloudWatch", "uploads of logs", "a second", "logs_put", _LOGS / _LOGS_EVERY_S)
    # Components keep what they fetched, and ask again when they start; all at once is the worst there is.
    each = inputs.cameras * inputs.outage_devices / OFFLINE_S
    yield Load("AWS Secrets Manager", "secrets read where all devices start within 5 min", "a second",
               "secrets_read", each)  # fmt: skip
    yield Load("AWS Secrets Manager", "secrets, one a camera", "secrets", "secrets", float(inputs.cameras))
