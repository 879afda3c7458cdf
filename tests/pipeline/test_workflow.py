"""The definition: well formed, complete in its failure paths, and full of requests that AWS would take."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from pipeline import diagram, drift, workflow
from pipeline.config import Settings, load
from pipeline.settings import BadRows, Network
from tests.pipeline.asl import filled, resolved, tasks

ROOT = Path(__file__).parent.parent.parent
RECORDIO = "application/x-recordio-protobuf"
SERVICES = {"sfn": "stepfunctions", "applicationautoscaling": "application-autoscaling"}
DOCUMENTS = {"lambda": "Payload", "sns": "Message"}
"""Parameters that an integration takes as a document where the API wants its text."""


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    return workflow.definition(load(ROOT / "pipeline.toml"))


def spread() -> Settings:
    """Settings with several processing instances and a budget of wrong rows."""
    settings = load(ROOT / "pipeline.toml")
    processing = settings.processing.model_copy(update={"instance_count": 2})
    data = settings.data.model_copy(update={"bad_rows": BadRows(share=0.01)})
    return settings.model_copy(update={"processing": processing, "data": data})


def scaled() -> Settings:
    """Settings with an autoscaled variant."""
    settings = load(ROOT / "pipeline.toml")
    size = {"instance_type": "ml.m5.large", "instance_count": 2, "max_instances": 6, "calls_per_minute": 90}
    return settings.model_copy(update={"endpoint": settings.endpoint.model_copy(update=size)})


def in_a_vpc() -> Settings:
    return load(ROOT / "pipeline.toml").model_copy(update={"network": Network(vpc=True)})


MACHINES: dict[str, Callable[[], dict[str, Any]]] = {
    "retraining": lambda: workflow.definition(load(ROOT / "pipeline.toml")),
    "spread": lambda: workflow.definition(spread()),
    "scaled": lambda: workflow.definition(scaled()),
    "drift": lambda: drift.definition(load(ROOT / "pipeline.toml")),
    "vpc": lambda: workflow.definition(in_a_vpc()),
    "vpc, drift": lambda: drift.definition(in_a_vpc()),
}


@pytest.fixture(scope="module", params=MACHINES)
def each(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Both state machines, the first over several instances and with an autoscaled variant too, and both in a VPC."""
    return MACHINES[request.param]()


def request(state: dict[str, Any]) -> tuple[str, str]:
    """(service, operation) of a task's resource, in botocore's words."""
    service, action = (
        state["Resource"]
        .removesuffix(".sync")
        .removesuffix(".waitForTaskToken")
        .split(":::")[1]
        .removeprefix("aws-sdk:")
        .split(":")
    )
    return SERVICES.get(service, service), action[0].upper() + action[1:]


def test_statelint_finds_nothing(each: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "definition.json"
    path.write_text(json.dumps(filled(each)))
    linted = subprocess.run(
        [Path(sys.executable).parent / "statelint", path], capture_output=True, text=True, check=False
    )
    assert (linted.stdout, linted.returncode) == ("", 0)


def test_every_request_passes_botocores_validation(each: dict[str, Any]) -> None:
    session = botocore.session.get_session()
    found = {}
    for name, state in tasks(filled(each)):
        service, operation = request(state)
        shape = session.get_service_model(service).operation_model(operation).input_shape
        parameters = resolved(state["Parameters"])
        if service in DOCUMENTS:
            parameters[DOCUMENTS[service]] = json.dumps(parameters[DOCUMENTS[service]])
        if service == "events":
            parameters["Entries"] = [
                {**entry, "Detail": json.dumps(entry["Detail"])} for entry in parameters["Entries"]
            ]
        if operation == "PutMetricData":  # a list that the drift job writes: tests/pipeline/jobs/test_drift.py
            parameters["MetricData"] = []
        if service == "stepfunctions":
            parameters = {key[0].lower() + key[1:]: value for key, value in parameters.items()}
        report = ParamValidator().validate(parameters, shape)
        if report.has_errors():
            found[name] = report.generate_report()
    assert found == {}


UNRETRIED = {"FindEndpoint", "Tidy"}
"""FindEndpoint's refusals are told apart by a Choice; the others go on whatever comes of them."""


def test_every_task_has_a_deadline_and_a_retry(each: dict[str, Any]) -> None:
    assert {name for name, state in tasks(each) if "TimeoutSeconds" not in state} == set()
    assert {name for name, state in tasks(each) if "Retry" not in state} <= UNRETRIED


def test_every_error_is_caught(definition: dict[str, Any]) -> None:
    states = definition["States"].items()
    assert [name for name, state in states if state["Type"] in {"Task", "Parallel"} and "Catch" not in state] == []


def test_a_job_may_run_less_long_than_its_task_waits(definition: dict[str, Any]) -> None:
    for _, state in tasks(definition):
        running = state["Parameters"].get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 0)
        assert running < state["TimeoutSeconds"]


def test_no_arn_account_or_region_is_written_into_it(definition: dict[str, Any]) -> None:
    text = json.dumps({name: state["Parameters"] for name, state in tasks(definition) if name != "SmokeTest"})
    assert re.findall(r"arn:aws|\d{12}|us-[a-z]+-\d", text) == []


@pytest.mark.parametrize("mode", ["File", "FastFile", "Pipe"])
def test_training_reads_its_data_as_the_settings_say(mode: str) -> None:
    settings = load(ROOT / "pipeline.toml")
    training = settings.training.model_copy(update={"input_mode": mode, "content_type": RECORDIO})
    states = dict(tasks(workflow.definition(settings.model_copy(update={"training": training}))))
    request = states["Train"]["Parameters"]
    assert request["AlgorithmSpecification"]["TrainingInputMode"] == mode
    assert [channel.get("InputMode", mode) for channel in request["InputDataConfig"]] == [mode, mode]
    assert [channel["ContentType"] for channel in request["InputDataConfig"]] == [RECORDIO, RECORDIO]


@pytest.mark.parametrize("build", [workflow.definition, drift.definition])
def test_with_a_vpc_each_request_that_takes_one_names_it_and_nothing_else_differs(build: Any) -> None:
    vpc = {"SecurityGroupIds": ["${SecurityGroup}"], "Subnets": ["${Subnet1}", "${Subnet2}"]}
    without, inside = build(load(ROOT / "pipeline.toml")), build(in_a_vpc())
    assert "VpcConfig" not in json.dumps(without)
    for _, state in tasks(without):
        operation = request(state)[1]
        if operation == "CreateProcessingJob":
            state["Parameters"]["NetworkConfig"]["VpcConfig"] = vpc
        elif operation in {"CreateTrainingJob", "CreateModel"}:  # a transform job takes its model's
            state["Parameters"]["VpcConfig"] = vpc
    assert inside == without


@pytest.fixture(scope="module")
def longest() -> list[str]:
    """The jobs' name templates for a project whose name is as long as it may be."""
    settings = load(ROOT / "pipeline.toml")
    project = settings.project.model_copy(update={"name": "x" * 16})
    return job_names(workflow.definition(settings.model_copy(update={"project": project})))


def job_names(definition: dict[str, Any]) -> list[str]:
    parameters = [item for _, state in tasks(definition) for item in state["Parameters"].items()]
    return [value for key, value in parameters if re.fullmatch(r"\w+JobName\.\$", key)]


@given(st.integers(0, 99), st.text(min_size=1, max_size=80))
def test_a_jobs_name_fits_sagemaker_for_any_execution(longest: list[str], attempt: int, execution: str) -> None:
    run_id = hashlib.md5(execution.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
    for template in longest:
        name = template.split("'")[1].replace("{}", run_id, 1).replace("{}", str(attempt), 1)
        assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)


def test_each_attempt_of_a_job_has_a_name_of_its_own(definition: dict[str, Any]) -> None:
    names = job_names(definition)
    assert len(names) == 7
    assert all("$$.State.RetryCount" in name and "$.run.id" in name for name in names)


def test_several_instances_share_the_data_out_and_are_merged_and_one_is_not(definition: dict[str, Any]) -> None:
    states = workflow.definition(spread())["States"]
    assert set(states) - set(definition["States"]) == {"Merge"}
    assert (states["Preprocess"]["Next"], states["Merge"]["Next"]) == ("Merge", "Train")
    asked = states["Preprocess"]["Parameters"]
    dealt = {
        part["InputName"]: part["S3Input"].get("S3DataDistributionType", "FullyReplicated")
        for part in asked["ProcessingInputs"]
    }
    assert dealt == {"code": "FullyReplicated", "settings": "FullyReplicated", "data": "ShardedByS3Key"}
    counts = {
        name: state["Parameters"]["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
        for name, state in tasks({"States": states})
        if "ProcessingResources" in state["Parameters"]
    }
    assert counts == {"Preprocess": 2, "Merge": 1, "Evaluate": 1, "Compare": 1}
    outputs = [part["OutputName"] for part in asked["ProcessingOutputConfig"]["Outputs"]]
    assert outputs == ["train", "validation", "holdout", "labels", "shards", "quarantine"]


def test_a_variant_is_autoscaled_once_its_model_is_live_and_only_if_that_is_asked_for(
    definition: dict[str, Any],
) -> None:
    states = workflow.definition(scaled())["States"]
    assert set(states) - set(definition["States"]) == {"RegisterScaling", "PutScaling", "NotScaled"}
    assert [states[name]["Next"] for name in ("SmokeTest", "RegisterScaling", "PutScaling")] == [
        "RegisterScaling", "PutScaling", "Tidy"]  # fmt: skip
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/${EndpointName}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    assert states["RegisterScaling"]["Parameters"] == {**target, "MinCapacity": 2, "MaxCapacity": 6}
    assert states["PutScaling"]["Parameters"] == {
        **target,
        "PolicyName": "calls-per-instance",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 90,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleOutCooldown": 300,
            "ScaleInCooldown": 300,
        },
    }


def test_an_update_keeps_what_was_scaled_and_waits_for_what_is_being_scaled(definition: dict[str, Any]) -> None:
    states = workflow.definition(scaled())["States"]
    for name in ("UpdateEndpoint", "RestoreChampion"):
        assert states[name]["Parameters"]["RetainAllVariantProperties"] is True
        patient, *usual = states[name]["Retry"]
        assert patient == {"ErrorEquals": ["SageMaker.SageMakerException"], "IntervalSeconds": 60, "MaxAttempts": 10,
                           "BackoffRate": 1.0}  # fmt: skip
        assert usual == definition["States"][name]["Retry"]
    assert {**states["UpdateEndpoint"], "Retry": 0} == {**definition["States"]["UpdateEndpoint"], "Retry": 0}


def test_a_run_whose_autoscaling_went_wrong_fails_and_takes_nothing_back() -> None:
    states = workflow.definition(scaled())["States"]
    for name in ("RegisterScaling", "PutScaling"):
        assert states[name]["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "NotScaled"}]
    assert states["NotScaled"]["Next"] == "FreeLeaseOfFailed"


def test_the_readme_shows_the_diagram_of_this_definition(definition: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{diagram.mermaid(definition)}\n```" in readme
