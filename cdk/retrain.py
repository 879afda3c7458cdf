"""The retrain machine, with its ports filled in."""

from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.permissions import allow, granted, invoke, pass_role, run_jobs
from cdk.state_machine import Parts, state_machine
from pipeline import retrain


def retrain_machine(
    scope: Construct, parts: Parts, registry: sagemaker.CfnModelPackageGroup, deploy: sfn.StateMachine
) -> sfn.StateMachine:
    """Return the state machine that `pipeline.retrain` defines; `deploy` is the machine that it runs."""
    scope, data, project = Construct(scope, "Retrain"), parts.data, parts.project
    manual = parts.settings.release.approval == "manual"
    allowed = [
        *run_jobs(scope, project, "Processing", "Training", "Transform"),
        *granted(scope, "retrain", project),
        *(granted(scope, "approval", project) if manual else []),
        pass_role(parts.jobs.role),
        allow("states:StartExecution", deploy.state_machine_arn),
        *granted(scope, "nested", project),
        invoke(parts.lease.function, parts.live.function),
        invoke(*parts.finish.functions.values()),
        allow("s3:GetObject", data.bucket.arn_for_objects("runs/*/evaluation/evaluation.json")),
        data.use_key("s3", write=False),
    ]
    ports = {"DeployMachine": deploy.state_machine_arn, "ModelPackageGroup": registry.ref}
    return state_machine(scope, "retrain", retrain.definition, parts, ports=ports, allowed=allowed)
