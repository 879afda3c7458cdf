"""Promotion by hand: answering a run that waits for approval, and putting the previous model back."""

from collections.abc import Iterator
from typing import Any

from ops.account import Account, OpsError


class NothingToDo(OpsError):
    """There is no run that waits, or no model to go back to."""


def answer(account: Account, *, approved: bool) -> str:
    """Tell the run that waits for approval to go on or to end as rejected; returns its model package's ARN."""
    table, key = account.outputs["Lease"], {"endpoint": {"S": account.outputs["Endpoint"]}}
    dynamodb = account.session.client("dynamodb")
    item: dict[str, Any] = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
    if "approval" not in item:
        raise NothingToDo("no run waits for an approval: `python -m ops status` shows the runs")
    verdict = "true" if approved else "false"
    account.states.send_task_success(taskToken=item["approval"]["S"], output=f'{{"approved": {verdict}}}')
    return str(item["package"]["S"])


def rollback(account: Account) -> str:
    """Start the release of the newest approved package that is older than the live one; returns the run's ARN.

    No training: the run goes through the same release states, smoke test included.
    """
    live = _live_artifact(account)
    older = _older_than(live, _approved(account))
    if older is None:
        raise NothingToDo("there is no approved model package older than the live one: `ops upload` trains another")
    request = f'{{"reason": "rollback", "model_package": "{older}"}}'
    machine = account.outputs["StateMachine"]
    return account.states.start_execution(stateMachineArn=machine, input=request)["executionArn"]


def _live_artifact(account: Account) -> str:
    """The S3 URI of the model that the endpoint serves."""
    name = account.outputs["Endpoint"]
    listed = account.sagemaker.list_endpoints(NameContains=name)["Endpoints"]
    if name not in {endpoint["EndpointName"] for endpoint in listed}:
        raise NothingToDo("no model has been deployed yet: `ops upload` starts the first run")
    config = account.sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    variant = account.sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]
    return account.sagemaker.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]["ModelDataUrl"]


def _approved(account: Account) -> Iterator[tuple[str, str]]:
    """(package ARN, artifact) of every approved package, newest first."""
    pages = account.sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=account.outputs["ModelPackageGroup"],
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
    )
    for page in pages:
        for summary in page["ModelPackageSummaryList"]:
            arn = summary["ModelPackageArn"]
            described = account.sagemaker.describe_model_package(ModelPackageName=arn)
            yield arn, described["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]


def _older_than(live: str, packages: Iterator[tuple[str, str]]) -> str | None:
    for _, artifact in packages:
        if artifact == live:
            return next((arn for arn, _ in packages), None)
    return None
