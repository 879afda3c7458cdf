"""Each loss against its formula and its derivative against finite differences."""

from collections.abc import Callable

import numpy as np
import pytest
from local_aws.linear_learner.hyperparameters import LOSSES, checked
from local_aws.linear_learner.losses import objective

from .data import Table

RANDOM = np.random.default_rng(0)
Z = RANDOM.normal(size=(50, 1, 4)) * 3
PARAMETERS = {"quantile": "0.2", "huber_delta": "0.7", "loss_insensitivity": "0.3", "margin": "1.5"}
FORMULAS: dict[str, Callable[[Table, Table], Table]] = {
    "logistic": lambda z, y: np.log1p(np.exp(np.where(y == 1, -z, z))),
    "hinge_loss": lambda z, y: np.maximum(0, 1.5 - np.where(y == 1, z, -z)),
    "squared_loss": lambda z, y: (z - y) ** 2,
    "absolute_loss": lambda z, y: np.abs(z - y),
    "eps_insensitive_squared_loss": lambda z, y: np.maximum(np.abs(z - y) - 0.3, 0) ** 2,
    "eps_insensitive_absolute_loss": lambda z, y: np.maximum(np.abs(z - y) - 0.3, 0),
    "quantile_loss": lambda z, y: np.where(y > z, 0.2 * (y - z), 0.8 * (z - y)),
    "huber_loss": lambda z, y: np.where(np.abs(z - y) <= 0.7, (z - y) ** 2 / 2, 0.7 * (np.abs(z - y) - 0.35)),
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in LOSSES.items() for name in names])
def test_a_loss_is_its_formula_and_its_derivative_points_along_it(kind: str, name: str) -> None:
    classes = {"num_classes": "3"} if kind == "multiclass_classifier" else {}
    compute = objective(checked({"predictor_type": kind, "loss": name, **PARAMETERS, **classes}))
    z = np.repeat(Z, 3, axis=1) * [[[1], [2], [-1]]] if classes else Z
    y = RANDOM.normal(size=50) if kind == "regressor" else RANDOM.integers(0, 3 if classes else 2, 50)
    labels = y.astype(np.float32)

    def formula(z: Table) -> Table:
        if classes:
            return np.asarray(np.log(np.exp(z).sum(1)) - z[np.arange(50), y])
        return np.asarray(FORMULAS[name](z[:, 0], labels[:, None].astype(float)))

    loss, slope = compute(z.astype(np.float32), labels)
    assert np.allclose(loss, formula(z), rtol=1e-4, atol=1e-5)
    for output in range(z.shape[1]):
        step = np.zeros_like(z)
        step[:, output] = 1e-5
        numeric = (formula(z + step) - formula(z - step)) / 2e-5
        # MXNet's regression output takes the derivative of half the squared error.
        expected = numeric / 2 if "squared" in name else numeric
        assert np.allclose(slope[:, output], expected, rtol=1e-3, atol=1e-3)
