"""Each example from its CSV to an evaluation that passes its gate, a scikit-learn model standing in for training."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.config import load
from pipeline.jobs.evaluate.job import evaluate
from pipeline.jobs.preprocess.job import preprocess
from pipeline.jobs.shared.metric_names import SECTIONS

ROOT = Path(__file__).parents[3]
SETTINGS = {
    "breast_cancer": ROOT / "pipeline.toml",
    "wine": ROOT / "examples/wine/pipeline.toml",
    "diabetes": ROOT / "examples/diabetes/pipeline.toml",
}


def answers(predictor_type, model, rows):
    if predictor_type == "regressor":
        return [{"score": value} for value in model.predict(rows).tolist()]
    shares = model.predict_proba(rows)
    scores = shares[:, 1] if predictor_type == "binary_classifier" else shares
    called = model.predict(rows).astype(int).tolist()
    return [{"score": s, "predicted_label": c} for s, c in zip(scores.tolist(), called, strict=True)]


@pytest.fixture(params=SETTINGS)
def example(request, tmp_path):
    """Settings, evaluation of a linear model on the hold-out, and the golden rows' answers."""
    settings = load(SETTINGS[request.param])
    (tmp_path / "settings.json").write_text(settings.to_json())
    preprocess(tmp_path / "settings.json", ROOT / "examples" / request.param, tmp_path)
    train = np.loadtxt(tmp_path / "train/train-00000.csv", delimiter=",")
    kind = settings.data.predictor_type
    estimator = Ridge() if kind == "regressor" else LogisticRegression(solver="newton-cg")
    model = make_pipeline(StandardScaler(), estimator).fit(train[:, 1:], train[:, 0])
    rows = (tmp_path / "holdout/holdout-00000.jsonl").read_text().splitlines()
    holdout = [json.loads(row)["features"] for row in rows]
    (tmp_path / "scored/challenger").mkdir(parents=True)
    lines = [json.dumps(answer) + "\n" for answer in answers(kind, model, np.array(holdout))]
    (tmp_path / "scored/challenger/holdout-00000.jsonl.out").write_text("".join(lines))
    evaluate(tmp_path / "settings.json", tmp_path / "scored", tmp_path / "labels", tmp_path)
    metrics = json.loads((tmp_path / "evaluation.json").read_text())[SECTIONS[kind]]
    golden = answers(kind, model, np.array([golden.row for golden in settings.endpoint.golden]))
    return settings, {name: metric.get("value") for name, metric in metrics.items()}, golden


def test_a_linear_model_passes_the_gate_and_knows_the_golden_rows(example):
    settings, metrics, golden = example
    assert {name: bound for name, bound in settings.gate.minimum.items() if metrics[name] < bound} == {}
    assert {name: bound for name, bound in settings.gate.maximum.items() if metrics[name] > bound} == {}
    for wanted, answer in zip(settings.endpoint.golden, golden, strict=True):
        if wanted.label is None:
            assert answer["score"] == pytest.approx(wanted.value, abs=wanted.tolerance)
        else:
            assert settings.data.classes[answer["predicted_label"]] == wanted.label
