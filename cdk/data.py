"""Where the data lies: the key that encrypts everything, and the bucket of uploads and runs."""

from typing import cast

from aws_cdk import Duration, RemovalPolicy
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
            removal_policy=RemovalPolicy.RETAIN,
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

    def grant_run_access(self, grantee: iam.IGrantable, *, raw: str) -> None:
        """What a run's jobs may do: read the uploads, read and write the runs' folders."""
        self.bucket.grant_read(grantee, f"{raw}*")
        self.bucket.grant_read_write(grantee, "runs/*")
        self.bucket.grant_put(grantee, "captured/*")
