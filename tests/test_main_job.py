"""The main job on a deployed local AWS: an upload retrains, the API answers, and nothing bad goes live."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops import predict, runs
from tests.conftest import WDBC, Deployed, wait_for

pytestmark = pytest.mark.cloud

MALIGNANT = "17.99,10.38,122.8,1001.0,0.1184,0.2776,0.3001,0.1471,0.2419,0.07871,1.095,0.9053,8.589,153.4,0.006399,0.04904,0.05373,0.01587,0.03003,0.006193,25.38,17.33,184.6,2019.0,0.1622,0.6656,0.7119,0.2654,0.4601,0.1189"
LINES = WDBC.read_text().splitlines()


def evaluation(deployed: Deployed, run: runs.Run) -> Any:
    key = f"runs/{run.name}/evaluation/evaluation.json"
    body = deployed.account.s3.get_object(Bucket=deployed.account.outputs["DataBucket"], Key=key)["Body"]
    return json.load(body)["binary_classification_metrics"]


def endpoint_config(deployed: Deployed) -> str:
    return deployed.account.sagemaker.describe_endpoint(EndpointName="breast-cancer")["EndpointConfigName"]


def test_the_row_of_2018_is_benign_and_a_malignant_row_is_not(live: Deployed) -> None:
    assert predict.label_of(live.account, predict.golden_row(live.account)) == "B"
    assert predict.label_of(live.account, MALIGNANT) == "M"


def test_the_shipped_settings_reach_the_quality_they_promise(live: Deployed) -> None:
    metrics = evaluation(live, live.run("wdbc.csv", WDBC.read_bytes()))
    assert metrics["auc"]["value"] >= 0.99
    assert metrics["accuracy"]["value"] >= 0.95


def test_the_same_data_gives_the_same_split_and_the_same_model(live: Deployed) -> None:
    first, again = (live.run("wdbc.csv", WDBC.read_bytes()) for _ in range(2))
    bucket = live.account.outputs["DataBucket"]

    def etags(run: runs.Run, folder: str) -> list[str]:
        listed = live.account.s3.list_objects_v2(Bucket=bucket, Prefix=f"runs/{run.name}/{folder}/")
        return [item["ETag"] for item in listed["Contents"]]

    for folder in ("train", "validation", "holdout", "labels", "baseline", "predictions"):
        assert etags(again, folder) == etags(first, folder), folder


def test_an_update_under_load_loses_no_request_and_changes_the_model(live: Deployed) -> None:
    before = endpoint_config(live)
    row = predict.golden_row(live.account)
    answers: list[str] = []
    stop = threading.Event()

    def post_20_a_second() -> None:
        due = time.monotonic()
        while not stop.is_set():
            try:
                answers.append(predict.label_of(live.account, row))
            except Exception as error:
                answers.append(repr(error))
            due += 0.05
            stop.wait(max(0.0, due - time.monotonic()))

    client = threading.Thread(target=post_20_a_second)
    client.start()
    try:
        # Half of the rows: other data, another model.
        run = live.run("half.csv", "\n".join([LINES[0], *LINES[1::2]]).encode())
        served_after = len(answers)
        wait_for(lambda: True if len(answers) > served_after + 20 else None)
    finally:
        stop.set()
        client.join()
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted")
    assert set(answers) == {"B"}
    assert endpoint_config(live) != before


BAD: dict[str, tuple[Callable[[], str], list[str]]] = {
    "a letter in a number column": (
        lambda: "\n".join([*LINES[:5], LINES[5].replace(LINES[5].split(",")[3], "x"), *LINES[6:]]),
        ["bad.csv", "6", "texture_mean"],
    ),
    "a missing column": (
        lambda: "\n".join(line.rpartition(",")[0] for line in LINES),
        ["bad.csv", "fractal_dimension_worst"],
    ),
    "a third label": (
        lambda: "\n".join([*LINES[:9], LINES[9].replace(",M,", ",Q,").replace(",B,", ",Q,"), *LINES[10:]]),
        ["bad.csv", "10", "diagnosis", "Q"],
    ),
    "an empty file": (lambda: "", ["bad.csv", "empty"]),
    "NaN": (
        lambda: "\n".join([*LINES[:7], LINES[7].replace(LINES[7].split(",")[2], "NaN"), *LINES[8:]]),
        ["bad.csv", "8", "radius_mean", "NaN"],
    ),
    "12 rows": (lambda: "\n".join(LINES[:13]), ["minimum_rows_per_class"]),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_data_fails_the_run_and_leaves_the_old_model(
    live: Deployed, notifications: Callable[[], list[dict[str, Any]]], fault: str
) -> None:
    make, named = BAD[fault]
    before = endpoint_config(live)
    run = live.run("bad.csv", make().encode())
    assert run.status == "FAILED"
    assert [word for word in named if word not in run.outcome] == [], run.outcome
    message = wait_for(lambda: next(iter(notifications()), None))
    assert (message["outcome"], message["execution"]) == ("failed", run.arn)
    assert [word for word in named if word not in message["why"]] == []
    assert predict.label_of(live.account, predict.golden_row(live.account)) == "B"
    assert endpoint_config(live) == before


def test_a_killed_job_fails_the_run_with_the_cause(live: Deployed) -> None:
    before = endpoint_config(live)
    # Enough rows for the job to be caught at work; shifted a little so that none is another's duplicate.
    rows = [line.split(",", 3) for line in LINES[1:]]
    many = [f"{n},{label},{float(first) + n * 1e-6!r},{rest}" for n in range(200) for _, label, first, rest in rows]

    def kill_the_job() -> None:
        wait_for(lambda: [os.kill(pid, signal.SIGKILL) for pid in processes(live, "preprocess --")] or None)

    run = live.run("many.csv", "\n".join([LINES[0], *many]).encode(), during=kill_the_job)
    assert run.status == "FAILED"
    assert "AlgorithmError" in run.outcome
    assert "137" in run.outcome or "SIGKILL" in run.outcome, run.outcome
    assert endpoint_config(live) == before


def processes(deployed: Deployed, argument: str) -> list[int]:
    """The local AWS's own processes that have `argument` in their command line."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    home = str(deployed.cloud.home)
    return [int(line.split()[0]) for line in listed.splitlines() if argument in line and home in line]


def test_ops_tell_the_same_story(live: Deployed, tmp_path: Path) -> None:
    python = ".venv/bin/python"
    status = live.command(python, "-m", "ops", "status").stdout
    assert "endpoint breast-cancer: InService, breast-cancer-" in status
    assert live.command(python, "-m", "ops", "predict", MALIGNANT).stdout == "prediction: M\n"
    assert live.command(python, "-m", "ops", "predict", "1,2", check=False).returncode == 1
    missing = live.command(python, "-m", "ops", "upload", str(tmp_path / "none.csv"), check=False)
    assert (missing.returncode, missing.stderr) == (1, f"error: {tmp_path / 'none.csv'}: no such file\n")
    live.clear()
    assert "uploaded s3://" in live.command(python, "-m", "ops", "upload", str(WDBC)).stdout
    watched = live.command(python, "-m", "ops", "watch").stdout
    assert watched.splitlines()[-1].startswith("succeeded: accepted")
    assert "Preprocess" in watched
