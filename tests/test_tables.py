"""Tables of public packages: `ops init`, preprocessing and training without an edited setting give an honest model."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from local_aws.linear_learner import artifact
from local_aws.linear_learner.predict import predict
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.config import Settings, load
from pipeline.jobs.shared.encoder import Encoder
from tests.conftest import ROOT
from tests.ops.typing import typed
from tests.tables import TABLES

pytestmark = pytest.mark.full
CHANNEL = {"ContentType": "text/csv", "TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}


def run(module: str, *arguments: str | Path) -> None:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def trained(folder: Path, settings: Settings) -> artifact.Model:
    """The linear learner's model of the parts in a folder."""
    root = folder / "ml"
    for name in ("input/config", "input/data", "model", "output"):
        (root / name).mkdir(parents=True)
    for part in ("train", "validation"):
        (root / "input/data" / part).symlink_to(folder / "out" / part)
    channels = {part: CHANNEL | {"RecordWrapperType": "None"} for part in ("train", "validation")}
    hosts = {"current_host": "algo-1", "hosts": ["algo-1"]}
    hyperparameters = settings.hyperparameters()
    for name, document in (
        ("hyperparameters", hyperparameters),
        ("inputdataconfig", channels),
        ("resourceconfig", hosts),
    ):
        (root / "input/config" / f"{name}.json").write_text(json.dumps(document))
    run("local_aws.linear_learner", "train", "--root", root)
    return artifact.read(root / "model")


def holdout(out: Path) -> tuple[np.ndarray, np.ndarray]:
    """The rows as the linear learner reads them, and their labels."""
    files, labels = sorted((out / "holdout").iterdir()), sorted((out / "labels").iterdir())
    text = b"".join(file.read_bytes() for file in files)
    if (out / "encoder").is_dir():
        with tarfile.open(out / "encoder/model.tar.gz") as packed:
            encoder = Encoder.from_json(packed.extractfile("encoder.json").read().decode())
        rows = encoder.encode(encoder.read(text))
    else:
        rows = np.array([json.loads(line)["features"] for line in text.splitlines()])
    return rows, np.array([json.loads(line)["label"] for file in labels for line in file.read_text().splitlines()])


@pytest.mark.parametrize("name", TABLES)
def test_the_model_passes_its_gate_and_is_as_good_as_scikit_learns(name: str, tmp_path: Path) -> None:
    made = TABLES[name]()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.csv").write_bytes(made.text)
    config = tmp_path / "pipeline.toml"
    answer = typed("init", str(tmp_path / "data/table.csv"), "--target", made.target, "--out", str(config))
    assert answer.code == 0, answer.err
    settings = load(config)
    (tmp_path / "settings.json").write_text(settings.to_json())
    folders = ("--settings", tmp_path / "settings.json", "--input", tmp_path / "data", "--output", tmp_path / "out")
    run("pipeline.jobs", "preprocess", *folders)
    answers = predict(trained(tmp_path, settings), holdout(tmp_path / "out")[0].astype(np.float32))

    train = np.concatenate([np.loadtxt(file, delimiter=",") for file in sorted((tmp_path / "out/train").iterdir())])
    (rows, labels), kind = holdout(tmp_path / "out"), settings.data.predictor_type
    estimator = Ridge() if kind == "regressor" else LogisticRegression(solver="newton-cg")
    model = make_pipeline(StandardScaler(), estimator).fit(train[:, 1:], train[:, 0])
    if kind == "regressor":
        ours, others = ({"r2": r2_score(labels, each)} for each in (answers.score, model.predict(rows)))
    else:
        ours, others = ({"accuracy": accuracy_score(labels, each)} for each in (answers.label, model.predict(rows)))
    if kind == "binary_classifier":
        ours["auc"] = roc_auc_score(labels, answers.score)
        others["auc"] = roc_auc_score(labels, model.predict_proba(rows)[:, 1])
    assert ours == pytest.approx(others, abs=0.01)
    assert {metric: bound for metric, bound in settings.gate.minimum.items() if ours[metric] < bound} == {}
