"""Which run a name means, and which jobs are of a run."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from local_aws.cloud import Cloud

from ops.account import Account
from ops.jobs import jobs_of
from ops.runs import NoRun, Run, find, md5
from pipeline.config import load
from tests.conftest import ROOT, wait_for

DONE = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "states.amazonaws.com"}}
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def ended(account: Account, execution: str) -> None:
    wait_for(lambda: account.states.describe_execution(executionArn=execution)["status"] != "RUNNING")


@pytest.mark.cloud
def test_the_whole_name_of_a_run_means_that_run_and_not_a_newer_one_whose_name_begins_alike(empty: Cloud) -> None:
    account = Account(load(ROOT / "pipeline.toml"), boto3.Session())
    policy = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    role = boto3.client("iam").create_role(RoleName="runs", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    outputs = {}
    for name in ("StateMachine", "DeployMachine"):
        made = account.states.create_state_machine(name=f"runs-{name}", definition=DONE, roleArn=role)
        outputs[name] = made["stateMachineArn"]
    vars(account)["outputs"] = outputs
    child = f"{md5('run-a')}-0"
    started = (
        ("StateMachine", "run-a"),
        ("StateMachine", "run-a-1"),
        ("DeployMachine", "back"),
        ("DeployMachine", child),
    )
    for machine, name in started:
        made = account.states.start_execution(stateMachineArn=outputs[machine], name=name)
        ended(account, made["executionArn"])  # those that have ended are listed by their ends
    found = {name: find(account, name).name for name in ("run-a", "run-a-1", "run-", "back", "ba")}
    assert found == {"run-a": "run-a", "run-a-1": "run-a-1", "run-": "run-a-1", "back": "back", "ba": "back"}
    for name in (child, "run-a-2", "no such/name"):
        with pytest.raises(NoRun):
            find(account, name)


def test_the_jobs_of_a_run_are_not_those_of_another_projects_run_of_the_same_name() -> None:
    settings = load(ROOT / "pipeline.toml")
    project, run = settings.project.name, Run("arn", "run-a", "SUCCEEDED", "", NOW, NOW, "", "", "", "", [], {})
    own = f"{project}-train-{run.id}-0"
    names = [own, f"{project}-prod-train-{run.id}-0", f"other-train-{run.id}-0", f"{own}-more"]
    job = {
        "TrainingJobStatus": "Completed",
        "CreationTime": NOW,
        "ResourceConfig": {"InstanceType": "m", "InstanceCount": 1},
    }
    client = SimpleNamespace(
        get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: []),
        list_training_jobs=lambda **_: {"TrainingJobSummaries": [{"TrainingJobName": name} for name in names]},
        describe_training_job=lambda TrainingJobName: {**job, "TrainingJobName": TrainingJobName},  # noqa: N803
        list_processing_jobs=lambda **_: {"ProcessingJobSummaries": []},
        list_transform_jobs=lambda **_: {"TransformJobSummaries": []},
        describe_processing_job=None,
        describe_transform_job=None,
    )
    account = cast(Any, SimpleNamespace(settings=settings, sagemaker=client))
    assert [each.name for each in jobs_of(account, run)] == [own]
