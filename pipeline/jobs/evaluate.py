"""Predictions of the hold-out and its labels -> evaluation.json, in SageMaker's model-quality form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from bootstrap import GROUPS, Estimate, bootstrap, random_groups
from comparison import comparison
from curves import curves
from decision import decide
from distributions import profile
from job_settings import JobSettings, read_settings
from metrics import measure_of
from numpy.typing import NDArray
from predictions import Labels, Numbers, Predictions, RowsByFile, read_labels, read_predictions
from problems import PredictionsError, place

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
    true = read_labels(labels, wanted)
    truth, groups = true.values, random_groups(len(true.values))
    answers = read_predictions(predictions, wanted)
    estimates = _estimates(wanted, true, answers, predictions, groups)
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
        rival = _estimates(wanted, true, read_predictions(champion, wanted), champion, groups)
        document["comparison"] = comparison(wanted.predictor_type, estimates, rival, wanted.gate.confidence)
    document["decision"] = decide(wanted.gate, estimates, document.get("comparison"))
    output.mkdir(parents=True, exist_ok=True)
    (output / "evaluation.json").write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    answered = profile(truth, answers, wanted)
    (output / "profile.json").write_text(json.dumps(answered, allow_nan=False), encoding="utf-8")
    figures = ", ".join(f"{name} {estimate.value:.4f}" for name, estimate in estimates.items())
    print(f"{len(truth)} rows: {figures}\n{document['decision']['reason']}")


def _estimates(
    settings: JobSettings, labels: Labels, predictions: Predictions, source: Path, groups: NDArray[np.int64] | None
) -> dict[str, Estimate]:
    _check_pairs(source, predictions.rows_by_file, labels.rows_by_file)
    measure = measure_of(settings.predictor_type, labels.values, predictions, groups)
    return bootstrap(measure, len(labels.values) if groups is None else GROUPS)


def _check_pairs(source: Path, answered: RowsByFile, labelled: RowsByFile) -> None:
    """Files go together by the order of their names (holdout-00007.jsonl.out, labels-00007.jsonl), rows by line."""
    shards = [{_shard(name): name for name in files} for files in (answered, labelled)]
    alone = [ours[shard] for ours, theirs in (shards, shards[::-1]) for shard in sorted(ours) if shard not in theirs]
    rows, wanted = sum(answered.values()), sum(labelled.values())
    if len(answered) != len(labelled) or (len(labelled) > 1 and alone):
        raise PredictionsError(
            f"{source}: {rows} predictions for {wanted} labels: both must come from the same hold-out, one line each,"
            f" but {len(answered)} files of predictions stand against {len(labelled)} of labels"
            + (f": nothing goes with {alone[0]}" if alone else "")
        )
    for (name, count), (label_name, label_count) in zip(answered.items(), labelled.items(), strict=True):
        if count != label_count:
            longer, shorter = (name, label_name) if count > label_count else (label_name, name)
            raise PredictionsError(
                f"{source}: {rows} predictions for {wanted} labels: both must come from the same hold-out, one line"
                f" each, but {place(longer, min(count, label_count) + 1)} has no line in {shorter}"
            )


def _shard(name: str) -> str:
    return re.sub(r"(^|/)(holdout|labels)|\.[a-z.]+$", r"\1", name)


def _check_gated(settings: JobSettings, estimates: dict[str, Estimate]) -> None:
    for name in settings.gate.metrics:
        if name not in estimates:
            raise PredictionsError(
                f"the gate asks for {name}, which these scores do not give (does the loss yield probabilities?):"
                " change the gate or training.hyperparameters.loss"
            )


def _confusion(labels: Numbers, classes: Numbers, count: int) -> dict[str, dict[str, int]]:
    """Return {actual class: {predicted class: rows}}, the schema's form."""
    # At most 20 classes: 400 cells.
    cells = np.bincount(labels.astype(np.int16) * count + classes, minlength=count * count).reshape(count, count)
    return {str(row): {str(column): int(value) for column, value in enumerate(cells[row])} for row in range(count)}
