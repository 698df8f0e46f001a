"""Quotas of AWS, in one dated table.

Defaults of large regions for one account and region, unless the note says otherwise, as looked up on the date below.
An account's own are in its Service Quotas console, and only those count. A quota that no source was found for is None;
what is compared with it is called unknown. The project's own limits are in the same table, marked as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vedette.contracts.functions import MAX_CALLS

#: When the table was looked up.
LOOKED_UP: Final = "2026-11-27"
#: Messages that one call of a function works on in a second: as the costs are estimated, not measured on AWS Lambda.
MESSAGES_PER_CALL_S: Final = 10


@dataclass(frozen=True, slots=True)
class Quota:
    """One row of the table.

    Attributes:
        value: None where no source was found.
        adjustable: whether AWS raises it on request.
        source: where the figure comes from, and what is doubtful about it.
        advice: what to do where it is too small.
    """

    value: float | None
    adjustable: bool
    source: str
    advice: str = "ask for an increase in Service Quotas"


_IOT: Final = "copy of AWS IoT Core's table of quotas, undated; smaller regions have a tenth"
_OWN: Final = "the project's own limit"

QUOTAS: Final[dict[str, Quota]] = {
    "iot_publish": Quota(20_000, True, _IOT),
    "iot_publish_out": Quota(20_000, True, _IOT),
    "iot_publish_connection": Quota(
        100, False, "AWS re:Post, several answers; AWS's table", "give the device fewer cameras"
    ),
    "iot_bytes_connection": Quota(
        512 * 1024, False, "copy of AWS IoT Core's table, undated", "give the device fewer cameras or figures"
    ),
    "iot_connections": Quota(500_000, True, _IOT),
    "iot_connect": Quota(
        500, True, "copy of AWS IoT Core's table, undated; a text of 2026 says 3,000 in most regions, not used here"
    ),
    "iot_rules": Quota(20_000, True, "notes on AWS IoT Core's table, undated"),
    "iot_shadow": Quota(4_000, True, "notes on AWS IoT Core's table, undated"),
    "iot_jobs": Quota(
        100, True, "AWS IoT developer guide, older edition: active continuous jobs", "use fewer fleets and rings"
    ),
    "iot_job_rate": Quota(1_000, False, "AWS Greengrass API reference: devices a minute of one deployment"),
    "sqs_in_flight": Quota(120_000, True, "Amazon SQS developer guide, quotas of standard queues"),
    "lambda_concurrency": Quota(1_000, True, "AWS Lambda developer guide; new accounts have less at first"),
    "dynamodb_table": Quota(40_000, True, "Amazon DynamoDB developer guide, on-demand tables"),
    "dynamodb_partition": Quota(
        1_000,
        False,
        "AWS re:Post: one partition; DynamoDB divides one that stays busy, after a while",
        "use several fleets: each is a partition of the index by itself",
    ),
    "firehose_records": Quota(5_000, True, "AWS SDK for .NET, PutRecordBatch, older: smallest regions"),
    "sns_publish": Quota(30_000, True, "README of a load simulator, 2019: US East (N. Virginia)"),
    "secrets_read": Quota(10_000, False, "AWS, What's new, 2025-03-04", "let devices come back in groups"),
    "secrets": Quota(None, False, "no page found that states the number of secrets"),
    "logs_put": Quota(5_000, True, "design of AWS's system log forwarder, which quotes CloudWatch Logs' table"),
    "eventbridge_put": Quota(None, True, "no page found"),
    "cloudwatch_alarms": Quota(None, True, "AWS's page of quotas was found, its number was not"),
    "credentials": Quota(None, True, "no page found: AssumeRoleWithCertificate"),
    "function_rate": Quota(
        float(MAX_CALLS * MESSAGES_PER_CALL_S),
        True,
        f"{_OWN}: {MAX_CALLS} calls at once, a tenth of a second a message",
        "raise the calls at once of the function (`MAX_CALLS` in src/vedette/contracts/functions.py)",
    ),
    "count_seconds": Quota(120.0, True, f"{_OWN}: time of one count", "use several fleets, or count less often"),
    "unwell_named": Quota(
        1_000.0,
        False,
        f"{_OWN}: devices that a ring's count names",
        "use more and smaller rings, or mend devices first",
    ),
}
