"""The data: the key that encrypts everything, and the bucket of uploads and runs."""

from collections.abc import Mapping
from functools import partial
from typing import cast

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from cdk.permissions import allow


class DataStore(Construct):
    """One customer managed key, and one versioned bucket that it encrypts: not public, and reached only by TLS.

    `expiry` are days by prefix, 0 for never. An expired or replaced version is deleted 90 days later.
    """

    def __init__(
        self, scope: Construct, construct_id: str, removal: RemovalPolicy, expiry: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(scope, construct_id)
        self.key = kms.Key(self, "Key", enable_key_rotation=True, removal_policy=removal)
        closed = s3.BlockPublicAccess.BLOCK_ALL
        bucket = partial(s3.Bucket, self, block_public_access=closed, enforce_ssl=True, removal_policy=removal)
        rule, days = s3.LifecycleRule, Duration.days(90)
        # Server access logs can be delivered to a bucket with S3-managed keys only (S3 User Guide).
        managed = s3.BucketEncryption.S3_MANAGED
        self.logs = bucket("AccessLogs", encryption=managed, lifecycle_rules=[rule(expiration=days)])
        uploads = rule(abort_incomplete_multipart_upload_after=Duration.days(7), noncurrent_version_expiration=days)
        expired = [
            rule(prefix=prefix, expiration=Duration.days(after)) for prefix, after in (expiry or {}).items() if after
        ]
        self.bucket = bucket(
            "Bucket",
            versioned=True,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            server_access_logs_bucket=self.logs,
            server_access_logs_prefix="data/",
            lifecycle_rules=[uploads, *expired],
        )
        # `event_bridge_enabled` would do this by a custom resource with a Lambda and a role of its own.
        resource = cast("s3.CfnBucket", self.bucket.node.default_child)
        resource.add_property_override("NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True)

    def for_jobs(self, *uploads: str, captures: bool) -> list[iam.PolicyStatement]:
        """Allow jobs and the endpoint to read the uploads, use the runs, write signatures and, if any, data capture."""
        files = self.bucket.arn_for_objects
        read = [f"{prefix}*" for prefix in (*uploads, "runs/", "rows/")]
        written = ("runs/*", "rows/*", "signatures/*", *(["data-capture/*"] if captures else []))
        return [
            allow("s3:GetObject", *map(files, read)),
            allow("s3:PutObject", *map(files, written)),
            self.list_objects(*read),
            allow("kms:Decrypt kms:DescribeKey kms:Encrypt kms:GenerateDataKey", self.key.key_arn),
            self.encrypt_volumes(),
        ]

    def list_objects(self, *prefixes: str) -> iam.PolicyStatement:
        """Allow to list the objects under these prefixes."""
        return allow("s3:ListBucket", self.bucket.bucket_arn, where={"StringLike": {"s3:prefix": list(prefixes)}})

    def list_versions(self, prefix: str) -> iam.PolicyStatement:
        """Allow to list the versions of the objects under a prefix."""
        within = {"StringEquals": {"s3:prefix": prefix}}
        return allow("s3:ListBucketVersions", self.bucket.bucket_arn, where=within)

    def encrypt_volumes(self) -> iam.PolicyStatement:
        """Allow EBS to use the key (SageMaker Developer Guide, execution roles: "volume KMS key")."""
        return allow("kms:CreateGrant", self.key.key_arn, where={"Bool": {"kms:GrantIsForAWSResource": "true"}})

    def use_key(self, *services: str, write: bool = True) -> iam.PolicyStatement:
        """Allow the use of the key through services, which use it in their caller's name."""
        through = {"StringEquals": {"kms:ViaService": [self.service(name) for name in services]}}
        actions = "kms:Decrypt kms:GenerateDataKey" if write else "kms:Decrypt"
        return allow(actions, self.key.key_arn, where=through)

    def service(self, name: str) -> str:
        """Return the host name of a service in the stack's region, as the condition kms:ViaService has it."""
        stack = Stack.of(self)
        return f"{name}.{stack.region}.{stack.url_suffix}"
