"""Taking a stage away: what its runs made at run time, its stack, and, only when told, its data."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from ops.account import Account, OpsError

CDK = ["node_modules/.bin/cdk", "destroy", "--all", "--force"]
KEY_DAYS = 7
"""The shortest wait of ScheduleKeyDeletion."""
Deletion = tuple[str, Callable[[], Any]]


def made_by_runs(account: Account) -> Iterator[Deletion]:
    """What the stack does not know of, in the order in which it can go: its name, and how to delete it."""
    project = account.settings.project.name
    states: Any = account.states
    sagemaker: Any = account.sagemaker
    running = {"stateMachineArn": account.outputs["StateMachine"], "statusFilter": "RUNNING"}
    for arn in _names(states, "list_executions", "executions", "executionArn", running):
        yield f"run {arn}", partial(states.stop_execution, executionArn=arn)
    scaling: Any = account.session.client("application-autoscaling")
    for page in scaling.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="sagemaker"):
        for target in page["ScalableTargets"]:
            if target["ResourceId"].startswith(f"endpoint/{project}/"):
                place = {key: target[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
                yield f"autoscaling of {place['ResourceId']}", partial(scaling.deregister_scalable_target, **place)
    with suppress(ClientError):  # there is none
        sagemaker.describe_endpoint(EndpointName=project)
        yield f"endpoint {project}", partial(_delete_endpoint, sagemaker, project, 1 if account.local else 30)
    ours = {"NameContains": f"{project}-"}
    for name in _names(sagemaker, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", ours):
        yield f"endpoint config {name}", partial(sagemaker.delete_endpoint_config, EndpointConfigName=name)
    for name in _names(sagemaker, "list_models", "Models", "ModelName", ours):
        yield f"model {name}", partial(sagemaker.delete_model, ModelName=name)
    group = {"ModelPackageGroupName": account.outputs["ModelPackageGroup"]}
    for arn in _names(sagemaker, "list_model_packages", "ModelPackageSummaryList", "ModelPackageArn", group):
        yield f"model package {arn}", partial(sagemaker.delete_model_package, ModelPackageName=arn)
    if vpc := account.outputs.get("Vpc"):
        ec2: Any = account.session.client("ec2")
        yield f"network interfaces in {vpc}, which SageMaker deletes", partial(_no_interfaces, ec2, vpc)


def _names(client: Any, operation: str, listed: str, member: str, request: dict[str, str]) -> Iterator[str]:
    prefix = request.get("NameContains", "")
    for page in client.get_paginator(operation).paginate(**request):
        yield from (item[member] for item in page[listed] if item[member].startswith(prefix))


def _delete_endpoint(sagemaker: Any, name: str, seconds: int) -> None:
    with suppress(WaiterError):  # it is Failed
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": seconds})
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": seconds})


def _no_interfaces(ec2: Any, vpc: str) -> None:
    """Wait, 20 minutes at most: SageMaker deletes them in the jobs' role, gone with the stack (DeleteEndpoint)."""
    for _ in range(120):
        if not ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkInterfaces"]:
            return
        time.sleep(10)
    raise OpsError(f"{vpc} still has network interfaces, and the stack cannot go before them: try again later")


def data_of(account: Account) -> Iterator[Deletion]:
    """The stack's buckets with all that is in them, and its key; list them before the stack goes, delete them after."""
    stacks: Any = account.session.client("cloudformation")
    for page in stacks.get_paginator("list_stack_resources").paginate(StackName=account.settings.project.name):
        for resource in page["StackResourceSummaries"]:
            name = resource.get("PhysicalResourceId", "")
            if resource["ResourceType"] == "AWS::S3::Bucket":
                yield f"bucket {name} and all that is in it", partial(_delete_bucket, account, name)
            elif resource["ResourceType"] == "AWS::KMS::Key":
                yield f"key {name}, in {KEY_DAYS} days", partial(_delete_key, account, name)


def _delete_bucket(account: Account, name: str) -> None:
    bucket: Any = account.session.resource("s3").Bucket(name)
    bucket.object_versions.delete()
    bucket.delete()


def _delete_key(account: Account, key: str) -> None:
    account.session.client("kms").schedule_key_deletion(KeyId=key, PendingWindowInDays=KEY_DAYS)


def delete_stack() -> None:
    """Run the CDK CLI. Raises OpsError."""
    if subprocess.run(CDK, check=False).returncode:
        raise OpsError("the stack was not deleted; what the CDK CLI says above names the resource")
