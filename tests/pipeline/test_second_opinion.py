"""The definition on two interpreters that share no code, ministack's and moto's: the same states, the same outputs.

The tasks' results are those of a real run; beside the paths that runs take, every task fails once. Waits and retries do
not wait, as only their order matters here. What is known to differ is in DIFFERENT, and in docs/local-vs-aws.md.
"""

import copy
import json
import logging
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.mocking import mock_config as moto_mocks

from local.cloud import running
from ops import runs
from pipeline import workflow
from pipeline.config import load
from tests.conftest import ROOT, WDBC, Deployed, wait_for
from tests.local.aws import policy
from tests.pipeline.asl import filled, tasks

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(300)]
ROLE = "arn:aws:iam::123456789012:role/machine"
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "states.amazonaws.com"}}
MISSING = {"0-9": {"Throw": {"Error": "SageMaker.SageMakerException", "Cause": "Could not find endpoint"}}}
DIFFERENT = {
    "AcquireLease-fails": "/cause: it broke and None",
    "FreeLease-fails": "/steps/n/1/lease/Cause: it broke and ",
}
"""moto's optimised DynamoDB integration drops the cause of an error; AWS and ministack tell it."""


def unhurried(value: Any) -> Any:
    """A definition whose waits and retries take no time; moto knows no `.sync` of SageMaker, which mocks do not need."""
    if isinstance(value, str):
        return value.removesuffix(".sync")
    if isinstance(value, list):
        return [unhurried(item) for item in value]
    if isinstance(value, dict):
        short = {"Seconds": 0, "IntervalSeconds": 1, "BackoffRate": 1.0, "MaxAttempts": 1}
        return {key: short.get(key, unhurried(item)) for key, item in value.items()}
    return value


def history(states: Any, arn: str) -> list[dict[str, Any]]:
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    return [event for page in pages for event in page["events"]]


def recorded(live: Deployed) -> tuple[str, dict[str, Any]]:
    """The name of a run that replaces a model, and what its tasks answered; beside them, those of the first run."""
    first = runs.latest(live.account, 100)[-1]
    run = live.run("wdbc.csv", WDBC.read_bytes())
    found: dict[str, Any] = {}
    for arn in (first.arn, run.arn):
        state = ""
        for event in history(live.account.states, arn):
            if "stateEnteredEventDetails" in event:
                state = event["stateEnteredEventDetails"]["name"]
            elif event["type"] == "TaskSucceeded":
                found[state] = json.loads(event["taskSucceededEventDetails"]["output"])
    return run.name, found


def cases(definition: dict[str, Any], answers: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Mocked responses by state, for each path."""
    other = {"TransformJobName": "scored", "MessageId": "1", "ModelPackageArn": f"{ROLE}:package"}
    usual = {name: {"0-9": {"Return": answers.get(name, other)}} for name, _ in tasks(definition)}
    evaluation = answers["ReadEvaluation"]
    metrics = json.loads(evaluation["Body"])
    metrics["binary_classification_metrics"]["auc"]["value"] = 0.5
    worse = {"0-9": {"Return": {**evaluation, "Body": json.dumps(metrics)}}}
    creating = {"EndpointStatus": "Creating", "EndpointConfigName": "other"}
    paths = {
        "accepted": {},
        "first": {"FindEndpoint": MISSING},
        "rejected": {"ReadEvaluation": worse},
        "rolled-back": {"CheckEndpoint": {"0-9": {"Return": {**creating, "EndpointStatus": "InService"}}}},
        "late": {"CheckEndpoint": {"0-99": {"Return": creating}}},
        **{f"{name}-fails": {name: _boom(state)} for name, state in tasks(definition)},
        "first-smoke-fails": {"FindEndpoint": MISSING, "SmokeTest": _boom({"Resource": ""})},
    }  # fmt: skip
    return {path: {**usual, **changes} for path, changes in paths.items()}


def _boom(state: dict[str, Any]) -> dict[str, Any]:
    """An error of a task; moto names every error of the optimised DynamoDB integration so."""
    error = "DynamoDB.AmazonDynamoDBException" if ":::dynamodb:" in state["Resource"] else "Boom"
    return {"0-9": {"Throw": {"Error": error, "Cause": "it broke"}}}


def start_all(
    states: Any, definition: dict[str, Any], names: list[str], run: str, test_case: str = ""
) -> dict[str, str]:
    started = {}
    for case in names:
        made = states.create_state_machine(name=case, definition=json.dumps(definition), roleArn=ROLE)
        answer = states.start_execution(stateMachineArn=made["stateMachineArn"] + test_case, name=run, input="{}")
        started[case] = answer["executionArn"]
    return started


def told(states: Any, arn: str, names: set[str]) -> dict[str, Any]:
    """How an execution went: its states in order with what they gave on, and its end."""
    ended = wait_for(
        lambda: found if (found := states.describe_execution(executionArn=arn))["status"] != "RUNNING" else None, 120
    )
    steps = [
        (event["stateExitedEventDetails"]["name"], json.loads(event["stateExitedEventDetails"]["output"]))
        for event in history(states, arn)
        if "stateExitedEventDetails" in event and event["stateExitedEventDetails"]["name"] in names  # none of a branch
    ]
    return {"status": ended["status"], "error": ended.get("error"), "cause": ended.get("cause"), "steps": steps}


@pytest.fixture(scope="module")
def opinions(
    live: Deployed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What the two interpreters made of each case."""
    definition = unhurried(filled(workflow.definition(load(ROOT / "pipeline.toml"))))
    run, answers = recorded(live)
    mocked = cases(definition, answers)
    config = {
        "StateMachines": {
            case: {"TestCases": {"it": {name: f"{case}.{name}" for name in responses}}}
            for case, responses in mocked.items()
        },
        "MockedResponses": {
            f"{case}.{name}": response for case, responses in mocked.items() for name, response in responses.items()
        },
    }
    file: Path = tmp_path_factory.mktemp("mocks") / "mocks.json"
    file.write_text(json.dumps(config))
    with running(environment={"SFN_WAIT_SCALE": "0", "SFN_MOCK_CONFIG": str(file)}) as cloud:
        ours = boto3.client(
            "stepfunctions",
            "us-east-1",
            endpoint_url=cloud.endpoint_url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        iam = boto3.client(
            "iam", "us-east-1", endpoint_url=cloud.endpoint_url, aws_access_key_id="test", aws_secret_access_key="test"
        )
        iam.create_role(RoleName="machine", AssumeRolePolicyDocument=policy(TRUST))
        first = {
            case: told(ours, arn, set(definition["States"]))
            for case, arn in start_all(ours, definition, list(mocked), run, "#it").items()
        }
    with pytest.MonkeyPatch.context() as patched, mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        patched.delenv("AWS_ENDPOINT_URL", raising=False)
        logging.getLogger("moto").setLevel(logging.CRITICAL)
        parse = cache(AmazonStateLanguageParser.parse)  # seconds for this definition, which all cases share
        patched.setattr(AmazonStateLanguageParser, "parse", staticmethod(parse))
        # An index inside a path gives moto a list, AWS the element.
        patched.setattr(json_path, "_is_singleton_array_access", lambda path: not re.search(r"\[[^\]]*[*:?]", path))
        # moto reads no mock configuration from a file; its workers take one all the same.
        patched.setattr(
            ExecutionWorker,
            "_mock_test_case",
            property(
                lambda worker: moto_case(worker._evaluation_details.state_machine_details.name, mocked), lambda *_: None
            ),
            raising=False,
        )
        theirs = boto3.client("stepfunctions", "us-east-1")
        second = {
            case: told(theirs, arn, set(definition["States"]))
            for case, arn in start_all(theirs, definition, list(mocked), run).items()
        }
    yield first, second


def moto_case(machine: str, mocked: dict[str, dict[str, Any]]) -> moto_mocks.MockTestCase:
    def response(attempts: str, given: dict[str, Any]) -> moto_mocks.MockedResponse:
        first, _, last = attempts.partition("-")
        span = {"range_start": int(first), "range_end": int(last or first)}
        if "Return" in given:
            return moto_mocks.MockedResponseReturn(**span, payload=copy.deepcopy(given["Return"]))
        return moto_mocks.MockedResponseThrow(**span, error=given["Throw"]["Error"], cause=given["Throw"]["Cause"])

    states = [
        moto_mocks.StateMockedResponses(name, name, [response(*item) for item in responses.items()])
        for name, responses in mocked[machine].items()
    ]
    return moto_mocks.MockTestCase(machine, "it", states)


def difference(ours: Any, theirs: Any, place: str = "") -> str:
    """Where two values differ first, and how."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        return next((found for key in ours if (found := difference(ours[key], theirs[key], f"{place}/{key}"))), "")
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return next((found for at, (x, y) in pairs if (found := difference(x, y, f"{place}/{at}"))), "")
    return "" if ours == theirs else f"{place}: {str(ours)[:200]} and {str(theirs)[:200]}"


def test_both_interpreters_agree(opinions: tuple[dict[str, Any], dict[str, Any]]) -> None:
    first, second = opinions
    assert len(first) > 30
    apart = {}
    for case, ours in first.items():
        paths = [[name for name, _ in opinion[case]["steps"]] for opinion in opinions]
        different = difference(*paths) or difference(ours, second[case])
        if different:
            apart[case] = different
    assert {case: re.sub(r"(?<=steps/)\d+", "n", place) for case, place in apart.items()} == DIFFERENT


@pytest.mark.parametrize(
    ("case", "outcome"),
    [("accepted", "accepted"), ("first", "accepted"), ("rejected", "rejected")],
)
def test_the_paths_that_runs_take_end_as_they_should(
    opinions: tuple[dict[str, Any], dict[str, Any]], case: str, outcome: str
) -> None:
    for opinion in opinions:
        assert (opinion[case]["status"], opinion[case]["steps"][-1][1]["outcome"]) == ("SUCCEEDED", outcome)
