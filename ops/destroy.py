"""Delete a stage: the resources that its runs created, its stack, and, with --data, its data."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError, WaiterError

from ops.account import Account, OpsError
from ops.output import Result, command, show

CDK = ["node_modules/.bin/cdk", "destroy", "--all", "--force"]
KEY_DAYS = 7
"""The shortest waiting period of ScheduleKeyDeletion."""
Deletion = tuple[str, Callable[[], Any]]


@command
def destroy(
    account: Account,
    data: Annotated[bool, typer.Option("--data", help="Delete the buckets and their key, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: bool = False,
) -> Result:
    """Delete what runs created (endpoint, configs, models, packages) and the stack. Data stays without --data."""
    deletions = list(created_by_runs(account))
    deletions.append((f"stack {account.settings.project.name}", _delete_stack))
    deletions += _data(account) if data else []
    show((f"  {name}" for name, _ in deletions), as_json=as_json)
    if not yes:
        typer.confirm("Delete all of this?", abort=True, err=as_json)
    for _, delete in deletions:
        delete()
    return Result({"deleted": [name for name, _ in deletions]}, ())


def created_by_runs(account: Account) -> Iterator[Deletion]:
    """The resources that are not in the stack, in the order in which they can be deleted: name and deletion."""
    project = account.settings.project.name
    states: Any = account.states
    sagemaker: Any = account.sagemaker
    for machine in ("StateMachine", "DeployMachine"):
        running = {"stateMachineArn": account.outputs[machine], "statusFilter": "RUNNING"}
        for arn in _names(states, "list_executions", "executions", "executionArn", running):
            yield f"run {arn}", partial(states.stop_execution, executionArn=arn)
    autoscaling: Any = account.session.client("application-autoscaling")
    for page in autoscaling.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="sagemaker"):
        for target in page["ScalableTargets"]:
            if target["ResourceId"].startswith(f"endpoint/{project}/"):
                keys = {key: target[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
                yield f"autoscaling of {target['ResourceId']}", partial(autoscaling.deregister_scalable_target, **keys)
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
        yield f"network interfaces in {vpc}, which SageMaker deletes", partial(_wait_for_no_interfaces, ec2, vpc)


def _names(client: Any, operation: str, listed: str, member: str, request: dict[str, str]) -> Iterator[str]:
    prefix = request.get("NameContains", "")
    for page in client.get_paginator(operation).paginate(**request):
        yield from (item[member] for item in page[listed] if item[member].startswith(prefix))


def _delete_endpoint(sagemaker: Any, name: str, seconds: int) -> None:
    with suppress(WaiterError):  # it is Failed
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": seconds})
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": seconds})


def _wait_for_no_interfaces(ec2: Any, vpc: str) -> None:
    """Wait at most 20 minutes: SageMaker deletes them with the jobs' role, which goes with the stack (DeleteEndpoint)."""
    for _ in range(120):
        if not ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkInterfaces"]:
            return
        time.sleep(10)
    raise OpsError(f"{vpc} still has network interfaces, so the stack cannot be deleted yet: try again later")


def _data(account: Account) -> list[Deletion]:
    """The stack's buckets with their objects, and its key; listed before the stack is deleted."""
    stacks: Any = account.session.client("cloudformation")
    pages = stacks.get_paginator("list_stack_resources").paginate(StackName=account.settings.project.name)
    found: list[Deletion] = []
    for resource in (resource for page in pages for resource in page["StackResourceSummaries"]):
        name = resource.get("PhysicalResourceId", "")
        if resource["ResourceType"] == "AWS::S3::Bucket":
            found.append((f"bucket {name} and all its objects", partial(_delete_bucket, account, name)))
        elif resource["ResourceType"] == "AWS::KMS::Key":
            kms: Any = account.session.client("kms")
            delete = partial(kms.schedule_key_deletion, KeyId=name, PendingWindowInDays=KEY_DAYS)
            found.append((f"key {name}, in {KEY_DAYS} days", delete))
    return found


def _delete_bucket(account: Account, name: str) -> None:
    bucket: Any = account.session.resource("s3").Bucket(name)
    bucket.object_versions.delete()
    bucket.delete()


def _delete_stack() -> None:
    if subprocess.run(CDK, check=False).returncode:
        raise OpsError("the stack was not deleted; the CDK CLI names the resource above")
