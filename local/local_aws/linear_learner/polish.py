"""The last step on small data: every packed model goes on to the minimum of its penalised loss.

A few hundred steps on noisy batches do not bring a model to within a thousandth of its minimum; full batches do, and on
data that fits one chunk they are cheap. L-BFGS (Nocedal and Wright, "Numerical Optimization", algorithm 7.4), with all
models in one matrix product and each with its own history and step.
"""

import numpy as np

from local_aws.linear_learner.arrays import Doubles, Floats
from local_aws.linear_learner.packing import Pack

ITERATIONS = 100
HISTORY = 10
HALVINGS = 12
_SLOPE = 1e-4
_ROUGH = 1e-3
_GAIN = 1e-7


def polish(pack: Pack, rows: Floats, start: Floats) -> Floats:
    """Parameters from which no model gets further, as far as float32 tells, or ITERATIONS steps from `start`.

    Args:
        pack: Gives the loss and the penalties.
        rows: All training rows.
        start: (features + 1, outputs * models).
    """
    size = (-1, pack.models)

    def penalised(flat: Doubles) -> tuple[Doubles, Doubles]:
        parameters = flat.reshape(start.shape).astype(np.float32)
        loss, gradient = pack.gradient(rows, parameters)
        # |w| with its corner rounded off.
        length = np.sqrt(parameters**2 + np.float32(_ROUGH**2))
        penalty = pack.wd * parameters**2 / 2 + pack.l1 * length
        gradient += pack.wd * parameters + pack.l1 * parameters / length
        return loss + penalty.reshape(size).sum(0, dtype=np.float64), gradient.reshape(size).astype(np.float64)

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
    """The inverse Hessian, as the history tells it, times the gradient; columns are models."""
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
