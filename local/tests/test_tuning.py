"""Hyperparameter tuning jobs: strategies, early stopping, and the jobs with the stub container."""

import functools
import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_aws.sagemaker.api.records import TUNING, Record
from local_aws.sagemaker.jobs.job import LOST
from local_aws.sagemaker.jobs.training import TrainingJob
from local_aws.sagemaker.tuning.early_stopping import MedianRule
from local_aws.sagemaker.tuning.job import TuningJob
from local_aws.sagemaker.tuning.search import Bayesian, Dimension, Grid, Random, search

from .aws import ARN, ROLE, Aws, but, refused, unique, until
from .test_state import Machine, machine  # noqa: F401
from .test_tools import sdk

SYNC = "arn:aws:states:::sagemaker:createHyperParameterTuningJob.sync"
REFUSED = tomllib.loads(Path(__file__).with_name("tuning.toml").read_text(encoding="utf-8"))["refused"]


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (Dimension("x", low=0.0, high=4.0), ["0.0", "2.0", "4.0"]),
        (Dimension("x", low=0.01, high=1.0), ["0.01", "0.1", "1.0"]),  # Auto: wide enough for Logarithmic
        (Dimension("x", low=0.0, high=0.99, scaling="ReverseLogarithmic"), ["0.0", "0.9", "0.99"]),
        (Dimension("x", low=1, high=3, whole=True), ["1", "2", "3"]),
        (Dimension("x", low=1, high=100, whole=True, scaling="Logarithmic"), ["1", "10", "100"]),
        (Dimension("x", ("a", "b", "c")), ["a", "b", "c"]),
    ],
)
def test_a_place_becomes_a_value_of_the_range(dimension: Dimension, values: list[str]) -> None:
    found = [dimension.at(place) for place in (0.0, 0.5, 1.0)]
    assert [value if dimension.values else pytest.approx(float(value)) for value in found] == [
        value if dimension.values else float(value) for value in values
    ]


def test_each_whole_number_of_a_linear_range_is_as_likely() -> None:
    dimension = Dimension("x", low=1, high=4, whole=True)
    assert Counter(dimension.at(place) for place in np.arange(0.005, 1, 0.01)) == dict.fromkeys("1234", 25)


def test_grid_gives_every_combination_once() -> None:
    space = [Dimension("a", ("1", "2", "3")), Dimension("b", ("x", "y"))]
    grid = Grid(space)
    points = [grid.suggest() for _ in range(6)]
    values = [tuple(each.at(place) for each, place in zip(space, point, strict=True)) for point in points]
    assert values == [("1", "x"), ("1", "y"), ("2", "x"), ("2", "y"), ("3", "x"), ("3", "y")]


def test_a_seed_makes_a_random_search_the_same_again() -> None:
    first, again, other = (Random(2, seed) for seed in (1, 1, 2))
    points = [first.suggest() for _ in range(3)]
    assert [again.suggest() for _ in range(3)] == points
    assert [other.suggest() for _ in range(3)] != points
    assert len({place for point in points for place in point}) == 6


def test_bayesian_search_ends_nearer_to_the_best_point_than_random_search() -> None:
    def best(strategy: str, seed: int) -> float:
        tried = search(strategy, [Dimension("x", low=0.0, high=1.0)] * 2, seed)
        waiting, values = [tried.suggest(), tried.suggest()], []
        for _ in range(12):  # two at a time
            point = waiting.pop(0)
            values.append(-((point[0] - 0.3) ** 2) - (point[1] - 0.7) ** 2)
            tried.learn(point, values[-1])
            waiting.append(tried.suggest())
        return max(values)

    assert isinstance(search("Bayesian", [Dimension("x")], 1), Bayesian)
    found, by_chance = ([best(strategy, seed) for seed in range(3)] for strategy in ("Bayesian", "Random"))
    assert 0 >= np.mean(found) > max(np.mean(by_chance), -0.01)


@pytest.mark.parametrize(("larger", "sign"), [(True, 1), (False, -1)])
def test_a_job_stops_that_is_worse_than_the_median_of_the_averages_up_to_its_epoch(larger: bool, sign: int) -> None:
    rule = MedianRule(larger=larger)
    for job, values in {"a": (1, 3), "b": (2, 4, 9), "c": (5, 7)}.items():
        assert not any(rule.stops(job, sign * value) for value in values if job == "a")
        [rule.stops(job, sign * value) for value in values if job != "a"]
        rule.completed(job)
    assert not rule.stops("d", sign * 2)  # of 1, 2 and 5
    assert rule.stops("d", sign * 2.9)  # of 2, 3 and 6
    assert rule.stops("e", sign * 1.9)


def test_training_jobs_are_tuned_and_the_best_one_is_named(aws: Aws) -> None:
    tags = [{"Key": "of", "Value": "us"}]
    name = aws.tune(jobs=4, Tags=tags)
    found = aws.tuned(name)
    assert found["HyperParameterTuningJobArn"] == f"{ARN}:hyper-parameter-tuning-job/{name}"
    assert (found["HyperParameterTuningJobStatus"], found["HyperParameterTuningJobConfig"]["Strategy"]) == (
        "Completed",
        "Random",
    )
    counted = {"Completed": 4, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0}
    assert found["TrainingJobStatusCounters"] == counted
    assert found["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    assert found["CreationTime"] <= found["HyperParameterTuningEndTime"]
    jobs = aws.tunings(name, SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
    assert found["BestTrainingJob"] == jobs[0]
    scores = [job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for job in jobs]
    places = [float(job["TunedHyperParameters"]["place"]) for job in jobs]
    assert scores == sorted(scores, reverse=True) == pytest.approx([1 - abs(place - 0.25) for place in places])
    assert [job["TrainingJobName"][: len(name) + 5] for job in aws.tunings(name)] == [
        f"{name}-{n:03}-" for n in range(1, 5)
    ]
    described = aws.sagemaker.describe_training_job(TrainingJobName=jobs[0]["TrainingJobName"])
    assert described["TuningJobArn"] == found["HyperParameterTuningJobArn"]
    assert described["HyperParameters"] == {"place": repr(places[0]), "_tuning_objective_metric": "score"}
    assert aws.sagemaker.list_tags(ResourceArn=described["TrainingJobArn"])["Tags"] == tags
    assert aws.read(f"trained/{jobs[0]['TrainingJobName']}/output/model.tar.gz")
    (listed,) = aws.sagemaker.list_hyper_parameter_tuning_jobs(NameContains=name)["HyperParameterTuningJobSummaries"]
    assert (listed["Strategy"], listed["TrainingJobStatusCounters"]) == ("Random", counted)
    pages = aws.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, StatusEquals="Completed", MaxResults=3
    )
    assert [len(page["TrainingJobSummaries"]) for page in pages] == [3, 1]


def test_grid_trains_each_combination_and_fails_none_that_another_fails(aws: Aws) -> None:
    actions = [
        {"Name": "place", "Values": ["0.2", "0.5"]},
        {"Name": "action", "Values": ["", "fail"]},
    ]
    limits = {"MaxParallelTrainingJobs": 2}
    config = {"ParameterRanges": {"CategoricalParameterRanges": actions}, "ResourceLimits": limits}
    name = aws.tune(strategy="Grid", Config=config)
    found = aws.tuned(name)
    assert found["HyperParameterTuningJobStatus"] == "Completed"
    assert (
        found["TrainingJobStatusCounters"]["Completed"] == found["TrainingJobStatusCounters"]["NonRetryableError"] == 2
    )
    assert found["ObjectiveStatusCounters"] == {"Succeeded": 2, "Pending": 0, "Failed": 2}
    assert found["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 4
    assert found["BestTrainingJob"]["TunedHyperParameters"] == {"place": "0.2", "action": ""}


@pytest.mark.parametrize(
    ("jobs", "begins"), [(2, "All training jobs failed"), (8, "No training job succeeded after 5 attempts")]
)
def test_a_tuning_job_without_a_success_fails(aws: Aws, jobs: int, begins: str) -> None:
    found = aws.tuned(aws.tune(jobs=jobs, parallel=1, action="exit", code="3"))
    reason = f"{begins}. Please take a look at the training job failures to get more details."
    assert (found["HyperParameterTuningJobStatus"], found["FailureReason"]) == ("Failed", reason)
    assert found["TrainingJobStatusCounters"]["NonRetryableError"] == min(jobs, 5)
    assert "BestTrainingJob" not in found


class Ending(TuningJob):
    """One that ends while its training jobs are counted."""

    def __init__(self) -> None:
        named = {"HyperParameterTuningJobName": "it", "HyperParameterTuningJobStatus": "InProgress"}
        Record.__init__(self, TUNING, f"{ARN}:hyper-parameter-tuning-job/it", named, {})

    def trainings(self) -> list[TrainingJob]:
        Record.update(self, HyperParameterTuningJobStatus="Failed")
        return []


def test_a_tuning_job_that_ends_while_it_is_described_is_shown_as_it_was_before() -> None:
    job = Ending()
    shown = [job.describe()["HyperParameterTuningJobStatus"] for _ in range(2)]
    assert shown == ["InProgress", "Failed"]


def test_a_stopped_tuning_job_stops_its_training_jobs_and_starts_no_more(aws: Aws) -> None:
    name = aws.tune(jobs=8, action="hang")
    until(lambda: len([job for job in aws.tunings(name) if job["TrainingJobStatus"] == "InProgress"]) == 2)
    aws.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    found = aws.tuned(name)
    assert found["HyperParameterTuningJobStatus"] == "Stopped"
    assert [job["TrainingJobStatus"] for job in aws.tunings(name)] == ["Stopped"] * 2
    assert found["TrainingJobStatusCounters"]["Stopped"] == 2
    stop = aws.sagemaker.stop_hyper_parameter_tuning_job
    assert "in status Stopped" in refused(stop, HyperParameterTuningJobName=name)[1]


def test_early_stopping_ends_a_job_that_is_worse_than_the_median(aws: Aws) -> None:
    config = {
        "TrainingJobEarlyStoppingType": "Auto",
        "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "place", "Values": ["0.25", "1.0", "0.3"]}]},
    }
    name = aws.tune(strategy="Grid", parallel=1, pause="0.5", Config=config)
    found = aws.tuned(name)
    statuses = {job["TunedHyperParameters"]["place"]: job["TrainingJobStatus"] for job in aws.tunings(name)}
    assert statuses == {"0.25": "Completed", "1.0": "Stopped", "0.3": "Stopped"}
    assert (found["HyperParameterTuningJobStatus"], found["ObjectiveStatusCounters"]["Succeeded"]) == ("Completed", 3)
    assert found["BestTrainingJob"]["TunedHyperParameters"] == {"place": "0.25"}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in REFUSED])
def test_a_wrong_request_is_refused(aws: Aws, case: dict[str, Any]) -> None:
    request = aws.tuning_request(strategy=case.get("strategy", "Random"), place="1" if case.get("fixed") else "")
    if not case.get("fixed"):
        request["TrainingJobDefinition"]["StaticHyperParameters"].pop("place")
    for path, value in case.get("change", {}).items():
        *parents, last = path.split(".")
        functools.reduce(lambda part, name: part[name], parents, request)[last] = value
    code, message = refused(aws.sagemaker.create_hyper_parameter_tuning_job, **request)
    assert (code, message) == (case.get("code", "ValidationException"), case["message"])


def test_a_name_is_taken_once_and_an_unknown_one_is_none(aws: Aws) -> None:
    request = aws.tuning_request(jobs=1)
    name = request["HyperParameterTuningJobName"]
    aws.sagemaker.create_hyper_parameter_tuning_job(**request)
    code, message = refused(aws.sagemaker.create_hyper_parameter_tuning_job, **request)
    words = f"A hyperparameter tuning job with the name, {name}, already exists. Choose a different name."
    assert (code, message) == ("ResourceInUse", words)
    assert refused(aws.tuned, "none")[0] == "ValidationException"
    aws.tuned(name)


def test_sync_waits_for_the_tuning_job_and_stops_it_with_the_execution(aws: Aws) -> None:
    status, _, found = aws.run(SYNC, aws.tuning_request(jobs=2))
    assert (status, found["HyperParameterTuningJobStatus"]) == ("SUCCEEDED", "Completed")
    assert found["BestTrainingJob"]["TrainingJobName"].startswith(f"{found['HyperParameterTuningJobName']}-00")
    status, error, cause = aws.run(SYNC, aws.tuning_request(jobs=1, action="exit", code="3"))
    assert (status, error) == ("FAILED", "States.TaskFailed")
    assert json.loads(cause)["FailureReason"].startswith("All training jobs failed.")
    request = aws.tuning_request(jobs=8, action="hang")
    execution = aws.execute(SYNC, request)
    name = request["HyperParameterTuningJobName"]
    until(lambda: aws.sagemaker.list_hyper_parameter_tuning_jobs(NameContains=name)["HyperParameterTuningJobSummaries"])
    until(lambda: len(aws.tunings(name)) == 2)
    aws.states.stop_execution(executionArn=execution)
    assert aws.tuned(name)["HyperParameterTuningJobStatus"] == "Stopped"
    assert {job["TrainingJobStatus"] for job in aws.tunings(name)} == {"Stopped"}


DENIED = (
    *("sagemaker:CreateHyperParameterTuningJob", "sagemaker:DescribeHyperParameterTuningJob", "sagemaker:AddTags"),
    *("sagemaker:ListTags", "sagemaker:StopHyperParameterTuningJob", "iam:PassRole", "events:PutRule"),
)


@pytest.mark.full
@pytest.mark.parametrize("denied", DENIED)
def test_sync_needs_each_permission_that_step_functions_documents(aws: Aws, denied: str) -> None:
    role = aws.role(unique("role"), ["states"], but(denied))
    status, error, cause = aws.run(SYNC, aws.tuning_request(jobs=1), role)
    assert (status, error) == ("FAILED", "SageMaker.AmazonSageMakerException")
    assert f"is not authorized to perform: {denied} on resource" in cause


def test_a_tuning_job_needs_no_right_to_train_of_its_caller_and_the_jobs_rights_of_its_role(aws: Aws) -> None:
    caller = aws.user("sagemaker", but("sagemaker:CreateTrainingJob"))
    request = aws.tuning_request(jobs=1)
    caller.create_hyper_parameter_tuning_job(**request)
    assert aws.tuned(request["HyperParameterTuningJobName"])["HyperParameterTuningJobStatus"] == "Completed"
    role = aws.role(unique("role"), ["sagemaker"], but("logs:PutLogEvents"))
    request = aws.tuning_request(jobs=1)
    request["TrainingJobDefinition"]["RoleArn"] = role
    found = aws.tuned(aws.tune(Definition={"RoleArn": role}))
    assert "is not authorized to perform: logs:PutLogEvents" in found["FailureReason"]


def test_eventbridge_tells_each_status(aws: Aws) -> None:
    queue, name = unique("tuning"), unique("tune")
    url = aws.client("sqs").create_queue(QueueName=queue)["QueueUrl"]
    kind = "SageMaker HyperParameter Tuning Job State Change"
    pattern = {"source": ["aws.sagemaker"], "detail-type": [kind], "detail": {"HyperParameterTuningJobName": [name]}}
    aws.client("events").put_rule(Name=queue, EventPattern=json.dumps(pattern))
    target = {"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:123456789012:{queue}"}
    aws.client("events").put_targets(Rule=queue, Targets=[target])
    aws.tune(jobs=1, HyperParameterTuningJobName=name)
    told: dict[str, Any] = {}

    def both() -> bool:
        received = aws.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        details = [json.loads(each["Body"])["detail"] for each in received]
        told.update({detail["HyperParameterTuningJobStatus"]: detail for detail in details})
        return told.keys() == {"InProgress", "Completed"}

    until(both)
    assert told["Completed"]["TrainingJobStatusCounters"]["Completed"] == 1
    assert told["Completed"]["HyperParameterTuningJobArn"] == f"{ARN}:hyper-parameter-tuning-job/{name}"


@pytest.mark.full
@pytest.mark.drill(
    "kill -9",
    "the local AWS while a tuning job trains",
    "after a start the tuning job and its unfinished training jobs are Failed with the cause, and the next tuning job runs",
)
def test_a_tuning_job_that_was_under_way_at_kill_9_has_failed_with_the_cause(
    machine: Machine,  # noqa: F811
    record_property: Any,
) -> None:
    aws = machine.start()
    ranges = {
        "CategoricalParameterRanges": [{"Name": "action", "Values": ["", "hang"]}, {"Name": "place", "Values": ["0.2"]}]
    }
    name = aws.tune(
        strategy="Grid", Config={"ParameterRanges": ranges, "ResourceLimits": {"MaxParallelTrainingJobs": 1}}
    )
    until(lambda: [job["TrainingJobStatus"] for job in aws.tunings(name)] == ["Completed", "InProgress"])
    machine.kill(f"{name}-002")
    aws = machine.start()
    found = aws.tuned(name)
    assert (found["HyperParameterTuningJobStatus"], found["FailureReason"]) == ("Failed", LOST)
    assert [job["TrainingJobStatus"] for job in aws.tunings(name)] == ["Completed", "Failed"]
    counters = found["TrainingJobStatusCounters"]
    assert (counters["Completed"], counters["RetryableError"], counters["InProgress"]) == (1, 1, 0)
    assert aws.tuned(aws.tune(jobs=1))["HyperParameterTuningJobStatus"] == "Completed"
    record_property("happened", f"tuning job: Failed: {LOST} Its best job is still named; the next one completed")


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_the_sagemaker_sdks_tuner_tunes_the_linear_learner(aws: Aws) -> None:
    sagemaker, session = sdk(aws)
    random = np.random.default_rng(0)
    features = random.normal(size=(300, 3))
    labels = (features @ [1.0, -2.0, 0.5] + random.normal(size=300) > 0).astype(int)
    for part, rows in (("train", slice(0, 200)), ("validation", slice(200, 300))):
        lines = np.column_stack([labels, features])[rows]
        aws.put(f"tuner/{part}/rows.csv", "\n".join(",".join(map(str, line)) for line in lines))
    where = {"output_path": f"s3://{aws.bucket}/tuner/models", "sagemaker_session": session}
    given = {"predictor_type": "binary_classifier", "mini_batch_size": 50, "epochs": 3}
    image = sagemaker.image_uris.retrieve("linear-learner", "us-east-1")
    estimator = sagemaker.estimator.Estimator(image, ROLE, 1, "ml.m5.large", hyperparameters=given, **where)
    tuner = sagemaker.tuner.HyperparameterTuner(
        estimator,
        "validation:objective_loss",
        {
            "wd": sagemaker.tuner.ContinuousParameter(1e-6, 0.1),
            "use_bias": sagemaker.tuner.CategoricalParameter(["True", "False"]),
        },
        objective_type="Minimize",
        max_jobs=3,
        max_parallel_jobs=2,
        strategy="Bayesian",
        random_seed=1,
    )
    source = functools.partial(sagemaker.inputs.TrainingInput, content_type="text/csv")
    inputs = {part: source(f"s3://{aws.bucket}/tuner/{part}/") for part in ("train", "validation")}
    name = unique("tuner")
    tuner.fit(inputs, job_name=name, wait=False)
    found = aws.tuned(name)
    assert found["HyperParameterTuningJobStatus"] == "Completed", found
    tuner.wait()
    best = tuner.best_training_job()
    assert best == found["BestTrainingJob"]["TrainingJobName"]
    metrics = {
        metric["MetricName"]: metric["Value"]
        for metric in aws.sagemaker.describe_training_job(TrainingJobName=best)["FinalMetricDataList"]
    }
    objective = found["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]
    assert objective["Value"] == pytest.approx(metrics["validation:objective_loss"])
    attached = sagemaker.tuner.HyperparameterTuner.attach(name, sagemaker_session=session)
    assert attached.best_training_job() == best
    frame = tuner.analytics().dataframe()
    assert len(frame) == 3
    assert {"wd", "use_bias", "FinalObjectiveValue"} <= set(frame.columns)
    assert frame["FinalObjectiveValue"].min() == pytest.approx(objective["Value"])
    assert len(aws.lines("TrainingJobs", f"{name}-")) > 10
    logged = "\n".join(aws.lines("TrainingJobs", best))
    assert '"num_models": 1,' in logged, logged[:2000]
