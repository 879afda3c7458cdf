"""The SageMaker jobs: their program, settings and images, and the role that they and the endpoint have."""

from pathlib import Path

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from cdk import assembly, permissions
from cdk.data import DataStore
from cdk.jobs_package import write_jobs
from cdk.network import Network
from pipeline import images
from pipeline.config import Settings


class Jobs(Construct):
    """`role` is the jobs' and the endpoint's; `ports` are the parts that the state machines name in each job."""

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, data: DataStore, network: Network | None
    ) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        folder = assembly.folder(self)
        program = assets.Asset(self, "Program", path=str(write_jobs(folder / "jobs-package")))
        document = assets.Asset(self, "Settings", path=str(_written(settings, folder)))
        image = {"Processing": images.processing(stack.region), "Training": images.training(stack.region)}
        self._network = network
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
        for statement in [
            *data.for_jobs(raw=settings.data.prefix),
            *permissions.inside_jobs(stack, list(image.values())),
            *_read_assets(program, document),
            *(network.interface_statements() if network else []),
        ]:
            self.allow(statement)
        self.ports = {
            "AssetBucket": program.s3_bucket_name,
            "DataBucket": data.bucket.bucket_name,
            "DataKey": data.key.key_arn,
            "JobsFile": program.s3_object_key,
            "ProcessingImage": image["Processing"],
            "SageMakerRole": self.role.role_arn,
            "SettingsFile": document.s3_object_key,
            "TrainingImage": image["Training"],
            **(network.ports if network else {}),
        }

    def allow(self, statement: iam.PolicyStatement) -> None:
        """Allow the jobs something: by their role, and by the way to S3 out of the VPC if there is one."""
        self.role.add_to_principal_policy(statement)
        if self._network:
            self._network.allow_s3(self.role, statement)


def _written(settings: Settings, folder: Path) -> Path:
    """The settings as the jobs read them, in a file that CDK can ship."""
    path = folder / "settings.json"
    path.write_text(settings.to_json())
    return path


def _read_assets(*shipped: assets.Asset) -> list[iam.PolicyStatement]:
    """Reading the shipped files alone; `Asset.grant_read` would open the whole asset bucket."""
    objects = [asset.bucket.arn_for_objects(asset.s3_object_key) for asset in shipped]
    keys = [asset.s3_object_key for asset in shipped]
    return [
        iam.PolicyStatement(actions=["s3:GetObject"], resources=objects),
        iam.PolicyStatement(
            actions=["s3:ListBucket"],
            resources=[shipped[0].bucket.bucket_arn],
            conditions={"StringEquals": {"s3:prefix": keys}},
        ),
    ]
