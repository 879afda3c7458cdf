"""Tuning, deployed: the best training job's model goes live, faults, an end in between, and the permissions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_aws.cloud import Cloud

from ops import runs
from ops.jobs import cost, jobs_of, trained_by, tuning_job
from ops.report.page import contents, page
from tests import iam_report
from tests.conftest import ROOT, SHIPPED, WDBC, Deployed, deploy, wait_for
from tests.deployments import table
from tests.deployments.cases import NEW, OLD
from tests.deployments.world import World, subscribed
from tests.ops.browser import faults_of, needed
from tests.test_needed_grants import mutants

pytestmark = [pytest.mark.cloud, pytest.mark.full, pytest.mark.timeout(900)]
OBJECTIVE = "validation:objective_loss"
FINAL = f"{OBJECTIVE}:final"
LONG = 600


def tuned_settings(source: Path, folder: Path, name: str) -> Path:
    """The settings of an example under another name, with 8 training jobs and 2 in parallel."""
    text = source.read_text()
    old = text.partition('name = "')[2].partition('"')[0]
    for before, after in ((f'name = "{old}"', f'name = "{name}"'), ("\njobs = 0 ", "\njobs = 8 ")):
        assert before in text
        text = text.replace(before, after, 1)
    path = folder / "pipeline.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def tuned(bootstrapped: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The shipped pipeline with tuning, before its first run."""
    config = tuned_settings(SHIPPED, tmp_path_factory.mktemp("tuned"), "tuned")
    with pytest.MonkeyPatch.context() as patched:
        yield subscribed(deploy(bootstrapped, config, patched, bootstrapped=True))


def ran(world: World, body: bytes) -> runs.Run:
    before = world.deployed.executions()
    world.deployed.put("data.csv", body)
    return world.deployed.ended(world.deployed.started(before), LONG)


def default_loss(deployed: Deployed, run: runs.Run) -> float:
    """The loss on the validation rows of a run's data, of a training job with the settings' hyperparameters alone."""
    sagemaker = deployed.account.sagemaker
    tuning = tuning_job(deployed.account, run)
    definition = dict(tuning["TrainingJobDefinition"])
    fixed = definition.pop("StaticHyperParameters")
    fixed.pop("_tuning_objective_metric")
    algorithm = definition["AlgorithmSpecification"]
    algorithm.pop("MetricDefinitions")
    name = f"default-{run.id[:12]}"
    sagemaker.create_training_job(TrainingJobName=name, HyperParameters=fixed, **definition)
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name)
    return final(deployed, name)


def final(deployed: Deployed, job: str) -> float:
    metrics = deployed.account.sagemaker.describe_training_job(TrainingJobName=job)["FinalMetricDataList"]
    return float(next(each["Value"] for each in metrics if each["MetricName"] == FINAL))


def check(world: World, run: runs.Run) -> dict[str, Any]:
    """The report's contents, after a look at the model: it is the best job's, and no worse than the default one."""
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
    document = contents(world.account, run)
    tuning, trainings = document["tuning"], document["tuning"]["trainings"]
    assert (tuning["HyperParameterTuningJobStatus"], len(trainings)) == ("Completed", 8)
    values = [each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for each in trainings]
    best = tuning["BestTrainingJob"]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == min(values)
    loss, default = final(world.deployed, best["TrainingJobName"]), default_loss(world.deployed, run)
    print(f"{run.name}: tuned {loss:.5f}, default {default:.5f}; all {sorted(values)}")
    assert loss <= default
    assert document["artifact"].endswith(f"/model/{best['TrainingJobName']}/output/model.tar.gz")
    metadata = document["package"]["CustomerMetadataProperties"]
    chosen = best["TunedHyperParameters"]
    assert {name: metadata[f"hyperparameters/{name}"] for name in chosen} == chosen
    assert (metadata["job"], metadata["tuning"]) == (best["TrainingJobName"], tuning["HyperParameterTuningJobName"])
    assert document["evaluation"]["tuning"] == {"job": metadata["tuning"], "hyperparameters": chosen}
    details = document["card"]["training_details"]["training_job_details"]["hyper_parameters"]
    assert {each["name"]: each["value"] for each in details if each["name"] in chosen} == chosen
    assert document["training"]["TrainingJobName"] == best["TrainingJobName"]
    jobs = jobs_of(world.account, run)
    assert [job.kind for job in jobs].count("tune") == 8
    assert [line[0] for line in cost(world.account, jobs)].count("tune") == 8
    return document


def test_the_model_that_tuning_chose_goes_live_and_is_no_worse_than_the_default_one(
    tuned: World, tmp_path: Path
) -> None:
    document = check(tuned, ran(tuned, WDBC.read_bytes()))
    assert document["package"]["ModelApprovalStatus"] == "Approved"
    (tmp_path / "report.html").write_text(page(document), encoding="utf-8")


@needed
def test_the_report_of_a_tuned_run_has_no_faults_in_a_browser(tuned: World, tmp_path: Path) -> None:
    run = next(run for run in tuned.newest_first() if run.outcome == "accepted")
    path = tmp_path / "report.html"
    path.write_text(page(contents(tuned.account, run)), encoding="utf-8")
    dots: list[int] = []
    count = "figure[data-chart=tuning] > svg[role=img] circle"
    assert faults_of(path.as_uri(), "report", lambda tab: dots.append(tab.locator(count).count())) == []
    assert set(dots) == {3 * 8}


def test_a_table_with_categories_is_tuned(bootstrapped: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = ROOT / "examples" / "penguins"
    config = tuned_settings(example / "pipeline.toml", tmp_path, "birds")
    world = World(deploy(bootstrapped, config, monkeypatch, bootstrapped=True), queue="")
    check(world, ran(world, (example / "penguins.csv").read_bytes()))


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "tuning-killed": ({"on": "TrainingJob", "fault": "Kill"}, ""),
    "tuning-short": ({"on": "TrainingJob", "fault": "CapacityError", "times": 2}, ""),
    "tuning-limit": ({"on": "CreateHyperParameterTuningJob", "fault": "ResourceLimitExceeded", "times": 2}, ""),
    "tuning-fails": ({"on": "TrainingJob", "fault": "Exit", "times": 8}, "No training job succeeded after 5 attempts"),
    "tuning-no-capacity": (
        {"on": "TrainingJob", "fault": "CapacityError", "times": 8},
        "No training job succeeded after 5 attempts",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_tuning_is_survived_or_ends_the_run_with_the_cause(tuned: World, name: str) -> None:
    fault, cause = FAULTS[name]
    old = tuned.live()
    tuned.inject(fault)
    arn = tuned.by_hand()
    run = tuned.deployed.ended(arn, LONG)
    tuned.inject()
    sent = tuned.notification(arn)
    assert (sent["outcome"], cause in sent["why"]) == ("failed" if cause else "accepted", True), run
    statuses = [each["TrainingJobStatus"] for each in trained_by(tuned.account, tuning_job(tuned.account, run))]
    if cause:
        assert statuses.count("Failed") in (5, 6)  # the fifth to end may have one beside it
        assert set(statuses) == {"Failed"}
    else:
        failed = fault.get("times", 1) if fault["on"] == "TrainingJob" else 0
        assert (statuses.count("Failed"), statuses.count("Completed")) == (failed, 8 - failed)
    tuned.at_rest()
    write_row(tuned, name, run, sent, old)


def write_row(world: World, name: str, run: runs.Run, sent: dict[str, Any], old: str) -> None:
    """Compare the fault's row with that of docs/failures.md."""
    tried = ", ".join(f"{state} was retried {count} times" for state, count in world.retried(run.arn).items())
    how = f"failed, at {world.failed_at(run.arn)}" if run.status == "FAILED" else sent["outcome"]
    after = NEW if world.live() != old else OLD
    told = f"**{sent['outcome']}**: {sent['why']}"
    table.check(table.Row(name, f"{tried}: {how}" if tried else how, "not asked", after, told))


def test_a_stopped_run_stops_the_tuning_and_the_next_one_tunes_anew(tuned: World) -> None:
    tuned.inject({"on": "TrainingJob", "fault": "Hang", "times": 2})
    old, arn = tuned.live(), tuned.by_hand()
    described = runs.describe(tuned.account, arn)
    going = wait_for(
        lambda: (
            (found := tuning_job(tuned.account, described))
            and len([each for each in trained_by(tuned.account, found) if each["TrainingJobStatus"] == "InProgress"])
            == 2
            and found
        ),
        LONG,
    )
    name = going["HyperParameterTuningJobName"]
    tuned.stop(arn)
    sagemaker = tuned.account.sagemaker
    stopped = wait_for(
        lambda: (
            (found := sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name))[
                "HyperParameterTuningJobStatus"
            ]
            == "Stopped"
            and found
        )
    )
    assert {each["TrainingJobStatus"] for each in trained_by(tuned.account, stopped)} == {"Stopped"}
    tuned.inject()
    tuned.at_rest()
    write_row(tuned, "tuning-aborted", runs.describe(tuned.account, arn), tuned.notification(arn), old)
    again = tuned.deployed.ended(tuned.by_hand(), LONG)
    assert (again.status, again.outcome) == ("SUCCEEDED", "accepted"), again
    assert tuning_job(tuned.account, again)["HyperParameterTuningJobName"] != name


def test_each_permission_of_tuning_is_needed(tuned: World) -> None:
    """AWS also checks Stop only when a run is stopped; here it is checked with the others."""
    if not tuned.live():
        ran(tuned, WDBC.read_bytes())
    iam, survivors, tried = tuned.deployed.client("iam"), [], []
    roles = iam_report.policies(iam, "tuned")
    (role,) = (name for name in roles if iam_report.logical(name) == "RetrainMachineRole")
    (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    own = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    assert "sagemaker:CreateTrainingJob" not in json.dumps(own)
    for mutant in mutants(role, policy, own):
        resources = json.dumps(mutant.statement["Resource"])
        if "hyper-parameter-tuning-job" in resources or "TuningJobsRule" in resources:
            iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(mutant.document))
            run = tuned.deployed.ended(tuned.by_hand(), LONG)
            tried.append(mutant.what)
            survivors += [] if run.status == "FAILED" and mutant.what in str(run.outcome) else [mutant.what]
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(own))
    noun = "HyperParameterTuningJob"
    actions = [*(f"sagemaker:{verb}{noun}" for verb in ("Create", "Describe", "Stop")), "sagemaker:AddTags"]
    rule = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
    assert sorted(tried) == sorted([*actions, "sagemaker:ListTags", *rule])
    assert survivors == []
