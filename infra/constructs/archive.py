"""Rows into the bucket as Parquet, with a table over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.alarm import FINE, alarm
from infra.constructs.function import log_group
from infra.constructs.reasons import accept
from infra.settings import Settings
from vedette.contracts.account import stack as stack_name
from vedette.contracts.archive import DAY, prefix

#: Rows are written at the latest after so long; larger files are cheaper to read.
_WAIT_S: Final = 300
_SIZE_MB: Final = 64
#: Rows that wait for longer are not on their way: three times what is meant.
_LATE_S: Final = 900
#: The first day that there can be.
_FIRST_DAY: Final = "2026-01-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveProps:
    """One kind of rows.

    Attributes:
        settings: of the stage.
        name: of the table.
        columns: name → type.
        database: of the table.
        bucket: where the rows go.
        bucket_key: encrypts the bucket, and what waits.
        log_key: encrypts the logs.
        operators: topic of alarms.
    """

    settings: Settings
    name: str
    columns: dict[str, str]
    database: glue.CfnDatabase
    bucket: s3.IBucket
    bucket_key: kms.IKey
    log_key: kms.IKey
    operators: sns.ITopic


class Archive(Construct):
    """A delivery stream, its table, and alarms on what does not arrive.

    Attributes:
        stream: takes rows as lines of JSON.
        table: reads them with Athena.
    """

    def __init__(self, scope: Construct, construct_id: str, props: ArchiveProps) -> None:
        super().__init__(scope, construct_id)
        self._props = props
        self.table = self._table()
        logs_ = log_group(self, "Logs", settings=props.settings, key=props.log_key)
        log_stream = logs.LogStream(self, "LogStream", log_group=logs_)
        role = self._role(logs_)
        self.stream = firehose.CfnDeliveryStream(
            self,
            "Stream",
            delivery_stream_type="DirectPut",
            delivery_stream_encryption_configuration_input=firehose.CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty(
                key_type="CUSTOMER_MANAGED_CMK", key_arn=props.bucket_key.key_arn
            ),
            extended_s3_destination_configuration=self._destination(role, logs_, log_stream),
        )
        self.stream.node.add_dependency(role)
        self._alarms()

    def grant_put(self, role: iam.IRole) -> None:
        """Allow to put rows."""
        role.add_to_principal_policy(
            iam.PolicyStatement(actions=["firehose:PutRecordBatch"], resources=[self.stream.attr_arn])
        )

    def _table(self) -> glue.CfnTable:
        props = self._props
        location = f"s3://{props.bucket.bucket_name}/{prefix(props.name)}"
        parquet = "org.apache.hadoop.hive.ql.io.parquet"
        return glue.CfnTable(
            self,
            "Table",
            catalog_id=Stack.of(self).account,
            database_name=props.database.ref,
            table_input=glue.CfnTable.TableInputProperty(
                name=props.name,
                table_type="EXTERNAL_TABLE",
                partition_keys=[glue.CfnTable.ColumnProperty(name=DAY, type="string")],
                # Partitions are worked out from the query: nobody has to register a new day.
                parameters={
                    "classification": "parquet",
                    "projection.enabled": "true",
                    f"projection.{DAY}.type": "date",
                    f"projection.{DAY}.format": "yyyy-MM-dd",
                    f"projection.{DAY}.range": f"{_FIRST_DAY},NOW",
                    "storage.location.template": f"{location}{DAY}=${{{DAY}}}/",
                },
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    location=location,
                    columns=[glue.CfnTable.ColumnProperty(name=n, type=kind) for n, kind in props.columns.items()],
                    input_format=f"{parquet}.MapredParquetInputFormat",
                    output_format=f"{parquet}.MapredParquetOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(
                        serialization_library=f"{parquet}.serde.ParquetHiveSerDe"
                    ),
                ),
            ),
        )

    def _role(self, log_group_: logs.ILogGroup) -> iam.Role:
        props, stack = self._props, Stack.of(self)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "firehose.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": stack.account}}
            ),
            description=f"Of the delivery stream of {props.name}",
        )
        objects = [props.bucket.arn_for_objects(f"{p}*") for p in (prefix(props.name), _errors(props.name))]
        table = [
            stack.format_arn(service="glue", resource="catalog"),
            stack.format_arn(service="glue", resource="database", resource_name=props.database.ref),
            stack.format_arn(service="glue", resource="table", resource_name=f"{props.database.ref}/{props.name}"),
        ]
        allowed = (
            (["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], [props.bucket.bucket_arn]),
            (["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], objects),
            (["kms:Decrypt", "kms:GenerateDataKey"], [props.bucket_key.key_arn]),
            (["glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"], table),
            (["logs:PutLogEvents"], [log_group_.log_group_arn]),
        )
        for actions, resources in allowed:
            role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources))
        bucket = f"{stack_name(props.settings.stage, 'storage')}:ExportsOutputFnGetAttInsightsC4CE1CC7ArnC4278294"
        why = "The names of objects hold the day and a random part; the stream writes below its own prefixes only."
        accept(
            role,
            {
                f"AwsSolutions-IAM5[Resource::{bucket}/{below}*]": why
                for below in (prefix(props.name), _errors(props.name))
            },
        )
        return role

    def _destination(
        self, role: iam.Role, log_group_: logs.ILogGroup, log_stream: logs.LogStream
    ) -> firehose.CfnDeliveryStream.ExtendedS3DestinationConfigurationProperty:
        props, stream = self._props, firehose.CfnDeliveryStream
        return stream.ExtendedS3DestinationConfigurationProperty(
            bucket_arn=props.bucket.bucket_arn,
            role_arn=role.role_arn,
            prefix=f"{prefix(props.name)}{DAY}=!{{timestamp:yyyy-MM-dd}}/",
            error_output_prefix=f"{_errors(props.name)}!{{firehose:error-output-type}}/{DAY}=!{{timestamp:yyyy-MM-dd}}/",
            buffering_hints=stream.BufferingHintsProperty(interval_in_seconds=_WAIT_S, size_in_m_bs=_SIZE_MB),
            encryption_configuration=stream.EncryptionConfigurationProperty(
                kms_encryption_config=stream.KMSEncryptionConfigProperty(awskms_key_arn=props.bucket_key.key_arn)
            ),
            cloud_watch_logging_options=stream.CloudWatchLoggingOptionsProperty(
                enabled=True, log_group_name=log_group_.log_group_name, log_stream_name=log_stream.log_stream_name
            ),
            data_format_conversion_configuration=stream.DataFormatConversionConfigurationProperty(
                enabled=True,
                input_format_configuration=stream.InputFormatConfigurationProperty(
                    deserializer=stream.DeserializerProperty(open_x_json_ser_de=stream.OpenXJsonSerDeProperty())
                ),
                output_format_configuration=stream.OutputFormatConfigurationProperty(
                    serializer=stream.SerializerProperty(
                        parquet_ser_de=stream.ParquetSerDeProperty(compression="SNAPPY")
                    )
                ),
                schema_configuration=stream.SchemaConfigurationProperty(
                    catalog_id=Stack.of(self).account,
                    database_name=props.database.ref,
                    table_name=self.table.ref,
                    region=Stack.of(self).region,
                    role_arn=role.role_arn,
                    version_id="LATEST",
                ),
            ),
        )

    def _alarms(self) -> None:
        what, told = self._props.name, {"settings": self._props.settings, "operators": self._props.operators}
        alarm(
            self,
            "Late",
            self._metric("DeliveryToS3.DataFreshness", "Maximum"),
            **told,
            text=f"Rows of {what} wait for the bucket for more than {_LATE_S // 60} minutes.",
            runbook="archive-late",
            missing=FINE,  # nothing to deliver is no delay
            above=_LATE_S,
            rounds=2,
        )
        alarm(
            self,
            "Unfit",
            self._metric("FailedConversion.Records", "Sum"),
            **told,
            text=f"Rows of {what} do not fit their table and lie below {_errors(what)} instead.",
            runbook="archive-unfit",
            missing=FINE,  # no rows, none that failed
        )

    def _metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/Firehose",
            metric_name=name,
            dimensions_map={"DeliveryStreamName": self.stream.ref},
            statistic=statistic,
            period=Duration.minutes(5),
        )


def _errors(name: str) -> str:
    return f"errors/{name}/"
