"""Delete a stage: the resources that its runs created, its stack, and, with --data, its data."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import typer
from botocore.exceptions import WaiterError

from ops.account import Account, OpsError
from ops.output import Result, command, show, wants_json
from ops.status import described_endpoint

CDK = ["node_modules/.bin/cdk", "destroy", "--all", "--force"]
KEY_DAYS = 7
"""The shortest waiting period of ScheduleKeyDeletion."""
Deletion = tuple[str, Callable[[], object]]


@command
def destroy(
    account: Account,
    data: Annotated[bool, typer.Option("--data", help="Delete the buckets, too, and their key after 7 days.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Result:
    """Delete what runs created (endpoint, configs, models, packages) and the stack. Data stays without --data."""
    stack = f"stack {account.settings.project.name}", _delete_stack
    # All is listed first: without the stack, its buckets are not known.
    deletions = [*_created_by_runs(account), stack, *(_data(account) if data else ())]
    names = [name for name, _ in deletions]
    show(f"  {name}" for name in names)
    if not yes:
        typer.confirm("Delete all of this?", abort=True, err=wants_json())
    for _, delete in deletions:
        delete()
    return Result({"deleted": names}, ())


def _created_by_runs(account: Account) -> Iterator[Deletion]:
    """The resources that are not in the stack, in the order in which they can be deleted: name and deletion."""
    project, group, sagemaker = account.settings.project.name, account.outputs["ModelPackageGroup"], account.sagemaker
    own = re.compile(f"{account.settings.project.made}|{account.settings.project.batch_models}")
    for machine in account.machines:
        for each in _pages(account.states, "list_executions", stateMachineArn=machine, statusFilter="RUNNING"):
            arn = each["executionArn"]
            yield f"run {arn}", partial(account.states.stop_execution, executionArn=arn)
    autoscaling = account.session.client("application-autoscaling")
    for target in _pages(autoscaling, "describe_scalable_targets", ServiceNamespace="sagemaker"):
        if target["ResourceId"].startswith(f"endpoint/{project}/"):
            keys = {key: target[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
            yield f"autoscaling of {target['ResourceId']}", partial(autoscaling.deregister_scalable_target, **keys)
    yield from _endpoint(account, project)
    for what, key in (("endpoint config", "EndpointConfigName"), ("model", "ModelName")):
        operation = what.replace(" ", "_")
        for each in _pages(sagemaker, f"list_{operation}s", NameContains=f"{project}-"):
            if own.fullmatch(name := each[key]):
                yield f"{what} {name}", partial(getattr(sagemaker, f"delete_{operation}"), **{key: name})
    for each in _pages(sagemaker, "list_model_packages", ModelPackageGroupName=group):
        arn = each["ModelPackageArn"]
        yield f"model package {arn}", partial(sagemaker.delete_model_package, ModelPackageName=arn)
    if vpc := account.outputs.get("Vpc"):
        yield f"network interfaces in {vpc}, which SageMaker deletes", partial(_wait_for_no_interfaces, account, vpc)


def _endpoint(account: Account, name: str) -> Iterator[Deletion]:
    if described_endpoint(account, name):
        yield f"endpoint {name}", partial(_delete_endpoint, account, name)


def _pages(client: Any, operation: str, **request: str) -> Iterator[dict[str, Any]]:
    """The items of a list operation, whose answer has one list."""
    for page in client.get_paginator(operation).paginate(**request):
        yield from next(value for value in page.values() if isinstance(value, list))


def _delete_endpoint(account: Account, name: str) -> None:
    wait = {"EndpointName": name, "WaiterConfig": {"Delay": 1 if account.local else 30}}
    sagemaker: Any = account.sagemaker
    with suppress(WaiterError):  # it is Failed
        sagemaker.get_waiter("endpoint_in_service").wait(**wait)
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(**wait)


def _wait_for_no_interfaces(account: Account, vpc: str) -> None:
    """Wait at most 20 minutes: SageMaker deletes them with the jobs' role, which the stack deletes (DeleteEndpoint)."""
    ec2, filters = account.session.client("ec2"), [{"Name": "vpc-id", "Values": [vpc]}]
    for _ in range(120):
        if not ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]:
            return
        time.sleep(10)
    raise OpsError(f"{vpc} still has network interfaces, so the stack cannot be deleted yet: try again later")


def _data(account: Account) -> Iterator[Deletion]:
    """The stack's buckets with their objects, and its key."""
    kms, cloudformation = account.session.client("kms"), account.session.client("cloudformation")
    for resource in _pages(cloudformation, "list_stack_resources", StackName=account.settings.project.name):
        name = resource.get("PhysicalResourceId", "")
        if resource["ResourceType"] == "AWS::S3::Bucket":
            yield f"bucket {name} and all its objects", partial(_delete_bucket, account, name)
        elif resource["ResourceType"] == "AWS::KMS::Key":
            delete = partial(kms.schedule_key_deletion, KeyId=name, PendingWindowInDays=KEY_DAYS)
            yield f"key {name}, in {KEY_DAYS} days", delete


def _delete_bucket(account: Account, name: str) -> None:
    bucket: Any = account.session.resource("s3").Bucket(name)
    bucket.object_versions.delete()
    bucket.delete()


def _delete_stack() -> None:
    if subprocess.run(CDK, check=False).returncode:
        raise OpsError("the stack was not deleted; the CDK CLI names the resource above")
