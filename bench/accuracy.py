"""Accuracy on WDBC (breast cancer Wisconsin), 10 folds repeated, beside scikit-learn on the same folds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from local_aws.linear_learner import artifact
from local_aws.linear_learner.predict import predict
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench import machine
from bench.figures import Figure
from bench.training import train_on

DATA = "the data"
BASELINE = "scikit-learn's LogisticRegression"


def measure(folder: Path, repeats: int) -> Iterator[Figure]:
    """Accuracy and area under the ROC curve, means over the folds."""
    features, labels = load_breast_cancer(return_X_y=True)
    ours, theirs, seconds = list[tuple[float, float]](), list[tuple[float, float]](), list[float]()
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=repeats, random_state=0)
    for learn, check in folds.split(features, labels):
        seconds.append(train_on(folder / "wdbc", features[learn], labels[learn]).seconds)
        predicted = predict(artifact.read(folder / "wdbc/model"), features[check].astype(np.float32))
        assert predicted.label is not None
        right = float((predicted.label == labels[check]).mean())
        ours.append((right, float(roc_auc_score(labels[check], predicted.score))))
        scikit = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[learn], labels[learn])
        score, right = scikit.predict_proba(features[check])[:, 1], float(scikit.score(features[check], labels[check]))
        theirs.append((right, float(roc_auc_score(labels[check], score))))
    (accuracy, auc), (other_accuracy, other_auc) = np.mean(ours, 0).tolist(), np.mean(theirs, 0).tolist()
    name = f"WDBC, {repeats} x 10 folds"
    yield Figure(f"accuracy, {name}", accuracy, "", BASELINE, other_accuracy, "value >= 0.975", DATA, any_size=True)
    yield Figure(f"area under ROC, {name}", auc, "", BASELINE, other_auc, "value >= 0.995", DATA)
    took = float(np.median(seconds))
    start, limit = machine.python_start(), "starting Python with nothing imported"
    yield Figure("training job, WDBC, start to end", took, "s", goal="value < 0.3", limit=limit, limit_value=start)
