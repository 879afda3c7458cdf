"""Each example from its CSV to an evaluation that passes its gate, a scikit-learn model standing in for training."""

import json
from pathlib import Path

import numpy as np
import pytest
from local_aws.linear_learner import recordio
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
    """Settings, metrics of a linear model on the hold-out, and how it answers the golden rows."""
    settings = load(SETTINGS[request.param])
    (tmp_path / "settings.json").write_text(settings.to_json())
    preprocess(tmp_path / "settings.json", ROOT / "examples" / request.param, tmp_path)
    train = recordio.parse((tmp_path / "train/train-00000.pbr").read_bytes(), labelled=True)
    kind = settings.data.predictor_type
    estimator = Ridge() if kind == "regressor" else LogisticRegression(solver="newton-cg")
    model = make_pipeline(StandardScaler(), estimator).fit(train[:, 1:], train[:, 0])
    (tmp_path / "scored/challenger").mkdir(parents=True)
    for file in (tmp_path / "holdout").iterdir():
        rows = [json.loads(row)["features"] for row in file.read_text().splitlines()]
        lines = [json.dumps(answer) + "\n" for answer in answers(kind, model, np.array(rows))]
        (tmp_path / f"scored/challenger/{file.name}.out").write_text("".join(lines))
    evaluate(tmp_path / "settings.json", tmp_path / "scored", tmp_path / "labels", tmp_path)
    document = json.loads((tmp_path / "evaluation.json").read_text())
    metrics = {name: metric.get("value") for name, metric in document[SECTIONS[kind]].items()}
    return settings, metrics, document["golden"]


def test_a_linear_model_passes_the_gate_and_knows_the_golden_rows(example):
    settings, metrics, golden = example
    assert {name: bound for name, bound in settings.gate.minimum.items() if metrics[name] < bound} == {}
    assert {name: bound for name, bound in settings.gate.maximum.items() if metrics[name] > bound} == {}
    assert golden == {"rows": len(settings.endpoint.golden), "share": 1.0, "wrong": ""}
    assert golden["rows"] >= 1
