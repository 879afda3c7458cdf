"""A serverless endpoint with spot training, from the run to the API, and what goes wrong there."""

import json
import os
import re
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from local_aws.cloud import running

from ops import predict
from tests import iam_report
from tests.conftest import ROOT, deploy, wait_for
from tests.deployments.cases import ALWAYS, NEW, OLD
from tests.deployments.table import Row, check
from tests.deployments.test_score import scored, started, without_label
from tests.deployments.world import HEADER, ROWS, Traffic, World, edited, subscribed
from tests.lambdas.predict.signed import Consumer

pytestmark = [pytest.mark.full, pytest.mark.cloud, pytest.mark.timeout(600), pytest.mark.xdist_group("cheap")]

ENDPOINT = """\
instance_type = ""
serverless = { memory_mb = 1024, max_concurrency = 2 }
capture_percent = 0
"""
IDLE_SECONDS = 2
SERVING = ("JobsRole", "DeployMachineRole", "ServingPredictRole")
CHANGES = {
    "breast-cancer": "cheap",
    "max_runtime_minutes = 60": "max_runtime_minutes = 2",
    "spot = false": "spot = true\nmax_wait_minutes = 2",
    'instance_type = "ml.t2.medium"\n': ENDPOINT,
    'schedule = "rate(1 day)"': 'schedule = ""',
}


def settings(folder: Path) -> Path:
    """The shipped settings, serverless and with spot training."""
    text = re.sub("  +#.*", "", (ROOT / "pipeline.toml").read_text())
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "pipeline.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def cheap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The pipeline after its first accepted run."""
    folder = tmp_path_factory.mktemp("cheap")
    environment = {
        "SFN_WAIT_SCALE": "0.01",
        "SAGEMAKER_SERVERLESS_IDLE_SECONDS": str(IDLE_SECONDS),
        "COVERAGE_PROCESS_CONFIG": "",
    }
    with pytest.MonkeyPatch.context() as patched, running(environment=environment) as cloud:
        made = subscribed(deploy(cloud, settings(folder), patched))
        run = made.run()
        assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
        yield made


def servers(world: World) -> list[psutil.Process]:
    """The processes of the model."""
    home = world.deployed.cloud.home.resolve() / "endpoints"
    found = psutil.Process(world.deployed.cloud.pid).children(recursive=True)
    return [each for each in found if Path(each.cwd()).is_relative_to(home)]


def explained(world: World) -> Any:
    row = list(world.account.settings.endpoint.golden[0].row)
    answer = Consumer(world.deployed).post("/predictions?explain=true", json.dumps({"instances": [row]}))
    assert answer.ok, answer.text
    return answer.json()["predictions"][0]


def test_the_api_answers_from_a_process_that_its_call_starts_and_that_ends_when_it_is_idle(cheap: World) -> None:
    (shown,) = cheap.account.sagemaker.describe_endpoint(EndpointName="cheap")["ProductionVariants"]
    assert shown["CurrentServerlessConfig"] == {"MemorySizeInMB": 1024, "MaxConcurrency": 2}
    wait_for(lambda: not servers(cheap))
    found = explained(cheap)
    explanation = found["explanation"]
    effects = sum(each["effect"] for each in explanation["contributions"])
    assert (found["label"], len(servers(cheap))) == ("B", 1)
    assert explanation["score"] == pytest.approx(explanation["base"] + effects + explanation["rest"], abs=1e-6)


def test_a_process_that_is_killed_is_replaced_at_the_next_call(cheap: World) -> None:
    explained(cheap)
    (first,) = servers(cheap)
    os.kill(first.pid, signal.SIGKILL)
    first.wait(10)
    wait_for(lambda: predict.label_of(cheap.account, predict.example(cheap.account)) == "B")
    assert [process.pid for process in servers(cheap)] != [first.pid]


def test_status_and_drift_say_that_nothing_is_captured(cheap: World) -> None:
    words = "SageMaker captures no requests of a serverless endpoint, so there are no drift checks and no live quality"
    for command, check_ in (("status", True), ("drift", False)):
        done = cheap.deployed.command(".venv/bin/python", "-m", "ops", command, check=check_)
        assert words in " ".join((done.stdout + done.stderr).split())


FAULTS = {
    "serverless-throttled": ("InvokeEndpoint", "ThrottlingException", ""),
    "serverless-killed": ("Endpoint", "DiesAtRequest", "a model-error (502) until the rollback"),
    "serverless-wrong": ("Endpoint", "WrongAnswers", "a share of the requests went wrong, until the rollback"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_serverless_endpoint_is_survived(cheap: World, name: str) -> None:
    on, fault, during = FAULTS[name]
    old = cheap.live()
    cheap.inject({"on": on, "fault": fault})
    if during:
        with Traffic(cheap.deployed) as traffic:
            execution = cheap.start()
            run = cheap.ended(execution)
            cheap.settled()
        wrong = {answer for answer in traffic.failed if not answer.startswith("502")}
        assert wrong <= {"M"} if name == "serverless-wrong" else not wrong
    else:
        execution = cheap.start()
        run = cheap.ended(execution)
    sent = cheap.notification(execution)
    assert len(cheap.inject()["struck"]) == 1
    accepted = name == "serverless-throttled"
    assert (sent["outcome"], cheap.live() == old) == (("accepted", False) if accepted else ("rolled back", True)), run
    assert predict.label_of(cheap.account, predict.example(cheap.account)) == "B"
    times = {state: "once" if count == 1 else f"{count} times" for state, count in cheap.retried(execution).items()}
    retried = "".join(f"{state} was retried {count}: " for state, count in times.items())
    how = "accepted" if accepted else f"rolled back, at {cheap.failed_at(execution)}"
    told = f"**{sent['outcome']}**: {sent['why']}"
    check(Row(name, retried + how, during or "not asked", NEW if accepted else OLD, told))


def test_an_endpoint_of_the_other_kind_ends_a_run_before_it_trains(cheap: World) -> None:
    old = cheap.live()

    def on_instances(definition: Any) -> None:
        definition["States"]["FindChampion"]["Parameters"]["Payload"]["serverless"] = False

    with edited(cheap, on_instances), Traffic(cheap.deployed) as traffic:
        run = cheap.run()
    sent = cheap.notification(run.arn)
    assert (sent["error"], cheap.live(), traffic.failed) == ("EndpointOfOtherKind", old, [])
    assert "Preprocess" not in cheap.entered(run.arn)
    check(Row("serverless-kind", "failed, at FindChampion", ALWAYS, OLD, f"**failed**: {sent['why']}"))


def test_a_file_is_scored_by_the_model_of_the_endpoint(cheap: World) -> None:
    lines = [without_label(line) for line in (HEADER, *ROWS[:5])]
    run = cheap.ended(started(cheap, "score/rows.csv", "\n".join(lines).encode()))
    assert (run.status, len(scored(cheap, "scored/rows.csv"))) == ("SUCCEEDED", 5), run


def test_the_roles_that_serve_use_each_of_their_grants(cheap: World) -> None:
    """After the tests above; what no run uses is reviewed in cdk/iam_exceptions.toml."""
    lines = (cheap.deployed.cloud.home / "iam.jsonl").read_text().splitlines()
    reviewed = tomllib.loads((ROOT / "cdk/iam_exceptions.toml").read_text())
    roles = iam_report.policies(cheap.deployed.client("iam"), "cheap")
    text, _ = iam_report.report([json.loads(line) for line in lines], roles, reviewed)
    unused = [line.split()[1:] for line in text.splitlines() if line.startswith("UNUSED")]
    print(text)
    assert [line for line in unused if line[0] in SERVING] == []
