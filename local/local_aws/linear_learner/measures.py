"""The final metrics of a model on a channel, under the names that the container logs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from local_aws.linear_learner.cache import Cache
from local_aws.linear_learner.common import Doubles, Floats, ahead
from local_aws.linear_learner.hyperparameters import BINARY, MULTICLASS, Config
from local_aws.linear_learner.packing import Pack
from local_aws.linear_learner.selection import Histograms, f_score

ROWS = 16384
_OBJECTIVES = {
    "logistic": "binary_classification_cross_entropy",
    "hinge_loss": "binary_classification_hinge_loss",
    "softmax_loss": "multiclass_cross_entropy",
    "squared_loss": "mse",
    "absolute_loss": "absolute_loss",
}


@dataclass(frozen=True)
class Metric:
    """A metric as it is logged: `kind` is loss or score."""

    name: str
    kind: str
    value: float


def objective_name(config: Config) -> str:
    """What the log calls the loss that is minimised."""
    loss = str(config["loss"])
    return _OBJECTIVES.get(loss, loss) + "_objective"


def measure(pack: Pack, cache: Cache, config: Config, cut: float, unit: float) -> list[Metric]:
    """All metrics of one model on one channel, which is read once.

    A row is positive from the score `cut`, before the sigmoid, on. Errors are multiplied by `unit`, the label's scale.
    """
    kind = config["predictor_type"]
    total = 0.0
    collector = _Binary(cut, config) if kind == BINARY else _Classes(config) if kind == MULTICLASS else _Errors(unit)
    for scores, loss, labels in scored(pack, cache, pack.parameters):
        total += float(loss.sum(dtype=np.float64))
        collector.add(scores[:, :, 0], labels)
    return [Metric(objective_name(config), "loss", total / cache.rows), *collector.metrics(cache.rows)]


def scored(pack: Pack, cache: Cache, parameters: Floats, *, stride: int = 1) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Scores, loss and label of the rows of each batch; a thread makes those of the next one meanwhile."""

    def of(rows: Floats) -> tuple[Floats, Floats, Floats]:
        scores, loss, _ = pack.loss(rows, parameters)
        return scores, loss, rows[:, 0].copy()

    return ahead(map(of, cache.batches(ROWS, stride=stride)))


class _Binary:
    def __init__(self, cut: float, config: Config) -> None:
        self._cut, self._beta = cut, float(config["f_beta"])
        self._cells = np.zeros(4, np.int64)
        self._histograms = Histograms(1)

    def add(self, scores: Floats, labels: Floats) -> None:
        cells = 2 * labels.astype(np.int64) + (scores[:, 0] >= self._cut)
        self._cells += np.bincount(cells, minlength=4)
        self._histograms.add(scores, labels)

    def metrics(self, rows: int) -> list[Metric]:
        tn, fp, fn, tp = (int(cell) for cell in self._cells)
        precision, recall = tp / max(tp + fp, 1), tp / max(tp + fn, 1)
        f = f_score(np.array(precision), np.array(recall), self._beta)
        return [
            Metric("binary_classification_accuracy", "score", (tn + tp) / rows),
            Metric(f"binary_f_{self._beta:.3f}", "score", float(f)),
            Metric("precision", "score", precision),
            Metric("recall", "score", recall),
            Metric("roc_auc_score", "score", self._histograms.roc_auc(0)),
        ]


class _Classes:
    """`dcg` is of one relevant class a row: 1 / log2(1 + rank)."""

    def __init__(self, config: Config) -> None:
        self._top, self._beta = int(config["accuracy_top_k"]), float(config["f_beta"])
        classes = int(config["num_classes"])
        self._right, self._true, self._said = (np.zeros(classes, np.int64) for _ in range(3))
        self._in_top = self._dcg = self._log_loss = 0.0

    def add(self, scores: Floats, labels: Floats) -> None:
        classes = len(self._true)
        truth = labels.astype(np.int64)
        said = scores.argmax(1)
        own = scores[np.arange(len(truth)), truth]
        rank = 1 + (scores > own[:, None]).sum(1)
        self._in_top += float((rank <= self._top).sum())
        self._dcg += float((1 / np.log2(1 + rank)).sum())
        top = scores.max(1)
        self._log_loss += float((np.log(np.exp(scores - top[:, None]).sum(1)) + top - own).sum(dtype=np.float64))
        self._true += np.bincount(truth, minlength=classes)
        self._said += np.bincount(said, minlength=classes)
        self._right += np.bincount(truth[said == truth], minlength=classes)

    def metrics(self, rows: int) -> list[Metric]:
        precision = self._right / np.maximum(self._said, 1)
        recall = self._right / np.maximum(self._true, 1)
        f = f_score(precision, recall, self._beta)
        scores: dict[str, float | Doubles] = {
            "multiclass_accuracy": self._right.sum() / rows,
            f"multiclass_top_k_accuracy_{self._top}": self._in_top / rows,
            "dcg": self._dcg / rows,
            "macro_recall": recall.mean(),
            "macro_precision": precision.mean(),
            f"macro_f_{self._beta:.3f}": f.mean(),
            "multiclass_balanced_accuracy": recall[self._true > 0].mean(),
        }
        log_loss = Metric("multiclass_log_loss", "loss", self._log_loss / rows)
        return [*(Metric(name, "score", float(value)) for name, value in scores.items()), log_loss]


class _Errors:
    def __init__(self, unit: float) -> None:
        self._unit = unit
        self._squared = self._absolute = 0.0

    def add(self, scores: Floats, labels: Floats) -> None:
        error = (scores[:, 0].astype(np.float64) - labels) * self._unit
        self._squared += float(error @ error)
        self._absolute += float(np.abs(error).sum())

    def metrics(self, rows: int) -> list[Metric]:
        mse = self._squared / rows
        values = {"mse": mse, "absolute_loss": self._absolute / rows, "rmse": mse**0.5}
        return [Metric(name, "loss", value) for name, value in values.items()]
