"""The data sets for quality: three of scikit-learn, five generated ones."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split

BINARY, MULTICLASS, REGRESSOR = "binary_classifier", "multiclass_classifier", "regressor"
HYPERPARAMETERS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("hyperparameters.toml").read_text("utf-8"))
Table = NDArray[np.float64]


def of_type(kind: str, **more: Any) -> dict[str, Any]:
    """Hyperparameters of a predictor type; a multiclass classifier has three classes."""
    return {"predictor_type": kind} | ({"num_classes": 3} if kind == MULTICLASS else {}) | more


def examples(few: int, many: int) -> list[Any]:
    """Parameters of a property's test: `few` examples, the same each time; `many` random ones in the full tests."""
    quiet: Any = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
    marks = [pytest.mark.full, pytest.mark.timeout(600)]
    return [
        pytest.param(settings(max_examples=few, derandomize=True, **quiet), id="few"),
        pytest.param(settings(max_examples=many, **quiet), id="many", marks=marks),
    ]


@dataclass(frozen=True)
class Split:
    """Tables with the label first."""

    kind: str
    train: Table
    validation: Table


def split(name: str, seed: int = 0) -> Split:
    """60 rows for training to 40 for validation."""
    kind, features, labels = _load(name, np.random.default_rng(seed))
    table = np.column_stack([labels, features])
    stratify = None if kind == REGRESSOR else labels
    train, validation = train_test_split(table, test_size=0.4, random_state=seed, stratify=stratify)
    return Split(kind, train, validation)


def _load(name: str, random: np.random.Generator) -> tuple[str, Table, Table]:  # noqa: PLR0911
    def labels(z: Table) -> Table:
        return (random.random(len(z)) < 1 / (1 + np.exp(-z))).astype(float)

    match name:
        case "wdbc":
            return BINARY, *datasets.load_breast_cancer(return_X_y=True)
        case "wine":
            return MULTICLASS, *datasets.load_wine(return_X_y=True)
        case "diabetes":
            return REGRESSOR, *datasets.load_diabetes(return_X_y=True)
        case "imbalanced 1:100":
            x = random.normal(size=(20_000, 20))
            return BINARY, x, labels(x @ random.normal(size=20) * 0.5 - 6.3)
        case "collinear":
            factors = random.normal(size=(10_000, 8))
            x = factors @ random.normal(size=(8, 30)) + 0.01 * random.normal(size=(10_000, 30))
            return BINARY, x, labels(factors @ random.normal(size=8))
        case "scales 1e-6 to 1e6":
            x = random.normal(size=(10_000, 20))
            y = labels(x @ random.normal(size=20) * 0.5)
            return BINARY, (x + random.normal(size=20)) * np.logspace(-6, 6, 20), y
        case "sparse":
            x = random.normal(size=(10_000, 200)) * (random.random((10_000, 200)) < 0.05)
            return BINARY, x, labels(x @ random.normal(size=200))
        case "1000 features":
            x = random.normal(size=(5_000, 1_000))
            return BINARY, x, labels(x[:, :50] @ random.normal(size=50) * 0.3)
    raise AssertionError(name)
