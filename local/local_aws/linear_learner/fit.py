"""Training: epochs over the cache, early stopping, and the choice among the packed models."""

import time
from dataclasses import dataclass

import numpy as np

from local_aws.linear_learner.arrays import Doubles, Floats
from local_aws.linear_learner.cache import Cache
from local_aws.linear_learner.errors import AlgorithmError
from local_aws.linear_learner.hyperparameters import BINARY, Value
from local_aws.linear_learner.measures import ROWS, objective_name
from local_aws.linear_learner.packing import Pack
from local_aws.linear_learner.polish import polish
from local_aws.linear_learner.report import Report
from local_aws.linear_learner.selection import CRITERION, Histograms, choose

LOSS_CRITERIA = ("loss_function", "cross_entropy_loss")
# Without a validation channel, as many chunks of the training data as this stand in for it.
SAMPLED_CHUNKS = 32


@dataclass(frozen=True)
class Fitted:
    """The model that was chosen, alone, its number in the grid, and its cut of scores before the sigmoid."""

    pack: Pack
    model: int
    cut: float


@dataclass(frozen=True)
class Evaluation:
    """Of each model: mean loss, value of the criterion (higher is better) with its standard error, and cut."""

    loss: Doubles
    value: Doubles
    error: Doubles
    cut: Doubles


def fit(
    pack: Pack,
    train: Cache,
    validation: Cache | None,
    config: dict[str, Value],
    report: Report,
    *,
    by_criterion: bool,
    thorough: bool,
) -> Fitted:
    """Train until the epochs are over or nothing improves; keep each model as it was at its best.

    Args:
        pack: The models at their start; trained in place.
        train: Normalised rows.
        validation: Normalised rows to stop and choose by; without, a sample of the training rows.
        config: Resolved hyperparameters.
        report: Where the log goes.
        by_criterion: Stop by the model selection criterion instead of the loss, as when the user named one.
        thorough: On data that is small enough, end with full batches.

    Raises:
        AlgorithmError: All models ran away.
    """
    random = np.random.default_rng(1)
    stride = 1 if validation else -(-train.rows // (SAMPLED_CHUNKS * train.chunk_rows(ROWS)))
    best = pack.parameters.copy()
    reached = np.full(pack.models, -np.inf)
    name, patience, epochs = objective_name(config), int(config["early_stopping_patience"]), int(config["epochs"])
    top, waited, seen, clock = -np.inf, 0, 0, time.perf_counter()
    for epoch in range(epochs):
        started, total = time.time(), np.zeros(pack.models)
        for rows in train.batches(int(config["mini_batch_size"]), random):
            total += len(rows) * pack.step(rows)
            seen += len(rows)
        current = pack.average()
        checked = evaluate(pack, current, validation or train, config, by_criterion=by_criterion, stride=stride)
        losses = {"train": total / train.rows} | ({"validation": checked.loss} if validation else {})
        report.epoch(epoch, losses, name, started, 100 * (epoch + 1) // epochs)
        value = np.where(np.isfinite(checked.loss), checked.value, -np.inf)
        better = value > reached
        reached[better] = value[better]
        columns = np.tile(better, pack.outputs)
        best[:, columns] = current[:, columns]
        improved = value.max() > top + float(config["early_stopping_tolerance"]) * (abs(top) if np.isfinite(top) else 0)
        waited = 0 if improved else waited + 1
        top = value.max() if improved else top
        shown = str(config[CRITERION]) if by_criterion else name
        report.criterion(epoch, shown, abs(float(value.max())), bool(improved))
        if waited >= patience:
            report.info(f"Early stop condition met. Stopping training after epoch {epoch}.")
            break
    report.throughput(seen / (time.perf_counter() - clock))
    if not np.isfinite(reached).any():
        raise AlgorithmError("the loss of every model is infinite; lower learning_rate")
    calibrates = config["predictor_type"] == BINARY
    if thorough and train.rows <= train.chunk_rows(1):
        (rows,) = train.batches(train.rows)
        best = polish(pack, rows, best)
    final = evaluate(pack, best, validation or train, config, by_criterion=calibrates, stride=stride)
    values = np.where(np.isfinite(final.loss), final.value, -np.inf)
    equal = values >= values.max() - final.error[np.argmax(values)]
    model = int(np.argmin(np.where(equal, final.loss, np.inf)))
    return Fitted(pack.alone(model, best), model, float(final.cut[model]))


def evaluate(
    pack: Pack, parameters: Floats, cache: Cache, config: dict[str, Value], *, by_criterion: bool, stride: int
) -> Evaluation:
    """Measure all models on (a sample of) a channel, by the model selection criterion or else by their loss."""
    by_criterion = by_criterion and config[CRITERION] not in LOSS_CRITERIA
    histograms = Histograms(pack.models if by_criterion else 0)
    loss, seen = np.zeros(pack.models), 0
    for rows in cache.batches(ROWS, stride=stride):
        scores, losses, _ = pack.loss(rows, parameters)
        loss += losses.sum(0, dtype=np.float64)
        left = int(config["num_calibration_samples"]) - seen
        if by_criterion and left > 0:
            histograms.add(scores[:left, 0], rows[:left, 0])
        seen += len(rows)
    loss /= seen
    if not by_criterion:
        return Evaluation(loss, -loss, np.zeros(pack.models), np.zeros(pack.models))
    choices = [choose(counts, config) for counts in histograms.counts]
    value, error, cut = np.array([(choice.value, choice.error, choice.cut) for choice in choices]).T
    return Evaluation(loss, value, error, cut)
