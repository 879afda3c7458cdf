"""Training: epochs over the cache, early stopping, and the choice among the packed models."""

import math
import time
from dataclasses import dataclass

import numpy as np

from local_aws.linear_learner.cache import Cache
from local_aws.linear_learner.common import AlgorithmError, Doubles, Floats, ahead
from local_aws.linear_learner.hyperparameters import BINARY, Config
from local_aws.linear_learner.measures import ROWS, objective_name, scored
from local_aws.linear_learner.packing import Pack
from local_aws.linear_learner.report import Report
from local_aws.linear_learner.selection import CRITERION, Histograms, choose

LOSS_CRITERIA = ("loss_function", "cross_entropy_loss")
# Without a validation channel, as many chunks of the training data as this stand in for it.
SAMPLED_CHUNKS = 32
ITERATIONS = 100
HISTORY = 10
HALVINGS = 12
_SLOPE = 1e-4
_ROUGH = 1e-3
_GAIN = 1e-7


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
    pack: Pack, train: Cache, validation: Cache | None, config: Config, log: Report, *, by_criterion: bool, full: bool
) -> Fitted:
    """Train until the epochs are over or nothing improves; keep each model as it was at its best.

    The pack is trained in place. Without validation rows, a sample of the training rows stops and chooses.
    `by_criterion` stops by the model selection criterion, as when the user named one, else by the loss; `full` ends
    with full batches on data that is small enough.

    Raises:
        AlgorithmError: All models ran away.
    """
    random, size = np.random.default_rng(1), int(config["mini_batch_size"])
    stride = 1 if validation else math.ceil(train.rows / (SAMPLED_CHUNKS * train.chunk_rows(ROWS)))
    best = pack.parameters.copy()
    reached = np.full(pack.models, -np.inf)
    name, patience, epochs = objective_name(config), int(config["early_stopping_patience"]), int(config["epochs"])
    top, waited, seen, clock = -np.inf, 0, 0, time.perf_counter()
    for epoch in range(epochs):
        started, total = time.time(), np.zeros(pack.models)
        for chunk in ahead(train.shuffled(size, random)):
            for first in range(0, len(chunk), size):
                total += pack.step(chunk[first : first + size])
            seen += len(chunk)
        current = pack.average()
        checked = evaluate(pack, current, validation or train, config, by_criterion=by_criterion, stride=stride)
        losses = {"train": total / train.rows} | ({"validation": checked.loss} if validation else {})
        log.epoch(epoch, losses, name, started, 100 * (epoch + 1) // epochs)
        value = np.where(np.isfinite(checked.loss), checked.value, -np.inf)
        better = value > reached
        reached[better] = value[better]
        columns = np.tile(better, pack.outputs)
        best[:, columns] = current[:, columns]
        improved = value.max() > top + float(config["early_stopping_tolerance"]) * (abs(top) if np.isfinite(top) else 0)
        waited = 0 if improved else waited + 1
        top = value.max() if improved else top
        shown = str(config[CRITERION]) if by_criterion else name
        log.criterion(epoch, shown, abs(float(value.max())), bool(improved))
        if waited >= patience:
            log.info(f"Early stop condition met. Stopping training after epoch {epoch}.")
            break
    log.throughput(seen / (time.perf_counter() - clock))
    if not np.isfinite(reached).any():
        raise AlgorithmError("the loss of every model is infinite; lower learning_rate")
    calibrates = config["predictor_type"] == BINARY
    if full and train.rows <= train.chunk_rows(1):
        (rows,) = train.batches(train.rows)
        best = minimise(pack, rows, best)
    final = evaluate(pack, best, validation or train, config, by_criterion=calibrates, stride=stride)
    if validation:  # the metric of the epochs ends with the loss of what is kept: a tuning job compares jobs by it
        log.quality(epoch, {"validation": final.loss}, name)
    values = np.where(np.isfinite(final.loss), final.value, -np.inf)
    equal = values >= values.max() - final.error[np.argmax(values)]
    model = int(np.argmin(np.where(equal, final.loss, np.inf)))
    return Fitted(pack.alone(model, best), model, float(final.cut[model]))


def evaluate(
    pack: Pack, parameters: Floats, cache: Cache, config: Config, *, by_criterion: bool, stride: int
) -> Evaluation:
    """Measure all models on (a sample of) a channel, by the model selection criterion or else by their loss."""
    by_criterion = by_criterion and config[CRITERION] not in LOSS_CRITERIA
    histograms = Histograms(pack.models if by_criterion else 0)
    loss, seen = np.zeros(pack.models), 0
    for scores, losses, labels in scored(pack, cache, parameters, stride=stride):
        loss += losses.sum(0, dtype=np.float64)
        left = int(config["num_calibration_samples"]) - seen
        if by_criterion and left > 0:
            histograms.add(scores[:left, 0], labels[:left])
        seen += len(labels)
    loss /= seen
    if not by_criterion:
        return Evaluation(loss, -loss, np.zeros(pack.models), np.zeros(pack.models))
    choices = [choose(counts, config) for counts in histograms.counts]
    value, error, cut = np.array([(choice.value, choice.error, choice.cut) for choice in choices]).T
    return Evaluation(loss, value, error, cut)


def minimise(pack: Pack, rows: Floats, start: Floats) -> Floats:
    """Minimise the penalised loss of each model by L-BFGS on all rows, which is cheap on data of one chunk.

    A few hundred steps on noisy batches end farther from the minimum (Nocedal and Wright, "Numerical Optimization",
    algorithm 7.4; one matrix product for all models, each with its own history and step).

    Returns:
        Parameters, (features + 1, outputs * models), after at most ITERATIONS steps; fewer when none improves.
    """
    size = (-1, pack.models)

    def penalised(flat: Doubles) -> tuple[Doubles, Doubles]:
        parameters = flat.reshape(start.shape).astype(np.float32)
        loss, gradient = pack.gradient(rows, parameters)
        # |w| with its corner rounded off.
        length = np.sqrt(parameters**2 + np.float32(_ROUGH**2))
        penalty = pack.wd * parameters**2 / 2 + pack.l1 * length
        gradient += pack.wd * parameters + pack.l1 * parameters / length
        whole = loss.mean(0, dtype=np.float64) + penalty.reshape(size).sum(0, dtype=np.float64)
        return whole, gradient.reshape(size).astype(np.float64)

    point = start.reshape(size).astype(np.float64)
    value, gradient = penalised(point)
    moves, turns = list[Doubles](), list[Doubles]()
    going = np.ones(pack.models, bool)
    for _ in range(ITERATIONS):
        direction = -_two_loops(gradient, moves, turns)
        descent = (direction * gradient).sum(0)
        uphill = descent >= 0
        direction[:, uphill] = -gradient[:, uphill]
        descent[uphill] = -(gradient[:, uphill] ** 2).sum(0)
        step = np.ones(pack.models) if moves else np.minimum(1, 1 / np.sqrt(np.maximum(-descent, 1e-30)))
        for _ in range(HALVINGS):
            tried, slope = penalised(point + step * direction)
            short = ~(tried <= value + _SLOPE * step * descent)
            if not (short & going).any():
                break
            step[short] /= 2
        taken = np.where(short, 0.0, step) * direction
        slope = np.where(short, gradient, slope)
        moves, turns = [*moves[1 - HISTORY :], taken], [*turns[1 - HISTORY :], slope - gradient]
        before, value = value, np.where(short, value, tried)
        point, gradient = point + taken, slope
        going &= before - value > _GAIN * np.abs(value)
        if not going.any():
            break
    return point.reshape(start.shape).astype(np.float32)


def _two_loops(gradient: Doubles, moves: list[Doubles], turns: list[Doubles]) -> Doubles:
    """The inverse Hessian, estimated from the history, times the gradient; columns are models."""
    result = gradient.copy()
    weights = []
    for move, turn in zip(reversed(moves), reversed(turns), strict=True):
        curve = (move * turn).sum(0)
        inverse = np.where(curve > 1e-12, 1 / np.where(curve > 1e-12, curve, 1), 0.0)
        weight = inverse * (move * result).sum(0)
        result -= weight * turn
        weights.append((weight, inverse))
    if moves:
        curve, square = (moves[-1] * turns[-1]).sum(0), (turns[-1] ** 2).sum(0)
        usable = (curve > 1e-12) & (square > 0)
        result *= np.where(usable, curve / np.where(usable, square, 1), 1.0)
    for (weight, inverse), move, turn in zip(reversed(weights), moves, turns, strict=True):
        result += (weight - inverse * (turn * result).sum(0)) * move
    return result
