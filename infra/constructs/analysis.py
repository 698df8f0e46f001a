"""Athena over the archive: a workgroup whose queries are bounded and whose results are encrypted."""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.saved_queries import saved_queries
from infra.settings import Settings

#: A query that reads more is ended: some cents.
_MAX_BYTES: Final = 10 << 30
_RESULTS: Final = "athena/"


def analysis(
    scope: Construct, *, settings: Settings, database: glue.CfnDatabase, bucket: s3.IBucket, key: kms.IKey
) -> athena.CfnWorkGroup:
    """The workgroup, with the saved queries in it."""
    group = athena.CfnWorkGroup(
        scope,
        "WorkGroup",
        name=f"vedette-{settings.stage}",
        description="Vedette: alerts and insights",
        recursive_delete_option=not settings.keep_data,
        work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
            enforce_work_group_configuration=True,
            bytes_scanned_cutoff_per_query=_MAX_BYTES,
            publish_cloud_watch_metrics_enabled=False,
            result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                output_location=f"s3://{bucket.bucket_name}/{_RESULTS}",
                encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                    encryption_option="SSE_KMS", kms_key=key.key_arn
                ),
            ),
        ),
    )
    for number, query in enumerate(saved_queries()):
        saved = athena.CfnNamedQuery(
            scope,
            f"Query{number}",
            name=query.name,
            description=query.description,
            database=database.ref,
            query_string=query.sql,
            work_group=group.ref,
        )
        saved.add_resource_dependency(group)
    return group
