"""Safe promotion by the shipped settings: nothing worse goes live, and nothing is lost."""

import json
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from unittest.mock import ANY

import pytest

from ops import predict, retrain, runs
from tests.conftest import wait_for
from tests.deployments.cases import ALWAYS, NEW
from tests.deployments.table import Row, check
from tests.deployments.world import HEADER, ROWS, Traffic, World, data, entries, relabelled

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(400)]


def test_a_worse_challenger_is_rejected_with_figures_and_a_better_one_after_it_is_accepted(shipped: World) -> None:
    before = shipped.live()
    worse = shipped.run(relabelled(every=3))
    assert (worse.status, worse.outcome) == ("SUCCEEDED", "rejected")
    assert shipped.live() == before
    notification = shipped.notification(worse.arn)
    assert notification["why"] == worse.why
    assert "is below" in notification["why"]
    compared = notification["metrics"]["comparison"]
    assert compared["difference"] == pytest.approx(compared["challenger"] - compared["champion"])
    assert compared["interval"][0] <= compared["difference"] <= compared["interval"][1]
    better = shipped.run()
    assert (better.status, better.outcome) == ("SUCCEEDED", "accepted")
    assert shipped.live() != before


@dataclass(frozen=True)
class Accepted:
    """A run of the data, with what was live before and after it."""

    run: runs.Run
    before: str
    after: str


@pytest.fixture(scope="module")
def accepted(shipped: World) -> Accepted:
    """One run whose traces several tests look at."""
    before, run = shipped.live(), shipped.run()
    return Accepted(run, before, shipped.live())


def test_a_notification_says_what_why_how_good_where_and_what_next(shipped: World, accepted: Accepted) -> None:
    run = accepted.run
    notification = dict(shipped.notification(run.arn))
    metrics = {"rows", "golden", "binary_classification_metrics", "champion", "comparison", "decision", "card"}
    assert notification.pop("metrics").keys() == metrics
    packages = "arn:aws:sagemaker:us-east-1:123456789012:model-package/breast-cancer/"
    assert notification.pop("package").startswith(packages)
    page = f"https://console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/{run.arn}"
    files = f"s3://{shipped.account.outputs['DataBucket']}/runs/{run.name}/"
    assert notification == {
        "outcome": "accepted",
        "why": "passes every threshold of the quality gate and is not worse than the champion by auc",
        "next": "ops predict",
        "execution": run.arn,
        "started_by": "upload",
        "model": accepted.after,
        "links": {"run": page, "files": files},
    }


def scores(world: World) -> dict[tuple[float, ...], float]:
    """The live model's score of each row of the data, by the row's features."""
    features = [row.split(",", 2)[2] for row in ROWS]
    runtime = world.deployed.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(
        EndpointName=world.endpoint, ContentType="text/csv", Accept="application/json", Body="\n".join(features)
    )
    predictions = json.load(answer["Body"])["predictions"]
    return {tuple(map(float, row.split(","))): p["score"] for row, p in zip(features, predictions, strict=True)}


@pytest.mark.rotated
def test_both_models_are_scored_on_the_same_rows_of_the_hold_out(shipped: World) -> None:
    shipped.run("\n".join([HEADER, *ROWS[::2]]).encode())
    champion = scores(shipped)
    run = shipped.run()
    challenger = scores(shipped)
    assert champion != challenger
    rows = [tuple(json.loads(line)["features"]) for line in shipped.lines(run, "holdout/holdout")]
    ids = [json.loads(line)["row"] for line in shipped.lines(run, "labels")]
    assert len(set(ids)) == len(ids) == len(rows)
    for folder, model in (("predictions/champion", champion), ("predictions/challenger", challenger)):
        scored = [json.loads(line)["score"] for line in shipped.lines(run, f"{folder}/holdout")]
        assert scored == pytest.approx([model[row] for row in rows], abs=1e-6), folder


def test_every_run_that_trained_has_a_package_with_its_lineage(shipped: World, accepted: Accepted) -> None:
    run = accepted.run
    found = shipped.account.sagemaker.describe_model_package(ModelPackageName=shipped.notification(run.arn)["package"])
    assert found["ModelApprovalStatus"] == "Approved"
    lineage = found["CustomerMetadataProperties"]
    request = json.loads(shipped.account.states.describe_execution(executionArn=run.arn)["input"])
    settings = {f"hyperparameters/{name}": value for name, value in shipped.account.settings.hyperparameters().items()}
    assert lineage.pop("job").startswith("breast-cancer-train-")
    assert lineage == {
        "execution": run.arn,
        "model": f"breast-cancer-{run.id}",
        "preprocessed-by": run.name,
        "data": request["data"]["fingerprint"],
        "settings": request["settings"],
        "commit": request["commit"],
        "signature": shipped.account.settings.signature.name,
        "variant": shipped.account.settings.signature.variant,
        "parent": accepted.before,
        **settings,
    }
    metrics = found["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    assert metrics == f"s3://{shipped.account.outputs['DataBucket']}/runs/{run.name}/evaluation/evaluation.json"


@pytest.mark.full
def test_a_rollback_puts_the_previous_model_live_without_training(shipped: World) -> None:
    first, second = shipped.run(), shipped.run(data(ROWS[1:]))
    assert (first.outcome, second.outcome) == ("accepted", "accepted")
    started = time.monotonic()
    run = shipped.ended(retrain.start_rollback(shipped.account))
    print(f"rollback: {time.monotonic() - started:.1f} s")
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
    assert shipped.live_run() == first.arn
    assert "Train" not in shipped.entered(run.arn)
    assert predict.label_of(shipped.account, predict.example(shipped.account)) == "B"


@pytest.mark.rotated
@pytest.mark.drill(
    "diagnosis",
    "a rollback waits for a run whose model goes live",
    "nothing changes; the answer says so and asks for --force",
)
def test_a_rollback_that_waits_for_a_run_whose_model_goes_live_changes_nothing_unless_forced(shipped: World) -> None:
    second = [shipped.run(), shipped.run(data(ROWS[1:]))][1]
    for force, words, live in (
        (False, "RollbackOvertaken: Another model went live while this", ""),
        (True, "accepted", second.arn),
    ):
        running = shipped.by_hand()
        wait_for(lambda running=running: shipped.lease().get("owner") == {"S": running})
        rollback = retrain.start_rollback(shipped.account, force=force)
        assert shipped.ended(running).outcome == "accepted"
        assert shipped.ended(rollback).outcome.startswith(words)
        assert shipped.live_run() == (live or running)
        assert shipped.notification(rollback)["next"] == ("ops predict" if force else "ops status")


@pytest.mark.full
def test_a_champion_whose_package_is_deleted_is_compared_all_the_same(shipped: World) -> None:
    good, _, sagemaker = shipped.run(), shipped.run(data(ROWS[1:])), shipped.account.sagemaker
    sagemaker.delete_model_package(ModelPackageName=shipped.model())
    assert shipped.ended(retrain.start_rollback(shipped.account)).outcome == "accepted"
    assert shipped.live_run() == good.arn
    sagemaker.delete_model_package(ModelPackageName=shipped.model())
    run = shipped.run(data(ROWS[2:]))
    assert run.outcome == "accepted"
    assert run.why.endswith(" and is not worse than the champion by auc")


@pytest.mark.full
def test_a_package_that_no_run_registered_is_not_deployed(shipped: World) -> None:
    shipped.run()
    live, sagemaker = shipped.live(), shipped.account.sagemaker
    found = sagemaker.describe_model_package(ModelPackageName=shipped.model())
    same = {name: found[name] for name in ("ModelPackageGroupName", "ModelApprovalStatus", "InferenceSpecification")}
    package = sagemaker.create_model_package(**same)["ModelPackageArn"]
    machine, request = shipped.account.outputs["DeployMachine"], json.dumps({"package": package})
    started = shipped.account.states.start_execution(stateMachineArn=machine, input=request)["executionArn"]
    words = f"{package} has no run in its metadata (execution): deploy a package that a run registered."
    assert shipped.ended(started).outcome == f"PackageOfNoRun: {words}"
    assert shipped.live() == live
    sagemaker.delete_model_package(ModelPackageName=package)


def test_a_model_that_was_taken_back_is_no_rollbacks_target(shipped: World) -> None:
    good = shipped.run()
    shipped.inject({"on": "Endpoint", "fault": "CapacityError"})
    bad = shipped.run(data(ROWS[1:]))
    notification = shipped.notification(bad.arn)
    assert (notification["outcome"], notification["error"]) == ("rolled back", "RolledBack")
    assert shipped.package(bad.arn) == "Rejected"
    newest = shipped.run(data(ROWS[2:]))
    assert newest.outcome == "accepted"
    rollback = shipped.ended(retrain.start_rollback(shipped.account))
    assert (rollback.status, rollback.outcome) == ("SUCCEEDED", "accepted"), rollback
    assert shipped.live_run() == good.arn
    assert "Train" not in shipped.entered(rollback.arn)
    assert predict.label_of(shipped.account, predict.example(shipped.account)) == "B"


def deployed_again(world: World) -> str:
    """The execution of one more deployment of the live model's package."""
    machine, request = world.account.outputs["DeployMachine"], {"package": world.model(), "reason": "rollback"}
    started = world.account.states.start_execution(stateMachineArn=machine, input=json.dumps(request))
    return str(started["executionArn"])


def test_a_lease_whose_owner_has_ended_is_taken_over(shipped: World, accepted: Accepted) -> None:
    """From a run, and from a deployment."""
    owner = accepted.run.arn
    for _ in range(2):
        shipped.give_lease(owner)
        owner = deployed_again(shipped)
        assert shipped.ended(owner).outcome == "accepted"
    shipped.at_rest()


@pytest.mark.parametrize("known", [True, False])
def test_the_listing_has_the_signature_of_a_live_model_of_other_settings(
    shipped: World, accepted: Accepted, known: bool
) -> None:
    """By the role of ListData: whole runs whose settings change are long tests."""
    s3, bucket, signature = shipped.account.s3, shipped.account.outputs["DataBucket"], b'{"features": []}'
    if known:
        s3.put_object(Bucket=bucket, Key="signatures/other.json", Body=signature)
    functions = shipped.deployed.client("lambda")
    names = [each["FunctionName"] for each in functions.list_functions()["Functions"]]
    (name,) = (name for name in names if name.startswith("breast-cancer-RetrainListData"))
    request = json.dumps({"execution": "other", "fingerprint": "none", "variant": "signature-other"})
    answer = functions.invoke(FunctionName=name, Payload=request.encode())
    s3.delete_object(Bucket=bucket, Key="signatures/other.json")
    assert json.load(answer["Payload"])["rows"] == {"run": "other", "found": False, "key": ANY}
    written = s3.get_object(Bucket=bucket, Key="runs/other/listing/champion.json")["Body"].read()
    assert written == (signature if known else b"{}")


def test_a_run_stays_small_and_short(shipped: World, accepted: Accepted) -> None:
    history = shipped.deployed.history(accepted.run.arn)
    sizes = [len(event.get("stateEnteredEventDetails", {}).get("input", "")) for event in history]
    print(f"{len(history)} events, {max(sizes)} bytes at most")
    assert len(history) < 200
    assert max(sizes) < 20_000


def turn(world: World, execution: str) -> tuple[Any, Any]:
    at = dict(entries(world.deployed.history(execution)))
    return at["DescribePackage" if "DescribePackage" in at else "FindChampion"], at["Finish"]


@pytest.mark.rotated
def test_two_runs_and_a_rollback_take_turns(shipped: World) -> None:
    assert shipped.run().outcome == "accepted"
    old = shipped.live()
    with Traffic(shipped.deployed) as traffic:
        deployment = retrain.start_rollback(shipped.account, force=True)
        both = [shipped.ended(execution) for execution in [shipped.by_hand(), shipped.by_hand()]]
    assert [run.outcome for run in (*both, shipped.ended(deployment))] == ["accepted"] * 3
    turns = sorted(turn(shipped, execution) for execution in (deployment, *(run.arn for run in both)))
    assert all(before[1] <= after[0] for before, after in pairwise(turns))
    assert traffic.failed == []
    assert shipped.live() != old
    shipped.at_rest()
    notification = {shipped.notification(run.arn)["outcome"] for run in both}
    check(Row("two-runs", "one after the other: accepted, accepted", ALWAYS, NEW, f"**{notification.pop()}** twice"))


def test_a_model_that_comes_live_after_its_deployment_was_aborted_gets_the_smoke_test(shipped: World) -> None:
    """The live model's package, deployed once more."""
    world, before, package = shipped, shipped.live(), shipped.model()
    execution = deployed_again(world)
    world.in_state(execution, "WaitForEndpoint")
    world.stop(execution)
    found = world.notification(execution, "Live model checked")
    assert (found["outcome"], found["package"], found["started_by"]) == ("accepted", package, "rollback")
    assert found["model"] == world.live() != before
    assert world.live_was_asked()
    wait_for(world.lease_is_free)
