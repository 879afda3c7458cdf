"""Metrics that SageMaker reads from a training job's log.

The regular expressions are those that the service injects for `linear-learner:1` (a tuning job's event of 2020).
"""

import re
from datetime import UTC, datetime
from typing import Any

_QUALITY = r"#quality_metric: host=\S+, "
_CHANNELS = ("train", "validation", "test")


def _linear_learner() -> dict[str, str]:
    table = {
        "train:progress": r"#progress_metric: host=\S+, completed (\S+) %",
        "train:throughput": r"#throughput_metric: host=\S+, train throughput=(\S+) records/second",
    }
    for channel in _CHANNELS:
        final = "test:objective_loss" if channel == "test" else f"{channel}:objective_loss:final"
        table[final] = rf"{_QUALITY}{channel} \S+_objective <loss>=(\S+)"
        if channel != "test":
            table[f"{channel}:objective_loss"] = rf"{_QUALITY}epoch=\S+, {channel} \S+_objective <loss>=(\S+)"
        names = {"binary_f_beta": r"binary_f_\S+", "mse": "mse", "absolute_loss": "absolute_loss"}
        names |= {name: name for name in ("binary_classification_accuracy", "precision", "recall")}
        if channel != "train":
            names |= {name: name for name in ("multiclass_accuracy", "dcg", "macro_recall", "macro_precision")}
            names |= {"multiclass_top_k_accuracy": r"multiclass_top_k_accuracy_\S+", "macro_f_beta": r"macro_f_\S+"}
            # In the developer guide's list, though not among those injected in 2020.
            names |= {"roc_auc_score": "roc_auc_score"} | ({"rmse": "rmse"} if channel == "validation" else {})
        for name, pattern in names.items():
            kind = "loss" if name in ("mse", "absolute_loss", "rmse") else "score"
            table[f"{channel}:{name}"] = rf"{_QUALITY}{channel} {pattern} <{kind}>=(\S+)"
    return table


LINEAR_LEARNER = _linear_learner()


class MetricReader:
    """Keeps the last value of each metric of a log; definitions are names with regular expressions of one group."""

    def __init__(self, definitions: dict[str, str]) -> None:
        self._patterns = {name: re.compile(pattern) for name, pattern in definitions.items()}
        self._last: dict[str, tuple[float, datetime]] = {}

    def read(self, line: str) -> None:
        """Take in one line; a match that is not a number is no metric."""
        for name, pattern in self._patterns.items():
            if found := pattern.search(line):
                try:
                    self._last[name] = (float(found[1]), datetime.now(UTC))
                except ValueError:
                    continue

    def final(self) -> list[dict[str, Any]]:
        """DescribeTrainingJob's FinalMetricDataList."""
        return [
            {"MetricName": name, "Value": value, "Timestamp": seen}
            for name, (value, seen) in sorted(self._last.items())
        ]
