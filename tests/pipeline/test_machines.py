"""The definition: well formed, complete in its failure paths, and full of requests that AWS would take."""

import copy
import hashlib
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from pipeline import deploy, diagram, drift, retrain, score
from pipeline.__main__ import MACHINES as DEFINITIONS
from pipeline.asl import Definition
from pipeline.config import Settings, load
from pipeline.settings import BadRows, Golden, Range, Ranges, Serverless
from tests.pipeline.asl import filled, resolved, tasks

ROOT = Path(__file__).parent.parent.parent
RECORDIO = "application/x-recordio-protobuf"
SERVICES = {"states": "stepfunctions", "applicationautoscaling": "application-autoscaling"}
LOCAL = ("m5d", "c5d", "r5dn", "m6id", "g4dn", "g5", "p3dn", "p4d", "p5", "trn1", "i3")
"""Families with local storage (Amazon EC2 User Guide, "Instance store volumes")."""
DOCUMENTS = {"lambda": "Payload", "stepfunctions": "Input"}
"""Parameters that an integration takes as a document where the API wants its text."""
SHIPPED = load(ROOT / "pipeline.toml")


def changed(**tables: dict[str, Any]) -> Settings:
    """The shipped settings with some values of some tables changed."""
    update = {name: getattr(SHIPPED, name).model_copy(update=values) for name, values in tables.items()}
    return SHIPPED.model_copy(update=update)


SEVERAL = changed(processing={"instance_count": 2}, data={"bad_rows": BadRows(share=0.01)})
SIZE = {"instance_type": "ml.m5.large", "instance_count": 2, "max_instances": 6, "calls_per_minute": 90}
ENCODED = changed(data={"kinds": {"radius_mean": "categorical"}})
MANUAL = changed(release={"approval": "manual"}, processing={"instance_count": 2})
ASKING = changed(gate={"approve_incomparable": True}, processing={"instance_count": 2})
SERVERLESS = changed(
    endpoint={"instance_type": "", "serverless": Serverless(memory_mb=2048, max_concurrency=5), "capture_percent": 0},
    drift={"schedule": ""},
)
SPOT = changed(training={"spot": True, "max_runtime_minutes": 20, "max_wait_minutes": 30})
TUNED: dict[str, Any] = {
    "jobs": 5,
    "ranges": Ranges(wd=Range(minimum=0.01, maximum=0.1), use_bias=Range(values=(True, False))),
}
TUNING = changed(tuning=TUNED)
METADATA = "$.package.described.CustomerMetadataProperties"
MACHINES = {
    **{name: definition(SHIPPED) for name, definition in DEFINITIONS.items()},
    "retrain, several instances": retrain.definition(SEVERAL),
    "retrain, tuning": retrain.definition(TUNING),
    "retrain, tuning on spot": retrain.definition(changed(tuning=TUNED, training={"spot": True})),
    "retrain, manual approval": retrain.definition(MANUAL),
    "retrain, approval if incomparable": retrain.definition(ASKING),
    "retrain, encoded": retrain.definition(ENCODED),
    "retrain, spot": retrain.definition(SPOT),
    "deploy, autoscaled": deploy.definition(changed(endpoint=SIZE)),
    "deploy, serverless": deploy.definition(SERVERLESS),
    "score, contributions": score.definition(changed(score={"contributions": 3}, data={"on_bad_file": "quarantine"})),
    **{f"{name}, vpc": definition(changed(network={"vpc": True})) for name, definition in DEFINITIONS.items()},
}


@pytest.fixture(params=MACHINES)
def each(request: pytest.FixtureRequest) -> Definition:
    """Every machine, by the shipped settings and by those that add states."""
    return MACHINES[request.param]


@pytest.mark.parametrize(
    ("machine", "most", "plumbing"), [("retrain", 28, 8), ("deploy", 40, 14), ("drift", 12, 3), ("score", 15, 3)]
)
def test_a_machine_stays_small(machine: str, most: int, plumbing: int) -> None:
    for name, definition in MACHINES.items():
        if name.startswith(machine):
            kinds = [state["Type"] for _, state in diagram.all_states(definition)]
            assert len(kinds) <= most, name
            assert kinds.count("Pass") + kinds.count("Choice") <= plumbing, name


def request(state: dict[str, Any]) -> tuple[str, str]:
    """(service, operation) of a task's resource, in botocore's words."""
    resource = re.sub(r"(\.sync(:2)?|\.waitForTaskToken)$", "", state["Resource"]).partition(":::")[2]
    service, action = resource.removeprefix("aws-sdk:").split(":")
    return SERVICES.get(service, service), action[0].upper() + action[1:]


def test_statelint_finds_nothing(each: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "definition.json"
    path.write_text(json.dumps(filled(each)))
    command = [Path(sys.executable).with_name("statelint"), path]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
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
        if operation == "PutMetricData":  # a list that the drift job writes: tests/pipeline/jobs/drift
            parameters["MetricData"] = []
        if service == "stepfunctions":
            parameters = {key[0].lower() + key[1:]: value for key, value in parameters.items()}
        report = ParamValidator().validate(parameters, shape)
        if report.has_errors():
            found[name] = report.generate_report()
    assert found == {}


def test_every_task_has_a_deadline_and_a_retry(each: dict[str, Any]) -> None:
    assert {name for name, state in tasks(each) if "TimeoutSeconds" not in state or "Retry" not in state} == set()


def test_every_error_is_caught_and_a_job_may_run_less_long_than_its_task_waits(each: dict[str, Any]) -> None:
    states = each["States"].items()
    assert [name for name, state in states if state["Type"] in {"Task", "Parallel"} and "Catch" not in state] == []
    for _, state in tasks(each):
        assert state["Parameters"].get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 0) < state["TimeoutSeconds"]


def test_a_drift_check_ends_with_its_result_also_if_its_figures_cannot_be_put() -> None:
    put = MACHINES["drift"]["States"]["PutMetrics"]
    caught = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.metrics_error", "Next": "Finish"}
    assert (put["Next"], put["Catch"]) == ("Finish", [caught])


def test_no_arn_account_or_region_is_written_into_it(each: dict[str, Any]) -> None:
    text = json.dumps({name: state["Parameters"] for name, state in tasks(each) if name != "SmokeTest"})
    assert re.findall(r"arn:aws|\b\d{12}\b|us-[a-z]+-\d", text) == []


def test_training_is_isolated_encrypted_and_neither_debugged_nor_profiled() -> None:
    request = dict(tasks(MACHINES["retrain"]))["Train"]["Parameters"]
    assert (request["EnableNetworkIsolation"], request["EnableInterContainerTrafficEncryption"]) == (True, True)
    assert request["ProfilerConfig"] == {"DisableProfiler": True}
    assert "DebugHookConfig" not in request


def test_a_spot_job_that_found_no_capacity_in_time_is_trained_on_demand_under_another_name() -> None:
    states = MACHINES["retrain, spot"]["States"]
    spot, on_demand = copy.deepcopy(states["Train"]), copy.deepcopy(states["TrainOnDemand"])
    assert spot["Parameters"].pop("EnableManagedSpotTraining") is True
    assert spot["Parameters"]["StoppingCondition"].pop("MaxWaitTimeInSeconds") == 1800
    names = [state["Parameters"].pop("TrainingJobName.$") for state in (spot, on_demand)]
    assert names == [
        MACHINES["retrain"]["States"]["Train"]["Parameters"]["TrainingJobName.$"],
        names[0].replace("train", "ondemand"),
    ]
    failed, all_errors = spot["Catch"].pop(0), on_demand["Catch"]
    assert failed == {"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.train", "Next": "SpotInterrupted"}
    assert (spot["Catch"], spot.pop("TimeoutSeconds"), on_demand.pop("TimeoutSeconds")) == (all_errors, 2700, 2100)
    assert {**spot, "Catch": all_errors} == on_demand
    exceeded = {"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxWaitTimeExceeded"}
    (rule,) = states["SpotInterrupted"]["Choices"]
    pattern = rule["StringMatches"].replace("*", ".*")
    found = [
        bool(re.fullmatch(pattern, json.dumps(exceeded | {"SecondaryStatus": status})))
        for status in ("Failed", "MaxWaitTimeExceeded")
    ]
    assert (rule["Next"], states["SpotInterrupted"]["Default"], found) == (
        "TrainOnDemand",
        "TrainFailed",
        [False, True],
    )


def test_the_best_of_the_tuning_jobs_training_jobs_goes_on_as_if_it_were_the_runs_own() -> None:
    states, plain = MACHINES["retrain, tuning"]["States"], MACHINES["retrain"]["States"]
    assert set(states) ^ set(plain) == {"Tune", "TuningCompleted", "UseBestJob", "Train", "TrainingCompleted"}
    tune, train = states["Tune"], plain["Train"]
    assert (states["CheckData"]["Next"], tune["Next"], tune["Retry"]) == ("Tune", "TuningCompleted", train["Retry"])
    (unfinished,) = states["TuningCompleted"]["Choices"]
    assert (unfinished["Next"], states["TuningCompleted"]["Default"]) == ("FinishFailed", "UseBestJob")
    best = "$.tuning.BestTrainingJob"
    chosen = {"job.$": f"{best}.TrainingJobName", "status.$": f"{best}.TrainingJobStatus"}
    assert (states["UseBestJob"]["Parameters"], states["UseBestJob"]["ResultPath"]) == (chosen, "$.train")
    assert states["UseBestJob"]["Next"] == "CreateModel"
    config = tune["Parameters"]["HyperParameterTuningJobConfig"]
    assert config["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 5, "MaxParallelTrainingJobs": 2}
    assert tune["TimeoutSeconds"] == 3 * train["TimeoutSeconds"]  # 2, 2 and 1 job
    ended = MACHINES["retrain, tuning"]["TimeoutSeconds"] - MACHINES["retrain"]["TimeoutSeconds"]
    assert ended == tune["TimeoutSeconds"]
    assert config["ParameterRanges"] == {
        "ContinuousParameterRanges": [
            {"Name": "wd", "MinValue": "0.01", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
        ],
        "CategoricalParameterRanges": [{"Name": "use_bias", "Values": ["True", "False"]}],
        "IntegerParameterRanges": [],
    }
    metadata = states["RegisterApproved"]["Parameters"]["CustomerMetadataProperties"]
    assert metadata["hyperparameters/wd.$"] == f"{best}.TunedHyperParameters.wd"
    assert metadata["hyperparameters/epochs"] == "30"


@pytest.mark.parametrize("machine", ["retrain", "retrain, spot"])
def test_a_tuned_training_job_is_defined_as_one_alone(machine: str) -> None:
    tuned = changed(tuning=TUNED, training=SPOT.training.model_dump() if "spot" in machine else {})
    alone = copy.deepcopy(MACHINES[machine]["States"]["Train"]["Parameters"])
    found = retrain.definition(tuned)["States"]["Tune"]["Parameters"]["TrainingJobDefinition"]
    del alone["TrainingJobName.$"], alone["ProfilerConfig"]  # which a tuning job's have not
    alone["StaticHyperParameters"] = alone.pop("HyperParameters")
    assert found == alone


def test_a_tuning_jobs_name_fits_sagemaker() -> None:
    settings = changed(tuning=TUNED, project={"name": "x" * 16})
    template = retrain.definition(settings)["States"]["Tune"]["Parameters"]["HyperParameterTuningJobName.$"]
    part = "States.ArrayGetItem(States.StringSplit(States.UUID(), '-'), 4)"
    assert template == f"States.Format('{'x' * 16}-{{}}', {part})"
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}", f"{'x' * 16}-{str(uuid.uuid4()).split('-')[4]}")


@pytest.mark.parametrize(("mode", "content_type"), [("File", RECORDIO), ("FastFile", "text/csv"), ("Pipe", RECORDIO)])
def test_training_reads_its_data_as_the_settings_say(mode: str, content_type: str) -> None:
    settings = changed(training={"input_mode": mode, "content_type": content_type})
    request = dict(tasks(retrain.definition(settings)))["Train"]["Parameters"]
    assert request["AlgorithmSpecification"]["TrainingInputMode"] == mode
    assert [channel.get("InputMode", mode) for channel in request["InputDataConfig"]] == [mode, mode]
    assert [channel["ContentType"] for channel in request["InputDataConfig"]] == [content_type, content_type]


@pytest.mark.parametrize("machine", DEFINITIONS)
def test_with_a_vpc_each_request_that_takes_one_names_it_and_nothing_else_differs(machine: str) -> None:
    vpc = {"SecurityGroupIds": ["${SecurityGroup}"], "Subnets": ["${Subnet1}", "${Subnet2}"]}
    without = copy.deepcopy(MACHINES[machine])
    assert "VpcConfig" not in json.dumps(without)
    for _, state in tasks(without):
        operation = request(state)[1]
        if operation == "CreateProcessingJob":
            state["Parameters"]["NetworkConfig"]["VpcConfig"] = vpc
        elif operation in {"CreateTrainingJob", "CreateModel"}:  # a transform job takes its model's
            state["Parameters"]["VpcConfig"] = vpc
    assert MACHINES[f"{machine}, vpc"] == without


@pytest.fixture(scope="module")
def longest() -> list[str]:
    """The jobs' name templates for a project whose name is as long as it may be."""
    settings = changed(project={"name": "x" * 16}, processing={"instance_count": 2})
    machines = retrain.definition(settings), drift.definition(settings), score.definition(settings)
    parameters = [item for each in machines for _, state in tasks(each) for item in state["Parameters"].items()]
    return [value for key, value in parameters if re.fullmatch(r"\w+JobName\.\$", key)]


@given(st.integers(0, 99), st.text(min_size=1, max_size=80))
def test_a_jobs_name_fits_sagemaker_for_any_execution(longest: list[str], attempt: int, execution: str) -> None:
    run_id = hashlib.md5(execution.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
    for template in longest:
        name = template.split("'")[1].replace("{}", run_id, 1).replace("{}", str(attempt), 1)
        assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)


def test_each_attempt_of_a_job_has_a_name_of_its_own(longest: list[str]) -> None:
    assert len(longest) == 10
    assert all("$$.State.RetryCount" in name and "States.Hash($$.Execution.Name, 'MD5')" in name for name in longest)


def test_several_instances_share_the_data_out_and_are_merged_and_one_is_not() -> None:
    states = MACHINES["retrain, several instances"]["States"]
    assert set(states) - set(MACHINES["retrain"]["States"]) == {"Merge"}
    assert (states["Preprocess"]["Next"], states["Merge"]["Next"]) == ("Merge", "CheckData")
    asked = states["Preprocess"]["Parameters"]
    inputs = {part["InputName"]: part["S3Input"] for part in asked["ProcessingInputs"]}
    distribution = {name: part.get("S3DataDistributionType", "FullyReplicated") for name, part in inputs.items()}
    all_of_it = dict.fromkeys(("code", "settings", "listing"), "FullyReplicated")
    assert distribution == {**all_of_it, "data": "ShardedByS3Key"}
    jobs = [states[name]["Parameters"]["ProcessingResources"] for name in ("Preprocess", "Merge", "Evaluate")]
    assert [job["ClusterConfig"]["InstanceCount"] for job in jobs] == [2, 1, 1]
    merged = states["Merge"]["Parameters"]
    sources = {part["InputName"]: part["S3Input"] for part in merged["ProcessingInputs"]}
    assert sources["listing"]["S3Uri.$"] == inputs["listing"]["S3Uri.$"]
    assert "/opt/ml/processing/input/listing" in merged["AppSpecification"]["ContainerArguments"]
    outputs = [part["OutputName"] for part in asked["ProcessingOutputConfig"]["Outputs"]]
    parts = ["train", "validation", "holdout", "labels", "champion"]
    assert outputs == [*parts, "shards", "quarantine", "signatures"]


def test_a_run_reads_the_objects_that_it_was_asked_for_or_is_superseded() -> None:
    states = MACHINES["retrain"]["States"]
    order = ["FindChampion", "ListData", "IsPreprocessed", "Preprocess", "CheckData", "Train"]
    assert [states[name].get("Next", states[name].get("Default")) for name in order[:-1]] == order[1:]
    name = {"execution.$": "$$.Execution.Name"}
    asked = {
        "fingerprint.$": "$.request.data.fingerprint",
        "variant.$": "$.champion.variant",
        "force.$": "$.request.force",
    }
    assert states["ListData"]["Parameters"]["Payload"] == {**name, **asked}
    assert states["ListData"]["ResultPath"] == "$.request.data"
    assert states["CheckData"]["Parameters"]["Payload"] == {**name, "key.$": "$.request.data.rows.key"}
    for state in ("ListData", "CheckData"):
        caught = states[state]["Catch"][0]
        assert (caught["ErrorEquals"], caught["Next"]) == (["Superseded"], "Finish")
    asked = states["Preprocess"]["Parameters"]
    inputs = {part["InputName"]: part["S3Input"] for part in asked["ProcessingInputs"]}
    data, listing = inputs["data"], inputs["listing"]
    manifest = "States.Format('s3://${DataBucket}/runs/{}/listing/manifest.json', $$.Execution.Name)"
    assert (data["S3DataType"], data["S3Uri.$"]) == ("ManifestFile", manifest)
    assert listing["S3Uri.$"] == "States.Format('s3://${DataBucket}/runs/{}/listing', $$.Execution.Name)"
    arguments = asked["AppSpecification"]["ContainerArguments"]
    assert arguments[arguments.index("--listing") + 1] == listing["LocalPath"] == "/opt/ml/processing/input/listing"


def test_a_package_names_the_listed_data_and_the_deployed_settings_whoever_asked_for_the_run() -> None:
    """The input of a run that delivery or a person starts has neither."""
    requests = dict(tasks(MACHINES["retrain"]))
    for name in ("RegisterApproved", "RegisterRejected"):
        metadata = requests[name]["Parameters"]["CustomerMetadataProperties"]
        assert (metadata["data.$"], metadata["settings"]) == ("$.request.data.fingerprint", SHIPPED.hash)


def test_who_deploys_a_package_that_is_not_approved_is_told_what_works() -> None:
    """`ops approve` answers waiting runs alone."""
    cause = MACHINES["deploy"]["States"]["PackageNotApproved"]["Parameters"]["Cause.$"]
    advice = "approve it in the model registry and deploy it again, or run ops retrain --force."
    assert cause == f"States.Format('{{}} is {{}}: {advice}', $.package.arn, $.package.status)"


def test_numbers_alone_are_scored_by_one_container() -> None:
    states = dict(diagram.all_states(MACHINES["retrain"]))
    (learner,) = states["CreateModel"]["Parameters"]["Containers"]
    assert learner == {"Image": "${TrainingImage}", "ModelDataUrl.$": learner["ModelDataUrl.$"]}
    inference = states["RegisterApproved"]["Parameters"]["InferenceSpecification"]
    assert inference["Containers"] == [learner]
    assert inference["SupportedContentTypes"] == ["text/csv", "application/json", "application/jsonlines"]
    transform = states["ScoreChallenger"]["Parameters"]["TransformInput"]
    assert transform["ContentType"] == "application/jsonlines"


def test_other_kinds_are_encoded_by_a_first_container_that_takes_raw_rows() -> None:
    states, plain = (dict(diagram.all_states(MACHINES[name])) for name in ("retrain, encoded", "retrain"))
    assert states.keys() == plain.keys()
    encoder, learner = states["CreateModel"]["Parameters"]["Containers"]
    assert encoder == {
        "ContainerHostname": "encoder",
        "Image": "${ProcessingImage}",
        "ModelDataUrl.$": "States.Format('s3://${DataBucket}/runs/{}/encoder/model.tar.gz', $$.Execution.Name)",
        "Environment": {"SAGEMAKER_PROGRAM": "encoder.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"},
    }
    (alone,) = plain["CreateModel"]["Parameters"]["Containers"]
    assert learner == {"ContainerHostname": "linear-learner", **alone}
    outputs = states["Preprocess"]["Parameters"]["ProcessingOutputConfig"]["Outputs"]
    assert [part["OutputName"] for part in outputs if part["OutputName"] == "encoder"] == ["encoder"]
    for name in ("RegisterApproved", "RegisterRejected"):
        inference = states[name]["Parameters"]["InferenceSpecification"]
        assert inference["Containers"] == [encoder, learner]
        assert inference["SupportedContentTypes"] == ["text/csv"]
    asked = states["ScoreChallenger"]["Parameters"]
    raw = (asked["TransformInput"]["ContentType"], asked["TransformInput"]["SplitType"])
    assert (raw, asked["TransformOutput"]["Accept"]) == (("text/csv", "Line"), "application/jsonlines")
    assert "feature_dim" not in states["Train"]["Parameters"]["HyperParameters"]


FEATURES = SHIPPED.data.features


def test_the_champion_scores_the_rows_that_preprocessing_says_or_none() -> None:
    states = MACHINES["retrain"]["States"]
    assert states["ListData"]["Parameters"]["Payload"]["variant.$"] == "$.champion.variant"
    _, champion = states["ScoreHoldout"]["Branches"]
    find, score = champion["States"]["FindChampionsRows"], champion["States"]["ScoreChampion"]
    assert champion["StartAt"] == "HasLiveModel"
    assert champion["States"]["HasLiveModel"] == {
        "Type": "Choice",
        "Choices": [{"Variable": "$.champion.config", "StringEquals": "none", "Next": "NoChampion"}],
        "Default": "FindChampionsRows",
    }
    key = "States.Format('rows/{}/champion/scoring.json', $.request.data.rows.run)"
    assert find["Parameters"] == {"Bucket": "${DataBucket}", "Key.$": key}
    (caught,) = find["Catch"]
    assert (caught["ErrorEquals"], caught["Next"], find["Next"]) == (["States.ALL"], "NoChampion", "ScoreChampion")
    asked = score["Parameters"]["TransformInput"]
    uri = "States.Format('s3://${DataBucket}/rows/{}/{}', $.request.data.rows.run, $.scoring.document.holdout)"
    assert asked["DataSource"]["S3DataSource"]["S3Uri.$"] == uri
    assert asked["ContentType.$"] == "$.scoring.document.content_type"
    inputs = states["Evaluate"]["Parameters"]["ProcessingInputs"]
    (known,) = [part["S3Input"] for part in inputs if part["InputName"] == "champion"]
    assert known["S3Uri.$"] == "States.Format('s3://${DataBucket}/rows/{}/champion', $.request.data.rows.run)"
    assert states["Evaluate"]["Parameters"]["Environment"] == {"CHAMPION.$": "$.champion.model"}


JOBS = ("CreateProcessingJob", "CreateTrainingJob", "CreateTransformJob", "CreateHyperParameterTuningJob")


def job_starts(states: dict[str, Any], name: str, *, preprocessed: bool = False) -> list[str]:
    """The jobs that start one after another from a state to the end of the main path; of a Parallel the longest branch."""
    state, found = states[name], []
    if state["Type"] == "Parallel":
        found = max((job_starts(each["States"], each["StartAt"]) for each in state["Branches"]), key=len)
    elif state["Type"] == "Task" and request(state)[1] in JOBS:
        found = [name]
    following = state.get("Next", state.get("Default"))
    if name == "IsPreprocessed" and preprocessed:
        (rule,) = state["Choices"]
        following = rule["Next"]
    return found + (job_starts(states, following, preprocessed=preprocessed) if following else [])


@pytest.mark.parametrize(("machine", "more"), [("retrain", []), ("retrain, several instances", ["Merge"])])
def test_with_a_champion_four_jobs_start_one_after_another_and_one_less_if_a_run_preprocessed_before(
    machine: str, more: list[str]
) -> None:
    definition = MACHINES[machine]
    after = ["Train", "ScoreChampion", "Evaluate"]
    found = [job_starts(definition["States"], definition["StartAt"], preprocessed=given) for given in (False, True)]
    assert [[job.replace("ScoreChallenger", "ScoreChampion") for job in each] for each in found] == [
        ["Preprocess", *more, *after],
        after,
    ]


def test_every_later_state_reads_the_rows_of_the_run_that_preprocessed_them() -> None:
    for name in ("retrain", "retrain, encoded", "retrain, several instances", "retrain, tuning"):
        states = {
            state: each for state, each in tasks(MACHINES[name]) if state not in ("Preprocess", "Merge", "CheckData")
        }
        text = json.dumps(states)
        own = set(re.findall(r"/rows/\{\}/([a-z]+)[a-z/{}]*', \$\$\.Execution\.Name", text))
        taken = set(re.findall(r"rows/\{\}/([a-z{}]+)[a-z/.]*', \$\.request\.data\.rows\.run", text))
        assert own == {"predictions"}
        assert taken == {"train", "validation", "holdout", "labels", "champion", "{}"}


def test_a_package_names_the_run_that_preprocessed_its_rows() -> None:
    requests = dict(tasks(MACHINES["retrain"]))
    for name in ("RegisterApproved", "RegisterRejected"):
        metadata = requests[name]["Parameters"]["CustomerMetadataProperties"]
        assert metadata["preprocessed-by.$"] == "$.request.data.rows.run"


def test_a_person_is_asked_only_about_what_cannot_be_compared() -> None:
    states = MACHINES["retrain, approval if incomparable"]["States"]
    status, answer = "$.evaluation.document.decision.status", "$.approval.status"
    assert states["Register"]["Parameters"]["ModelApprovalStatus.$"] == status
    assert states["Register"]["Next"] == "Approved"
    answered = {"Variable": answer, "IsPresent": True}
    assert states["Approved"] == {
        "Type": "Choice",
        "Choices": [
            {"And": [answered, {"Not": {"Variable": answer, "StringEquals": "Approved"}}], "Next": "Finish"},
            {
                "And": [{"Not": answered}, {"Variable": status, "StringEquals": "PendingManualApproval"}],
                "Next": "WaitForApproval",
            },
        ],
        "Default": "Deploy",
    }
    assert (states["WaitForApproval"]["Next"], states["RecordApproval"]["Next"]) == ("RecordApproval", "Approved")
    manual, both = (
        changed(release={"approval": "manual"}, gate={"approve_incomparable": asks}) for asks in (False, True)
    )
    text = json.dumps(retrain.definition(both)).replace(both.hash, manual.hash)
    assert json.loads(text) == retrain.definition(manual)


def test_a_package_is_deployed_whatever_its_containers() -> None:
    asked = MACHINES["deploy"]["States"]["CreateModel"]["Parameters"]
    assert asked["Containers"] == [{"ModelPackageName.$": "$.package.arn"}]
    other = deploy.definition(ENCODED)["States"]
    assumed = other.pop("AssumeSignature")["Result"]
    assert assumed == {"signature": ENCODED.signature.name, "variant": "AllTraffic"}
    shipped = MACHINES["deploy"]["States"]
    assert other == {name: shipped[name] for name in shipped.keys() - {"AssumeSignature"}}


def test_the_variant_and_a_tag_name_the_packages_signature_or_the_settings_if_it_names_none() -> None:
    states = MACHINES["deploy"]["States"]
    (unsigned,) = states["HasSignature"]["Choices"]
    wanted = {
        "Variable": "$.package.described.CustomerMetadataProperties.signature",
        "IsPresent": False,
        "Next": "AssumeSignature",
    }
    assert (unsigned, states["HasSignature"]["Default"]) == (wanted, "FindChampion")
    assert states["AssumeSignature"]["ResultPath"] == "$.package.described.CustomerMetadataProperties"
    config = states["CreateEndpointConfig"]["Parameters"]
    (variant,) = config["ProductionVariants"]
    assert variant["VariantName.$"] == states["SmokeTest"]["Parameters"]["Payload"]["variant.$"]
    assert variant["VariantName.$"] == "$.package.described.CustomerMetadataProperties.variant"
    assert {"Key": "model-signature", "Value.$": "$.package.described.CustomerMetadataProperties.signature"} in config[
        "Tags"
    ]


def test_preprocess_keeps_the_signature_in_a_folder_of_the_bucket() -> None:
    for name in ("retrain", "retrain, several instances"):
        outputs = dict(tasks(MACHINES[name]))["Preprocess"]["Parameters"]["ProcessingOutputConfig"]["Outputs"]
        (kept,) = [each["S3Output"] for each in outputs if each["OutputName"] == "signatures"]
        assert (kept["LocalPath"], kept["S3Uri"]) == (
            "/opt/ml/processing/output/signatures",
            "s3://${DataBucket}/signatures",
        )


def test_the_smoke_test_posts_the_rows_of_the_packages_run_and_the_golden_rows() -> None:
    rows: list[Any] = [dict.fromkeys(reversed(FEATURES)) | {"radius_mean": 1.5}, (*[2.0] * 29, None)]
    golden = tuple(Golden(row=row, label="M") for row in rows)
    definition = deploy.definition(changed(endpoint={"golden": golden, "golden_share": 0.5}))
    states = definition["States"]
    assert states["SmokeTest"]["Parameters"]["Payload"] == {
        "golden": [
            {"row": dict.fromkeys(FEATURES) | {"radius_mean": 1.5}, "label": "M"},
            {"row": dict.fromkeys(FEATURES, 2.0) | {FEATURES[-1]: None}, "label": "M"},
        ],
        "golden_share": 0.5,
        "smoke.$": "$.package.smoke.document",
        "variant.$": "$.package.described.CustomerMetadataProperties.variant",
    }
    assert states["DescribePackage"]["ResultSelector"]["smoke"] == {"document": []}
    read = states["ReadSmokeRows"]
    execution = f"{METADATA}.execution"
    run = f"States.ArrayGetItem(States.StringSplit({execution}, ':'), 7)"
    key = f"States.Format('runs/{{}}/evaluation/smoke.json', {run})"
    assert read["Parameters"] == {"Bucket": "${DataBucket}", "Key.$": key}
    assert read["Catch"][0] == {
        "ErrorEquals": ["S3.NoSuchKeyException"],
        "ResultPath": "$.no_smoke_rows",
        "Next": read["Next"],
    }


def test_a_variant_is_autoscaled_once_its_model_is_live_and_only_if_the_settings_say_so() -> None:
    states, shipped = MACHINES["deploy, autoscaled"]["States"], MACHINES["deploy"]["States"]
    path = ["SmokeTest", "RegisterAutoscaling", "PutAutoscalingPolicy", "Cleanup"]
    champion = {"IsSameVariant", "DeregisterChampion", "ReplaceChampion", "IsChampionsVariant", "PutChampionBack"}
    again = {"HasScaledChampion", "RegisterChampion", "PutChampionPolicy"}
    assert set(states) - set(shipped) == {*path[1:3], "AutoscalingFailed", *champion, *again}
    assert [states[name]["Next"] for name in path[:-1]] == path[1:]
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId.$": "States.Format('endpoint/${EndpointName}/variant/{}', $.package.described.CustomerMetadataProperties.variant)",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    assert states["RegisterAutoscaling"]["Parameters"] == {**target, "MinCapacity": 2, "MaxCapacity": 6}
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    cooldown = {"ScaleOutCooldown": 300, "ScaleInCooldown": 300}
    tracking = {"TargetValue": 90, "PredefinedMetricSpecification": metric, **cooldown}
    assert states["PutAutoscalingPolicy"]["Parameters"] == {
        **target,
        "PolicyName": "calls-per-instance",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    assert states["CreateEndpointConfig"]["Parameters"]["ProductionVariants"][0]["InitialInstanceCount.$"] == (
        "$.champion.instances"
    )
    for name in path[1:-1]:  # what fails there takes no model back
        (caught,) = states[name]["Catch"]
        assert caught == {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "AutoscalingFailed"}


def test_a_champion_of_another_signature_is_deregistered_before_its_variant_goes_and_registered_if_it_stays() -> None:
    states = MACHINES["deploy, autoscaled"]["States"]
    same = {
        "Variable": "$.champion.variant",
        "StringEqualsPath": "$.package.described.CustomerMetadataProperties.variant",
    }
    assert states["IsSameVariant"]["Choices"] == [{**same, "Next": "UpdateEndpoint"}]
    path = ["IsSameVariant", "DeregisterChampion", "ReplaceChampion", "WaitForEndpoint"]
    assert states["IsSameVariant"]["Default"] == path[1]
    assert [states[name]["Next"] for name in path[1:-1]] == path[2:]
    missing, _ = states["DeregisterChampion"]["Catch"]
    assert missing["ErrorEquals"] == ["ApplicationAutoScaling.ObjectNotFoundException"]
    assert missing["Next"] == "ReplaceChampion"
    assert "RetainAllVariantProperties" not in states["ReplaceChampion"]["Parameters"]
    assert states["IsChampionsVariant"]["Choices"] == [{**same, "Next": "RestoreChampion"}]
    assert states["IsChampionsVariant"]["Default"] == "PutChampionBack"
    for failed in (states["ReplaceChampion"]["Catch"][-1], states["WaitForEndpoint"]["Catch"][0]):
        assert failed["Next"] == "HasScaledChampion"
    assert states["WaitForChampion"]["Next"] == "HasScaledChampion"
    again = ["RegisterChampion", "PutChampionPolicy", "IsNewPackage"]
    assert states["HasScaledChampion"]["Default"] == again[0]
    assert [states[name]["Next"] for name in again[:-1]] == again[1:]
    resource = "States.Format('endpoint/${EndpointName}/variant/{}', $.champion.variant)"
    named = {states[name]["Parameters"]["ResourceId.$"] for name in ("DeregisterChampion", *again[:-1])}
    assert named == {resource}


def test_an_update_keeps_only_the_instance_count_and_only_of_a_scaled_variant_and_is_retried_meanwhile() -> None:
    states, shipped = copy.deepcopy(MACHINES["deploy, autoscaled"]["States"]), MACHINES["deploy"]["States"]
    for name in ("UpdateEndpoint", "RestoreChampion"):
        kept = states[name]["Parameters"].pop("RetainAllVariantProperties")
        excluded = states[name]["Parameters"].pop("ExcludeRetainedVariantProperties")
        assert kept is True
        assert [each["VariantPropertyType"] for each in excluded] == ["DesiredWeight", "DataCaptureConfig"]
        scaling, *usual = states[name]["Retry"]
        times = {"IntervalSeconds": 60, "MaxAttempts": 10, "BackoffRate": 1.0}
        assert scaling == {"ErrorEquals": ["SageMaker.SageMakerException"], **times}
        assert {**states[name], "Retry": usual} == shipped[name]


def test_a_serverless_deployment_differs_only_by_what_sagemaker_has_for_one() -> None:
    states, shipped = copy.deepcopy((MACHINES["deploy, serverless"]["States"], MACHINES["deploy"]["States"]))
    asked, usual = (
        {name: states_[name]["Parameters"] for name in states_ if "Parameters" in states_[name]}
        for states_ in (states, shipped)
    )
    (variant,), (instances,) = (each["CreateEndpointConfig"].pop("ProductionVariants") for each in (asked, usual))
    assert variant.pop("ServerlessConfig") == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert (instances.pop("InstanceType"), instances.pop("InitialInstanceCount")) == ("ml.t2.medium", 1)
    assert variant == instances
    assert usual["CreateEndpointConfig"].pop("DataCaptureConfig")
    assert usual["UpdateEndpoint"].pop("DeploymentConfig")
    assert (asked["CreateModel"].pop("EnableNetworkIsolation"), usual["CreateModel"].pop("EnableNetworkIsolation")) == (
        False,
        True,
    )
    payloads = [each["FindChampion"]["Payload"].pop("serverless") for each in (asked, usual)]
    assert payloads == [True, False]
    assert states == shipped


@pytest.mark.parametrize(("rollout", "bakes"), [("all_at_once", 2), ("canary", 2), ("linear", 11)])
def test_an_update_has_time_for_its_bakes_its_start_and_a_rollback(rollout: str, bakes: int) -> None:
    states = deploy.definition(changed(release={"rollout": rollout}))["States"]
    policy = states["UpdateEndpoint"]["Parameters"]["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert policy["MaximumExecutionTimeoutInSeconds"] == 1800 + bakes * 300
    for name in ("WaitForEndpoint", "WaitForChampion"):
        (polls,) = [each for each in states[name]["Retry"] if each["ErrorEquals"] == ["EndpointChanging"]]
        assert polls["MaxAttempts"] * polls["IntervalSeconds"] == 1800 + bakes * 300 + 900


@pytest.mark.parametrize(
    ("rollout", "routing"),
    [
        ("all_at_once", {"Type": "ALL_AT_ONCE"}),
        ("canary", {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 20}}),
        ("linear", {"Type": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 20}}),
    ],
)
def test_an_update_shifts_traffic_as_the_settings_say_keeps_the_old_instances_while_it_bakes_and_obeys_both_alarms(
    rollout: str, routing: dict[str, Any]
) -> None:
    definition = deploy.definition(changed(release={"rollout": rollout, "step_percent": 20, "bake_seconds": 420}))
    requests = [state["Parameters"] for _, state in tasks(definition)]
    asked = [request["DeploymentConfig"] for request in requests if "DeploymentConfig" in request]
    alarms = [{"AlarmName": "${ErrorAlarm}"}, {"AlarmName": "${LatencyAlarm}"}]
    assert asked
    for each in asked:
        policy = each["BlueGreenUpdatePolicy"]
        assert policy["TrafficRoutingConfiguration"] == {**routing, "WaitIntervalInSeconds": 420}
        assert policy["TerminationWaitInSeconds"] == 420
        assert each["AutoRollbackConfiguration"] == {"Alarms": alarms}


@pytest.mark.parametrize(("family", "local"), [("m5", False), ("p3", False), *((name, True) for name in LOCAL)])
def test_no_key_is_given_for_volumes_of_instances_with_local_storage(family: str, local: bool) -> None:
    size = {"instance_type": f"ml.{family}.2xlarge"}
    settings = changed(**dict.fromkeys(("processing", "training", "transform", "endpoint"), size))
    for definition in (retrain.definition(settings), deploy.definition(settings)):
        for _, state in tasks(definition):
            asked = state["Parameters"]
            cluster = asked.get("ProcessingResources", {}).get("ClusterConfig")
            volumes = [asked.get("ResourceConfig"), asked.get("TransformResources"), cluster]
            assert all(("VolumeKmsKeyId" in volume) != local for volume in volumes if volume)
            assert "ProductionVariants" not in asked or ("KmsKeyId" in asked) != local


def test_a_wrong_answer_is_never_asked_again_and_a_missing_one_is() -> None:
    first, *_, last = MACHINES["deploy"]["States"]["SmokeTest"]["Retry"]
    assert first == {"ErrorEquals": ["SmokeTestFailed"], "MaxAttempts": 0}
    assert (last["ErrorEquals"], last["MaxAttempts"]) == (["States.ALL"], 2)


def test_the_deploy_machine_alone_changes_the_endpoint() -> None:
    changes = re.compile("(Create|Update|Delete)Endpoint(Config)?|(Register|Put)Scal.*")
    found = {
        name: {operation for _, state in tasks(definition) if changes.fullmatch(operation := request(state)[1])}
        for name, definition in MACHINES.items()
    }
    assert {name.partition(",")[0] for name, operations in found.items() if operations} == {"deploy"}


def test_a_scoring_deletes_its_model_whether_it_has_scored_the_rows_or_not() -> None:
    states = MACHINES["score"]["States"]
    assert [states[name]["Next"] for name in ("CreateModel", "Score", "DeleteModel")] == [
        "Score",
        "DeleteModel",
        "Scored",
    ]
    assert states["Score"]["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "DeleteModel"}]
    (caught,) = states["DeleteModel"]["Catch"]
    assert (caught["ResultPath"], caught["Next"]) == ("$.cleanup_error", "Scored")
    (rule,) = states["Scored"]["Choices"]
    assert (rule["Variable"], rule["IsPresent"], rule["Next"]) == ("$.error", True, "FinishFailed")
    names = {name: states[name]["Parameters"]["ModelName.$"] for name in ("CreateModel", "Score", "DeleteModel")}
    assert set(names.values()) == {"States.Format('breast-cancer-batch-{}', States.Hash($$.Execution.Name, 'MD5'))"}


def test_a_scoring_takes_the_package_that_is_live_when_it_begins() -> None:
    states = MACHINES["score"]["States"]
    assert states["FindChampion"]["Parameters"]["Payload"]["package"] is True
    (container,) = states["CreateModel"]["Parameters"]["Containers"]
    assert container == {"ModelPackageName.$": "$.champion.package"}


def test_contributions_need_the_run_of_the_package_and_the_rows() -> None:
    states = MACHINES["score, contributions"]["States"]
    assert set(states) - set(MACHINES["score"]["States"]) == {"DescribePackage"}
    inputs = {each["InputName"]: each["S3Input"] for each in states["Join"]["Parameters"]["ProcessingInputs"]}
    assert inputs.keys() == {"code", "settings", "request", "ids", "answers", "batch", "explanation"}
    explanation = "States.Format('s3://${DataBucket}/runs/{}/evaluation/explanation.json', $.package.run)"
    assert inputs["explanation"]["S3Uri.$"] == explanation
    outputs = [each["OutputName"] for each in states["Prepare"]["Parameters"]["ProcessingOutputConfig"]["Outputs"]]
    assert outputs == ["batch", "ids", "quarantine"]


def test_scored_rows_are_written_at_the_end_beside_all_others() -> None:
    outputs = MACHINES["score"]["States"]["Join"]["Parameters"]["ProcessingOutputConfig"]["Outputs"]
    (scored,) = (each["S3Output"] for each in outputs if each["OutputName"] == "scored")
    assert (scored["S3Uri"], scored["S3UploadMode"]) == ("s3://${DataBucket}/scored", "EndOfJob")


def test_the_instances_of_a_scoring_are_those_of_its_own_settings() -> None:
    own = {"instance_type": "ml.c5.xlarge", "instance_count": 3, "volume_gb": 70, "max_runtime_minutes": 9}
    states = score.definition(changed(score=own))["States"]
    for name in ("Prepare", "Join"):
        cluster = states[name]["Parameters"]["ProcessingResources"]["ClusterConfig"]
        assert (cluster["InstanceType"], cluster["InstanceCount"], cluster["VolumeSizeInGB"]) == ("ml.c5.xlarge", 1, 70)
    resources = states["Score"]["Parameters"]["TransformResources"]
    assert (resources["InstanceType"], resources["InstanceCount"]) == ("ml.c5.xlarge", 3)
    assert [states[name]["TimeoutSeconds"] for name in ("Prepare", "Score", "Join")] == [9 * 60 + 900] * 3
