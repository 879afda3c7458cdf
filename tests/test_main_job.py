"""The main job on a deployed local AWS: an upload retrains, the API answers, and nothing bad goes live."""

import json

import numpy as np
import pytest
from local_aws.linear_learner import recordio
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ops import runs
from pipeline.config import load
from pipeline.states.building import ROWS
from tests.conftest import ROOT, WDBC, Deployed
from tests.ops.typing import typed

pytestmark = pytest.mark.cloud

PROMISED = load(ROOT / "pipeline.toml").gate.minimum
MALIGNANT = "17.99,10.38,122.8,1001.0,0.1184,0.2776,0.3001,0.1471,0.2419,0.07871,1.095,0.9053,8.589,153.4,0.006399,0.04904,0.05373,0.01587,0.03003,0.006193,25.38,17.33,184.6,2019.0,0.1622,0.6656,0.7119,0.2654,0.4601,0.1189"


@pytest.fixture(scope="module")
def run(live: Deployed) -> runs.Run:
    """The first run, which was on the shipped data."""
    found = [runs.describe(live.account, execution) for execution in live.executions()]
    return min(found, key=lambda run: run.started)


def test_the_shipped_settings_reach_the_quality_of_scikit_learn_and_of_their_gate(
    live: Deployed, run: runs.Run
) -> None:
    metrics = live.evaluation(run)["binary_classification_metrics"]
    bucket = live.account.outputs["DataBucket"]

    def content(part: str) -> bytes:
        listed = live.account.s3.list_objects_v2(Bucket=bucket, Prefix=f"rows/{run.name}/{part}")["Contents"]
        bodies = (live.account.s3.get_object(Bucket=bucket, Key=item["Key"])["Body"] for item in listed)
        return b"".join(body.read() for body in bodies)

    train = recordio.parse(content("train"), labelled=True).astype(np.float64)
    rows = np.array([json.loads(line)["features"] for line in content("holdout/holdout").splitlines()])
    labels = np.array([json.loads(line)["label"] for line in content("labels").splitlines()])
    model = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky")).fit(train[:, 1:], train[:, 0])
    auc = roc_auc_score(labels, model.predict_proba(rows)[:, 1])
    assert metrics["auc"]["value"] == pytest.approx(auc, abs=0.01)
    assert metrics["accuracy"]["value"] == pytest.approx(model.score(rows, labels), abs=0.01)
    assert {name: bound for name, bound in PROMISED.items() if metrics[name]["value"] < bound} == {}


def test_the_same_data_gives_the_same_split_and_the_same_model(live: Deployed, run: runs.Run) -> None:
    first, again = run, live.run("wdbc.csv", WDBC.read_bytes())
    bucket = live.account.outputs["DataBucket"]

    def etags(of: runs.Run, folder: str) -> list[str]:
        kind = "rows" if folder.partition("/")[0] in ROWS else "runs"
        listed = live.account.s3.list_objects_v2(Bucket=bucket, Prefix=f"{kind}/{of.name}/{folder}/")
        return [item["ETag"] for item in listed["Contents"]]

    for folder in ("train", "validation", "holdout", "labels", "baseline", "predictions/challenger"):
        assert etags(again, folder) == etags(first, folder), folder


def test_ops_tell_the_same_story(live: Deployed) -> None:
    assert "endpoint breast-cancer: InService, breast-cancer-" in typed("status").out
    python = ".venv/bin/python"
    assert live.command(python, "-m", "ops", "predict", MALIGNANT).stdout == "prediction: M\n"
    live.clear()
    assert "uploaded s3://" in typed("upload", str(WDBC)).out
    watched = live.command(python, "-m", "ops", "watch").stdout
    assert watched.splitlines()[-1].startswith("succeeded: accepted")
    assert "Preprocess" in watched
