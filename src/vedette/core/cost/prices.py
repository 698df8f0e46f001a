"""List prices, in one dated table.

US dollars, region us-east-1 unless the note says otherwise, without free tiers and volume discounts, as looked up on
the date below in AWS's pages and in published price lists. Check them in the AWS Pricing Calculator before money
depends on them. A price that could not be found is None, and so is everything that is worked out from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

#: When the table was looked up.
LOOKED_UP: Final = "2026-11-23"


@dataclass(frozen=True, slots=True)
class Price:
    """One row of the table.

    Attributes:
        usd: for ``per`` units; None where unknown.
        per: number of units the price is for.
        unit: what is counted.
        note: where the figure comes from, what is doubtful about it.
    """

    usd: Decimal | None
    per: int
    unit: str
    note: str = ""

    @property
    def each(self) -> Decimal | None:
        """Price of one unit."""
        return None if self.usd is None else self.usd / self.per


def _price(usd: str | None, per: int, unit: str, note: str = "") -> Price:
    return Price(None if usd is None else Decimal(usd), per, unit, note)


_MILLION: Final = 1_000_000
_LIST: Final = "published price list"
_SAMPLE: Final = "README of an AWS sample, 2025-01-16"

PRICES: Final[dict[str, Price]] = {
    "iot_connection": _price("0.08", _MILLION, "connection-minute", _SAMPLE),
    "iot_message": _price("1.00", _MILLION, "message of up to 5 KB", _SAMPLE),
    "iot_rule": _price("0.15", _MILLION, "rule triggered", "several third parties agree"),
    "iot_action": _price("0.15", _MILLION, "action run", "several third parties agree"),
    "iot_job": _price("0.003", 1, "job execution", "one source, unconfirmed"),
    "greengrass": _price("0.16", 1, "active core device and month", "third party; first 3 devices are free"),
    "neo": _price(None, 1, "compilation job", "no page found that states a charge, or none"),
    "cloudwatch_metric": _price("0.30", 1, "custom metric and month", _LIST),
    "cloudwatch_alarm": _price("0.10", 1, "alarm and month", _LIST),
    "cloudwatch_dashboard": _price("3.00", 1, "dashboard and month", _LIST),
    "logs_ingest": _price("0.50", 1, "GB taken in", _LIST),
    "logs_store": _price("0.03", 1, "GB and month", _LIST),
    "s3_store": _price("0.023", 1, "GB and month", _LIST),
    "s3_put": _price("0.005", 1_000, "PUT request", _LIST),
    "transfer_out": _price("0.09", 1, "GB", _LIST),
    "sns_publish": _price("0.50", _MILLION, "message published", _LIST),
    "sns_email": _price("2.00", 100_000, "e-mail", _LIST),
    "sns_sms": _price(None, 1, "short message", "depends on country and carrier; in the US about a cent"),
    "sqs_request": _price("0.40", _MILLION, "request", _LIST),
    "lambda_request": _price("0.20", _MILLION, "request", _LIST),
    "lambda_gb_s": _price("0.0000133334", 1, "GB-second on arm64", _LIST),
    "dynamodb_write": _price("0.625", _MILLION, "write of up to 1 KB", "published price list, us-east-2"),
    "dynamodb_read": _price("0.125", _MILLION, "read of up to 4 KB", "published price list, us-east-2"),
    "dynamodb_store": _price("0.25", 1, "GB and month", "published price list, us-east-2"),
    "eventbridge": _price("1.00", _MILLION, "event", _LIST),
    "firehose": _price("0.029", 1, "GB taken in, each record as 5 KB or more", "third party"),
    "firehose_format": _price("0.021", 1, "GB turned into Parquet", "published price list, eu-west-2"),
    "kms_key": _price("1.00", 1, "key and month", _LIST),
    "secret": _price("0.40", 1, "secret and month", _LIST),
    "vpc_endpoint": _price("0.01", 1, "endpoint, zone and hour", _LIST),
    "resolver_endpoint": _price(None, 1, "address and hour", "no page found"),
}


@dataclass(frozen=True, slots=True)
class Hardware:
    """A device that can be bought.

    Attributes:
        title: its name in shops.
        usd: for one; None where no price was found.
        note: where the figure comes from.
    """

    title: str
    usd: Decimal | None
    note: str = ""


HARDWARE: Final[dict[str, Hardware]] = {
    "orin-nano": Hardware("Jetson Orin Nano Super developer kit, 8 GB", Decimal(249), "third party, December 2024"),
    "agx-orin": Hardware("Jetson AGX Orin developer kit, 64 GB", Decimal(1999), "one source, undated"),
    "orin-nx": Hardware("Jetson Orin NX module with a carrier board", None, "no price found"),
    "own": Hardware("a machine that is there already", Decimal(0)),
}
