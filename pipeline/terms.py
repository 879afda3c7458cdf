"""The words that settings may use: metrics by predictor type, and the linear learner's hyperparameters."""

METRICS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "binary_classifier": (("auc", "accuracy", "precision", "recall", "f1"), ("log_loss",)),
    "multiclass_classifier": (("accuracy", "macro_precision", "macro_recall", "macro_f1"), ("log_loss",)),
    "regressor": (("r2",), ("rmse", "mae", "mse")),
}
"""What the evaluation measures, by predictor type: (larger is better, at most 1), (smaller is better, at least 0)."""

_NAMES = """
    accuracy_top_k balance_multiclass_weights beta_1 beta_2 bias_lr_mult bias_wd_mult early_stopping_patience
    binary_classifier_model_selection_criteria early_stopping_tolerance epochs f_beta huber_delta init_bias
    init_method init_scale init_sigma l1 learning_rate loss loss_insensitivity lr_scheduler_factor
    lr_scheduler_minimum_lr lr_scheduler_step margin mini_batch_size momentum normalize_data normalize_label
    num_calibration_samples num_models num_point_for_scaler optimizer positive_example_weight_mult quantile
    target_precision target_recall unbias_data unbias_label use_bias use_lr_scheduler wd
"""
HYPERPARAMETERS = frozenset(_NAMES.split())
"""The linear learner's own names (Developer Guide, "Linear learner hyperparameters"), less those we derive."""
