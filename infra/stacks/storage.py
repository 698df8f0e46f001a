"""Keys and buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.constructs.function import publish, removal
from infra.settings import Settings

#: Unfinished uploads are of no use to anyone.
_UNFINISHED: Final = Duration.days(2)
_LOGS_KEPT: Final = Duration.days(90)


@dataclass(frozen=True, slots=True)
class Keys:
    """One key for each kind of data, so that a role that reads one kind can read no other."""

    objects: kms.Key
    tables: kms.Key
    messages: kms.Key
    logs: kms.Key


class StorageStack(Stack):
    """What everything else keeps its data in.

    Attributes:
        keys: encryption.
        artefacts: what components are made of; devices read it.
        models: what data scientists upload, and what compilation makes of it.
        evidence: pictures and clips of applications that opt in; a device writes below its own name.
        insights: alerts and figures for analysis.
        operators: topic of alarms.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id, stack_name=construct_id, description="Vedette: keys and buckets")
        self._settings = settings
        self.keys = Keys(
            objects=self._key("ObjectsKey", "Objects in buckets"),
            tables=self._key("TablesKey", "Tables"),
            messages=self._key("MessagesKey", "Queues and topics"),
            logs=self._key("LogsKey", "Logs"),
        )
        self._allow_services()
        self._access_logs = self._access_log_bucket()
        self.artefacts = self._bucket("Artefacts", expire_old=Duration.days(365))
        self.models = self._bucket("Models", expire_old=Duration.days(365), events=True)
        self.evidence = self._bucket(
            "Evidence", expire_old=Duration.days(1), expire=Duration.days(settings.evidence_days)
        )
        self.insights = self._bucket(
            "Insights",
            expire_old=Duration.days(7),
            to_infrequent=Duration.days(90),
        )
        self.operators = sns.Topic(
            self, "Operators", master_key=self.keys.messages, enforce_ssl=True, display_name="Vedette alarms"
        )
        for address in settings.operators:
            self.operators.add_subscription(subscriptions.EmailSubscription(address))
        publish(
            self,
            settings,
            {
                "artefacts-bucket": self.artefacts.bucket_name,
                "models-bucket": self.models.bucket_name,
                "evidence-bucket": self.evidence.bucket_name,
                "insights-bucket": self.insights.bucket_name,
                "operators-topic": self.operators.topic_arn,
            },
        )

    def _key(self, construct_id: str, description: str) -> kms.Key:
        return kms.Key(
            self,
            construct_id,
            description=f"Vedette: {description.lower()}",
            enable_key_rotation=True,
            removal_policy=removal(self._settings),
        )

    def _allow_services(self) -> None:
        """What AWS services themselves encrypt and decrypt, each on behalf of this account only."""
        this_account = {"StringEquals": {"aws:SourceAccount": self.account}}
        for service in ("cloudwatch.amazonaws.com", "events.amazonaws.com", "sns.amazonaws.com"):
            self.keys.messages.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal(service)],
                    actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                    resources=["*"],
                    conditions=this_account,
                )
            )
        self.keys.logs.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com")],
                actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
                resources=["*"],
                conditions={
                    "ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{self.region}:{self.account}:*"}
                },
            )
        )

    def _access_log_bucket(self) -> s3.Bucket:
        return s3.Bucket(
            self,
            "AccessLogs",
            # Log delivery cannot use a key of the account's.
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=removal(self._settings),
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=_LOGS_KEPT,
                    noncurrent_version_expiration=Duration.days(1),
                    abort_incomplete_multipart_upload_after=_UNFINISHED,
                )
            ],
        )

    def _bucket(
        self,
        name: str,
        *,
        expire_old: Duration,
        expire: Duration | None = None,
        to_infrequent: Duration | None = None,
        events: bool = False,
    ) -> s3.Bucket:
        """A bucket; ``events`` sends what happens in it to EventBridge."""
        transitions = (
            [s3.Transition(storage_class=s3.StorageClass.INFREQUENT_ACCESS, transition_after=to_infrequent)]
            if to_infrequent is not None
            else None
        )
        bucket = s3.Bucket(
            self,
            name,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.keys.objects,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            server_access_logs_bucket=self._access_logs,
            server_access_logs_prefix=f"{name.lower()}/",
            removal_policy=removal(self._settings),
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=expire,
                    noncurrent_version_expiration=expire_old,
                    abort_incomplete_multipart_upload_after=_UNFINISHED,
                    transitions=transitions,
                )
            ],
        )
        if events:
            # On the resource itself: the property of the construct brings a custom resource with a function of its own.
            resource = bucket.node.default_child
            assert isinstance(resource, s3.CfnBucket)
            resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
                event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
            )
        return bucket
