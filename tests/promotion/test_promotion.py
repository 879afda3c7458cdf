"""Safe promotion on a deployed local AWS: nothing worse goes live, and nothing is lost."""

import json
import random
import time
from itertools import pairwise
from typing import Any

import pytest

from ops import predict, promote, runs
from tests.conftest import WDBC, Deployed, wait_for

pytestmark = pytest.mark.cloud

HEADER, *ROWS = WDBC.read_text().splitlines()


def flipped(share: float) -> bytes:
    """WDBC with the labels of a share of its rows turned around."""
    chosen = set(random.Random(7).sample(range(len(ROWS)), int(share * len(ROWS))))
    turned = {",M,": ",B,", ",B,": ",M,"}
    rows = [
        row.replace(row[row.index(",") : row.index(",") + 3], turned[row[row.index(",") : row.index(",") + 3]], 1)
        if number in chosen
        else row
        for number, row in enumerate(ROWS)
    ]
    return "\n".join([HEADER, *rows]).encode()


def live_config(deployed: Deployed) -> str:
    return deployed.account.sagemaker.describe_endpoint(EndpointName="breast-cancer")["EndpointConfigName"]


def lines(deployed: Deployed, run: runs.Run, folder: str) -> list[str]:
    bucket = deployed.account.outputs["DataBucket"]
    listed = deployed.account.s3.list_objects_v2(Bucket=bucket, Prefix=f"runs/{run.name}/{folder}/")["Contents"]
    bodies = [deployed.account.s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed]
    return b"".join(bodies).decode().splitlines()


def evaluation(deployed: Deployed, run: runs.Run) -> Any:
    return json.loads("\n".join(lines(deployed, run, "evaluation")))


def lease(deployed: Deployed) -> dict[str, Any]:
    dynamodb = deployed.client("dynamodb")
    return dynamodb.get_item(TableName=deployed.account.outputs["Lease"], Key={"endpoint": {"S": "breast-cancer"}})[
        "Item"
    ]


def test_a_worse_challenger_is_rejected_with_figures_and_a_better_one_after_it_is_accepted(live: Deployed) -> None:
    before = live_config(live)
    worse = live.run("worse.csv", flipped(0.3))
    assert (worse.status, worse.outcome) == ("SUCCEEDED", "rejected")
    assert live_config(live) == before
    compared = evaluation(live, worse)["comparison"]
    assert {"challenger", "champion", "difference", "interval"} <= compared.keys()
    assert "is below" in worse.reason
    better = live.run("wdbc.csv", WDBC.read_bytes())
    assert (better.status, better.outcome) == ("SUCCEEDED", "accepted")
    assert live_config(live) != before


def test_both_models_are_scored_on_the_same_hold_out(live: Deployed) -> None:
    run = live.run("wdbc.csv", WDBC.read_bytes())
    labelled = [json.loads(line)["row"] for line in lines(live, run, "labels")]
    assert len(set(labelled)) == len(labelled)
    assert len(lines(live, run, "predictions")) == len(lines(live, run, "champion")) == len(labelled)
    # The same data and settings make the same model, so equal rows in equal order are equal answers.
    assert lines(live, run, "predictions") == lines(live, run, "champion")


def test_every_run_that_trained_has_a_package_with_its_lineage(live: Deployed) -> None:
    run = live.run("wdbc.csv", WDBC.read_bytes())
    newest = live.account.sagemaker.list_model_packages(
        ModelPackageGroupName="breast-cancer", SortBy="CreationTime", SortOrder="Descending", MaxResults=1
    )["ModelPackageSummaryList"][0]
    package = live.account.sagemaker.describe_model_package(ModelPackageName=newest["ModelPackageArn"])
    assert package["ModelApprovalStatus"] == "Approved"
    lineage = package["CustomerMetadataProperties"]
    assert lineage["execution"] == run.arn
    assert lineage["data"].startswith(run.name.split("-")[0])
    assert json.loads(lineage["hyperparameters"])["feature_dim"] == "30"


def test_a_rollback_puts_the_previous_model_live_without_training(live: Deployed) -> None:
    first, second = (
        live.run("wdbc.csv", data) for data in (WDBC.read_bytes(), "\n".join([HEADER, *ROWS[1:]]).encode())
    )
    assert (first.outcome, second.outcome) == ("accepted", "accepted")
    started = time.monotonic()
    arn = promote.rollback(live.account)
    run = wait_for(lambda: ended if not (ended := runs.describe(live.account, arn)).running else None)
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
    print(f"rollback: {time.monotonic() - started:.1f} s")
    config = live.account.sagemaker.describe_endpoint_config(EndpointConfigName=live_config(live))
    model = live.account.sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    assert f"/runs/{first.name}/" in model["PrimaryContainer"]["ModelDataUrl"]
    states = {event.state for _, event in runs.events(live.account, arn, 0) if event is not None}
    assert "Train" not in states
    assert predict.predict(live.account, predict.golden_row(live.account)) == "B"


def test_a_run_stays_small_and_short(live: Deployed) -> None:
    run = live.run("wdbc.csv", WDBC.read_bytes())
    pages = live.account.states.get_paginator("get_execution_history").paginate(executionArn=run.arn)
    history = [event for page in pages for event in page["events"]]
    sizes = [len(event[key]["input"]) for event in history for key in event if key == "stateEnteredEventDetails"]
    assert len(history) < 200
    assert max(sizes) < 20_000


def test_a_dead_owner_loses_the_lease(live: Deployed) -> None:
    states, machine = live.account.states, live.account.outputs["StateMachine"]
    held = states.start_execution(stateMachineArn=machine, input='{"reason": "held"}')["executionArn"]
    wait_for(lambda: lease(live).get("owner", {}).get("S") == held or None)
    states.stop_execution(executionArn=held, error="Aborted", cause="by a test")
    run = live.run("wdbc.csv", WDBC.read_bytes())
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted"), run
    assert "owner" not in lease(live)


def test_the_lease_is_free_after_every_outcome(live: Deployed) -> None:
    for name, data, status in (("good.csv", WDBC.read_bytes(), "SUCCEEDED"), ("bad.csv", b"nonsense", "FAILED")):
        assert live.run(name, data).status == status
        assert "owner" not in lease(live)


def test_runs_at_once_take_turns(live: Deployed) -> None:
    states, machine = live.account.states, live.account.outputs["StateMachine"]
    both: list[str] = []

    def start_two() -> None:
        both.extend(states.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(2))

    uploaded = live.run("wdbc.csv", WDBC.read_bytes(), during=start_two)
    ended = [
        wait_for(lambda arn=arn: r if not (r := runs.describe(live.account, arn)).running else None) for arn in both
    ]
    assert [(run.status, run.outcome) for run in [uploaded, *ended]] == [("SUCCEEDED", "accepted")] * 3, ended
    spans = []
    for arn in [uploaded.arn, *both]:
        entered = {e.state: e.at for _, e in runs.events(live.account, arn, 0) if e is not None}
        spans.append((entered["FindEndpoint"], entered["FreeLease"]))
    spans.sort()
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
