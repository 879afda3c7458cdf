"""The SageMaker jobs: their program, settings and images, and the role that they and the endpoint have."""

import hashlib
import shutil
from pathlib import Path

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from cdk.data import DataStore
from cdk.functions import output_folder
from cdk.network import Network
from cdk.permissions import allow, arn, granted
from pipeline.asl import image_uris
from pipeline.config import Settings

JOBS = Path(__file__).parent.parent / "pipeline" / "jobs"
MAIN = """\
import os, sys
from jobs.__main__ import main
code = main()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
"""
"""Without the interpreter's own end: pyarrow 17 on Python 3.10 sometimes aborts there, after all output was written."""


class Jobs(Construct):
    """`role` is the jobs' and the endpoint's; `ports` are the values that the state machines name in each job.

    `preprocessing` is the SHA-256 of what preprocessing's output depends on beside the data: program, image, settings.
    """

    def __init__(self, scope: Construct, settings: Settings, data: DataStore, network: Network | None) -> None:
        super().__init__(scope, "Jobs")
        folder = output_folder(self)
        (folder / "settings.json").write_text(settings.to_json())
        program = assets.Asset(self, "Program", path=str(write_jobs(folder / "jobs-package")))
        document = assets.Asset(self, "Settings", path=str(folder / "settings.json"))
        images, project = images_of(Stack.of(self).region), settings.project.name
        owners = {uri.split("/", 1)[1].split(":")[0]: uri.split(".")[0] for uri in images.values()}  # by repository
        repositories = [arn(self, "ecr:repository", name, account=owners[name]) for name in sorted(owners)]
        # The shipped files alone: `Asset.grant_read` would allow the whole asset bucket.
        keys = [asset.s3_object_key for asset in (program, document)]
        uploads = [settings.data.prefix, *(["score/"] if settings.score.enabled else [])]
        self._network = network
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
        for statement in [
            *data.for_jobs(*uploads, captures=not settings.endpoint.serverless),
            *granted(self, "images", project),
            allow("ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer", *repositories),
            *granted(self, "jobs", project),
            allow("s3:GetObject", *map(program.bucket.arn_for_objects, keys)),
            allow("s3:ListBucket", program.bucket.bucket_arn, where={"StringEquals": {"s3:prefix": keys}}),
            *(network.interface_statements() if network else []),
        ]:
            self.allow(statement)
        digests = hashlib.sha256(program.asset_hash.encode())
        digests.update(images["ProcessingImage"].encode())
        digests.update(settings.preprocessing.encode())
        self.preprocessing = digests.hexdigest()
        self.ports = {
            "AssetBucket": program.s3_bucket_name,
            "DataBucket": data.bucket.bucket_name,
            "DataKey": data.key.key_arn,
            "JobsFile": program.s3_object_key,
            "SageMakerRole": self.role.role_arn,
            "SettingsFile": document.s3_object_key,
            **images,
            **(network.ports if network else {}),
        }

    def allow(self, statement: iam.PolicyStatement) -> None:
        """Add a permission to the jobs' role, and to the VPC's way to S3 if there is one."""
        self.role.add_to_principal_policy(statement)
        if self._network:
            self._network.allow_s3(self.role, statement)


def images_of(region: str) -> dict[str, str]:
    """Return AWS's images by port: scikit-learn, whose libraries the requirements pin, and the linear learner."""
    sklearn = image_uris.retrieve("sklearn", region, version="1.4-2", instance_type="ml.m5.large")
    return {"ProcessingImage": sklearn, "TrainingImage": image_uris.retrieve("linear-learner", region, version="1")}


def write_jobs(target: Path) -> Path:
    """Write the content of jobs.zip, the package `jobs` and a __main__.py, into the folder `target`, and return it."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(JOBS, target / "jobs", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (target / "__main__.py").write_text(MAIN, encoding="utf-8")
    return target
