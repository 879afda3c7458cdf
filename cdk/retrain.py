"""The retrain machine: its jobs, its packages, and the deployment that it starts."""

from aws_cdk import Stack
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from cdk import permissions
from cdk.data import DataStore
from cdk.deploy import Deploy
from cdk.finish import Finish
from cdk.jobs import Jobs
from cdk.lease import Lease
from cdk.live_endpoint import LiveEndpoint
from cdk.state_machine import state_machine
from pipeline import retrain
from pipeline.config import Settings


class Retrain(Construct):
    """The state machine that `pipeline.retrain` defines, with its ports filled in."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        data: DataStore,
        jobs: Jobs,
        registry: sagemaker.CfnModelPackageGroup,
        lease: Lease,
        live: LiveEndpoint,
        deploy: Deploy,
        finish: Finish,
    ) -> None:
        super().__init__(scope, construct_id)
        stack, project = Stack.of(self), settings.project.name
        asked = ["Update"] if settings.release.approval == "manual" else []
        self.machine = state_machine(
            self,
            "retrain",
            settings=settings,
            definition=retrain.definition,
            ports={
                **jobs.ports,
                **finish.ports,
                "DeployMachine": deploy.machine.state_machine_arn,
                "EndpointFunction": live.function.function_arn,
                "LeaseFunction": lease.function.function_arn,
                "ModelPackageGroup": registry.ref,
            },
            allowed=[
                *permissions.run_jobs(stack, project),
                permissions.create_model(stack, project),
                permissions.register_packages(stack, project),
                *([permissions.packages(stack, project, *asked)] if asked else []),
                permissions.pass_role(jobs.role),
                *permissions.run_machine(stack, deploy.machine, f"{project}-deploy"),
                permissions.invoke(lease.function, live.function),
                finish.invoke(),
                permissions.allow("s3:GetObject", data.bucket.arn_for_objects("runs/*/evaluation/evaluation.json")),
                data.use_key("s3"),
            ],
        )
