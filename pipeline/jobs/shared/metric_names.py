"""The metrics of each predictor type; standard library only, as pipeline/config.py imports it."""

from typing import Literal

METRICS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "binary_classifier": (
        ("auc", "pr_auc", "accuracy", "balanced_accuracy", "precision", "recall", "f1"),
        ("log_loss",),
    ),
    "multiclass_classifier": (
        ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1"),
        ("log_loss",),
    ),
    "regressor": (("r2",), ("rmse", "mae", "mse")),
}
"""By predictor type: (larger is better, at most 1), (smaller is better, at least 0).

`pr_auc`, the average precision, and `balanced_accuracy`, the mean recall of the classes, are for rare classes, of which
`auc` and `accuracy` say little.
"""

Section = Literal["binary_classification_metrics", "multiclass_classification_metrics", "regression_metrics"]
SECTIONS: dict[str, Section] = {
    "binary_classifier": "binary_classification_metrics",
    "multiclass_classifier": "multiclass_classification_metrics",
    "regressor": "regression_metrics",
}
"""Where evaluation.json keeps the metrics: the model-quality schema's names (Developer Guide, "Model quality metrics");
the model registry draws them."""

COMPARED_BY = {"binary_classifier": "auc", "multiclass_classifier": "accuracy", "regressor": "rmse"}
"""The metric by which challenger and champion are compared."""
