"""From a fleet and how it is used to items of cost. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from vedette.contracts.account import RINGS
from vedette.contracts.cost import CostEstimate, CostInputs, CostLine, CostTotal, PanoramaInputs
from vedette.contracts.fleet_metrics import SWEEP_MINUTES, metric_count
from vedette.core.cost.prices import HARDWARE, LOOKED_UP, PRICES

_CENT: Final = Decimal("0.01")
#: Hours and minutes of a month, as AWS counts them.
HOURS: Final = 730
MINUTES: Final = 60 * HOURS
DAYS: Final = Decimal(365) / 12
_MB_PER_GB: Final = 1024

# What the stacks hold, whatever the size of the fleet.
#: Metrics are by fleet, ring and version, never by device: the most that one fleet can have.
METRICS: Final = metric_count(len(RINGS))
ALARMS: Final = 23
KEYS: Final = 4
#: Queues that functions work on. AWS Lambda asks each for messages with five requests of 20 s each, day and night.
QUEUES: Final = 6
_ASKED_PER_MINUTE: Final = 15
ENDPOINTS: Final = 9
#: Artefacts and models in S3, GB.
ARTEFACTS_GB: Final = 2
#: Metering unit of Firehose.
_RECORD_KB: Final = 5
#: A row of the ledger without its indexes, KB, and how long it is kept, months.
_ROW_KB: Final = 2
#: Writes of 1 KB for an alert: the row, its two indexes, that people were told, the sequence.
ALERT_WRITES: Final = 2 * _ROW_KB + 3
#: Writes of 1 KB for a device's own state: the item with a few cameras, and its copy in the index by fleet.
STATE_WRITES: Final = 4
#: Reads of 4 KB for a device in a minute: counted every minute, and every fifth minute for the metrics; such a read is
#: half a unit, and an item with its last message has 3 KB.
_COUNTS: Final = (1 + Decimal(1) / SWEEP_MINUTES) * Decimal("0.375")
_KEPT_MONTHS: Final = 3
#: Time and memory of a function of 256 MB, for each message, GB-seconds.
LAMBDA_GB_S: Final = Decimal("0.025")


def estimate(inputs: CostInputs, panorama: PanoramaInputs) -> CostEstimate:
    """Both totals."""
    return CostEstimate(
        prices_of=LOOKED_UP,
        inputs=inputs,
        vedette=total(tuple(_fleet(inputs))),
        panorama_inputs=panorama,
        panorama=total(tuple(_panorama(inputs, panorama))),
    )


def total(lines: tuple[CostLine, ...]) -> CostTotal:
    """The sum of what is known, each item in cents; items of which there are none are left out."""
    kept = tuple(line for line in lines if line.quantity)
    return CostTotal(
        lines=kept,
        usd=sum((line.usd for line in kept if line.usd is not None), Decimal(0)).quantize(_CENT),
        unknown=tuple(f"{line.group}: {line.item}" for line in kept if line.usd is None),
    )


def _line(group: str, item: str, quantity: Decimal | int, unit: str, each: Decimal | None, note: str = "") -> CostLine:
    amount = Decimal(quantity)
    return CostLine(
        group=group,
        item=item,
        quantity=amount.quantize(Decimal("0.001")).normalize(),
        unit=unit,
        unit_usd=each,
        usd=None if each is None else (amount * each).quantize(_CENT),
        note=note,
    )


def _priced(group: str, item: str, quantity: Decimal | int, price: str) -> CostLine:
    row = PRICES[price]
    return _line(group, item, quantity, row.unit, row.each, row.note)


def _fleet(one: CostInputs) -> Iterator[CostLine]:
    hardware = HARDWARE[one.hardware]
    each = hardware.usd if one.hardware_usd is None else one.hardware_usd
    yield _line("Hardware", hardware.title, one.devices, "device", each, hardware.note)
    yield from _messages(one)
    yield _priced("Greengrass", "core devices", one.devices * one.months, "greengrass")
    releases = Decimal(one.releases_per_year) * one.months / 12
    yield _priced("Greengrass", "releases", releases * one.devices, "iot_job")
    yield _priced("Greengrass", "releases, loaded", _gb(one.release_mb) * releases * one.devices, "transfer_out")
    yield _priced("Neo", "compilations", Decimal(one.compilations_per_year) * one.months / 12, "neo")
    yield from _watching(one)
    yield from _states(one)
    yield from _alerts(one)
    yield from _reports(one)
    yield from _storage(one)
    if one.private_network:
        yield _priced("Network", "endpoints", ENDPOINTS * one.zones * HOURS * one.months, "vpc_endpoint")
        yield _priced("Network", "name resolution", one.zones * HOURS * one.months, "resolver_endpoint")


def _alert_count(one: CostInputs) -> Decimal:
    return Decimal(str(one.alerts_per_day)) * one.cameras * one.devices * DAYS * one.months


def _report_count(one: CostInputs) -> Decimal:
    return Decimal(one.insights) * one.cameras * one.devices * MINUTES * one.months


def _messages(one: CostInputs) -> Iterator[CostLine]:
    """What devices send goes by basic ingest: its rules are charged, its messages are not.

    An alert's acknowledgement is one message in, one out, and the device's own receipt.
    """
    alerts = _alert_count(one)
    reports = _report_count(one)
    health = Decimal(one.devices) * MINUTES * one.months
    yield _priced("IoT Core", "connections", one.devices * MINUTES * one.months, "iot_connection")
    yield _priced("IoT Core", "acknowledgements", 3 * alerts, "iot_message")
    metered = alerts + 2 * reports + health  # by 5 KB; a report is up to 7,000 bytes
    yield _priced("IoT Core", "rules", metered, "iot_rule")
    yield _priced("IoT Core", "actions of rules", metered, "iot_action")


def _watching(one: CostInputs) -> Iterator[CostLine]:
    logs = _gb(one.logs_mb_per_day) * DAYS * one.devices * one.months
    yield _priced("CloudWatch", "metrics", METRICS * one.months, "cloudwatch_metric")
    yield _priced("CloudWatch", "alarms", ALARMS * one.months, "cloudwatch_alarm")
    yield _priced("CloudWatch", "dashboard", one.months, "cloudwatch_dashboard")
    yield _priced("CloudWatch", "logs, taken in", logs, "logs_ingest")
    yield _priced("CloudWatch", "logs, kept for a month", logs, "logs_store")


def _states(one: CostInputs) -> Iterator[CostLine]:
    """What devices tell of themselves once a minute, and the queues that are asked for it and for all else."""
    told = Decimal(one.devices) * MINUTES * one.months
    yield _priced("States", "queue: sent, deleted", 2 * told, "sqs_request")
    yield _priced("States", "function", told, "lambda_request")
    yield _priced("States", "function, time", told * LAMBDA_GB_S, "lambda_gb_s")
    yield _priced("States", "table of devices", told * STATE_WRITES, "dynamodb_write")
    yield _priced("States", "counts of the devices", _COUNTS * MINUTES * one.months * one.devices, "dynamodb_read")
    asked = QUEUES * _ASKED_PER_MINUTE * MINUTES * one.months
    yield _priced("Queues", "asked for messages", asked, "sqs_request")


def _reports(one: CostInputs) -> Iterator[CostLine]:
    """Reports of insights: each becomes some rows of the archive."""
    reports = _report_count(one)
    yield _priced("Insights", "queue: sent, deleted", 2 * reports, "sqs_request")
    yield _priced("Insights", "function", reports, "lambda_request")
    yield _priced("Insights", "function, time", reports * LAMBDA_GB_S, "lambda_gb_s")
    archived_gb = reports * _RECORD_KB / (_MB_PER_GB * 1024)
    yield _priced("Insights", "archive", archived_gb, "firehose")
    yield _priced("Insights", "archive as Parquet", archived_gb, "firehose_format")


def _alerts(one: CostInputs) -> Iterator[CostLine]:
    alerts = _alert_count(one)
    yield _priced("Alerts", "queue: sent, deleted", 2 * alerts, "sqs_request")
    yield _priced("Alerts", "ledger function", alerts, "lambda_request")
    yield _priced("Alerts", "ledger function, time", alerts * LAMBDA_GB_S, "lambda_gb_s")
    yield _priced("Alerts", "ledger: rows, indexes, sequences", ALERT_WRITES * alerts, "dynamodb_write")
    kept_gb = alerts / one.months * min(_KEPT_MONTHS, one.months) * _ROW_KB / (_MB_PER_GB * 1024)
    yield _priced("Alerts", "ledger, kept for three months", kept_gb * one.months, "dynamodb_store")
    yield _priced("Alerts", "events", alerts, "eventbridge")
    archived_gb = alerts * _RECORD_KB / (_MB_PER_GB * 1024)
    yield _priced("Alerts", "archive", archived_gb, "firehose")
    yield _priced("Alerts", "archive as Parquet", archived_gb, "firehose_format")
    yield _priced("SNS", "messages", alerts, "sns_publish")
    yield _priced("SNS", "e-mails", alerts * Decimal(str(one.emails)), "sns_email")
    yield _priced("SNS", "short messages", alerts * Decimal(str(one.sms)), "sns_sms")


def _storage(one: CostInputs) -> Iterator[CostLine]:
    alerts = _alert_count(one)
    kept_months = min(Decimal(one.evidence_days) / DAYS, Decimal(one.months))
    evidence = _gb(one.evidence_mb) * alerts * kept_months
    yield _priced("S3", "artefacts and models", ARTEFACTS_GB * one.months, "s3_store")
    yield _priced("S3", "evidence", evidence, "s3_store")
    yield _priced("S3", "evidence, uploads", 2 * alerts if one.evidence_mb else 0, "s3_put")
    yield _priced("KMS", "keys", KEYS * one.months, "kms_key")
    yield _priced("Secrets Manager", "passwords of cameras", one.cameras * one.devices * one.months, "secret")


def _panorama(one: CostInputs, charged: PanoramaInputs) -> Iterator[CostLine]:
    streams = one.cameras * one.devices * one.months
    yield _line("Hardware", "Panorama appliance", one.devices, "appliance", charged.appliance_usd)
    yield _line("Panorama", "camera streams", streams, "stream and month", charged.stream_usd)
    yield _line("Panorama", "storage", charged.storage_gb * one.months, "GB and month", charged.storage_usd)


def _gb(megabytes: float) -> Decimal:
    return Decimal(str(megabytes)) / _MB_PER_GB
