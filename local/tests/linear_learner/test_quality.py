"""Against scikit-learn on the same rows: the linear learner is at least as good as the exact linear model."""

from pathlib import Path

import numpy as np
import pytest
from local_aws.linear_learner import artifact
from local_aws.linear_learner.predict import predict
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .data import MULTICLASS, REGRESSOR, Split, of_type, split
from .jobs import lay_out, trained, unpack

# This scikit-learn calls deprecated functions of a newer SciPy.
pytestmark = [pytest.mark.filterwarnings("ignore:scipy.optimize:DeprecationWarning"), pytest.mark.timeout(600)]
QUICK = ["wdbc", "wine", "diabetes"]
LONG = ["imbalanced 1:100", "collinear", "scales 1e-6 to 1e6", "sparse", "1000 features"]


def ours(root: Path, data: Split) -> float:
    """Validation log loss, or RMSE, with default hyperparameters but for the batch."""
    given = of_type(data.kind, mini_batch_size=32 if len(data.train) < 1000 else 100)
    if data.kind not in (MULTICLASS, REGRESSOR):
        given["binary_classifier_model_selection_criteria"] = "loss_function"
    trained(lay_out(root, {"train": data.train, "validation": data.validation}, **given))
    labels, scores = data.validation[:, 0], unpack(root).scores(data.validation[:, 1:])
    return float(root_mean_squared_error(labels, scores) if data.kind == REGRESSOR else log_loss(labels, scores))


def scikit(data: Split) -> float:
    linear = Ridge() if data.kind == REGRESSOR else LogisticRegression(max_iter=10_000, tol=1e-8)
    model = make_pipeline(StandardScaler(), linear).fit(data.train[:, 1:], data.train[:, 0])
    labels, features = data.validation[:, 0], data.validation[:, 1:]
    if data.kind == REGRESSOR:
        return float(root_mean_squared_error(labels, model.predict(features)))
    return float(log_loss(labels, model.predict_proba(features)))


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.full) for name in LONG)])
def test_validation_loss_is_within_a_thousandth_of_the_exact_model_or_better(tmp_path: Path, name: str) -> None:
    for seed in range(3):
        data = split(name, seed)
        assert ours(tmp_path / str(seed), data) <= 1.001 * scikit(data)


@pytest.mark.full
@pytest.mark.parametrize("held", [0, 100])
def test_breast_cancer_is_classified_as_well_as_by_scikit_learn_from_the_same_rows(tmp_path: Path, held: int) -> None:
    """5 x 10 folds; `held` rows of each training fold are its validation channel; scikit-learn does not use them."""
    table = np.column_stack(load_breast_cancer(return_X_y=True)[::-1])
    ours, theirs = [], []
    for learn, check in RepeatedStratifiedKFold(n_splits=10, n_repeats=5, random_state=0).split(table, table[:, 0]):
        rows = np.random.default_rng(0).permutation(table[learn])
        parts = {"train": rows[held:]} | ({"validation": rows[:held]} if held else {})
        trained(lay_out(tmp_path, parts, predictor_type="binary_classifier", mini_batch_size=32))
        got = predict(artifact.read(tmp_path / "model"), table[check, 1:].astype(np.float32))
        scikit = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[held:, 1:], rows[held:, 0])
        chance = scikit.predict_proba(table[check, 1:])[:, 1]
        truth = table[check, 0]
        ours.append([(got.label == truth).mean(), roc_auc_score(truth, got.score)])
        theirs.append([((chance >= 0.5) == truth).mean(), roc_auc_score(truth, chance)])
    accuracy, auc = np.mean(ours, axis=0)
    assert accuracy >= 0.975
    assert auc >= 0.995
    assert (np.mean(ours, axis=0) >= np.mean(theirs, axis=0) - 0.002).all()
