"""The metrics of the evaluation by predictor type."""

METRICS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "binary_classifier": (("auc", "accuracy", "precision", "recall", "f1"), ("log_loss",)),
    "multiclass_classifier": (("accuracy", "macro_precision", "macro_recall", "macro_f1"), ("log_loss",)),
    "regressor": (("r2",), ("rmse", "mae", "mse")),
}
"""Names by predictor type: (larger is better, at most 1), (smaller is better, at least 0)."""

SECTIONS = {
    "binary_classifier": "binary_classification_metrics",
    "multiclass_classifier": "multiclass_classification_metrics",
    "regressor": "regression_metrics",
}
