"""Deploy the previous approved model again."""

import json

from ops.account import Account, NothingToDo
from ops.output import Result, command
from ops.retrain import follow
from ops.runs import describe
from ops.status import endpoint


@command
def rollback(account: Account) -> Result:
    """Deploy the previous approved model again, without training, and follow the deployment."""
    return follow(account, describe(account, start(account)))


def start(account: Account) -> str:
    """The execution that deploys the newest approved package that is older than the live one. Raises NothingToDo."""
    live = endpoint(account)
    if live.status == "none":
        raise NothingToDo("no model has been deployed yet: `ops upload FILE` starts the first run")
    group = account.outputs["ModelPackageGroup"]
    pages = account.sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, ModelApprovalStatus="Approved", SortBy="CreationTime", SortOrder="Descending"
    )
    approved = pages.search("ModelPackageSummaryList[].ModelPackageArn")
    older = next((next(approved, None) for arn in approved if arn == live.package), None)
    if older is None:
        raise NothingToDo("no approved model package is older than the live one: `ops upload FILE` trains another")
    return account.states.start_execution(
        stateMachineArn=account.outputs["DeployMachine"], input=json.dumps({"package": older, "reason": "rollback"})
    )["executionArn"]
