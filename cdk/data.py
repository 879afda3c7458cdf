"""Where the data lies: the key that encrypts everything, and the bucket of uploads and runs."""

from typing import cast

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct


class DataStore(Construct):
    """One customer managed key, and one versioned bucket that is encrypted with it, closed, and reached by TLS only."""

    def __init__(self, scope: Construct, construct_id: str, *, removal: RemovalPolicy) -> None:
        super().__init__(scope, construct_id)
        self.key = kms.Key(self, "Key", enable_key_rotation=True, removal_policy=removal)
        self.logs = s3.Bucket(
            self,
            "AccessLogs",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            # Server access logs can be delivered to a bucket with S3-managed keys only (S3 User Guide).
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(90))],
            removal_policy=removal,
        )
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            server_access_logs_bucket=self.logs,
            server_access_logs_prefix="data/",
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                    noncurrent_version_expiration=Duration.days(90),
                )
            ],
            removal_policy=removal,
        )
        # `event_bridge_enabled` would do this by a custom resource with a Lambda and a role of its own.
        resource = cast("s3.CfnBucket", self.bucket.node.default_child)
        resource.add_property_override(
            "NotificationConfiguration.EventBridgeConfiguration", {"EventBridgeEnabled": True}
        )

    def for_jobs(self, *, raw: str) -> list[iam.PolicyStatement]:
        """What jobs and the endpoint may do: read the uploads, read and write the runs, write what is captured."""
        files = self.bucket.arn_for_objects
        return [
            iam.PolicyStatement(actions=["s3:GetObject"], resources=[files(f"{raw}*"), files("runs/*")]),
            iam.PolicyStatement(actions=["s3:PutObject"], resources=[files("runs/*"), files("data-capture/*")]),
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[self.bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [f"{raw}*", "runs/*"]}},
            ),
            iam.PolicyStatement(
                actions=["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"],
                resources=[self.key.key_arn],
            ),
            self.encrypt_volumes(),
        ]

    def encrypt_volumes(self) -> iam.PolicyStatement:
        """Letting EBS use the key (SageMaker Developer Guide, execution roles: "volume KMS key")."""
        return iam.PolicyStatement(
            actions=["kms:CreateGrant"],
            resources=[self.key.key_arn],
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        )

    def use_key(self, *services: str) -> iam.PolicyStatement:
        """Using the key through services, which do it in their caller's name."""
        stack = Stack.of(self)
        through = [f"{service}.{stack.region}.{stack.url_suffix}" for service in services]
        return iam.PolicyStatement(
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[self.key.key_arn],
            conditions={"StringEquals": {"kms:ViaService": through}},
        )
