"""The definition on two interpreters that share no code, ministack's and moto's: the same states, the same outputs.

The tasks' results are those of a real run; beside the paths that runs take, every task fails once. Waits and retries do
not wait, as only their order matters here. What is known to differ is in docs/local-vs-aws.md.
"""

import copy
import json
import logging
import os
import pickle
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import Timeout
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.mocking import mock_config as moto_mocks

from pipeline import deploy, retrain
from pipeline.config import load
from tests.conftest import ROOT, WDBC, Deployed, history, wait_for
from tests.pipeline.asl import filled, tasks

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(300)]
Opinions = tuple[dict[str, Any], dict[str, Any]]
ROLE = "arn:aws:iam::123456789012:role/machine"
PATHS: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("paths.toml").read_text("utf-8"))
NOTHING = {**dict.fromkeys(("model", "config", "status", "variant"), "none"), "instances": 1}
METADATA = "CustomerMetadataProperties"
FIRST = {"0-9": {"Return": {"Payload": NOTHING}}}
"""FindChampion's answer when nothing is live."""


def unhurried(value: Any) -> Any:
    """A definition whose waits and retries take no time; moto knows no `.sync` of SageMaker, which mocks do not need."""
    if isinstance(value, str):
        return re.sub(r"\.sync(:2)?$", "", value)
    if isinstance(value, list):
        return [unhurried(item) for item in value]
    if isinstance(value, dict):
        short = {"IntervalSeconds": 1, "BackoffRate": 1.0, "MaxAttempts": min(1, value.get("MaxAttempts", 1))}
        return {key: short.get(key, unhurried(item)) for key, item in value.items()}
    return value


def recorded(live: Deployed) -> tuple[str, dict[str, dict[str, Any]]]:
    """The name of a run that replaces a model, and what its tasks and those of its deployment answered."""
    run = live.run("wdbc.csv", WDBC.read_bytes())
    deployment = f"{live.account.outputs['DeployMachine'].replace(':stateMachine:', ':execution:')}:{run.id}-0"
    found: dict[str, dict[str, Any]] = {}
    for machine, arn in (("retrain", run.arn), ("deploy", deployment)):
        state, found[machine] = "", {}
        for event in history(live.account.states, arn):
            if "stateEnteredEventDetails" in event:
                state = event["stateEnteredEventDetails"]["name"]
            elif event["type"] == "TaskSucceeded":
                found[machine][state] = json.loads(event["taskSucceededEventDetails"]["output"])
    return run.name, found


def cases(machine: str, definition: dict[str, Any], answers: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Mocked responses by state, for each path through a machine."""
    failure = {"error": "E", "why": "it broke"}
    other = {"ModelPackageArn": f"{ROLE}:package", "Payload": {**failure, "config": "old"}}
    usual = {name: {"0-9": {"Return": answers.get(name, other)}} for name, _ in tasks(definition)}
    paths = {
        f"{machine}-ends": {},
        f"{machine}-first": {"FindChampion": FIRST},
        **{f"{machine}-{name}-fails": {name: _throw("Boom")} for name, _ in tasks(definition)},
    }
    if machine == "retrain":
        evaluation = answers["ReadEvaluation"]
        metrics = json.loads(evaluation["Body"])
        metrics["binary_classification_metrics"]["auc"]["value"] = 0.5
        worse = {"0-9": {"Return": {**evaluation, "Body": json.dumps(metrics)}}}
        paths["retrain-rejected"] = {"ReadEvaluation": worse}
        paths["retrain-superseded"] = {"AcquireLease": _throw("Superseded")}
        listed = answers["ListData"]
        earlier = {**listed, "Payload": {**listed["Payload"], "rows": {"run": "earlier", "found": True, "key": "k"}}}
        paths["retrain-preprocessed"] = {"ListData": {"0-9": {"Return": earlier}}}
    else:
        pending = {"0-9": {"Return": {**answers["DescribePackage"], "ModelApprovalStatus": "PendingManualApproval"}}}
        described = {name: each for name, each in answers["DescribePackage"].items() if name != METADATA}
        of_no_run = {"0-9": {"Return": described}}
        failed = {"0-9": {"Return": {"Payload": {**NOTHING, "status": "Failed"}}}}
        paths |= {
            "deploy-pending": {"DescribePackage": pending},
            "deploy-of-no-run": {"DescribePackage": of_no_run},
            "deploy-no-smoke-rows": {"ReadSmokeRows": _throw("S3.NoSuchKeyException")},
            "deploy-failed-endpoint": {"FindChampion": failed, "DeleteFailedEndpoint": _throw("Boom")},
            "deploy-rolled-back": {"WaitForEndpoint": _throw("RolledBack")},
            "deploy-late": {"WaitForEndpoint": _throw("EndpointChanging")},
            "deploy-wrong-answer": {"SmokeTest": _throw("SmokeTestFailed")},
            "deploy-first-wrong-answer": {"FindChampion": FIRST, "SmokeTest": _throw("SmokeTestFailed")},
        }
    return {path: {**usual, **changes} for path, changes in paths.items()}


def _throw(error: str) -> dict[str, Any]:
    return {"0-99": {"Throw": {"Error": error, "Cause": "it broke"}}}


def run_all(
    states: Any, definitions: dict[str, dict[str, Any]], names: list[str], run: str, test_case: str = ""
) -> dict[str, dict[str, Any]]:
    """How each case went; they run at the same time."""
    started = {}
    for case in names:
        definition = definitions[case.partition("-")[0]]
        made = states.create_state_machine(name=case, definition=json.dumps(definition), roleArn=ROLE)
        answer = states.start_execution(stateMachineArn=made["stateMachineArn"] + test_case, name=run, input="{}")
        started[case] = answer["executionArn"], set(definition["States"])
    return {case: ended(states, *each) for case, each in started.items()}


def ended(states: Any, arn: str, names: set[str]) -> dict[str, Any]:
    """How an execution went: its states in order with what they gave on, and its end."""
    wait_for(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING", 240)
    execution = states.describe_execution(executionArn=arn)
    exits = [event["stateExitedEventDetails"] for event in history(states, arn) if "stateExitedEventDetails" in event]
    steps = [(each["name"], json.loads(each["output"])) for each in exits if each["name"] in names]  # none of a branch
    return {key: execution.get(key) for key in ("status", "error", "cause")} | {"steps": steps}


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def ministack(mocks: Path) -> Iterator[str]:
    """The URL of ministack as it is shipped, whose tasks answer as the file says."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    settings = {"GATEWAY_PORT": port, "BIND_HOST": "127.0.0.1", "SFN_WAIT_SCALE": "0", "SFN_MOCK_CONFIG": str(mocks)}
    settings |= {"IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "S3_PERSIST": "0", "LOG_LEVEL": "WARNING"}
    own = {"HOME": str(mocks.parent), "TMPDIR": str(mocks.parent), "DOCKER_HOST": "unix:///nonexistent"}
    with subprocess.Popen([sys.executable, "-m", "ministack.app"], env={**os.environ, **settings, **own}) as process:
        try:
            wait_for(lambda: listens(int(port)), 60)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def opinions(live: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opinions]:
    """What the two interpreters made of each case."""
    settings = load(ROOT / "pipeline.toml")
    machines = {"retrain": retrain.definition(settings), "deploy": deploy.definition(settings)}
    definitions = {name: unhurried(filled(definition)) for name, definition in machines.items()}
    run, answers = recorded(live)
    mocked = {}
    for name, definition in definitions.items():
        mocked |= cases(name, definition, answers[name])
    machines_of, responses_of = {}, {}
    for case, responses in mocked.items():
        machines_of[case] = {"TestCases": {"it": {name: f"{case}.{name}" for name in responses}}}
        responses_of |= {f"{case}.{name}": response for name, response in responses.items()}
    config = {"StateMachines": machines_of, "MockedResponses": responses_of}
    file: Path = tmp_path_factory.mktemp("mocks") / "mocks.json"
    file.write_text(json.dumps(config))
    with ministack(file) as url:
        ours = boto3.Session("test", "test", region_name="us-east-1").client("stepfunctions", endpoint_url=url)
        first = run_all(ours, definitions, list(mocked), run, "#it")
    with pytest.MonkeyPatch.context() as patched, mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        patched.delenv("AWS_ENDPOINT_URL", raising=False)
        logging.getLogger("moto").setLevel(logging.CRITICAL)
        parse = AmazonStateLanguageParser.parse

        @cache
        def parsed(definition: str) -> tuple[bytes, Any]:
            """Takes seconds, and all cases of a machine share its definition."""
            program, tree = parse(definition)
            return pickle.dumps(program), tree

        def own(definition: str) -> tuple[Any, Any]:
            """A program keeps the state of an execution, so each has its own."""
            program, tree = parsed(definition)
            return pickle.loads(program), tree

        patched.setattr(AmazonStateLanguageParser, "parse", staticmethod(own))
        # An index inside a path gives moto a list, AWS the element.
        patched.setattr(json_path, "_is_singleton_array_access", lambda path: not re.search(r"\[[^\]]*[*:?]", path))

        # A branch that is stopped skips what it evaluates, and its state's input is then the timeout in its history.
        patched.setattr(Timeout, "eval", Timeout._eval_body)

        # moto reads no mock configuration from a file; its workers take one all the same.
        def mock(worker: Any) -> moto_mocks.MockTestCase:
            return moto_case(worker._evaluation_details.state_machine_details.name, mocked)

        patched.setattr(ExecutionWorker, "_mock_test_case", property(mock, lambda *_: None), raising=False)
        theirs = boto3.client("stepfunctions", "us-east-1")
        second = run_all(theirs, definitions, list(mocked), run)
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


def test_both_interpreters_agree(opinions: Opinions) -> None:
    first, second = opinions
    assert len(first) > 30
    apart = {}
    for case, ours in first.items():
        paths = [[name for name, _ in opinion[case]["steps"]] for opinion in opinions]
        different = difference(*paths) or difference(ours, second[case])
        if different:
            apart[case] = different
    assert apart == {}


@pytest.mark.parametrize("case", PATHS)
def test_the_paths_that_runs_take_end_as_they_should(opinions: Opinions, case: str) -> None:
    last = PATHS[case]
    for opinion in opinions:
        assert opinion[case]["status"] == ("FAILED" if last[-1] == "FinishFailed" else "SUCCEEDED")
        assert [name for name, _ in opinion[case]["steps"]][-len(last) :] == last
