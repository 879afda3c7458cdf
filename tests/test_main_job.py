"""The main job on a deployed local AWS: an upload retrains, the API answers, and nothing bad goes live."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops import predict, runs
from tests.conftest import WDBC, Deployed, wait_for
from tests.deployments.world import Traffic

pytestmark = pytest.mark.cloud

MALIGNANT = "17.99,10.38,122.8,1001.0,0.1184,0.2776,0.3001,0.1471,0.2419,0.07871,1.095,0.9053,8.589,153.4,0.006399,0.04904,0.05373,0.01587,0.03003,0.006193,25.38,17.33,184.6,2019.0,0.1622,0.6656,0.7119,0.2654,0.4601,0.1189"
LINES = WDBC.read_text().splitlines()


def test_the_row_of_2018_is_benign_and_a_malignant_row_is_not(live: Deployed) -> None:
    assert predict.label_of(live.account, predict.golden_row(live.account)) == "B"
    assert predict.label_of(live.account, MALIGNANT) == "M"


def test_the_shipped_settings_reach_the_quality_they_promise(live: Deployed) -> None:
    metrics = live.evaluation(live.run("wdbc.csv", WDBC.read_bytes()))["binary_classification_metrics"]
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
    before = live.live_config()
    with Traffic(live) as traffic:
        # Half of the rows: other data, another model.
        run = live.run("half.csv", "\n".join([LINES[0], *LINES[1::2]]).encode())
        served_after = len(traffic.answers)
        wait_for(lambda: len(traffic.answers) > served_after + 20)
    assert (run.status, run.outcome) == ("SUCCEEDED", "accepted")
    assert set(traffic.answers) == {"B"}
    assert live.live_config() != before


def spoilt(number: int, column: int, text: str) -> list[str]:
    """The lines with another text in one place."""
    cells = LINES[number].split(",")
    cells[column] = text
    return [*LINES[:number], ",".join(cells), *LINES[number + 1 :]]


BAD = {
    "a letter in a number column": (spoilt(5, 3, "x"), ["bad.csv", "6", "texture_mean"]),
    "a missing column": ([line.rpartition(",")[0] for line in LINES], ["bad.csv", "fractal_dimension_worst"]),
    "a third label": (spoilt(9, 1, "Q"), ["bad.csv", "10", "diagnosis", "Q"]),
    "an empty file": ([], ["bad.csv", "empty"]),
    "NaN": (spoilt(7, 2, "NaN"), ["bad.csv", "8", "radius_mean", "NaN"]),
    "12 rows": (LINES[:13], ["minimum_rows_per_class"]),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_data_fails_the_run_and_leaves_the_old_model(
    live: Deployed, notifications: Callable[[], list[dict[str, Any]]], fault: str
) -> None:
    lines, named = BAD[fault]
    before = live.live_config()
    run = live.run("bad.csv", "\n".join(lines).encode())
    assert run.status == "FAILED"
    assert [word for word in named if word not in run.outcome] == [], run.outcome
    message = wait_for(notifications)[0]
    assert (message["outcome"], message["execution"]) == ("failed", run.arn)
    assert [word for word in named if word not in message["why"]] == []
    assert predict.label_of(live.account, predict.golden_row(live.account)) == "B"
    assert live.live_config() == before


def test_a_killed_job_fails_the_run_with_the_cause(live: Deployed) -> None:
    before = live.live_config()
    # Enough rows for the job to be caught at work; shifted a little so that none is another's duplicate.
    rows = [line.split(",", 3) for line in LINES[1:]]
    many = [f"{n},{label},{float(first) + n * 1e-6!r},{rest}" for n in range(200) for _, label, first, rest in rows]

    def kill_the_job() -> None:
        wait_for(lambda: [os.kill(pid, signal.SIGKILL) for pid in processes(live, "preprocess --")])

    run = live.run("many.csv", "\n".join([LINES[0], *many]).encode(), during=kill_the_job)
    assert run.status == "FAILED"
    assert "AlgorithmError" in run.outcome
    assert "137" in run.outcome or "SIGKILL" in run.outcome, run.outcome
    assert live.live_config() == before


def processes(deployed: Deployed, argument: str) -> list[int]:
    """The local AWS's processes that have `argument` in their command line."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [int(pid) for pid, parent, words in rows if int(parent) == deployed.cloud.pid and argument in words]


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
