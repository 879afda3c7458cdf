"""Predictions of the hold-out and its labels -> evaluation.json, in SageMaker's model-quality form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from bootstrap import Estimate, bootstrap
from comparison import comparison
from curves import curves
from decision import decide
from distributions import profile
from job_settings import JobSettings, read_settings
from metrics import Measure, measure_of
from predictions import Floats, Predictions, read_labels, read_predictions
from problems import PredictionsError

SECTIONS = {
    "binary_classifier": "binary_classification_metrics",
    "multiclass_classifier": "multiclass_classification_metrics",
    "regressor": "regression_metrics",
}
"""The model-quality schema's names (Developer Guide, "Model quality metrics"); the model registry draws them."""

MOST_CLASSES_IN_A_MATRIX = 20


def run(settings: Path, predictions: Path, labels: Path, output: Path, champion: Path | None = None) -> None:
    """Measure the predictions against the labels and write evaluation.json and profile.json under `output`.

    With `champion`, a directory of another model's predictions of the same rows, the two are compared as well.

    Raises:
        JobError: the settings, the predictions or the labels are not usable; nothing is written then.
    """
    wanted = read_settings(settings)
    truth = read_labels(labels, wanted)
    answers = read_predictions(predictions, wanted)
    estimates = bootstrap(_measure(wanted, truth, answers, predictions), len(truth))
    _check_gated(wanted, estimates)
    section: dict[str, Any] = {
        name: {"value": estimate.value, "standard_deviation": estimate.standard_deviation}
        for name, estimate in estimates.items()
    }
    if answers.classes is not None and len(wanted.classes) <= MOST_CLASSES_IN_A_MATRIX:
        section["confusion_matrix"] = _confusion(truth, answers.classes, len(wanted.classes))
    if wanted.predictor_type == "binary_classifier":
        section.update(curves(truth, answers.scores))
    document: dict[str, Any] = {"rows": len(truth), SECTIONS[wanted.predictor_type]: section}
    if champion is not None:
        rival = bootstrap(_measure(wanted, truth, read_predictions(champion, wanted), champion), len(truth))
        document["comparison"] = comparison(wanted.predictor_type, estimates, rival, wanted.gate.confidence)
    document["decision"] = decide(wanted.gate, estimates, document.get("comparison"))
    output.mkdir(parents=True, exist_ok=True)
    (output / "evaluation.json").write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    answered = profile(truth, answers, wanted)
    (output / "profile.json").write_text(json.dumps(answered, allow_nan=False), encoding="utf-8")
    figures = ", ".join(f"{name} {estimate.value:.4f}" for name, estimate in estimates.items())
    print(f"{len(truth)} rows: {figures}\n{document['decision']['reason']}")


def _measure(settings: JobSettings, labels: Floats, predictions: Predictions, source: Path) -> Measure:
    if len(predictions.scores) != len(labels):
        raise PredictionsError(
            f"{source}: {len(predictions.scores)} predictions for {len(labels)} labels: both must come from the same"
            " hold-out, one line each"
        )
    return measure_of(settings.predictor_type, labels, predictions)


def _check_gated(settings: JobSettings, estimates: dict[str, Estimate]) -> None:
    for name in settings.gate.metrics:
        if name not in estimates:
            raise PredictionsError(
                f"the gate asks for {name}, which these scores do not give (does the loss yield probabilities?):"
                " change the gate or training.hyperparameters.loss"
            )


def _confusion(labels: Floats, classes: Floats, count: int) -> dict[str, dict[str, int]]:
    """Return {actual class: {predicted class: rows}}, the schema's form."""
    cells = np.bincount((labels * count + classes).astype(np.int64), minlength=count * count).reshape(count, count)
    return {str(row): {str(column): int(value) for column, value in enumerate(cells[row])} for row in range(count)}
