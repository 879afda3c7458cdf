"""The retraining workflow: the role of its jobs, the state machine, and the lease that its runs take in turns."""

import json
from pathlib import Path

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.region_info import RegionInfo
from constructs import Construct

from cdk import assembly, permissions
from cdk.data import DataStore
from cdk.functions import log_group
from cdk.network import Network
from cdk.promotion import Promotion
from pipeline import images, workflow
from pipeline.config import Settings

ROOT = Path(__file__).parent.parent


class Retraining(Construct):
    """The state machine that `pipeline.workflow` defines, with its ports filled in."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        data: DataStore,
        topic: sns.ITopic,
        predict: lambda_.IFunction,
        promotion: Promotion,
        network: Network | None,
        endpoint_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        project = settings.project.name
        partition = RegionInfo.get(stack.region).partition or "aws"
        jobs = assets.Asset(self, "Jobs", path=str(ROOT / "pipeline" / "jobs"), exclude=["**/__pycache__", ".*"])
        job_settings = assets.Asset(self, "Settings", path=str(_written(settings, assembly.folder(self))))
        image = {"Processing": images.processing(stack.region), "Training": images.training(stack.region)}

        self._network = network
        self.job_role = iam.Role(self, "JobRole", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
        for statement in [
            *data.for_jobs(raw=settings.data.prefix),
            *permissions.inside_jobs(stack, list(image.values())),
            *_read_assets(jobs, job_settings),
            *(network.interfaces() if network else []),
        ]:
            self.let_jobs(statement)

        self.lease = dynamodb.Table(
            self,
            "Lease",
            partition_key=dynamodb.Attribute(name="endpoint", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=data.key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.log_group = log_group(self, "Log")
        self.ports = {
            "AssetBucket": jobs.s3_bucket_name,
            "DataBucket": data.bucket.bucket_name,
            "DataKey": data.key.key_arn,
            "JobsFile": jobs.s3_object_key,
            "ProcessingImage": image["Processing"],
            "SageMakerRole": self.job_role.role_arn,
            "SettingsFile": job_settings.s3_object_key,
            "Topic": topic.topic_arn,
            **(network.ports if network else {}),
        }
        """What the drift check's state machine has in common with this one."""
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=project,
            definition_body=sfn.DefinitionBody.from_string(
                json.dumps(workflow.definition(settings, partition), indent=1)
            ),
            definition_substitutions={
                **self.ports,
                "EndpointName": endpoint_name,
                "ErrorAlarm": promotion.error_alarm.alarm_name,
                "LatencyAlarm": promotion.latency_alarm.alarm_name,
                "LeaseTable": self.lease.table_name,
                "ModelPackageGroup": promotion.packages.ref,
                "PredictFunction": predict.function_arn,
                "TidyFunction": promotion.tidy.function_arn,
                "TrainingImage": image["Training"],
            },
            logs=sfn.LogOptions(destination=self.log_group, level=sfn.LogLevel.ALL),
            tracing_enabled=True,
        )
        for statement in [
            *permissions.run_jobs(stack, project),
            *permissions.release(stack, project, endpoint_name),
            *(permissions.scale(stack, endpoint_name) if settings.endpoint.scales else []),
            permissions.look_at_owner(stack, project),
            permissions.look_at_alarms(promotion.error_alarm, promotion.latency_alarm),
            permissions.pass_role(self.job_role),
            *permissions.tell(stack, topic.topic_arn),
            permissions.allow("lambda:InvokeFunction", predict.function_arn, promotion.tidy.function_arn),
            permissions.allow("s3:GetObject", data.bucket.arn_for_objects("runs/*/evaluation/evaluation.json")),
            data.use_key("s3", "sns", "dynamodb"),
            # The endpoint's volumes: CreateEndpointConfig uses the key in its caller's name.
            permissions.allow("kms:DescribeKey", data.key.key_arn),
            data.encrypt_volumes(),
        ]:
            self.machine.add_to_role_policy(statement)
        self.lease.grant(self.machine, "dynamodb:GetItem", "dynamodb:UpdateItem")

    def let_jobs(self, statement: iam.PolicyStatement) -> None:
        """Allow the jobs something: by their role, and by the way to S3 out of the VPC if there is one."""
        self.job_role.add_to_principal_policy(statement)
        if self._network:
            self._network.let(self.job_role, statement)


def _written(settings: Settings, folder: Path) -> Path:
    """The settings as the jobs read them, in a file that CDK can ship."""
    path = folder / "settings.json"
    path.write_text(settings.to_json())
    return path


def _read_assets(*shipped: assets.Asset) -> list[iam.PolicyStatement]:
    """Reading just the shipped files; `Asset.grant_read` would open the whole asset bucket."""
    objects = [shipped_file.bucket.arn_for_objects(shipped_file.s3_object_key) for shipped_file in shipped]
    keys = [shipped_file.s3_object_key for shipped_file in shipped]
    return [
        iam.PolicyStatement(actions=["s3:GetObject"], resources=objects),
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[shipped[0].bucket.bucket_arn],
            conditions={"StringEquals": {"s3:prefix": keys}},
        ),
    ]
