"""Breast cancer Wisconsin, 5 x 10 folds, beside scikit-learn on the same folds."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.figure import Figure
from bench.process import run
from local.linear_learner import artifact
from local.linear_learner.predict import predict

DATA = "the data"
BASELINE = "scikit-learn's LogisticRegression"


def train(root: Path, features: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """One training job below `root`, with the default hyperparameters but for the batch; returns its seconds."""
    (root / "input/config").mkdir(parents=True, exist_ok=True)
    (root / "input/data/train").mkdir(parents=True, exist_ok=True)
    given = {"predictor_type": "binary_classifier", "mini_batch_size": "32"}
    (root / "input/config/hyperparameters.json").write_text(json.dumps(given))
    (root / "input/config/inputdataconfig.json").write_text(json.dumps({"train": {"ContentType": "text/csv"}}))
    table = np.column_stack([labels, features])
    (root / "input/data/train/part-0.csv").write_text("\n".join(",".join(map(repr, row)) for row in table.tolist()))
    return run("local.linear_learner", "train", "--root", str(root)).seconds


def measure(folder: Path, repeats: int) -> Iterator[Figure]:
    """Accuracy and area under the ROC curve, means over the folds."""
    features, labels = load_breast_cancer(return_X_y=True)
    ours, theirs, seconds = list[tuple[float, float]](), list[tuple[float, float]](), list[float]()
    shuffled = RepeatedStratifiedKFold(n_splits=10, n_repeats=repeats, random_state=0)
    for learn, check in shuffled.split(features, labels):
        seconds.append(train(folder / "wdbc", features[learn], labels[learn]))
        got = predict(artifact.read(folder / "wdbc/model"), features[check].astype(np.float32))
        assert got.label is not None
        ours.append((float((got.label == labels[check]).mean()), float(roc_auc_score(labels[check], got.score))))
        scikit = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[learn], labels[learn])
        chance = scikit.predict_proba(features[check])[:, 1]
        theirs.append(
            (float(scikit.score(features[check], labels[check])), float(roc_auc_score(labels[check], chance)))
        )
    (accuracy, auc), (other_accuracy, other_auc) = np.mean(ours, 0).tolist(), np.mean(theirs, 0).tolist()
    name = f"WDBC, {repeats} x 10 folds"
    yield Figure(f"accuracy, {name}", accuracy, "", BASELINE, other_accuracy, "value >= 0.975", DATA, any_size=True)
    yield Figure(f"area under ROC, {name}", auc, "", BASELINE, other_auc, "value >= 0.995", DATA)
    took = float(np.median(seconds))
    yield Figure("training job, WDBC, start to end", took, "s", goal="value < 1", limit="starting Python")
